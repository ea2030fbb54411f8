//! Explaining a token: its parts, and every reason to refuse it.

use jsonwebtoken::dangerous::insecure_decode;
use serde_json::Value;
use tidings_hub::{PublicTopics, Time};

use super::config::{AuthConfig, Rights};
use super::known::digest_of;
use super::token::faults;

/// A token explained: its parts, what it would allow, and why it would be refused.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// The name of the API key that it is, if it is one.
    pub api_key: Option<String>,
    /// The header, if it can be read.
    pub header: Option<Value>,
    /// The claims, if they can be read. If there is a fault, do not believe them.
    pub claims: Option<Value>,
    /// The rights that it would give without its faults.
    pub rights: Option<Rights>,
    /// The reasons to refuse it, if there are any.
    pub faults: Vec<String>,
}

impl Explanation {
    /// Explains a token under a configuration. Revocations are not considered.
    #[must_use]
    pub fn of(token: &str, config: &AuthConfig, now: Time) -> Self {
        let digest = digest_of(token);
        if let Some(key) = config.api_keys.iter().find(|key| key.sha256 == digest) {
            let (api_key, rights) = (Some(key.name.clone()), Some(key.rights.clone()));
            return Self { api_key, header: None, claims: None, rights, faults: Vec::new() };
        }
        let read = insecure_decode::<Value>(token).ok();
        let header = read.as_ref().and_then(|read| serde_json::to_value(&read.header).ok());
        let (grant, faults) = faults(token, config, &PublicTopics::default(), now);
        Self {
            api_key: None,
            header,
            claims: read.map(|read| read.claims),
            rights: grant.map(|grant| grant.rights),
            faults: faults.iter().map(ToString::to_string).collect(),
        }
    }
}
