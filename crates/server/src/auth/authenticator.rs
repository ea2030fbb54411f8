//! Finds the grant of a token: that of an API key, one that is known, or one that is verified.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::HashMap;
use tidings_hub::{Grant as ReadGrant, PublicTopics, Time};

use super::access::Access;
use super::config::AuthConfig;
use super::grant::Grant;
use super::key_set::KeySet;
use super::known::{Digest, Known, digest_of};
use super::recent::{Recent, Stamp};
use super::revocations::Revocations;
use super::token::{TOKEN_BYTES_MAX, TokenRefused, verify};
use crate::engine::subject::Subject;

/// Everything that one configuration of authentication knows.
#[derive(Debug)]
pub(crate) struct Authenticator {
    /// No other of the process has it.
    number: u64,
    config: AuthConfig,
    public: PublicTopics,
    api_keys: HashMap<Digest, Arc<Grant>>,
    /// Keys that are fetched.
    key_sets: Vec<Arc<KeySet>>,
    known: Known,
    /// The grant of requests without a token.
    anonymous: ReadGrant,
}

impl Authenticator {
    /// With the key sets of the configuration.
    pub(crate) fn new(
        config: AuthConfig,
        key_sets: Vec<Arc<KeySet>>,
        public: &PublicTopics,
    ) -> Self {
        let keys = config.api_keys.iter().map(|key| {
            let grant = Grant::new(key.rights.clone(), public);
            // A key whose name cannot be a subject has no subject.
            let grant = Grant { subject: Subject::new(&key.name).ok(), ..grant };
            (key.sha256, Arc::new(grant))
        });
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            api_keys: keys.collect(),
            anonymous: ReadGrant::limited([], public),
            public: public.clone(),
            known: Known::default(),
            key_sets,
            config,
        }
    }

    /// The places where a token may stand.
    pub(crate) fn config(&self) -> &AuthConfig {
        &self.config
    }

    /// The access of a request without a token.
    pub(crate) fn anonymous(&self) -> Access {
        Access::Anonymous(self.anonymous.clone())
    }

    /// The access that a token gives now, on a connection that has sent another or the same before. A
    /// token whose key is unknown waits for a moment while the key sets are fetched, if it is time for
    /// that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops no fetch.
    pub(crate) async fn access(
        &self,
        (token, recent): (&str, &Recent),
        revocations: &Revocations,
        now: Time,
    ) -> Result<Access, TokenRefused> {
        match self.judge((token, recent), revocations, now) {
            Err(TokenRefused::NoKey) if !self.key_sets.is_empty() => {
                // Boxed, because it is rare, and every request would have the room for it.
                Box::pin(self.fetch()).await;
                let judged = self.judge((token, recent), revocations, now);
                let is_away = || self.key_sets.iter().any(|set| !set.keys().is_current);
                match judged {
                    Err(TokenRefused::NoKey) if is_away() => Err(TokenRefused::KeysAway),
                    judged => judged,
                }
            }
            judged => judged,
        }
    }

    /// Asks for the keys and waits until they have come or failed.
    async fn fetch(&self) {
        /// A little longer than a fetch takes.
        const WAIT_MAX: Duration = Duration::from_secs(6);
        let asked: Vec<_> = self.key_sets.iter().filter_map(|set| set.ask()).collect();
        let ended = async {
            for mut ended in asked {
                // The server is gone without its sender, and this request with it.
                let _ = ended.changed().await;
            }
        };
        let _ = tokio::time::timeout(WAIT_MAX, ended).await;
    }

    fn judge(
        &self,
        (token, recent): (&str, &Recent),
        revocations: &Revocations,
        now: Time,
    ) -> Result<Access, TokenRefused> {
        let version = self.key_sets.iter().map(|set| set.keys().version).sum();
        let stamp = Stamp { authenticator: self.number, version };
        let used = recent.get(token, stamp).filter(|grant| !self.is_expired(grant, now));
        let grant = match used {
            Some(grant) => grant,
            None => {
                let grant = self.find(token, version, now)?;
                recent.set(token, stamp, &grant);
                grant
            }
        };
        if revocations.concern(&grant) {
            return Err(TokenRefused::Revoked);
        }
        Ok(Access::Granted(grant))
    }

    /// The grant of a token, whether it was revoked or not.
    fn find(&self, token: &str, version: u64, now: Time) -> Result<Arc<Grant>, TokenRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused::TooLong);
        }
        let digest = digest_of(token);
        if let Some(grant) = self.api_keys.get(&digest) {
            return Ok(Arc::clone(grant));
        }
        let known = self.known.get(&digest, version).filter(|grant| !self.is_expired(grant, now));
        if let Some(grant) = known {
            return Ok(grant);
        }
        let fetched: Vec<_> = self.key_sets.iter().map(|set| set.keys()).collect();
        let grant = Arc::new(verify(token, &self.config, &fetched, &self.public, now)?);
        self.known.add(digest, Arc::clone(&grant), version);
        Ok(grant)
    }

    /// Returns whether a grant has ended. One that is known is verified anew then, to say why.
    fn is_expired(&self, grant: &Grant, now: Time) -> bool {
        grant.expires.is_some_and(|expires| expires <= now)
    }
}
