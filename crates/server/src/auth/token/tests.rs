//! Tokens that are accepted, and every way in which a token is refused.

use jsonwebtoken::{EncodingKey, encode};
use serde_json::json;

use super::*;
use crate::auth::key::Algorithm;

const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";
const NOW: Time = Time::from_unix_millis(1_000_000_000);

fn config() -> AuthConfig {
    let algorithm = Algorithm::named("HS256").unwrap();
    AuthConfig {
        keys: vec![VerifyingKey::secret(algorithm, SECRET).unwrap()],
        ..Default::default()
    }
}

fn signed(header: &Header, claims: &Value) -> String {
    encode(header, claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn token(claims: &Value) -> String {
    signed(&Header::default(), claims)
}

/// A token that is good until a second after now, with some claims changed; null removes one.
fn claims(changed: Value) -> Value {
    let mut claims = json!({
        "exp": 1_000_001, "sub": "alice", "iat": 999_000,
        "tidings": {"publish": ["orders/**"], "subscribe": ["users/7/*"], "manage": []},
    });
    if let (Value::Object(claims), Value::Object(changed)) = (&mut claims, changed) {
        claims.extend(changed);
        claims.retain(|_, value| !value.is_null());
    }
    claims
}

fn verified(text: &str, config: &AuthConfig) -> Result<Grant, TokenRefused> {
    verify(text, config, &[], &PublicTopics::default(), NOW)
}

#[track_caller]
fn refused(text: &str, config: &AuthConfig) -> TokenRefused {
    verified(text, config).unwrap_err()
}

#[test]
fn a_good_token_grants_what_it_claims() {
    let claims = claims(json!({"tidings": {"publish": ["orders/**"], "payload": {"name": "A"}}}));
    let grant = verified(&token(&claims), &config()).unwrap();
    assert_eq!(grant.rights.publish, [TopicFilter::pattern("orders/**").unwrap()]);
    assert!(grant.rights.subscribe.is_empty() && grant.rights.manage.is_empty());
    assert_eq!(grant.subject.unwrap().as_str(), "alice");
    assert_eq!(grant.expires, Some(Time::from_unix_millis(1_000_001_000)));
    assert_eq!(grant.issued, Issued::At(Time::from_unix_millis(999_000_000)));
    assert_eq!(grant.payload, Some(json!({"name": "A"})));
}

#[test]
fn times_count_to_the_millisecond_and_leeway_is_in_favor() {
    let at = |claim: Value| token(&claims(claim));
    let config = config();
    let expired = |seconds: f64| TokenRefused::Expired {
        at: Time::from_unix_millis((seconds * 1000.0) as u64),
    };
    assert!(verified(&at(json!({"exp": 1_000_000.001})), &config).is_ok());
    assert_eq!(refused(&at(json!({"exp": 1_000_000})), &config), expired(1_000_000.0));
    assert_eq!(refused(&at(json!({"exp": 1})), &config), expired(1.0));
    assert!(verified(&at(json!({"nbf": 1_000_000})), &config).is_ok());
    let from = Time::from_unix_millis(1_000_000_001);
    let not_yet = TokenRefused::NotYetValid { from };
    assert_eq!(refused(&at(json!({"nbf": 1_000_000.001})), &config), not_yet);

    let config = AuthConfig { leeway: Duration::from_secs(30), ..config };
    assert!(verified(&at(json!({"exp": 999_971})), &config).is_ok());
    assert!(verified(&at(json!({"exp": 999_970})), &config).is_err());
    assert!(verified(&at(json!({"nbf": 1_000_030})), &config).is_ok());
    assert!(verified(&at(json!({"nbf": 1_000_031})), &config).is_err());
}

#[test]
fn an_expiry_is_required_and_dates_are_dates() {
    for changed in [
        json!({"exp": null}),
        json!({"exp": -1}),
        json!({"exp": "1000001"}),
        json!({"nbf": -1}),
        json!({"iat": -5}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"tidings": {"publish": ["ot*"]}}),
        json!({"tidings": {"subscirbe": ["a"]}}),
        json!({"tidings": {"publish": "a"}}),
    ] {
        let refused = refused(&token(&claims(changed.clone())), &config());
        assert!(matches!(refused, TokenRefused::Claims(_)), "{changed}: {refused:?}");
    }
    assert!(verified(&token(&claims(json!({"exp": 1e300}))), &config()).is_ok());
}

#[test]
fn issuer_and_audience_are_checked_where_they_are_configured() {
    let listed = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let config = AuthConfig {
        issuers: listed(&["login"]),
        audiences: listed(&["events", "more"]),
        ..config()
    };
    let good = json!({"iss": "login", "aud": ["other", "events"]});
    assert!(verified(&token(&claims(good)), &config).is_ok());
    assert!(verified(&token(&claims(json!({"iss": "login", "aud": "more"}))), &config).is_ok());
    for (changed, expected) in [
        (json!({"aud": "events"}), TokenRefused::Issuer),
        (json!({"aud": "events", "iss": "Login"}), TokenRefused::Issuer),
        (json!({"iss": "login"}), TokenRefused::Audience),
        (json!({"iss": "login", "aud": []}), TokenRefused::Audience),
        (json!({"iss": "login", "aud": ["event"]}), TokenRefused::Audience),
    ] {
        assert_eq!(refused(&token(&claims(changed.clone())), &config), expected, "{changed}");
    }
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    let pem = include_bytes!("../../../tests/keys/rsa.pub.pem");
    let algorithm = |name| Algorithm::named(name).unwrap();
    let rsa = VerifyingKey::public_pem(algorithm("RS256"), pem).unwrap();
    let config = AuthConfig { keys: vec![rsa], ..AuthConfig::default() };
    // The public key as a secret: everyone knows it.
    let forged = EncodingKey::from_secret(pem);
    let forged = encode(&Header::default(), &claims(json!({})), &forged).unwrap();
    assert_eq!(refused(&forged, &config), TokenRefused::NoKey);

    let private = include_bytes!("../../../tests/keys/rsa.pem");
    let private = EncodingKey::from_rsa_pem(private).unwrap();
    for (name, is_good) in [("RS256", true), ("RS512", false), ("PS256", false)] {
        let header = Header::new(algorithm(name).0);
        let text = encode(&header, &claims(json!({})), &private).unwrap();
        assert_eq!(verified(&text, &config).is_ok(), is_good, "{name}");
    }
}

#[test]
fn every_algorithm_verifies_what_its_key_has_signed() {
    let rsa = EncodingKey::from_rsa_pem(include_bytes!("../../../tests/keys/rsa.pem")).unwrap();
    let p256 = EncodingKey::from_ec_pem(include_bytes!("../../../tests/keys/p256.pem")).unwrap();
    let p384 = EncodingKey::from_ec_pem(include_bytes!("../../../tests/keys/p384.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(include_bytes!("../../../tests/keys/ed25519.pem")).unwrap();
    let secret = [7; 64];
    for name in Algorithm::NAMES {
        let algorithm = Algorithm::named(name).unwrap();
        let pem: &[u8] = match name {
            "ES256" => include_bytes!("../../../tests/keys/p256.pub.pem"),
            "ES384" => include_bytes!("../../../tests/keys/p384.pub.pem"),
            "EdDSA" => include_bytes!("../../../tests/keys/ed25519.pub.pem"),
            _ => include_bytes!("../../../tests/keys/rsa.pub.pem"),
        };
        let (signing, key) = match name {
            "ES256" => (p256.clone(), VerifyingKey::public_pem(algorithm, pem)),
            "ES384" => (p384.clone(), VerifyingKey::public_pem(algorithm, pem)),
            "EdDSA" => (ed.clone(), VerifyingKey::public_pem(algorithm, pem)),
            _ if name.starts_with("HS") => {
                (EncodingKey::from_secret(&secret), VerifyingKey::secret(algorithm, &secret))
            }
            _ => (rsa.clone(), VerifyingKey::public_pem(algorithm, pem)),
        };
        let config = AuthConfig { keys: vec![key.unwrap()], ..AuthConfig::default() };
        let text = encode(&Header::new(algorithm.0), &claims(json!({})), &signing).unwrap();
        assert!(verified(&text, &config).is_ok(), "{name}");
        let (message, signature) = text.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        let altered = format!("{message}.{first}{}", &signature[1..]);
        assert_eq!(refused(&altered, &config), TokenRefused::Signature, "{name}");
    }
}

#[test]
fn a_key_id_chooses_among_the_keys_and_nothing_else() {
    let algorithm = Algorithm::named("HS256").unwrap();
    let other = VerifyingKey::secret(algorithm, &[9; 32]).unwrap().with_id("new");
    let named = VerifyingKey::secret(algorithm, SECRET).unwrap().with_id("old");
    let config = AuthConfig { keys: vec![other, named], ..AuthConfig::default() };
    let with_id = |id: &str| {
        let header = Header { kid: Some(id.to_owned()), ..Header::default() };
        signed(&header, &claims(json!({})))
    };
    assert!(verified(&with_id("old"), &config).is_ok());
    assert!(verified(&token(&claims(json!({}))), &config).is_ok());
    assert_eq!(refused(&with_id("new"), &config), TokenRefused::Signature);
    for id in ["../../etc/passwd", "old' OR '1'='1", "http://evil.example/key", "", "OLD", "old\0"]
    {
        assert_eq!(refused(&with_id(id), &config), TokenRefused::NoKey, "{id}");
    }
}

#[test]
fn what_a_token_brings_along_is_not_followed() {
    let header = Header {
        jku: Some("http://127.0.0.1:1/keys".to_owned()),
        x5u: Some("http://127.0.0.1:1/certificate".to_owned()),
        x5c: Some(vec!["AAAA".to_owned()]),
        ..Header::default()
    };
    assert!(verified(&signed(&header, &claims(json!({}))), &config()).is_ok());
    let foreign = encode(&header, &claims(json!({})), &EncodingKey::from_secret(&[1; 32])).unwrap();
    assert_eq!(refused(&foreign, &config()), TokenRefused::Signature);
    let critical = Header { crit: Some(vec!["exp".to_owned()]), ..Header::default() };
    assert_eq!(refused(&signed(&critical, &claims(json!({}))), &config()), TokenRefused::Critical);
}

#[test]
fn a_text_that_is_no_token_is_refused() {
    let good = token(&claims(json!({})));
    let mut parts = good.split('.');
    let [header, payload, signature] = [(); 3].map(|()| parts.next().unwrap());
    // {"alg":"none"}, in three spellings.
    for none in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIn0", "eyJhbGciOiJOT05FIn0"] {
        for signature in ["", signature] {
            let text = format!("{none}.{payload}.{signature}");
            assert_eq!(refused(&text, &config()), TokenRefused::Malformed, "{text}");
        }
    }
    let long = format!("{header}.{}.{signature}", "A".repeat(TOKEN_BYTES_MAX));
    assert_eq!(refused(&long, &config()), TokenRefused::TooLong);
    assert_eq!(refused(&format!("{header}.{payload}."), &config()), TokenRefused::Signature);
    for text in [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        " ",
        "Bearer",
        "null",
        "{}",
        "%",
        "\u{e9}.\u{e9}.\u{e9}",
        header,
        payload,
    ] {
        assert_eq!(refused(text, &config()), TokenRefused::Malformed, "{text:?}");
    }
    for cut in 0..good.len() {
        assert!(verified(&good[..cut], &config()).is_err(), "cut after {cut} bytes");
    }
    assert!(verified(&format!("{good}.{signature}"), &config()).is_err());
    assert!(verified(&format!(" {good}"), &config()).is_err());
}

#[test]
fn a_secret_has_the_length_of_its_hash_and_a_key_is_of_its_kind() {
    use crate::auth::key::InvalidKey;
    let algorithm = |name| Algorithm::named(name).unwrap();
    let secret =
        |name, bytes: usize| VerifyingKey::secret(algorithm(name), &vec![1; bytes]).map(|_| ());
    assert_eq!(secret("HS512", 64), Ok(()));
    let short = InvalidKey::TooShort { algorithm: algorithm("HS512"), min: 64 };
    assert_eq!(secret("HS512", 63), Err(short));
    assert_eq!(secret("ES256", 64), Err(InvalidKey::NeedsPublicKey(algorithm("ES256"))));
    let pem = |name, pem: &[u8]| VerifyingKey::public_pem(algorithm(name), pem).map(|_| ());
    let rsa = include_bytes!("../../../tests/keys/rsa.pub.pem");
    assert_eq!(pem("RS256", rsa), Ok(()));
    assert_eq!(pem("HS256", rsa), Err(InvalidKey::NeedsSecret(algorithm("HS256"))));
    assert_eq!(pem("ES256", rsa), Err(InvalidKey::NotOfItsKind(algorithm("ES256"))));
    assert_eq!(pem("RS256", b"secret"), Err(InvalidKey::NotOfItsKind(algorithm("RS256"))));
    assert_eq!(Algorithm::named("none"), None);
    assert_eq!(Algorithm::named("hs256"), None);
}
