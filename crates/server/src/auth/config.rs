//! The configuration of authentication: plain values.

use std::fmt;
use std::time::Duration;

use tidings_hub::{GapShape, TopicFilter};

use super::key::VerifyingKey;
use super::key_set::KeySetSource;

/// The keys that tokens are verified with, and where a token may stand in a request.
///
/// A token may always stand in the header `Authorization`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AuthConfig {
    /// The keys that tokens may be signed with.
    pub keys: Vec<VerifyingKey>,
    /// Where further keys are fetched from, now and then.
    pub key_sets: Vec<KeySetSource>,
    /// Keys that are tokens themselves, for backends.
    pub api_keys: Vec<ApiKey>,
    /// Whether a token may stand in the query parameter `token`: an EventSource cannot set headers,
    /// but an address is more often stored and shown than a header.
    pub in_query: bool,
    /// The name of the cookie that may hold a token.
    pub cookie: Option<String>,
    /// The audiences of which a token must name one; any, if there are none.
    pub audiences: Vec<String>,
    /// The issuers of which a token must name one; any, if there are none.
    pub issuers: Vec<String>,
    /// How far clocks may differ: added to the times of tokens in their favor. Zero by default.
    pub leeway: Duration,
}

/// A key that is a token itself. Only its hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, which is also the subject of its streams.
    pub name: String,
    /// The SHA-256 of its text.
    pub sha256: [u8; 32],
    /// Its rights.
    pub rights: Rights,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rights, .. } = self;
        f.debug_struct("ApiKey").field("name", name).field("rights", rights).finish_non_exhaustive()
    }
}

/// The topics that may be published to, subscribed to, managed, and whose streams may be stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// The topics that events may be published to.
    pub publish: Vec<TopicFilter>,
    /// The topics whose events may be read, private ones included.
    pub subscribe: Vec<TopicFilter>,
    /// The topics whose streams a reader may stop: their producers are told.
    pub stop: Vec<TopicFilter>,
    /// The topics whose subscribers may be listed, and whose streams may be closed.
    pub manage: Vec<TopicFilter>,
}

impl Rights {
    /// The rights by their names, in the order in which they are told.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &[TopicFilter]); 4] {
        let Self { publish, subscribe, stop, manage } = self;
        [("publish", publish), ("subscribe", subscribe), ("stop", stop), ("manage", manage)]
    }
}

/// A rule about the topics that a filter matches. For each property, the first rule that matches a
/// topic and has the property decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicRule {
    /// The topics that it is about.
    pub filter: TopicFilter,
    /// The readers of their public events.
    pub access: Option<TopicAccess>,
    /// How their readers are told of a gap, unless a reader asks for another way.
    pub gap: Option<GapShape>,
}

impl TopicRule {
    /// A rule without properties about the topics that a filter matches.
    #[must_use]
    pub fn new(filter: TopicFilter) -> Self {
        Self { filter, access: None, gap: None }
    }
}

/// The readers of a topic's public events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicAccess {
    /// Everyone.
    Public,
    /// Readers whose token allows it; the default.
    Token,
}
