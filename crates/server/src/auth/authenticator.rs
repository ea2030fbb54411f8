//! Finds the grant of a token: that of an API key, one that is known, or one that is verified.

use std::collections::HashMap;
use std::sync::Arc;

use tidings_hub::{Grant as ReadGrant, PublicTopics, Time};

use super::access::Access;
use super::config::AuthConfig;
use super::grant::Grant;
use super::known::{Digest, Known, digest_of};
use super::revocations::Revocations;
use super::token::{TOKEN_BYTES_MAX, TokenRefused, verify};
use crate::engine::subject::Subject;

/// Everything that one configuration of authentication knows.
#[derive(Debug)]
pub(crate) struct Authenticator {
    config: AuthConfig,
    public: PublicTopics,
    api_keys: HashMap<Digest, Arc<Grant>>,
    known: Known,
    /// The grant of requests without a token.
    anonymous: ReadGrant,
}

impl Authenticator {
    pub(crate) fn new(config: AuthConfig, public: &PublicTopics) -> Self {
        let keys = config.api_keys.iter().map(|key| {
            let grant = Grant::new(key.rights.clone(), public);
            // A key whose name cannot be a subject has no subject.
            let grant = Grant { subject: Subject::new(&key.name).ok(), ..grant };
            (key.sha256, Arc::new(grant))
        });
        Self {
            api_keys: keys.collect(),
            anonymous: ReadGrant::limited([], public),
            public: public.clone(),
            known: Known::default(),
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

    /// The access that a token gives now.
    pub(crate) fn access(
        &self,
        token: &str,
        revocations: &Revocations,
        now: Time,
    ) -> Result<Access, TokenRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused::TooLong);
        }
        let digest = digest_of(token);
        if let Some(grant) = self.api_keys.get(&digest) {
            return Ok(Access::Granted(Arc::clone(grant)));
        }
        let known = self.known.get(&digest).filter(|grant| !self.is_expired(grant, now));
        let grant = match known {
            Some(grant) => grant,
            None => {
                let grant = Arc::new(verify(token, &self.config, &self.public, now)?);
                self.known.add(digest, Arc::clone(&grant));
                grant
            }
        };
        if revocations.concern(&grant) {
            return Err(TokenRefused::Revoked);
        }
        Ok(Access::Granted(grant))
    }

    /// Returns whether a grant has ended. One that is known is verified anew then, to say why.
    fn is_expired(&self, grant: &Grant, now: Time) -> bool {
        grant.expires.is_some_and(|expires| expires <= now)
    }
}
