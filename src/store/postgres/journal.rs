//! The journal for those who ask it, beside nodes that work or when none does: they find, check and read on, and change nothing.

use super::fault::Fault;
use super::link::{Link, persist};
use super::proof::{self, Walk};
use super::{PostgresOptions, chain, read, schema};
use crate::port::StoreError;
use crate::store::journal::find::{Found, Want};
use crate::store::journal::{Entry, Known, Summary};

/// Whether the role that asks may make lines of what steps told last.
const MAY_CHAIN: &str = "SELECT has_table_privilege('told', 'DELETE') AND has_table_privilege('journal', 'INSERT') \
                         AND has_table_privilege('journal_end', 'UPDATE')";

/// The journal that nodes share.
pub struct PostgresJournal {
    link: Box<Link>,
}

impl PostgresJournal {
    /// Connects. A role that may do nothing but read misses what was told in the last second; any other does not.
    ///
    /// # Errors
    /// [`StoreError::Broken`] when PostgreSQL cannot be reached, or has no journal that this version can read.
    pub async fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let link = Box::new(Link::new(options)?);
        persist!(link, session => schema::look(&mut session, options))?;
        let may_chain = persist!(link, session => async { Ok::<bool, Fault>(session.query_one(MAY_CHAIN, &[]).await?.try_get(0)?) })?;
        if may_chain {
            chain::catch_up(&link).await?;
        }
        Ok(Self { link })
    }

    /// The events that are looked for, in their order, and how many lines could not be read.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn find(&self, want: &Want) -> Result<(Vec<Found>, u64), StoreError> {
        let mut session = self.link.session().await.map_err(Fault::into_error)?;
        read::find(&mut session, want).await.map_err(Fault::into_error)
    }

    /// Checks every line, their chain and its end, as they are at one moment, with what is known from elsewhere.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], which names the first line that is wrong.
    pub async fn verify(&self, known: &Known) -> Result<Summary, StoreError> {
        let mut session = self.link.session().await.map_err(Fault::into_error)?;
        proof::verify(&mut session, known).await.map_err(Fault::into_error)
    }

    /// The lines that come next on a walk, from the first there is; none at the end, where more may come later.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], which names the line that does not follow.
    pub async fn next(&self, walk: &mut Walk) -> Result<Vec<Entry>, StoreError> {
        persist!(self.link, session => walk.next(&session))
    }
}
