//! Tokens: JSON Web Tokens (RFC 7519), verified by a pure function of their text, the keys and the
//! time.
//!
//! The header of a token chooses among the keys of the configuration and nothing else: parameters
//! that bring or point to keys (`jwk`, `jku`, `x5u`, `x5c`) are not followed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::crypto::verify as verify_signature;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Header, decode_header};
use serde::Deserialize;
use serde_json::Value;
use tidings_hub::{PublicTopics, Time, TopicFilter};

use super::config::{AuthConfig, Rights};
use super::grant::{Grant, Issued};
use super::key::VerifyingKey;
use super::key_set::FetchedKeys;
use crate::engine::subject::Subject;

/// The maximum size of a token: a hundred topics, and far below the limit of a request's head.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The reason why a token is refused. Its words are for the token's bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenRefused {
    TooLong,
    /// It is neither an API key nor a JSON Web Token.
    Malformed,
    /// Its header has critical parameters, of which this server knows none (RFC 7515, section
    /// 4.1.11).
    Critical,
    /// No key has its algorithm and its key ID.
    NoKey,
    /// None of the keys that its header may mean has made its signature.
    Signature,
    /// A claim is missing or malformed.
    Claims(String),
    Expired {
        at: Time,
    },
    NotYetValid {
        from: Time,
    },
    Issuer,
    Audience,
    /// All tokens of its subject that were issued before a moment were revoked.
    Revoked,
    /// No key has its algorithm and its key ID, but the keys are not current: it may be good.
    KeysAway,
}

/// Verifies a token, with the keys of the configuration and fetched ones, and reads its grant.
pub(super) fn verify(
    text: &str,
    config: &AuthConfig,
    fetched: &[Arc<FetchedKeys>],
    public: &PublicTopics,
    now: Time,
) -> Result<Grant, TokenRefused> {
    let header = header(text)?;
    let keys = fetched.iter().flat_map(|fetched| &fetched.keys);
    verify_by_keys(text, &header, config.keys.iter().chain(keys))?;
    let claims = Claims::of(text)?;
    if let Some(fault) = claims.faults(config, now).into_iter().next() {
        return Err(fault);
    }
    claims.into_grant(config, public)
}

/// Finds every reason to refuse a token, and what it would grant without them.
pub(super) fn faults(
    text: &str,
    config: &AuthConfig,
    public: &PublicTopics,
    now: Time,
) -> (Option<Grant>, Vec<TokenRefused>) {
    let mut faults = Vec::new();
    match header(text) {
        Ok(header) => faults.extend(verify_by_keys(text, &header, config.keys.iter()).err()),
        Err(fault) => faults.push(fault),
    }
    let read = Claims::of(text).and_then(|claims| {
        faults.extend(claims.faults(config, now));
        claims.into_grant(config, public)
    });
    match read {
        Ok(grant) => (Some(grant), faults),
        // What is no token at all has no claims either.
        Err(_) if faults.contains(&TokenRefused::Malformed) => (None, faults),
        Err(fault) => {
            faults.push(fault);
            (None, faults)
        }
    }
}

fn header(text: &str) -> Result<Header, TokenRefused> {
    if text.len() > TOKEN_BYTES_MAX {
        return Err(TokenRefused::TooLong);
    }
    let header = decode_header(text).map_err(|_| TokenRefused::Malformed)?;
    if header.crit.is_some() {
        return Err(TokenRefused::Critical);
    }
    Ok(header)
}

/// Checks the signature with each key that the header may mean.
fn verify_by_keys<'a>(
    text: &str,
    header: &Header,
    keys: impl Iterator<Item = &'a VerifyingKey>,
) -> Result<(), TokenRefused> {
    let (message, signature) = text.rsplit_once('.').ok_or(TokenRefused::Malformed)?;
    let is_meant = |key: &&VerifyingKey| {
        // The key's algorithm, never the token's alone: otherwise a public key could be used as a
        // secret.
        let is_named = match (&header.kid, &key.id) {
            (Some(named), Some(id)) => named == id,
            _ => true,
        };
        key.algorithm.0 == header.alg && is_named
    };
    let mut meant = keys.filter(is_meant).peekable();
    if meant.peek().is_none() {
        return Err(TokenRefused::NoKey);
    }
    let has_made = |key: &VerifyingKey| {
        verify_signature(signature, message.as_bytes(), &key.key, header.alg).unwrap_or(false)
    };
    if meant.any(has_made) { Ok(()) } else { Err(TokenRefused::Signature) }
}

/// The claims of a token, as far as they count here.
#[derive(Debug, Deserialize)]
struct Claims {
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    aud: Option<OneOrMany>,
    sub: Option<String>,
    tidings: Option<TidingsClaim>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// The claim that says what the token allows. A member that is not known is a mistake: it would
/// silently allow nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TidingsClaim {
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    stop: Vec<String>,
    #[serde(default)]
    manage: Vec<String>,
    payload: Option<Value>,
}

impl Claims {
    /// Reads the claims of a token, whether or not its signature has been verified: only [`verify`]
    /// may believe them.
    fn of(text: &str) -> Result<Self, TokenRefused> {
        insecure_decode_claims(text)
            .map_err(|error| TokenRefused::Claims(format!("its claims cannot be read: {error}")))
    }

    /// The faults of the times, the issuer and the audiences.
    fn faults(&self, config: &AuthConfig, now: Time) -> Vec<TokenRefused> {
        let mut faults = Vec::new();
        faults.extend(self.check_times(config, now).err());
        faults.extend(self.check_names(config));
        faults
    }

    fn check_times(&self, config: &AuthConfig, now: Time) -> Result<(), TokenRefused> {
        let Some(exp) = self.exp else {
            return Err(TokenRefused::Claims("the claim 'exp' is missing".to_owned()));
        };
        let leeway = millis(config.leeway);
        let expires = time("exp", exp)?;
        // "On or after which" (RFC 7519, section 4.1.4).
        if expires.unix_millis().saturating_add(leeway) <= now.unix_millis() {
            return Err(TokenRefused::Expired { at: expires });
        }
        if let Some(nbf) = self.nbf {
            let from = time("nbf", nbf)?;
            if from.unix_millis() > now.unix_millis().saturating_add(leeway) {
                return Err(TokenRefused::NotYetValid { from });
            }
        }
        Ok(())
    }

    fn check_names(&self, config: &AuthConfig) -> Vec<TokenRefused> {
        let mut faults = Vec::new();
        let is_issuer = |issuer: &String| config.issuers.contains(issuer);
        if !config.issuers.is_empty() && !self.iss.as_ref().is_some_and(is_issuer) {
            faults.push(TokenRefused::Issuer);
        }
        let named = match &self.aud {
            None => &[][..],
            Some(OneOrMany::One(audience)) => std::slice::from_ref(audience),
            Some(OneOrMany::Many(audiences)) => audiences,
        };
        let is_for_us = named.iter().any(|audience| config.audiences.contains(audience));
        if !config.audiences.is_empty() && !is_for_us {
            faults.push(TokenRefused::Audience);
        }
        faults
    }

    fn into_grant(self, config: &AuthConfig, public: &PublicTopics) -> Result<Grant, TokenRefused> {
        let claim = self.tidings.unwrap_or_default();
        let filters = |name: &str, texts: Vec<String>| -> Result<Vec<TopicFilter>, TokenRefused> {
            let filter = |text: &String| {
                TopicFilter::pattern(text).map_err(|error| {
                    TokenRefused::Claims(format!("'tidings.{name}' has '{text}': {error}"))
                })
            };
            texts.iter().map(filter).collect()
        };
        let rights = Rights {
            publish: filters("publish", claim.publish)?,
            subscribe: filters("subscribe", claim.subscribe)?,
            stop: filters("stop", claim.stop)?,
            manage: filters("manage", claim.manage)?,
        };
        let subject = self.sub.map(|sub| {
            Subject::new(&sub)
                .map_err(|error| TokenRefused::Claims(format!("the claim 'sub': {error}")))
        });
        Ok(Grant {
            subject: subject.transpose()?,
            // Streams end when the token would be refused, or they would end as soon as they begin.
            expires: self.exp.map(|exp| time("exp", exp)).transpose()?.map(|expires| {
                Time::from_unix_millis(expires.unix_millis().saturating_add(millis(config.leeway)))
            }),
            issued: match self.iat {
                Some(iat) => Issued::At(time("iat", iat)?),
                None => Issued::Unknown,
            },
            payload: claim.payload,
            ..Grant::new(rights, public)
        })
    }
}

/// Reads a date in seconds since 1970, which may have a fraction (RFC 7519, section 2).
fn time(name: &str, seconds: f64) -> Result<Time, TokenRefused> {
    let is_date = seconds.is_finite() && seconds >= 0.0;
    if !is_date {
        return Err(TokenRefused::Claims(format!("the claim '{name}' is no date")));
    }
    // A cast saturates: a date that no number holds is the last one.
    Ok(Time::from_unix_millis((seconds * 1000.0).round() as u64))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for TokenRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "it has more than {TOKEN_BYTES_MAX} bytes"),
            Self::Malformed => f.write_str(
                "it is neither a JSON Web Token with an algorithm that is known nor an API key of \
                 this server",
            ),
            Self::Critical => f.write_str("its header has 'crit', which is not understood here"),
            Self::NoKey => f.write_str("this server has no key with its algorithm and key ID"),
            Self::Signature => f.write_str("its signature was made by another key"),
            Self::Claims(what) => f.write_str(what),
            Self::Expired { at } => write!(f, "it expired at {at}"),
            Self::NotYetValid { from } => write!(f, "it is not valid before {from}"),
            Self::Issuer => f.write_str("its issuer ('iss') is none of this server's"),
            Self::Audience => f.write_str("its audience ('aud') is none of this server's"),
            Self::Revoked => f.write_str(
                "the tokens of its subject that were issued before a certain time, or do not say \
                 when ('iat'), were revoked",
            ),
            Self::KeysAway => {
                f.write_str("its key is not among those that could be fetched: try again later")
            }
        }
    }
}

#[cfg(test)]
mod tests;
