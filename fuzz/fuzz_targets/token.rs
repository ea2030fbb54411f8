#![no_main]
//! Tokens with any header and any claims, be they signed: what is accepted has the key's algorithm and
//! an end, and nothing else is.

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use jsonwebtoken::crypto::sign;
use jsonwebtoken::{Algorithm as Jwa, EncodingKey};
use libfuzzer_sys::fuzz_target;
use tidings_hub::Time;
use tidings_server::{Algorithm, AuthConfig, Explanation, VerifyingKey};

const SECRET: &[u8] = b"a secret of thirty-two bytes, ok";
const NOW: Time = Time::from_unix_millis(1_000_000_000);

#[derive(Arbitrary, Debug)]
enum Input {
    Text(String),
    Signed { header: Header, claims: Claims },
    Raw { header: String, claims: String, signature: Option<String> },
}

#[derive(Arbitrary, Debug)]
struct Header {
    algorithm: Option<u8>,
    id: Option<String>,
    more: Option<String>,
}

#[derive(Arbitrary, Debug)]
struct Claims {
    times: [Option<f64>; 3],
    subject: Option<String>,
    audience: Option<Vec<String>>,
    filters: [Option<Vec<String>>; 3],
    more: Option<String>,
}

static CONFIG: LazyLock<AuthConfig> = LazyLock::new(|| {
    let algorithm = Algorithm::named("HS256").expect("it is known");
    let key = VerifyingKey::secret(algorithm, SECRET).expect("it is long enough");
    let mut config = AuthConfig::default();
    config.keys = vec![key.clone().with_id("a"), key.with_id("b")];
    config
});

impl Header {
    fn text(&self) -> String {
        let names = ["HS256", "HS512", "none", "RS256", "EdDSA"];
        let mut members = serde_json::Map::new();
        if let Some(at) = self.algorithm {
            members.insert("alg".to_owned(), names[usize::from(at) % names.len()].into());
        }
        members.extend(self.id.clone().map(|id| ("kid".to_owned(), id.into())));
        members.extend(self.more.clone().map(|name| (name, "x".into())));
        serde_json::Value::from(members).to_string()
    }
}

impl Claims {
    fn text(&self) -> String {
        let mut members = serde_json::Map::new();
        for (name, time) in ["exp", "nbf", "iat"].into_iter().zip(self.times) {
            members.extend(time.map(|time| (name.to_owned(), time.into())));
        }
        members.extend(self.subject.clone().map(|subject| ("sub".to_owned(), subject.into())));
        members.extend(self.audience.clone().map(|names| ("aud".to_owned(), names.into())));
        let mut tidings = serde_json::Map::new();
        for (name, filters) in ["publish", "subscribe", "manage"].into_iter().zip(&self.filters) {
            tidings.extend(filters.clone().map(|filters| (name.to_owned(), filters.into())));
        }
        members.insert("tidings".to_owned(), tidings.into());
        members.extend(self.more.clone().map(|name| (name, "x".into())));
        serde_json::Value::from(members).to_string()
    }
}

/// Base64 for addresses (RFC 4648, section 5), without padding.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for bytes in text.as_bytes().chunks(3) {
        let number = bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        let number = number << (8 * (3 - bytes.len()));
        for digit in 0..=bytes.len() {
            let at = number >> (18 - 6 * digit) & 63;
            encoded.push(char::from(DIGITS[at as usize]));
        }
    }
    encoded
}

fuzz_target!(|input: Input| {
    let key = EncodingKey::from_secret(SECRET);
    let signed = |message: String| {
        let signature = sign(message.as_bytes(), &key, Jwa::HS256).expect("the key fits");
        format!("{message}.{signature}")
    };
    let text = match &input {
        Input::Text(text) => text.clone(),
        Input::Signed { header, claims } => {
            signed(format!("{}.{}", base64(&header.text()), base64(&claims.text())))
        }
        Input::Raw { header, claims, signature } => {
            let message = format!("{}.{}", base64(header), base64(claims));
            match signature {
                Some(signature) => format!("{message}.{signature}"),
                None => signed(message),
            }
        }
    };
    let explained = Explanation::of(&text, &CONFIG, NOW);
    assert!(explained.api_key.is_none());
    if !explained.faults.is_empty() {
        return;
    }
    assert!(matches!(input, Input::Signed { .. } | Input::Raw { signature: None, .. }));
    let (header, claims) = (explained.header.expect("a header"), explained.claims.expect("claims"));
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none_or(serde_json::Value::is_null));
    assert!(header.get("kid").is_none_or(|id| id.is_null() || id == "a" || id == "b"));
    let now = NOW.unix_millis() as f64 / 1000.0;
    let at = |name: &str| claims.get(name).and_then(serde_json::Value::as_f64);
    assert!(at("exp").expect("it ends") > now - 0.001);
    assert!(at("nbf").is_none_or(|from| from <= now + 0.001));
});
