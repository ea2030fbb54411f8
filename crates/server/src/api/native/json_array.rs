//! An array of JSON, read value by value.

use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::json_event::{TextPosition, invalid_json, invalid_json_at};
use crate::http::problem::Problem;
use crate::work;

/// The values of an array, each with its position in the whole text.
///
/// Every byte is looked at a fixed number of times, whatever is in the array: the position goes along
/// with the reading.
#[derive(Debug)]
pub(super) struct JsonArray<'a> {
    rest: &'a str,
    position: TextPosition,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// After the bracket.
    First,
    /// After a value.
    Later,
    Ended,
}

impl<'a> JsonArray<'a> {
    /// For a text that starts with a bracket, after blanks; `None` for any other text.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        let mut array = Self { rest: text, position: TextPosition::default(), state: State::First };
        array.skip_blanks();
        array.rest.starts_with('[').then(|| {
            array.skip(1);
            array
        })
    }

    /// The next value and its position; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<(&'a str, TextPosition)>, Problem> {
        self.skip_blanks();
        match (self.state, self.rest.as_bytes().first()) {
            (State::Ended, None) => return Ok(None),
            (State::Ended, Some(_)) => return Err(self.problem("trailing characters")),
            (_, None) => return Err(self.problem("EOF while parsing a list")),
            (_, Some(b']')) => return self.end(),
            (State::Later, Some(b',')) => {
                self.skip(1);
                self.skip_blanks();
                if self.rest.starts_with(']') {
                    return Err(self.problem("trailing comma"));
                }
            }
            (State::Later, Some(_)) => return Err(self.problem("expected `,` or `]`")),
            (State::First, Some(_)) => {}
        }
        self.state = State::Later;
        let position = self.position;
        let mut values = Deserializer::from_str(self.rest).into_iter::<&RawValue>();
        let value = match values.next() {
            Some(Ok(value)) => value.get(),
            // Of one value, the library cannot know what may follow it.
            Some(Err(error)) if error.to_string().starts_with("trailing characters") => {
                let at = position.then(TextPosition::of_error(&error));
                return Err(invalid_json_at("expected `,` or `]`", at));
            }
            Some(Err(error)) => return Err(invalid_json(&error, position)),
            None => return Err(self.problem("EOF while parsing a value")),
        };
        work::looked_at(value.len());
        self.skip(value.len());
        Ok(Some((value, position)))
    }

    fn end(&mut self) -> Result<Option<(&'a str, TextPosition)>, Problem> {
        self.skip(1);
        self.state = State::Ended;
        self.next()
    }

    fn skip_blanks(&mut self) {
        let blanks = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        let count = self.rest.as_bytes().iter().take_while(|byte| blanks(byte)).count();
        self.skip(count);
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.position = self.position.then(TextPosition::after(skipped));
        self.rest = rest;
    }

    /// The problem of the next character, or of the end of the text.
    fn problem(&self, reason: &str) -> Problem {
        let column = usize::from(!self.rest.is_empty());
        invalid_json_at(reason, self.position.then(TextPosition::on_line(column)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All values, or the sentence about the first mistake.
    fn values(text: &str) -> Result<Vec<&str>, String> {
        let mut array = JsonArray::new(text).unwrap();
        let mut values = Vec::new();
        while let Some((value, _)) = array.next().map_err(|problem| problem.detail().to_owned())? {
            values.push(value);
        }
        Ok(values)
    }

    /// The same by the library that reads everything at once.
    fn at_once(text: &str) -> Result<Vec<&str>, String> {
        let values: Result<Vec<&RawValue>, _> = serde_json::from_str(text);
        let values = values
            .map_err(|e| invalid_json(&e, TextPosition::default()))
            .map_err(|problem| problem.detail().to_owned())?;
        Ok(values.into_iter().map(RawValue::get).collect())
    }

    proptest! {
        #[test]
        fn values_and_mistakes_are_those_of_reading_everything_at_once(
            text in "\\[([\\[\\],{}: \\n\"a1é]|1,|,1|\\{\"a\": *1\\}|null|true){0,12}\\]?[ \\n1]?",
        ) {
            prop_assert_eq!(values(&text), at_once(&text));
        }
    }

    #[test]
    fn a_value_is_given_with_its_position() {
        let mut array = JsonArray::new(" [1,\n {\"a\":\n2}, \"é\", 3 ] ").unwrap();
        let mut lines = Vec::new();
        while let Some((value, position)) = array.next().unwrap() {
            lines.push((value, position.line()));
        }
        assert_eq!(lines, [("1", 1), ("{\"a\":\n2}", 2), ("\"é\"", 3), ("3", 3)]);
        assert!(JsonArray::new(" {}").is_none());
    }
}
