//! The configuration file: TOML, of which every key is known.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tidings_hub::RetentionRule;
use tidings_server::{AuthConfig, TopicRule};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::auth::{Outside, auth, topic_rule};
use super::section::{Parser, shown};
use super::settings::{Given, Kind, Origin, SETTINGS, Setting, find};

/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The similarity from which on a key is suggested for an unknown one.
const SIMILARITY_MIN: f64 = 0.8;

/// A configuration file as it is written.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) settings: Vec<(&'static Setting, Given)>,
    /// The section `[auth]`.
    pub(crate) auth: Option<AuthConfig>,
    /// The elements of `[[topics]]`.
    pub(crate) topics: Vec<TopicRule>,
    /// The retention in those elements.
    pub(crate) retain: Vec<RetentionRule>,
    /// The sections as they are shown, with secrets hidden.
    pub(crate) sections: String,
}

impl ConfigFile {
    /// Reads a file, and adds what is wrong with it to the mistakes.
    pub(crate) fn read(
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        mistakes: &mut Vec<String>,
    ) -> Self {
        let name = path.display().to_string();
        let text = fs::metadata(path).and_then(|metadata| {
            if metadata.len() > FILE_BYTES_MAX {
                return Err(std::io::Error::other("it is larger than 1MiB"));
            }
            fs::read_to_string(path)
        });
        match text {
            Ok(text) => {
                let folder = path.parent().map(Path::to_owned).unwrap_or_default();
                Self::parse(&name, &text, &Outside { folder, environment }, mistakes)
            }
            Err(error) => {
                mistakes.push(format!("{name}: cannot be read: {error}"));
                Self::default()
            }
        }
    }

    /// Parses the text of a file called `name`.
    fn parse(name: &str, text: &str, outside: &Outside<'_>, mistakes: &mut Vec<String>) -> Self {
        let mut parser = Parser { name: name.into(), text, mistakes };
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut spoiled = Vec::new();
        for error in &errors {
            let line = error.span().map_or(1, |span| parser.line(span.start));
            spoiled.push(line);
            parser.mistake(line, &first_line(error.message()));
        }
        let mut file = Self::default();
        for (key, value) in table.get_ref() {
            let line = parser.line(key.span().start);
            // The rest of a line that is not TOML has no meaning.
            if !spoiled.contains(&line) {
                file.add(&mut parser, outside, (key.get_ref(), value), line);
            }
        }
        file
    }

    fn add(
        &mut self,
        parser: &mut Parser<'_>,
        outside: &Outside<'_>,
        (key, value): (&str, &Spanned<DeValue<'_>>),
        line: usize,
    ) {
        match key {
            "tls" | "nats" => self.add_section(parser, (key, value)),
            "auth" => {
                self.auth = auth(parser, outside, value);
                self.show(&parser.name, key, value, line);
            }
            "topics" => {
                let DeValue::Array(rules) = value.get_ref() else {
                    return parser.mistake(line, "topics: must be a list of tables: [[topics]]");
                };
                for rule in rules {
                    if let Some((topics, retain)) = topic_rule(parser, rule) {
                        self.topics.push(topics);
                        self.retain.extend(retain);
                    }
                    let line = parser.line(rule.span().start);
                    self.show(&parser.name, "[topics]", rule, line);
                }
            }
            _ => self.add_setting(parser, key, value, line),
        }
    }

    fn add_setting(
        &mut self,
        parser: &mut Parser<'_>,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        line: usize,
    ) {
        let Some(setting) = find(key) else {
            return parser.mistake(line, &format!("unknown key '{key}'{}", suggestion(key)));
        };
        match texts(setting.kind, value.get_ref()) {
            Ok(texts) => {
                let origin = Origin::File { name: Arc::clone(&parser.name), line };
                self.settings.push((setting, Given { texts, origin }));
            }
            Err(why) => parser.mistake(line, &format!("{key}: {why}")),
        }
    }

    /// Adds the settings of a section, which are those of flags.
    fn add_section(
        &mut self,
        parser: &mut Parser<'_>,
        (name, value): (&str, &Spanned<DeValue<'_>>),
    ) {
        let line = parser.line(value.span().start);
        let DeValue::Table(table) = value.get_ref() else {
            return parser.mistake(line, &format!("{name}: must be a table"));
        };
        for (key, value) in table {
            let line = parser.line(key.span().start);
            let key: &str = key.get_ref();
            self.add_setting(parser, &format!("{name}.{key}"), value, line);
        }
    }

    /// Adds a section to those that are shown.
    fn show(&mut self, file: &str, name: &str, value: &Spanned<DeValue<'_>>, line: usize) {
        let DeValue::Table(table) = value.get_ref() else { return };
        let head = format!("[{name}]");
        self.sections += &format!("\n{head:<40} # {file}:{line}\n");
        for (key, value) in table {
            self.sections += &format!("{} = {}\n", key.get_ref(), shown(value.get_ref()));
        }
    }
}

/// The texts of a value, as a flag or the environment would have them.
fn texts(kind: Kind, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match (kind, value) {
        (Kind::Text, DeValue::Integer(integer)) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix());
            number.map(|number| vec![number.to_string()]).map_err(|_| "this number is too large")
        }
        (Kind::Text | Kind::List | Kind::Rules, DeValue::String(text)) => {
            Ok(vec![text.to_string()])
        }
        (Kind::Text, _) => Err("must be a text in quotes, or a number"),
        (Kind::List | Kind::Rules, DeValue::Array(array)) => {
            let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                _ => Err(LIST),
            };
            array.iter().map(text).collect()
        }
        (Kind::List | Kind::Rules, _) => Err(LIST),
        (Kind::Switch, DeValue::Boolean(is_on)) => Ok(vec![is_on.to_string()]),
        (Kind::Switch, _) => Err("must be true or false"),
    }
}

const LIST: &str = "must be a list of texts in quotes, such as [\"a\", \"b\"]";

/// Names the key that was probably meant by an unknown one.
fn suggestion(key: &str) -> String {
    let plain = key.replace('-', "_");
    let of_flag = SETTINGS.iter().find(|setting| setting.flag.replace('-', "_") == plain);
    let similar = || {
        let keys =
            SETTINGS.iter().map(|setting| (strsim::jaro_winkler(setting.key, &plain), setting));
        let likely = keys.filter(|(similarity, _)| *similarity >= SIMILARITY_MIN);
        likely.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, setting)| setting)
    };
    let meant = of_flag.or_else(similar);
    meant.map_or_else(String::new, |setting| format!(": did you mean '{}'?", setting.key))
}

/// The errors of the parser may go on with what it expected, on further lines.
fn first_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<(&'static str, Vec<String>)>, Vec<String>) {
        let mut mistakes = Vec::new();
        let outside = Outside { folder: "".into(), environment: &|_| None };
        let file = ConfigFile::parse("a.toml", text, &outside, &mut mistakes);
        (
            file.settings.into_iter().map(|(setting, given)| (setting.key, given.texts)).collect(),
            mistakes,
        )
    }

    #[test]
    fn every_kind_of_value_is_read_as_a_flag_would_be() {
        let text = "open = true\nhistory_bytes = 0x1_000\nheartbeat = \"5s\"\nhosts = [\"a\", \"b\"]\nlisten = \"c\"";
        let (mut found, mistakes) = parse(text);
        found.sort();
        let of = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found,
            [
                ("heartbeat", of(&["5s"])),
                ("history_bytes", of(&["4096"])),
                ("hosts", of(&["a", "b"])),
                ("listen", of(&["c"])),
                ("open", of(&["true"])),
            ]
        );
        assert!(mistakes.is_empty(), "{mistakes:?}");
    }

    #[test]
    fn each_mistake_is_told_with_its_line_and_what_is_expected() {
        let text = "\nhearbeat = \"5s\"\nallow-host = [\"a\"]\nopen = 1\nlisten = [1]\nretry = [\"1s\"]\nx = 1\n";
        let (found, mut mistakes) = parse(text);
        mistakes.sort();
        assert_eq!(
            mistakes,
            [
                "a.toml:2: unknown key 'hearbeat': did you mean 'heartbeat'?",
                "a.toml:3: unknown key 'allow-host': did you mean 'hosts'?",
                "a.toml:4: open: must be true or false",
                "a.toml:5: listen: must be a list of texts in quotes, such as [\"a\", \"b\"]",
                "a.toml:6: retry: must be a text in quotes, or a number",
                "a.toml:7: unknown key 'x'",
            ]
        );
        assert!(found.is_empty());
    }

    #[test]
    fn lines_that_are_no_toml_are_told_beside_other_mistakes() {
        let (_, mistakes) = parse("heartbeat = 5s\nretry = [[\nx = 1\nopen = = true\n");
        for start in ["a.toml:1: ", "a.toml:4: "] {
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(start)), "{mistakes:?}");
        }
    }

    fn parse_auth(text: &str) -> (ConfigFile, Vec<String>) {
        let mut mistakes = Vec::new();
        let variable = |name: &str| (name == "SECRET").then(|| "s".repeat(32));
        let outside = Outside { folder: "".into(), environment: &variable };
        let file = ConfigFile::parse("a.toml", text, &outside, &mut mistakes);
        (file, mistakes)
    }

    #[test]
    fn authentication_is_read_with_its_keys_and_no_secret_is_shown() {
        let hash = "0123456789abcdef".repeat(4);
        let text = format!(
            "[auth]\nquery = true\ncookie = \"tidings\"\naudience = \"events\"\nissuer = [\"a\", \"b\"]\n\
             leeway = \"30s\"\n\
             keys = [{{ algorithm = \"HS256\", secret = \"{}\" }}, {{ algorithm = \"HS256\", secret_env = \"SECRET\", id = \"k\" }},\n\
             {{ jwks = \"https://login.example.com/keys\" }}, {{ jwks = \"http://127.0.0.1:1/keys\", algorithm = \"PS256\" }}]\n\
             api_keys = [{{ name = \"backend\", sha256 = \"{hash}\", publish = [\"**\"] }}]\n\
             [[topics]]\nmatch = \"public/**\"\naccess = \"public\"\n[[topics]]\nmatch = \"*\"\naccess = \"token\"\n",
            "x".repeat(32)
        );
        let (file, mistakes) = parse_auth(&text);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let auth = file.auth.unwrap();
        assert!(auth.in_query && auth.cookie.as_deref() == Some("tidings"));
        assert_eq!((auth.audiences.len(), auth.issuers.len(), auth.keys.len()), (1, 2, 2));
        assert_eq!(auth.key_sets.len(), 2);
        assert_eq!(auth.leeway.as_secs(), 30);
        assert_eq!((auth.api_keys[0].name.as_str(), auth.api_keys[0].sha256[1]), ("backend", 0x23));
        assert_eq!(auth.api_keys[0].rights.publish.len(), 1);
        let accesses: Vec<_> = file.topics.iter().map(|rule| rule.access).collect();
        use tidings_server::TopicAccess::{Public, Token};
        assert_eq!(accesses, [Some(Public), Some(Token)]);
        let shown = file.sections;
        assert!(shown.contains("secret = \"(hidden)\"") && !shown.contains("xxx"), "{shown}");
        assert!(shown.contains("[[topics]]") && shown.contains("# a.toml:10"), "{shown}");
    }

    #[test]
    fn retention_is_read_from_sections_and_its_mistakes_are_told() {
        let text = "[[topics]]\nmatch = \"a/*\"\nretain = { events = 100, bytes = \"1GiB\", age = \"7d\", conflate = true }\n\
                    [[topics]]\nmatch = \"b\"\nretain = { latest = true }\n";
        let (file, mistakes) = parse_auth(text);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let expected = ["a/*=events:100,bytes:1GiB,age:7d,conflate", "b=latest"];
        let expected = expected.map(|text| super::super::retain::rule(text).unwrap());
        assert_eq!(file.retain, expected);
        let text = "[[topics]]\nmatch = \"a\"\nretain = { events = 0 }\n[[topics]]\nmatch = \"a\"\n\
                    retain = { latest = true, events = 2 }\n[[topics]]\nmatch = \"a\"\nretain = { days = 7 }\n\
                    [[topics]]\nmatch = \"a\"\nretain = \"latest\"\n";
        let (_, mistakes) = parse_auth(text);
        for expected in [
            "a.toml:3: topics.retain.events: must be a whole number of at least 1",
            "a.toml:6: topics.retain: latest keeps one event",
            "a.toml:9: topics.retain: needs at least one of",
            "a.toml:9: unknown key 'topics.retain.days': there are events, bytes, age",
            "a.toml:12: topics.retain: must be a table",
        ] {
            assert!(mistakes.iter().any(|it| it.starts_with(expected)), "{mistakes:#?}");
        }
        assert_eq!(mistakes.len(), 5, "{mistakes:#?}");
    }

    #[test]
    fn mistakes_of_authentication_are_told_with_line_key_and_what_is_expected() {
        let text = "[auth]\nquery = 1\ncookie = \"a b\"\nleeway = \"1h\"\naudiences = []\n\
                    keys = [{ algorithm = \"none\", secret = \"x\" }, { algorithm = \"HS256\", secret = \"short\" },\n\
                    { algorithm = \"RS256\" }, { algorithm = \"HS256\", secret_env = \"NONE\" },\n\
                    { jwks = \"http://login.example.com/\" }, { jwks = \"https://a/\", algorithm = \"HS256\", id = \"a\" }]\n\
                    api_keys = [{ sha256 = \"12\", publish = [\"ot*\"] }]\n\
                    [[topics]]\naccess = \"open\"\n";
        let (_, mistakes) = parse_auth(text);
        for expected in [
            "a.toml:2: auth.query: must be true or false",
            "a.toml:3: auth.cookie: must be the name of a cookie",
            "a.toml:4: auth.leeway: must be at most 5m",
            "a.toml:5: unknown key 'auth.audiences': there are query, cookie, audience",
            "a.toml:6: auth.keys.algorithm: must be one of HS256",
            "a.toml:6: auth.keys: a secret of HS256 has at least 32 bytes",
            "a.toml:7: auth.keys: needs one of secret, secret_file",
            "a.toml:7: auth.keys.secret_env: the variable NONE is not set",
            "a.toml:8: auth.keys.jwks: must be a URL such as",
            "a.toml:8: auth.keys.algorithm: must be one of RSA's",
            "a.toml:8: unknown key 'auth.keys.id': there are jwks, algorithm",
            "a.toml:9: auth.api_keys.sha256: must be 64 hexadecimal digits",
            "a.toml:9: auth.api_keys: needs name",
            "a.toml:9: auth.api_keys.publish: 'ot*': a wildcard stands",
            "a.toml:10: topics: needs match",
            "a.toml:11: topics.access: must be",
        ] {
            assert!(
                mistakes.iter().any(|it| it.starts_with(expected)),
                "{expected}: {mistakes:#?}"
            );
        }
        assert_eq!(mistakes.len(), 16, "{mistakes:#?}");
        let (_, mistakes) = parse_auth("auth = 1\ntopics = 2");
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        let (_, mistakes) = parse_auth("[auth]\nquery = true");
        assert!(mistakes[0].contains("auth: needs keys or api_keys"), "{mistakes:?}");
    }
}
