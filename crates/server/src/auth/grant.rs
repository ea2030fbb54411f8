//! Grants: what a verified token allows.

use serde_json::Value;
use tidings_hub::{Grant as ReadGrant, PublicTopics, Time};

use super::config::Rights;
use crate::engine::subject::Subject;

/// The grant of a verified token or an API key: what it allows, for whom, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(super) rights: Rights,
    /// The part about reading, as the hub decides it.
    pub(super) read: ReadGrant,
    pub(crate) subject: Option<Subject>,
    /// When it ends; an API key never does.
    pub(super) expires: Option<Time>,
    /// When it was issued, if it says so; an API key has always been there.
    pub(super) issued: Issued,
    /// Data of the token's issuer for a program's own routes.
    pub(super) payload: Option<Value>,
}

/// When a grant was issued, which decides whether a revocation concerns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Issued {
    At(Time),
    /// It does not say, so that every revocation of its subject concerns it.
    Unknown,
    /// By the configuration, which takes it back.
    ByConfiguration,
}

impl Grant {
    pub(super) fn new(rights: Rights, public: &PublicTopics) -> Self {
        let read = ReadGrant::limited(rights.subscribe.iter().cloned(), public);
        let issued = Issued::ByConfiguration;
        Self { rights, read, subject: None, expires: None, issued, payload: None }
    }

    /// Returns whether it is that of an API key.
    pub(super) fn is_configured(&self) -> bool {
        self.issued == Issued::ByConfiguration
    }
}
