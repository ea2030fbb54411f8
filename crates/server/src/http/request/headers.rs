//! Headers that a request has once.

use http::HeaderValue;

/// How often a header was sent that means something only if it was sent once.
///
/// Whoever needs several headers collects them in one pass over all there are: most requests have few,
/// and looking a name up costs more than telling it from the others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Given<'a> {
    #[default]
    Never,
    Once(&'a HeaderValue),
    /// With the first of its values.
    Repeatedly(&'a HeaderValue),
}

impl<'a> Given<'a> {
    /// Takes note of a value, in the order in which they were sent.
    pub(crate) fn add(&mut self, value: &'a HeaderValue) {
        *self = match self.first() {
            None => Self::Once(value),
            Some(first) => Self::Repeatedly(first),
        };
    }

    /// The first of its values.
    pub(crate) fn first(self) -> Option<&'a HeaderValue> {
        match self {
            Self::Never => None,
            Self::Once(value) | Self::Repeatedly(value) => Some(value),
        }
    }

    /// Whether it has more values than one.
    pub(crate) fn is_repeated(self) -> bool {
        matches!(self, Self::Repeatedly(_))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn the_first_value_of_a_pass_is_the_first_that_was_sent() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "a"), ("origin", "x"), ("host", "b"), ("host", "c")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut given = Given::default();
        assert!(given.first().is_none() && !given.is_repeated());
        for value in headers.iter().filter(|(name, _)| *name == "host").map(|(_, value)| value) {
            given.add(value);
            assert_eq!(given.first().unwrap(), "a");
        }
        assert!(given.is_repeated());
    }
}
