//! Authentication and authorization: a token becomes a grant, and the grant decides.
//!
//! ```text
//! request ─▶ credential ─▶ authenticator ─▶ token (a pure function) ─▶ Grant ─▶ Access
//!            where it       API keys, known        signature, times,            asked by handlers
//!            stands         tokens, revocations,   names, claim                 and by `respond`
//!                           key sets
//! ```
//!
//! Which events a reader is sent is not decided here: the hub asks the
//! [grant](tidings_hub::Grant) of the reader's view for every event.

pub(crate) mod access;
pub(crate) mod authenticator;
pub(crate) mod config;
pub(crate) mod credential;
pub(crate) mod explain;
pub(crate) mod grant;
pub(crate) mod issue;
pub(crate) mod key;
pub(crate) mod key_set;
mod known;
pub(crate) mod recent;
pub(crate) mod revocations;
pub(crate) mod token;
