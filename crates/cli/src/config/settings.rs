//! The settings of `serve` and `demo`, and where their values come from.
//!
//! A value is a flag's, or else that of the environment, of the configuration file, or the default.
//! A later source replaces a list as a whole.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::password::without_password;
use crate::args::ServeArgs;

/// A setting: one flag, one variable of the environment, and one key of the configuration file.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The key in the configuration file.
    pub(crate) key: &'static str,
    /// The flag, without its dashes.
    pub(crate) flag: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Default,
    pub(crate) change: Change,
}

/// The shape of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    List,
    /// A list of rules, which have commas of their own.
    Rules,
    /// On or off; off by default.
    Switch,
}

/// The value of a setting that no source sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Default {
    /// A value, spelled as in the file.
    Text(&'static str),
    /// Words for a value that cannot be spelled, or depends on others.
    Words(&'static str),
}

/// When a running hub takes up a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// When its configuration is reloaded.
    Reload,
    Restart,
}

const fn setting(
    key: &'static str,
    flag: &'static str,
    kind: Kind,
    default: Default,
    change: Change,
) -> Setting {
    Setting { key, flag, kind, default, change }
}

/// A setting that is one text, and is taken up at a restart.
const fn text(key: &'static str, flag: &'static str, default: Default) -> Setting {
    setting(key, flag, Kind::Text, default, Change::Restart)
}

/// A limit of addresses or subjects.
const fn limit(key: &'static str, flag: &'static str, default: &'static str) -> Setting {
    setting(key, flag, Kind::Text, Default::Text(default), Change::Reload)
}

const NONE: Default = Default::Words("none");

/// All settings, in the order of the help. A key with a point is a key of a section.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("listen", "listen", Kind::List, Default::Text("127.0.0.1:4000"), Change::Restart),
    setting("open", "open", Kind::Switch, Default::Words("off"), Change::Restart),
    setting("tls.certificate", "tls-certificate", Kind::Text, NONE, Change::Reload),
    setting("tls.key", "tls-key", Kind::Text, NONE, Change::Reload),
    setting("tls.client_ca", "tls-client-ca", Kind::Text, NONE, Change::Reload),
    setting("tls.redirect", "tls-redirect", Kind::List, NONE, Change::Restart),
    text("data", "data", Default::Words("tidings-data")),
    setting("memory", "memory", Kind::Switch, Default::Words("off"), Change::Restart),
    text(
        "history_bytes",
        "history-bytes",
        Default::Words("10GiB, or what the disk has; in memory, 256MiB"),
    ),
    text("memory_bytes", "memory-bytes", Default::Words("256MiB")),
    text("node", "node", Default::Words("the machine's name, and letters at random")),
    setting("nats.servers", "nats", Kind::List, NONE, Change::Restart),
    text("nats.creds", "nats-creds", NONE),
    text("nats.ca", "nats-ca", Default::Words("those of the system")),
    text("nats.stream", "nats-stream", Default::Words("TIDINGS")),
    text("nats.replicas", "nats-replicas", Default::Words("1")),
    setting(
        "history_events",
        "history-events",
        Kind::Text,
        Default::Words("unlimited"),
        Change::Reload,
    ),
    setting("history_age", "history-age", Kind::Text, Default::Words("never"), Change::Reload),
    setting("retain", "retain", Kind::Rules, Default::Words("none"), Change::Reload),
    text("heartbeat", "heartbeat", Default::Text("15s")),
    text("retry", "retry", Default::Text("2s")),
    text("max_age", "max-age", Default::Words("unlimited")),
    text("stall_timeout", "stall-timeout", Default::Text("60s")),
    text("event_bytes_max", "event-bytes-max", Default::Text("1MiB")),
    setting(
        "bodies_bytes",
        "bodies-bytes",
        Kind::Text,
        Default::Words("128MiB, or four of the largest events"),
        Change::Reload,
    ),
    text("streams_max", "streams-max", Default::Words("100000, or as many as descriptors allow")),
    text("filters_max", "filters-max", Default::Text("100")),
    text("heads_max", "heads-max", Default::Words("16384, or half the descriptors")),
    text("handshakes_max", "handshakes-max", Default::Text("4096")),
    limit("address_streams", "address-streams", "1000"),
    limit("address_requests", "address-requests", "500"),
    limit("subject_streams", "subject-streams", "100"),
    limit("subject_requests", "subject-requests", "100"),
    limit("subject_events", "subject-events", "1000"),
    setting("origins", "allow-origin", Kind::List, NONE, Change::Reload),
    setting("hosts", "allow-host", Kind::List, Default::Words("those of loopback"), Change::Reload),
    setting("trusted_proxies", "trusted-proxy", Kind::List, NONE, Change::Reload),
    text("log", "log", Default::Text("warn")),
];

impl Setting {
    /// The variable of the environment.
    pub(crate) fn variable(&self) -> String {
        format!("TIDINGS_{}", self.flag.to_ascii_uppercase().replace('-', "_"))
    }
}

/// The setting of a key.
pub(crate) fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// A value as it was written, and the source that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    /// One text, several of a list, or `true` or `false` of a switch.
    pub(crate) texts: Vec<String>,
    pub(crate) origin: Origin,
}

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { name: Arc<str>, line: usize },
    Environment,
    Flag,
}

/// The values of all settings.
#[derive(Clone, Debug, std::default::Default, PartialEq, Eq)]
pub(crate) struct Settings(BTreeMap<&'static str, Given>);

/// The value of one setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    setting: &'static Setting,
    given: &'a Given,
}

impl Settings {
    /// Merges the sources. Mistakes are those of the environment's switches.
    pub(crate) fn merge(
        args: &ServeArgs,
        environment: impl Fn(&str) -> Option<String>,
        file: Vec<(&'static Setting, Given)>,
        mistakes: &mut Vec<String>,
    ) -> Self {
        let defaults = SETTINGS.iter().filter_map(|setting| match setting.default {
            Default::Text(text) => {
                let texts = vec![text.to_owned()];
                Some((setting.key, Given { texts, origin: Origin::Default }))
            }
            Default::Words(_) => None,
        });
        let mut values: BTreeMap<_, _> = defaults.collect();
        values.extend(file.into_iter().map(|(setting, given)| (setting.key, given)));
        for setting in SETTINGS {
            let variable = setting.variable();
            let Some(text) = environment(&variable).filter(|text| !text.is_empty()) else {
                continue;
            };
            match of_variable(setting.kind, &text) {
                Ok(texts) => {
                    values.insert(setting.key, Given { texts, origin: Origin::Environment });
                }
                Err(why) => mistakes.push(format!("{variable}={text}: {why}")),
            }
        }
        for (flag, texts) in args.flags() {
            let setting = SETTINGS.iter().find(|setting| setting.flag == flag);
            if let Some(setting) = setting.filter(|_| !texts.is_empty()) {
                values.insert(setting.key, Given { texts, origin: Origin::Flag });
            }
        }
        Self(values)
    }

    /// The value of a setting; `None` if nothing sets it and its default is no text.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'_>> {
        let setting = find(key).expect("settings are asked for by their keys");
        Some(Value { setting, given: self.0.get(setting.key)? })
    }

    /// The texts of a list.
    pub(crate) fn list<'a>(&'a self, key: &str) -> impl Iterator<Item = (Value<'a>, &'a str)> {
        let value = self.get(key);
        value
            .into_iter()
            .flat_map(|value| value.given.texts.iter().map(move |text| (value, text.as_str())))
    }

    /// Forgets the values of some keys.
    pub(crate) fn remove(&mut self, keys: &[&str]) {
        self.0.retain(|key, _| !keys.contains(key));
    }

    /// Returns whether a switch is on.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.text() == "true")
    }

    /// These settings with the new values of those that are taken up without a restart.
    pub(crate) fn reloaded(mut self, new: Self) -> Self {
        let is_live = |key: &str| find(key).is_some_and(|it| it.change == Change::Reload);
        self.0.retain(|key, _| !is_live(key));
        self.0.extend(new.0.into_iter().filter(|(key, _)| is_live(key)));
        self
    }

    /// The keys whose new values need a restart.
    pub(crate) fn needing_restart(&self, new: &Self) -> Vec<&'static str> {
        let texts =
            |settings: &Self, key| settings.0.get(key).map(|given: &Given| given.texts.clone());
        let changed = SETTINGS.iter().filter(|setting| {
            setting.change == Change::Restart && texts(self, setting.key) != texts(new, setting.key)
        });
        changed.map(|setting| setting.key).collect()
    }
}

impl<'a> Value<'a> {
    /// The text of a value that is one.
    pub(crate) fn text(self) -> &'a str {
        self.given.texts.first().map_or("", String::as_str)
    }

    /// Returns whether nothing sets it.
    pub(crate) fn is_default(self) -> bool {
        self.given.origin == Origin::Default
    }

    /// The path of a value that is one: a file's paths are relative to the file.
    pub(crate) fn path(self) -> PathBuf {
        match &self.given.origin {
            Origin::File { name, .. } => Path::new(&**name).with_file_name(self.text()),
            _ => self.text().into(),
        }
    }

    /// Returns whether a later source has it than another value.
    pub(crate) fn is_after(self, other: Value<'_>) -> bool {
        self.given.origin.rank() > other.given.origin.rank()
    }

    /// Says what is wrong with a text of this value, and where it stands.
    pub(crate) fn mistake(self, text: &str, why: &str) -> String {
        let Setting { key, flag, .. } = self.setting;
        match &self.given.origin {
            Origin::Default | Origin::Flag => format!("--{flag} {text}: {why}"),
            Origin::Environment => format!("{}={text}: {why}", self.setting.variable()),
            Origin::File { name, line } => {
                format!("{name}:{line}: {key} = {}: {why}", quoted(text))
            }
        }
    }
}

/// Reads a value of the environment.
fn of_variable(kind: Kind, text: &str) -> Result<Vec<String>, &'static str> {
    match kind {
        Kind::Text => Ok(vec![text.to_owned()]),
        Kind::List => Ok(text.split(',').map(|text| text.trim().to_owned()).collect()),
        Kind::Rules => Ok(text.split(';').map(|text| text.trim().to_owned()).collect()),
        Kind::Switch => match text {
            "true" | "1" => Ok(vec!["true".to_owned()]),
            "false" | "0" => Ok(vec!["false".to_owned()]),
            _ => Err("must be true or false"),
        },
    }
}

/// A text as the configuration file writes it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The settings as a configuration file, with the source of each value.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in SETTINGS {
            let mut line = String::new();
            match (self.0.get(setting.key), setting.default) {
                (Some(given), _) => {
                    let shown = given.texts.iter().map(|text| match setting.key {
                        "nats.servers" => quoted(&without_password(text)),
                        _ => quoted(text),
                    });
                    let quoted: Vec<_> = shown.collect();
                    let value = match setting.kind {
                        Kind::Text => quoted.concat(),
                        Kind::List | Kind::Rules => format!("[{}]", quoted.join(", ")),
                        Kind::Switch => given.texts.concat(),
                    };
                    write!(line, "{} = {value}", setting.key)?;
                    writeln!(f, "{line:<40} # {}", given.origin.of(setting))?;
                }
                (None, Default::Text(words) | Default::Words(words)) => {
                    write!(line, "# {}: {words}", setting.key)?;
                    writeln!(f, "{line:<40} # default")?;
                }
            }
        }
        Ok(())
    }
}

impl Origin {
    /// Later sources have higher ranks.
    fn rank(&self) -> usize {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Environment => 2,
            Self::Flag => 3,
        }
    }

    fn of(&self, setting: &Setting) -> String {
        match self {
            Self::Default => "default".to_owned(),
            Self::File { name, line } => format!("{name}:{line}"),
            Self::Environment => setting.variable(),
            Self::Flag => format!("--{}", setting.flag),
        }
    }
}
