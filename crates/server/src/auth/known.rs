//! Grants of tokens that were verified before.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use foldhash::HashMap;
use parking_lot::Mutex;

use super::grant::Grant;

/// The SHA-256 of a token's text.
pub(super) type Digest = [u8; 32];

/// Hashes a token. Neither a look-up by the hash nor a comparison of hashes tells anything of the
/// text by the time it takes.
pub(super) fn digest_of(text: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

/// Grants by the hashes of their tokens: a signature is verified once, and requests with the same
/// token share one grant and its decisions.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    /// The version of the keys that verified the tokens.
    version: u64,
    young: HashMap<Digest, Arc<Grant>>,
    old: HashMap<Digest, Arc<Grant>>,
}

impl Known {
    /// The grants of one generation: some megabytes. A token that was not used during a whole
    /// generation is verified again.
    const GRANTS_MAX: usize = 16 * 1024;

    /// The grant of a token that keys of this version, or keys that include them, have verified.
    pub(super) fn get(&self, digest: &Digest, version: u64) -> Option<Arc<Grant>> {
        let mut generations = self.0.lock();
        if generations.version != version {
            // A key was taken away, perhaps the one that has signed it.
            *generations = Generations { version, ..Generations::default() };
        }
        if let Some(grant) = generations.young.get(digest) {
            return Some(Arc::clone(grant));
        }
        let grant = generations.old.remove(digest)?;
        generations.add(*digest, Arc::clone(&grant));
        Some(grant)
    }

    /// Adds the grant of a token that keys of this version have verified.
    pub(super) fn add(&self, digest: Digest, grant: Arc<Grant>, version: u64) {
        let mut generations = self.0.lock();
        if generations.version == version {
            generations.add(digest, grant);
        }
    }
}

impl Generations {
    fn add(&mut self, digest: Digest, grant: Arc<Grant>) {
        if self.young.len() >= Known::GRANTS_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, grant);
    }
}

#[cfg(test)]
mod tests {
    use tidings_hub::PublicTopics;

    use super::*;
    use crate::auth::config::Rights;

    #[test]
    fn a_grant_that_is_used_stays_and_the_memory_is_bounded() {
        let known = Known::default();
        let grant = Arc::new(Grant::new(Rights::default(), &PublicTopics::default()));
        let digest = |n: usize| digest_of(&n.to_string());
        for n in 0..3 * Known::GRANTS_MAX {
            known.add(digest(n), Arc::clone(&grant), 0);
            assert!(known.get(&digest(0), 0).is_some(), "{n}");
        }
        let generations = known.0.lock();
        assert!(generations.young.len() <= Known::GRANTS_MAX);
        assert!(generations.old.len() <= Known::GRANTS_MAX);
        assert!(
            !generations.young.contains_key(&digest(1))
                && !generations.old.contains_key(&digest(1))
        );
    }

    #[test]
    fn tokens_are_verified_anew_when_a_key_was_taken_away() {
        let known = Known::default();
        let grant = Arc::new(Grant::new(Rights::default(), &PublicTopics::default()));
        let digest = digest_of("token");
        known.add(digest, Arc::clone(&grant), 0);
        assert!(known.get(&digest, 1).is_none());
        // Verified by the keys of before, while they changed.
        known.add(digest, Arc::clone(&grant), 0);
        assert!(known.get(&digest, 1).is_none());
        known.add(digest, grant, 1);
        assert!(known.get(&digest, 1).is_some());
    }
}
