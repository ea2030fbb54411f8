//! The configuration file: TOML, of which every key is known.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::{Given, Kind, Origin, SETTINGS, Setting, find};

/// A larger file is not a configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The similarity from which on a key is suggested for an unknown one.
const SIMILARITY_MIN: f64 = 0.8;

/// A configuration file as it is written.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) settings: Vec<(&'static Setting, Given)>,
}

impl ConfigFile {
    /// Reads a file, and adds what is wrong with it to the mistakes.
    pub(crate) fn read(path: &Path, mistakes: &mut Vec<String>) -> Self {
        let name = path.display().to_string();
        let text = fs::metadata(path).and_then(|metadata| {
            if metadata.len() > FILE_BYTES_MAX {
                return Err(std::io::Error::other("it is larger than 1MiB"));
            }
            fs::read_to_string(path)
        });
        match text {
            Ok(text) => Self::parse(&name, &text, mistakes),
            Err(error) => {
                mistakes.push(format!("{name}: cannot be read: {error}"));
                Self::default()
            }
        }
    }

    /// Parses the text of a file called `name`.
    pub(crate) fn parse(name: &str, text: &str, mistakes: &mut Vec<String>) -> Self {
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
            // What is left of a line that is no TOML says nothing.
            if !spoiled.contains(&line) {
                file.add(&mut parser, key.get_ref(), value, line);
            }
        }
        file
    }

    fn add(
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
}

/// A file while it is parsed.
struct Parser<'a> {
    name: Arc<str>,
    text: &'a str,
    mistakes: &'a mut Vec<String>,
}

impl Parser<'_> {
    /// The line at a byte, counted from one.
    fn line(&self, byte: usize) -> usize {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    fn mistake(&mut self, line: usize, what: &str) {
        self.mistakes.push(format!("{}:{line}: {what}", self.name));
    }
}

/// The texts of a value, as a flag or the environment would have them.
fn texts(kind: Kind, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match (kind, value) {
        (Kind::Text, DeValue::Integer(integer)) => {
            let number = i64::from_str_radix(integer.as_str(), integer.radix());
            number.map(|number| vec![number.to_string()]).map_err(|_| "this number is too large")
        }
        (Kind::Text | Kind::List, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (Kind::Text, _) => Err("must be a text in quotes, or a number"),
        (Kind::List, DeValue::Array(array)) => {
            let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                _ => Err(LIST),
            };
            array.iter().map(text).collect()
        }
        (Kind::List, _) => Err(LIST),
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
        let file = ConfigFile::parse("a.toml", text, &mut mistakes);
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
}
