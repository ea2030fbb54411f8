//! Issues tokens, for tests and scripts, and API keys.

use std::fmt;

use aws_lc_rs::rand::fill;
use jsonwebtoken::{Algorithm as Jwa, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};
use tidings_hub::{Time, TopicFilter};

use super::config::{ApiKey, Rights};
use super::key::{Algorithm, InvalidKey};
use super::known::digest_of;

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    id: Option<String>,
    key: EncodingKey,
}

/// The claims of a token to be signed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenClaims {
    /// The topics that it allows to publish to, to subscribe to, to stop the streams of, and to manage.
    pub rights: Rights,
    /// When it was issued.
    pub issued: Time,
    /// When it ends.
    pub expires: Time,
    /// The subject that its streams belong to.
    pub subject: Option<String>,
    /// The issuer.
    pub issuer: Option<String>,
    /// The audiences.
    pub audiences: Vec<String>,
}

impl TokenClaims {
    /// The claims of a token that allows something between two times.
    #[must_use]
    pub fn new(rights: Rights, issued: Time, expires: Time) -> Self {
        let (subject, issuer, audiences) = (None, None, Vec::new());
        Self { rights, issued, expires, subject, issuer, audiences }
    }

    fn to_json(&self) -> Value {
        let texts = |filters: &[TopicFilter]| -> Value {
            filters.iter().map(|filter| filter.as_str()).collect()
        };
        let mut tidings = Map::new();
        for (name, filters) in self.rights.named() {
            if !filters.is_empty() {
                tidings.insert(name.to_owned(), texts(filters));
            }
        }
        let seconds = |time: Time| time.unix_millis() as f64 / 1000.0;
        let mut claims = json!({
            "iat": seconds(self.issued), "exp": seconds(self.expires), "tidings": tidings,
        });
        let audiences = match &*self.audiences {
            [] => None,
            [audience] => Some(audience.as_str().into()),
            audiences => Some(audiences.into()),
        };
        let others: [(_, Option<Value>); 3] = [
            ("sub", self.subject.as_deref().map(Value::from)),
            ("iss", self.issuer.as_deref().map(Value::from)),
            ("aud", audiences),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                claims[name] = value;
            }
        }
        claims
    }
}

impl SigningKey {
    /// A secret that signs and verifies.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the algorithm has no secrets, or the secret is shorter than its hash.
    pub fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, InvalidKey> {
        algorithm.check_secret(secret)?.ok_or(InvalidKey::NeedsPrivateKey(algorithm))?;
        Ok(Self { algorithm, id: None, key: EncodingKey::from_secret(secret) })
    }

    /// A private key in PEM.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the algorithm has secrets, or the text is no private key of its kind.
    pub fn private_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, InvalidKey> {
        let key = match algorithm.0 {
            Jwa::ES256 | Jwa::ES384 => EncodingKey::from_ec_pem(pem),
            Jwa::EdDSA => EncodingKey::from_ed_pem(pem),
            Jwa::HS256 | Jwa::HS384 | Jwa::HS512 => return Err(InvalidKey::NeedsSecret(algorithm)),
            _ => EncodingKey::from_rsa_pem(pem),
        };
        let key = key.map_err(|_| InvalidKey::NotOfItsKind(algorithm))?;
        Ok(Self { algorithm, id: None, key })
    }

    /// Sets the ID that its tokens name.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Signs a token.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the key does not fit its algorithm.
    pub fn sign(&self, claims: &TokenClaims) -> Result<String, InvalidKey> {
        let header = Header { kid: self.id.clone(), ..Header::new(self.algorithm.0) };
        encode(&header, &claims.to_json(), &self.key)
            .map_err(|_| InvalidKey::NotOfItsKind(self.algorithm))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, id, .. } = self;
        let mut key = f.debug_struct("SigningKey");
        key.field("algorithm", algorithm).field("id", id).finish_non_exhaustive()
    }
}

impl ApiKey {
    /// Makes a key of 256 random bits with some rights; returns its text, which is kept nowhere, and
    /// the key, which has the hash of the text.
    ///
    /// # Errors
    ///
    /// [`NoRandomBytes`] if the machine gives no random bytes.
    pub fn generate(
        name: impl Into<String>,
        rights: Rights,
    ) -> Result<(String, Self), NoRandomBytes> {
        let mut bytes = [0; 32];
        fill(&mut bytes).map_err(|_| NoRandomBytes)?;
        let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let sha256 = digest_of(&text);
        Ok((text, Self { name: name.into(), sha256, rights }))
    }
}

/// The machine gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomBytes;

impl fmt::Display for NoRandomBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the machine gives no random bytes")
    }
}

impl std::error::Error for NoRandomBytes {}

#[cfg(test)]
mod tests {
    use tidings_hub::PublicTopics;

    use super::*;
    use crate::auth::config::AuthConfig;
    use crate::auth::key::VerifyingKey;
    use crate::auth::token::verify;

    #[test]
    fn what_is_signed_is_believed() {
        let algorithm = Algorithm::named("ES384").unwrap();
        let private = include_bytes!("../../tests/keys/p384.pem");
        let public = include_bytes!("../../tests/keys/p384.pub.pem");
        let at = Time::from_unix_millis;
        let rights =
            Rights { publish: vec![TopicFilter::pattern("a/**").unwrap()], ..Rights::default() };
        let mut claims = TokenClaims::new(rights.clone(), at(1000), at(2500));
        claims.subject = Some("alice".to_owned());
        claims.issuer = Some("login".to_owned());
        let key = SigningKey::private_pem(algorithm, private).unwrap().with_id("k");
        for audiences in [&[][..], &["one"], &["one", "two"]] {
            claims.audiences = audiences.iter().map(|&name| name.to_owned()).collect();
            let config = AuthConfig {
                keys: vec![VerifyingKey::public_pem(algorithm, public).unwrap().with_id("k")],
                issuers: vec!["login".to_owned()],
                audiences: claims.audiences.clone(),
                ..AuthConfig::default()
            };
            let token = key.sign(&claims).unwrap();
            let grant = verify(&token, &config, &[], &PublicTopics::default(), at(2499)).unwrap();
            assert_eq!(grant.rights, rights);
            assert_eq!(grant.subject.unwrap().as_str(), "alice");
            assert!(verify(&token, &config, &[], &PublicTopics::default(), at(2500)).is_err());
        }
        assert!(SigningKey::private_pem(algorithm, public).is_err());
        assert!(SigningKey::secret(algorithm, &[1; 64]).is_err());
    }

    #[test]
    fn an_api_key_is_random_and_only_its_hash_is_kept() {
        let (text, key) = ApiKey::generate("a", Rights::default()).unwrap();
        let (other, _) = ApiKey::generate("a", Rights::default()).unwrap();
        assert_ne!(text, other);
        assert_eq!(text.len(), 64);
        assert_eq!(key.sha256, digest_of(&text));
        assert!(!format!("{key:?}").contains(&text));
    }
}
