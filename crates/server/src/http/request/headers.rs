//! Headers that a request may have only once.

/// The values of a header that may be sent only once.
///
/// Code that needs several headers collects them in one pass over all: most requests have few, and
/// a lookup by name costs more than a comparison with each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Given<V> {
    #[default]
    Never,
    Once(V),
    /// With the first of its values.
    Repeatedly(V),
}

impl<V> Given<V> {
    /// Adds a value; values must be added in the order in which they were sent.
    pub(crate) fn add(&mut self, value: V) {
        *self = match std::mem::replace(self, Self::Never) {
            Self::Never => Self::Once(value),
            Self::Once(first) | Self::Repeatedly(first) => Self::Repeatedly(first),
        };
    }

    /// The first of its values.
    pub(crate) fn first(&self) -> Option<&V> {
        match self {
            Self::Never => None,
            Self::Once(value) | Self::Repeatedly(value) => Some(value),
        }
    }

    /// Returns whether it has more than one value.
    pub(crate) fn is_repeated(&self) -> bool {
        matches!(self, Self::Repeatedly(_))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

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
            assert_eq!(*given.first().unwrap(), "a");
        }
        assert!(given.is_repeated());
    }
}
