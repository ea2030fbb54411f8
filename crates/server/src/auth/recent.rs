//! The token that a connection has sent last.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use parking_lot::Mutex;

use super::grant::Grant;

/// The token that a connection has sent last, with its grant.
///
/// A backend publishes over few connections, with the same token each time, and comparing a token
/// is less work than hashing it. A proxy may send requests of several clients over one connection,
/// so the comparison takes as long wherever two tokens differ.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Option<Box<Used>>>);

struct Used {
    token: Box<str>,
    stamp: Stamp,
    grant: Arc<Grant>,
}

/// The configuration and the keys that a grant was found by. Under others it does not count any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The authenticator: each configuration has its own.
    pub(super) authenticator: u64,
    /// The version of the key sets.
    pub(super) version: u64,
}

impl Recent {
    /// Longer tokens are not remembered, so that a connection takes little memory.
    const BYTES_MAX: usize = 2048;

    pub(super) fn get(&self, token: &str, stamp: Stamp) -> Option<Arc<Grant>> {
        let used = self.0.lock();
        let used = used.as_ref().filter(|used| used.stamp == stamp)?;
        verify_slices_are_equal(used.token.as_bytes(), token.as_bytes()).ok()?;
        Some(Arc::clone(&used.grant))
    }

    pub(super) fn set(&self, token: &str, stamp: Stamp, grant: &Arc<Grant>) {
        if token.len() <= Self::BYTES_MAX {
            let used = Used { token: token.into(), stamp, grant: Arc::clone(grant) };
            *self.0.lock() = Some(Box::new(used));
        }
    }
}

impl Clone for Recent {
    /// A copy remembers nothing: it is not the connection's.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Recent {
    /// Shows nothing: a token is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tidings_hub::PublicTopics;

    use super::*;
    use crate::auth::config::Rights;

    const STAMP: Stamp = Stamp { authenticator: 1, version: 1 };

    #[test]
    fn only_the_same_token_under_the_same_keys_is_known() {
        let grant = Arc::new(Grant::new(Rights::default(), &PublicTopics::default()));
        let recent = Recent::default();
        assert!(recent.get("", STAMP).is_none());
        recent.set("token", STAMP, &grant);
        assert!(recent.get("token", STAMP).is_some());
        for other in ["", "toke", "tokens", "tokem"] {
            assert!(recent.get(other, STAMP).is_none(), "{other}");
        }
        assert!(recent.get("token", Stamp { version: 2, ..STAMP }).is_none());
        assert!(recent.get("token", Stamp { authenticator: 2, ..STAMP }).is_none());
        recent.set("other", STAMP, &grant);
        assert!(recent.get("token", STAMP).is_none());
    }

    #[test]
    fn a_connection_remembers_no_long_token_and_shows_none() {
        let grant = Arc::new(Grant::new(Rights::default(), &PublicTopics::default()));
        let recent = Recent::default();
        let long = "x".repeat(Recent::BYTES_MAX + 1);
        recent.set(&long, STAMP, &grant);
        assert!(recent.get(&long, STAMP).is_none());
        recent.set("token", STAMP, &grant);
        assert!(!format!("{recent:?}").contains("token"));
        assert!(recent.clone().get("token", STAMP).is_none());
    }
}
