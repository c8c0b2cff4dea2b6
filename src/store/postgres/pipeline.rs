//! Several questions on one connection without waiting for an answer between them.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

type Call<'a> = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send + 'a>>;

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was done.
    Done,
    /// It was done to so many rows.
    Rows(u64),
    /// What was asked for.
    Found(Vec<Row>),
}

impl Answer {
    /// Rows that were changed.
    pub(super) fn changed(&self) -> u64 {
        if let Self::Rows(rows) = self { *rows } else { 0 }
    }

    /// Rows that were asked for.
    pub(super) fn rows(&self) -> &[Row] {
        if let Self::Found(rows) = self { rows } else { &[] }
    }
}

/// Questions in the order in which the server answers them. A request is sent when its future is polled for the first time.
pub(super) struct Pipeline<'a> {
    client: &'a Client,
    calls: Vec<Call<'a>>,
}

impl<'a> Pipeline<'a> {
    pub(super) const fn new(client: &'a Client) -> Self {
        Self { client, calls: Vec::new() }
    }

    /// Some SQL without parameters.
    pub(super) fn batch(&mut self, sql: &'a str) {
        let client = self.client;
        self.calls.push(Box::pin(async move { client.batch_execute(sql).await.map(|()| Answer::Done) }));
    }

    /// A statement that changes rows; where its answer will be.
    pub(super) fn execute(&mut self, statement: Statement, parameters: Vec<Box<dyn ToSql + Sync + Send + 'a>>) -> usize {
        let client = self.client;
        self.calls.push(Box::pin(async move {
            let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            client.execute(&statement, &parameters).await.map(Answer::Rows)
        }));
        self.calls.len() - 1
    }

    /// A statement that asks for rows; where its answer will be.
    pub(super) fn query(&mut self, statement: Statement, parameters: Vec<Box<dyn ToSql + Sync + Send + 'a>>) -> usize {
        let client = self.client;
        self.calls.push(Box::pin(async move {
            let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
            client.query(&statement, &parameters).await.map(Answer::Found)
        }));
        self.calls.len() - 1
    }

    /// Asks everything; all answers, or the first error: those after it only say that there was one.
    pub(super) async fn run(mut self) -> Result<Vec<Answer>, Error> {
        let mut answers: Vec<Option<Result<Answer, Error>>> = self.calls.iter().map(|_| None).collect();
        poll_fn(|context| {
            let mut waiting = false;
            for (call, answer) in self.calls.iter_mut().zip(&mut answers) {
                if answer.is_none() {
                    match call.as_mut().poll(context) {
                        Poll::Ready(outcome) => *answer = Some(outcome),
                        Poll::Pending => waiting = true,
                    }
                }
            }
            if waiting { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        answers.into_iter().flatten().collect()
    }
}
