//! `tidings token` and `tidings key`: make and explain what a hub asks for.

use std::error::Error;
use std::{fmt, io};

use tidings_hub::TopicFilter;
use tidings_server::{ApiKey, AuthConfig, Explanation, KeySetError};

use crate::config::{KeyConfig, TokenConfig};
use crate::message::{tell, without_controls};
use crate::print::print;
use crate::sentence::sentence;

/// Makes or explains a token.
pub(crate) fn run(config: TokenConfig) -> Result<(), Box<dyn Error>> {
    match config {
        TokenConfig::Make { key, claims } => {
            let token = key.sign(&claims)?;
            Ok(print(format!("{token}\n").as_bytes())?)
        }
        TokenConfig::Explain { token, mut auth, now } => {
            fetch_keys(&mut auth)?;
            let explanation = Explanation::of(&token, &auth, now);
            print(explained(&explanation).as_bytes())?;
            match explanation.faults.len() {
                0 => Ok(()),
                _ => Err(WouldBeRefused.into()),
            }
        }
    }
}

/// Fetches the key sets, so that their keys count as the hub's would. Without those of a set that cannot
/// be fetched, the explanation is that of the hub in the same situation.
fn fetch_keys(auth: &mut AuthConfig) -> io::Result<()> {
    if auth.key_sets.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for source in std::mem::take(&mut auth.key_sets) {
        match runtime.block_on(source.fetch()) {
            Ok(keys) => auth.keys.extend(keys),
            Err(error) => tell(&sentence(&NoKeySet(source.without_query(), error))),
        }
    }
    Ok(())
}

/// A key set could not be fetched.
#[derive(Debug)]
struct NoKeySet(String, KeySetError);

impl fmt::Display for NoKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the keys of {} cannot be fetched", self.0)
    }
}

impl Error for NoKeySet {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.1)
    }
}

/// Makes an API key.
pub(crate) fn new_key(config: KeyConfig) -> Result<(), Box<dyn Error>> {
    if config.is_for_all {
        tell(
            "the key may do everything; --publish, --subscribe, --stop and --manage make one that may do less",
        );
    }
    let (text, key) = ApiKey::generate(config.name, config.rights)?;
    let hash: String = key.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = toml::Value::from(key.name.as_str());
    let mut line = format!("{{ name = {name}, sha256 = \"{hash}\"");
    for (right, filters) in key.rights.named() {
        if !filters.is_empty() {
            let texts = filters.iter().map(|filter| toml::Value::from(filter.as_str()));
            line.push_str(&format!(", {right} = {}", toml::Value::Array(texts.collect())));
        }
    }
    Ok(print(format!("{text}\n{line} }}\n").as_bytes())?)
}

/// Writes an explanation, which may quote a stranger's token.
fn explained(explanation: &Explanation) -> String {
    let mut lines = Vec::new();
    if let Some(name) = &explanation.api_key {
        lines.push(format!("API key: {name}"));
    }
    for (name, json) in [("header", &explanation.header), ("claims", &explanation.claims)] {
        if let Some(json) = json {
            lines.push(format!("{name}: {json}"));
        }
    }
    if let Some(rights) = &explanation.rights {
        for (right, filters) in rights.named() {
            let texts: Vec<_> = filters.iter().map(TopicFilter::as_str).collect();
            let texts = if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") };
            lines.push(format!("{right}: {texts}"));
        }
    }
    match &*explanation.faults {
        [] => lines.push("accepted, unless its subject's tokens were revoked".to_owned()),
        faults => lines.extend(faults.iter().map(|fault| format!("refused: {fault}"))),
    }
    lines.iter().map(|line| format!("{}\n", without_controls(line))).collect()
}

/// The explained token would be refused.
#[derive(Debug)]
struct WouldBeRefused;

impl fmt::Display for WouldBeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token would be refused")
    }
}

impl Error for WouldBeRefused {}
