//! Access tokens by OAuth2 client credentials (RFC 6749 4.4): fetched when they are needed, kept until shortly before their end.

use std::io::Cursor;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::ImapError;
use crate::edge::http::{HttpClient, HttpOptions};

/// How long before its end a token is not used any more, at most half its life.
const EARLY: Duration = Duration::from_mins(5);
/// A token whose end is not told is used so long.
const UNTOLD: Duration = Duration::from_mins(10);
/// What a form does not need to encode (WHATWG URL 5.2) stays as it is, but for spaces.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');
/// Octets of an answer.
const ANSWER: usize = 256 << 10;

/// Where tokens come from.
#[derive(Clone)]
pub struct TokenOptions {
    /// The token endpoint.
    pub url: String,
    /// Who asks.
    pub client_id: String,
    /// The client's secret.
    pub secret: Zeroizing<String>,
    /// What for: `https://outlook.office365.com/.default`.
    pub scope: String,
    /// How the endpoint is reached.
    pub http: HttpOptions,
}

/// A token.
#[derive(Clone)]
pub struct Held {
    /// It.
    pub text: Zeroizing<String>,
    /// Whether it was fetched just now.
    pub is_new: bool,
    until: Instant,
}

/// Fetches tokens and keeps the last one.
pub struct TokenSource {
    options: TokenOptions,
    http: HttpClient,
    held: Mutex<Option<Held>>,
}

impl TokenSource {
    /// A source that has fetched none.
    #[must_use]
    pub fn new(options: TokenOptions) -> Self {
        let http = HttpClient::new(HttpOptions { answer_limit: ANSWER, ..options.http.clone() });
        Self { options, http, held: Mutex::default() }
    }

    /// A token that is valid for some time yet. Who asks while one is fetched waits for that.
    ///
    /// # Errors
    /// [`ImapError::Token`].
    pub async fn token(&self) -> Result<Held, ImapError> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| held.until > Instant::now()) {
            return Ok(Held { is_new: false, ..held.clone() });
        }
        let fetched = self.fetch().await?;
        *held = Some(fetched.clone());
        Ok(fetched)
    }

    /// Never uses this one again.
    pub async fn forget(&self, token: &Held) {
        self.held.lock().await.take_if(|held| held.text == token.text);
    }

    async fn fetch(&self) -> Result<Held, ImapError> {
        let options = &self.options;
        let fields =
            [("grant_type", "client_credentials"), ("client_id", &options.client_id), ("client_secret", &options.secret), ("scope", &options.scope)];
        let encoded = fields.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, FORM)));
        let form = Zeroizing::new(encoded.map(Zeroizing::new).each_ref().map(|field| field.as_str()).join("&"));
        let failed = |reason: String, wait| ImapError::Token { reason: format!("{}: {reason}", options.url), wait };
        let body = Cursor::new(form.as_bytes().to_vec());
        let answer = self.http.post(&options.url, "application/x-www-form-urlencoded", form.len() as u64, Box::new(body)).await;
        let answer = answer.map_err(|error| failed(error.to_string(), None))?;
        let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status != 200 {
            return Err(failed(format!("status {}{}", answer.status, why(&told)), answer.retry_after));
        }
        let text = told.get("access_token").and_then(serde_json::Value::as_str).filter(|text| is_token(text));
        let text = text.ok_or_else(|| failed("the answer has no access token".into(), None))?;
        let life = told.get("expires_in").and_then(seconds).map_or(UNTOLD, Duration::from_secs).min(Duration::from_hours(24));
        let until = Instant::now() + life.saturating_sub(EARLY.min(life / 2));
        Ok(Held { text: Zeroizing::new(text.to_owned()), is_new: true, until })
    }
}

/// Some write the number as a text.
fn seconds(value: &serde_json::Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// RFC 6750 2.1, and no longer than a command may be.
fn is_token(text: &str) -> bool {
    (1..=16_000).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b))
}

/// RFC 6749 5.2: the error's word, and Microsoft's number for it, which is what its manual is searched by.
fn why(told: &serde_json::Value) -> String {
    let text = |name: &str| told.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let word: String = text("error").chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).take(64).collect();
    let number = text("error_description").split_once("AADSTS").map(|(_, rest)| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).take(12).collect();
        format!(" (AADSTS{digits})")
    });
    if word.is_empty() { String::new() } else { format!(", {word}{}", number.unwrap_or_default()) }
}
