//! Reading TOML, part by part: each value is asked for by its key, and what nobody asked for is a
//! mistake.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A file while it is parsed.
pub(super) struct Parser<'a> {
    pub(super) name: Arc<str>,
    pub(super) text: &'a str,
    pub(super) mistakes: &'a mut Vec<String>,
}

impl Parser<'_> {
    /// The line at a byte, counted from one.
    pub(super) fn line(&self, byte: usize) -> usize {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }

    pub(super) fn mistake(&mut self, line: usize, what: &str) {
        self.mistakes.push(format!("{}:{line}: {what}", self.name));
    }
}

/// A table of the file while it is read.
pub(super) struct Section<'s, 'p, 'v> {
    pub(super) parser: &'s mut Parser<'p>,
    table: &'s DeTable<'v>,
    /// Its name in messages, such as `auth.keys`.
    name: &'s str,
    /// The line where it begins.
    pub(super) line: usize,
    asked: Vec<&'static str>,
}

/// A value of the file, and its line.
pub(super) type Placed<'s, 'v> = (&'s DeValue<'v>, usize);

impl<'s, 'p, 'v> Section<'s, 'p, 'v> {
    /// Reads a value that must be a table; `None` if it is none.
    pub(super) fn new(
        parser: &'s mut Parser<'p>,
        name: &'s str,
        value: &'s Spanned<DeValue<'v>>,
    ) -> Option<Self> {
        let line = parser.line(value.span().start);
        let DeValue::Table(table) = value.get_ref() else {
            parser.mistake(line, &format!("{name}: must be a table"));
            return None;
        };
        Some(Self { parser, table, name, line, asked: Vec::new() })
    }

    /// The value of a key, if it is there.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Placed<'s, 'v>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let (found, value) = self.table.iter().find(|(found, _)| &**found.get_ref() == key)?;
        Some((value.get_ref(), self.parser.line(found.span().start)))
    }

    /// The spanned value of a key, if it is there.
    pub(super) fn spanned(&mut self, key: &'static str) -> Option<&'s Spanned<DeValue<'v>>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let (_, value) = self.table.iter().find(|(found, _)| &**found.get_ref() == key)?;
        Some(value)
    }

    /// The spanned elements of an array, if it is there.
    pub(super) fn array(&mut self, key: &'static str) -> Option<&'s DeArray<'v>> {
        let (value, line) = self.value(key)?;
        let DeValue::Array(array) = value else {
            self.mistake(line, key, "must be a list of tables, such as [{ … }]");
            return None;
        };
        Some(array)
    }

    /// A text, read by a function.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (value, line) = self.value(key)?;
        let DeValue::String(text) = value else {
            self.mistake(line, key, "must be a text in quotes");
            return None;
        };
        match read(text) {
            Ok(read) => Some(read),
            Err(why) => {
                self.mistake(line, key, &why);
                None
            }
        }
    }

    /// A text in quotes or a whole number, read by a function.
    pub(super) fn amount<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match self.value(key)? {
            (DeValue::Integer(integer), line) => {
                let number = u64::from_str_radix(integer.as_str(), integer.radix());
                let number = number.map_err(|_| "must be a whole number of at least 1".to_owned());
                match number.and_then(|number| read(&number.to_string())) {
                    Ok(read) => Some(read),
                    Err(why) => {
                        self.mistake(line, key, &why);
                        None
                    }
                }
            }
            _ => self.text(key, read),
        }
    }

    /// A list of texts, or a single one, each read by a function; nothing if it is not there.
    pub(super) fn texts<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some((value, line)) = self.value(key) else { return Vec::new() };
        let texts: Option<Vec<&str>> = match value {
            DeValue::String(text) => Some(vec![text]),
            DeValue::Array(array) => {
                let text = |value: &'s Spanned<DeValue<'v>>| match value.get_ref() {
                    DeValue::String(text) => Some(&**text),
                    _ => None,
                };
                array.iter().map(text).collect()
            }
            _ => None,
        };
        let Some(texts) = texts else {
            self.mistake(line, key, "must be a list of texts in quotes, such as [\"a\", \"b\"]");
            return Vec::new();
        };
        let mut all = Vec::new();
        for text in texts {
            match read(text) {
                Ok(read) => all.push(read),
                Err(why) => self.mistake(line, key, &format!("'{text}': {why}")),
            }
        }
        all
    }

    /// A switch; off if it is not there.
    pub(super) fn is_on(&mut self, key: &'static str) -> bool {
        let Some((value, line)) = self.value(key) else { return false };
        let DeValue::Boolean(is_on) = value else {
            self.mistake(line, key, "must be true or false");
            return false;
        };
        *is_on
    }

    /// Notes a mistake in the value of a key.
    pub(super) fn mistake(&mut self, line: usize, key: &str, why: &str) {
        self.parser.mistake(line, &format!("{}.{key}: {why}", self.name));
    }

    /// Notes a mistake of the section as a whole.
    pub(super) fn fault(&mut self, why: &str) {
        self.parser.mistake(self.line, &format!("{}: {why}", self.name));
    }

    /// Notes the keys that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let line = self.parser.line(key.span().start);
                let known = self.asked.join(", ");
                let what = format!("unknown key '{}.{name}': there are {known}", self.name);
                self.parser.mistake(line, &what);
            }
        }
    }
}

/// A value as the file writes it, with secrets hidden.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => toml::Value::from(&**text).to_string(),
        DeValue::Integer(integer) => integer.as_str().to_owned(),
        DeValue::Float(float) => float.as_str().to_owned(),
        DeValue::Boolean(is_on) => is_on.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(array) => {
            let values: Vec<_> = array.iter().map(|value| shown(value.get_ref())).collect();
            format!("[{}]", values.join(", "))
        }
        DeValue::Table(table) => {
            let pair = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                match &**key {
                    SECRET => format!("{SECRET} = \"(hidden)\""),
                    key => format!("{key} = {}", shown(value.get_ref())),
                }
            };
            format!("{{ {} }}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The key whose value is never shown.
pub(super) const SECRET: &str = "secret";
