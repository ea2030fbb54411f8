//! The sections `[auth]` and `[[topics]]` of the configuration file.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidings_hub::{GapShape, RetentionRule, TopicFilter};
use tidings_server::{
    Algorithm, ApiKey, AuthConfig, KeySetSource, Rights, TopicAccess, TopicRule, VerifyingKey,
};
use toml::Spanned;
use toml::de::DeValue;

use super::retain;
use super::section::{Parser, SECRET, Section};
use super::units::{at_most, duration};

/// The sources of a key's material beside the file.
pub(super) struct Outside<'a> {
    /// The folder that paths are relative to.
    pub(super) folder: PathBuf,
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
}

/// A larger file holds no key.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// Clocks that differ more are a mistake to repair, not to allow for.
const LEEWAY_MAX: Duration = Duration::from_secs(300);

/// Reads the section `[auth]`.
pub(super) fn auth(
    parser: &mut Parser<'_>,
    outside: &Outside<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Option<AuthConfig> {
    let mut section = Section::new(parser, "auth", value)?;
    let mut auth = AuthConfig::default();
    auth.in_query = section.is_on("query");
    auth.cookie = section.text("cookie", cookie_name);
    auth.audiences = section.texts("audience", some_text);
    auth.issuers = section.texts("issuer", some_text);
    auth.leeway = section.text("leeway", leeway).unwrap_or_default();
    let has_keys = section.value("keys").is_some() || section.value("api_keys").is_some();
    if !has_keys {
        section.fault("needs keys or api_keys: without them nobody has a right to anything");
    }
    for key in section.array("keys").into_iter().flatten() {
        match verifying_key(section.parser, outside, key) {
            Some(Key::Of(key)) => auth.keys.push(key),
            Some(Key::Set(source)) => auth.key_sets.push(source),
            None => {}
        }
    }
    for key in section.array("api_keys").into_iter().flatten() {
        auth.api_keys.extend(api_key(section.parser, key));
    }
    section.finish();
    Some(auth)
}

/// Reads an element of `[[topics]]`: the access to its topics, how their readers are told of gaps, and
/// what is kept of them if it says so.
pub(super) fn topic_rule(
    parser: &mut Parser<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Option<(TopicRule, Option<RetentionRule>)> {
    let mut section = Section::new(parser, "topics", value)?;
    let filter = section.text("match", pattern);
    let access = section.text("access", |text| match text {
        "public" => Ok(TopicAccess::Public),
        "token" => Ok(TopicAccess::Token),
        _ => Err("must be \"public\" or \"token\"".to_owned()),
    });
    let gap = section.text("gap", |text| match text {
        "event" => Ok(GapShape::Event),
        "close" => Ok(GapShape::Close),
        _ => Err("must be \"event\" or \"close\"".to_owned()),
    });
    if section.value("match").is_none() {
        section.fault("needs match, a topic or a pattern");
    }
    let retain = section.spanned("retain").zip(filter.as_ref());
    let retain = retain.and_then(|(value, filter)| retain::table(section.parser, value, filter));
    section.finish();
    let mut rule = TopicRule::new(filter?);
    rule.access = access;
    rule.gap = gap;
    Some((rule, retain))
}

/// An element of `keys`.
enum Key {
    Of(VerifyingKey),
    Set(KeySetSource),
}

fn verifying_key(
    parser: &mut Parser<'_>,
    outside: &Outside<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Option<Key> {
    let mut section = Section::new(parser, "auth.keys", value)?;
    if section.value("jwks").is_some() {
        return key_set(section).map(Key::Set);
    }
    let algorithm = section.text("algorithm", algorithm);
    let id = section.text("id", some_text);
    let material = [
        section.text(SECRET, |text| Ok(Material::Secret(text.as_bytes().to_vec()))),
        section.text("secret_file", |path| outside.file(path).map(Material::Secret)),
        section.text("secret_env", |name| outside.variable(name).map(Material::Secret)),
        section.text("public_key_file", |path| outside.file(path).map(Material::PublicKey)),
    ];
    let places = [SECRET, "secret_file", "secret_env", "public_key_file"];
    let given: Vec<_> = places.iter().filter(|place| section.value(place).is_some()).collect();
    if section.value("algorithm").is_none() {
        section.fault(&format!("needs algorithm, one of {}", Algorithm::NAMES.join(", ")));
    }
    let key = match (&*given, algorithm) {
        ([_], Some(algorithm)) => {
            let material = material.into_iter().flatten().next();
            let key = material.map(|material| match material {
                Material::Secret(secret) => VerifyingKey::secret(algorithm, &secret),
                Material::PublicKey(pem) => VerifyingKey::public_pem(algorithm, &pem),
            });
            key.and_then(|key| key.map_err(|error| section.fault(&error.to_string())).ok())
        }
        ([_], None) => None,
        _ => {
            section.fault(&format!("needs one of {}, jwks", places.join(", ")));
            None
        }
    };
    section.finish();
    Some(Key::Of(match id {
        Some(id) => key?.with_id(id),
        None => key?,
    }))
}

/// Reads an element of `keys` that is the URL of a key set, whose keys bring their IDs and their
/// algorithms.
fn key_set(mut section: Section<'_, '_, '_>) -> Option<KeySetSource> {
    let source =
        section.text("jwks", |url| KeySetSource::new(url).map_err(|error| error.to_string()));
    let rsa = section.text("algorithm", |text| match algorithm(text)? {
        rsa if rsa.name().starts_with("RS") || rsa.name().starts_with("PS") => Ok(rsa),
        _ => Err("must be one of RSA's beside jwks: other keys of a set tell their own".to_owned()),
    });
    section.finish();
    Some(match rsa {
        Some(rsa) => source?.with_algorithm(rsa),
        None => source?,
    })
}

/// The material of a key.
enum Material {
    Secret(Vec<u8>),
    PublicKey(Vec<u8>),
}

fn api_key(parser: &mut Parser<'_>, value: &Spanned<DeValue<'_>>) -> Option<ApiKey> {
    let mut section = Section::new(parser, "auth.api_keys", value)?;
    let name = section.text("name", some_text);
    let sha256 = section.text("sha256", sha256);
    for key in ["name", "sha256"] {
        if section.value(key).is_none() {
            section.fault(&format!("needs {key}; 'tidings key new NAME' prints a whole line"));
        }
    }
    let rights = Rights {
        publish: section.texts("publish", pattern),
        subscribe: section.texts("subscribe", pattern),
        stop: section.texts("stop", pattern),
        manage: section.texts("manage", pattern),
    };
    section.finish();
    Some(ApiKey { name: name?, sha256: sha256?, rights })
}

impl Outside<'_> {
    /// The content of a file, without its last line end.
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        read_key(&self.folder.join(path))
    }

    fn variable(&self, name: &str) -> Result<Vec<u8>, String> {
        let value = (self.environment)(name).filter(|value| !value.is_empty());
        value.map(String::into_bytes).ok_or_else(|| format!("the variable {name} is not set"))
    }
}

/// Reads a file that holds a key; its last line end is an editor's.
pub(super) fn read_key(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let length = fs::metadata(path).map(|metadata| metadata.len());
    if length.is_ok_and(|length| length > KEY_BYTES_MAX) {
        return Err(format!("{name} is too large for a key"));
    }
    let mut bytes = fs::read(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(bytes)
}

/// Reads the name of an algorithm.
pub(super) fn algorithm(text: &str) -> Result<Algorithm, String> {
    let expected = || format!("must be one of {}", Algorithm::NAMES.join(", "));
    Algorithm::named(text).ok_or_else(expected)
}

/// Reads a topic or a pattern.
pub(super) fn pattern(text: &str) -> Result<TopicFilter, String> {
    TopicFilter::pattern(text).map_err(|error| error.to_string())
}

fn some_text(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must not be empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Names of cookies are tokens of HTTP (RFC 6265, section 4.1.1).
fn cookie_name(text: &str) -> Result<String, String> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_legal) {
        true => Ok(text.to_owned()),
        false => Err("must be the name of a cookie, such as \"tidings\"".to_owned()),
    }
}

fn leeway(text: &str) -> Result<Duration, String> {
    at_most(LEEWAY_MAX, duration(text)?)
}

/// Reads 64 hexadecimal digits.
fn sha256(text: &str) -> Result<[u8; 32], String> {
    let expected = || "must be 64 hexadecimal digits, as 'tidings key new' prints them".to_owned();
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut hash = [0; 32];
    if !is_hash {
        return Err(expected());
    }
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| expected())?;
    }
    Ok(hash)
}
