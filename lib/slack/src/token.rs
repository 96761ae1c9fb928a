//! The bot's token, and where it comes from.

use std::{fmt, future::Future, pin::Pin};

/// A Slack bot token. Neither `Debug` nor any error shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SlackToken(String);

impl SlackToken {
    /// Trims white space, which a copied token often has at its ends.
    ///
    /// # Errors
    /// [`TokenError`] says what the rest is instead of a token.
    pub fn new(token: &str) -> Result<Self, TokenError> {
        let token = token.trim();
        if token.is_empty() {
            return Err(TokenError::Empty);
        }
        if token.starts_with(['{', '[']) {
            return Err(TokenError::Json);
        }
        if token.starts_with(['"', '\'', '`']) || token.ends_with(['"', '\'', '`']) {
            return Err(TokenError::Quoted);
        }
        // Slack's tokens consist of letters, digits and hyphens; those of a proxy may have more.
        let is_of_a_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        if !token.chars().all(is_of_a_token) {
            return Err(TokenError::OtherText);
        }
        Ok(Self(token.to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SlackToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlackToken(…)")
    }
}

/// The text is not a token. No message repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is empty; store the token alone as text, such as xoxb-…")]
    Empty,
    #[error("the token is JSON; store the token alone as text, such as xoxb-…")]
    Json,
    #[error("the token is in quotes; store it without them, such as xoxb-…")]
    Quoted,
    #[error(
        "the token contains other characters than letters, digits and hyphens; store the token alone, such as xoxb-…"
    )]
    OtherText,
}

/// The secret store did not return the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{store} did not return the token to {operation}: {reason}")]
pub struct NoToken {
    /// The name of the secret.
    pub store: String,
    pub operation: &'static str,
    pub reason: String,
    /// Whether another attempt may succeed. If not, an operator must act.
    pub is_transient: bool,
}

pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<SlackToken, NoToken>> + Send + 'a>>;

/// Where the client gets its token: Secrets Manager in a function, a fixed one in a tool.
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// The token to call Slack with.
    fn token(&self) -> TokenFuture<'_>;

    /// Reads the token again after Slack refused `refused`.
    fn renewed<'a>(&'a self, refused: &'a SlackToken) -> TokenFuture<'a>;
}

/// A token that does not change.
#[derive(Debug, Clone)]
pub struct FixedToken(pub SlackToken);

impl TokenSource for FixedToken {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(async { Ok(self.0.clone()) })
    }

    fn renewed<'a>(&'a self, _refused: &'a SlackToken) -> TokenFuture<'a> {
        self.token()
    }
}
