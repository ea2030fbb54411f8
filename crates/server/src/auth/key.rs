//! Keys that tokens are signed with.

use std::fmt;

use jsonwebtoken::{Algorithm as Jwa, DecodingKey};

/// An algorithm that tokens may be signed with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Algorithm(pub(super) Jwa);

impl Algorithm {
    /// The names of all algorithms (RFC 7518, section 3.1; RFC 8037).
    pub const NAMES: [&'static str; 12] = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
        "ES384", "EdDSA",
    ];

    /// The algorithm of a name; `None` for every other one, `none` among them.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        if !Self::NAMES.contains(&name) {
            return None;
        }
        name.parse().ok().map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let is_it = |name: &&&str| Self::named(name) == Some(self);
        Self::NAMES.iter().find(is_it).copied().unwrap_or("unknown")
    }

    /// The bytes that a secret needs at least (RFC 7518, section 3.2); `None` if the algorithm has a
    /// pair of keys.
    #[must_use]
    pub fn secret_bytes_min(self) -> Option<usize> {
        match self.0 {
            Jwa::HS256 => Some(32),
            Jwa::HS384 => Some(48),
            Jwa::HS512 => Some(64),
            _ => None,
        }
    }

    /// Checks that a secret is long enough; `None` if the algorithm has a pair of keys.
    pub(super) fn check_secret(self, secret: &[u8]) -> Result<Option<()>, InvalidKey> {
        match self.secret_bytes_min() {
            Some(min) if secret.len() < min => Err(InvalidKey::TooShort { algorithm: self, min }),
            min => Ok(min.map(|_| ())),
        }
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A key that tokens may be signed with, bound to one algorithm.
#[derive(Clone)]
pub struct VerifyingKey {
    pub(super) algorithm: Algorithm,
    /// The key ID that a token may name.
    pub(super) id: Option<String>,
    pub(super) key: DecodingKey,
}

impl VerifyingKey {
    /// A secret that signs and verifies.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the algorithm has no secrets, or the secret is shorter than its hash.
    pub fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, InvalidKey> {
        algorithm.check_secret(secret)?.ok_or(InvalidKey::NeedsPublicKey(algorithm))?;
        Ok(Self { algorithm, id: None, key: DecodingKey::from_secret(secret) })
    }

    /// A public key in PEM.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if the algorithm has secrets, or the text is no public key of its kind.
    pub fn public_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, InvalidKey> {
        let key = match algorithm.0 {
            Jwa::RS256 | Jwa::RS384 | Jwa::RS512 | Jwa::PS256 | Jwa::PS384 | Jwa::PS512 => {
                DecodingKey::from_rsa_pem(pem)
            }
            Jwa::ES256 | Jwa::ES384 => DecodingKey::from_ec_pem(pem),
            Jwa::EdDSA => DecodingKey::from_ed_pem(pem),
            _ => return Err(InvalidKey::NeedsSecret(algorithm)),
        };
        let key = key.map_err(|_| InvalidKey::NotOfItsKind(algorithm))?;
        Ok(Self { algorithm, id: None, key })
    }

    /// Sets the ID: a token that names a key is verified with keys of this ID or without one.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, id, .. } = self;
        let mut key = f.debug_struct("VerifyingKey");
        key.field("algorithm", algorithm).field("id", id).finish_non_exhaustive()
    }
}

/// The reason why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The algorithm has a secret.
    NeedsSecret(Algorithm),
    /// The algorithm has a public key.
    NeedsPublicKey(Algorithm),
    /// The algorithm has a private key.
    NeedsPrivateKey(Algorithm),
    /// A shorter secret is easier to guess than the hash.
    TooShort {
        /// The algorithm.
        algorithm: Algorithm,
        /// The bytes that a secret has at least.
        min: usize,
    },
    /// The text is no key in PEM, or one of another kind.
    NotOfItsKind(Algorithm),
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsSecret(algorithm) => {
                write!(f, "{algorithm:?} needs a secret, not a public key")
            }
            Self::NeedsPublicKey(algorithm) => {
                write!(f, "{algorithm:?} needs a public key, not a secret")
            }
            Self::NeedsPrivateKey(algorithm) => {
                write!(f, "{algorithm:?} needs a private key, not a secret")
            }
            Self::TooShort { algorithm, min } => {
                write!(f, "a secret of {algorithm:?} has at least {min} bytes")
            }
            Self::NotOfItsKind(algorithm) => {
                write!(f, "it is not a key of {algorithm:?} in PEM")
            }
        }
    }
}

impl std::error::Error for InvalidKey {}
