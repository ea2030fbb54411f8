//! Why a journal fails, and the futures that say so.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// A future that a journal's method returns; it names no executor.
pub type JournalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why a journal cannot be opened or cannot go on.
#[derive(Debug)]
pub struct JournalError {
    message: Box<str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl JournalError {
    /// An error of a journal: one clause about what failed, and its cause.
    #[must_use]
    pub fn new(
        message: impl Into<Box<str>>,
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.into(), source }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
