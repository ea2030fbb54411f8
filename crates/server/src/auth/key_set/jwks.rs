//! Key sets as JSON (RFC 7517), read by a pure function.

use jsonwebtoken::{Algorithm as Jwa, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::error::KeySetError;
use crate::auth::key::{Algorithm, VerifyingKey};

/// The keys that a set has at most: issuers have a handful, and a token that names no key is tried
/// with each.
const KEYS_MAX: usize = 64;

#[derive(Deserialize)]
struct JsonKeySet {
    keys: Vec<Value>,
}

/// A key of a set that verifies signatures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonKey {
    fields: Fields,
    algorithm: Algorithm,
    key: Checked,
}

/// A key that was made of the fields, which decide whether two are equal.
#[derive(Clone)]
struct Checked(DecodingKey);

impl PartialEq for Checked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl std::fmt::Debug for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Checked")
    }
}

/// The members that count here.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Fields {
    kty: String,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Reads the keys of a set that verify signatures by an algorithm that is known. RSA keys that name no
/// algorithm have the given one.
///
/// All others are passed over: sets may have keys for other purposes (RFC 7517, section 5). Secrets
/// are among them, because a set is public.
pub(super) fn of_json(text: &[u8], rsa: Algorithm) -> Result<Vec<JsonKey>, KeySetError> {
    let set: JsonKeySet = serde_json::from_slice(text).map_err(KeySetError::NotAKeySet)?;
    if set.keys.len() > KEYS_MAX {
        return Err(KeySetError::TooManyKeys { keys_max: KEYS_MAX });
    }
    let keys = set.keys.into_iter().filter_map(|key| JsonKey::of(key, rsa)).collect::<Vec<_>>();
    if keys.is_empty() { Err(KeySetError::NoKeys) } else { Ok(keys) }
}

impl JsonKey {
    /// `None` for a key that cannot be used here.
    fn of(key: Value, rsa: Algorithm) -> Option<Self> {
        let fields: Fields = serde_json::from_value(key).ok()?;
        let verifies = fields.used_for.as_deref().is_none_or(|used_for| used_for == "sig")
            && fields.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !verifies {
            return None;
        }
        let algorithm = fields.algorithm(rsa)?;
        let key = Checked(fields.key()?);
        Some(Self { fields, algorithm, key })
    }

    pub(super) fn to_key(&self) -> VerifyingKey {
        let (algorithm, id) = (self.algorithm, self.fields.kid.clone());
        VerifyingKey { algorithm, id, key: self.key.0.clone() }
    }
}

impl Fields {
    /// The algorithm, which fits the kind of key; `None` if there is none that does.
    fn algorithm(&self, rsa: Algorithm) -> Option<Algorithm> {
        let of_kind: &[Jwa] = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => &[Jwa::RS256, Jwa::RS384, Jwa::RS512, Jwa::PS256, Jwa::PS384, Jwa::PS512],
            ("EC", Some("P-256")) => &[Jwa::ES256],
            ("EC", Some("P-384")) => &[Jwa::ES384],
            ("OKP", Some("Ed25519")) => &[Jwa::EdDSA],
            _ => return None,
        };
        let named = match self.alg.as_deref() {
            None if self.kty == "RSA" => rsa,
            None => Algorithm(*of_kind.first()?),
            // Its name since RFC 9864.
            Some("Ed25519") => Algorithm(Jwa::EdDSA),
            Some(name) => Algorithm::named(name)?,
        };
        of_kind.contains(&named.0).then_some(named)
    }

    fn key(&self) -> Option<DecodingKey> {
        let member = |member: &Option<String>| member.clone();
        let key = match &*self.kty {
            "RSA" => DecodingKey::from_rsa_components(&member(&self.n)?, &member(&self.e)?),
            "EC" => DecodingKey::from_ec_components(&member(&self.x)?, &member(&self.y)?),
            _ => DecodingKey::from_ed_components(&member(&self.x)?),
        };
        key.ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

    fn read(keys: &Value) -> Result<Vec<(String, Option<String>)>, KeySetError> {
        let rsa = Algorithm::named("RS256").unwrap();
        let keys = of_json(json!({ "keys": keys }).to_string().as_bytes(), rsa)?;
        let keys = keys.iter().map(JsonKey::to_key);
        Ok(keys.map(|key| (key.algorithm.name().to_owned(), key.id)).collect())
    }

    #[test]
    fn a_key_has_the_algorithm_of_its_kind_and_no_other() {
        for (key, algorithm) in [
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), Some("RS256")),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "PS384"}), Some("PS384")),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "HS256"}), None),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "ES256"}), None),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "none"}), None),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"}), None),
            (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "key_ops": ["encrypt"]}), None),
            (json!({"kty": "RSA", "n": "no base64!", "e": "AQAB"}), None),
            (json!({"kty": "RSA", "e": "AQAB"}), None),
            (json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y}), Some("ES256")),
            (json!({"kty": "EC", "crv": "P-384", "x": X, "y": Y, "alg": "ES384"}), Some("ES384")),
            (json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y, "alg": "ES384"}), None),
            (json!({"kty": "EC", "crv": "P-521", "x": X, "y": Y}), None),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": X}), Some("EdDSA")),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": X, "alg": "Ed25519"}), Some("EdDSA")),
            (json!({"kty": "OKP", "crv": "X25519", "x": X}), None),
            // A secret that everyone can read.
            (json!({"kty": "oct", "k": "AAAA", "alg": "HS256"}), None),
            (json!({"kty": 7}), None),
            (json!("a key"), None),
        ] {
            let read = read(&json!([key])).ok().map(|keys| keys[0].0.clone());
            assert_eq!(read.as_deref(), algorithm, "{key}");
        }
    }

    #[test]
    fn keys_that_are_not_for_tokens_are_passed_over_and_the_others_keep_their_ids() {
        let good = json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "new", "x5c": ["AAAA"]});
        let keys = read(&json!([{"kty": "oct", "k": "AAAA"}, good, null])).unwrap();
        assert_eq!(keys, [("EdDSA".to_owned(), Some("new".to_owned()))]);
    }

    #[test]
    fn what_is_no_set_and_what_is_too_much_is_refused() {
        let rsa = Algorithm::named("RS256").unwrap();
        for text in ["", "{}", "[]", "null", "{\"keys\":{}}", "<html>", "{\"keys\":[]"] {
            let refused = of_json(text.as_bytes(), rsa).unwrap_err();
            assert!(matches!(refused, KeySetError::NotAKeySet(_)), "{text}: {refused}");
        }
        assert!(matches!(read(&json!([])), Err(KeySetError::NoKeys)));
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": X});
        assert_eq!(read(&json!(vec![&key; KEYS_MAX])).unwrap().len(), KEYS_MAX);
        let refused = read(&json!(vec![&key; KEYS_MAX + 1])).unwrap_err();
        assert!(matches!(refused, KeySetError::TooManyKeys { .. }), "{refused}");
    }
}
