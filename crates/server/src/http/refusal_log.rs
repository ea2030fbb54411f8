//! Warnings about refused hosts and origins, each value once.

use std::collections::HashSet;

use parking_lot::Mutex;
use tracing::warn;

use crate::http::admit::NotAdmitted;
use crate::http::authority::{Authority, Origin};

/// The values that were warned of.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    seen: Mutex<HashSet<Box<str>>>,
}

/// A refusal that an operator can end by an option.
#[derive(Debug, PartialEq, Eq)]
struct Refusal<'a> {
    value: &'a str,
    /// The option that admits it; `None` if none does.
    option: Option<String>,
}

impl RefusalLog {
    /// The most values that are remembered: an attacker sends a new one with each request. Later ones
    /// are counted by the metrics alone.
    const VALUES_MAX: usize = 100;

    /// Warns of a refused host or origin unless it was warned of before.
    pub(crate) fn log(&self, refused: &NotAdmitted) {
        let Some(refusal) = Refusal::of(refused) else { return };
        let Some(count) = self.remember(refusal.value) else { return };
        let option = refusal.option.as_deref().unwrap_or("none");
        // As a debug value: it is foreign text, and must not write to the terminal.
        match refused {
            NotAdmitted::Host(_) => warn!(host = ?refusal.value, %option, "host refused"),
            _ => warn!(origin = ?refusal.value, %option, "origin refused"),
        }
        if count == Self::VALUES_MAX {
            warn!(count, "further refused hosts and origins are not logged");
        }
    }

    /// The number of values with a new one; `None` for one that is known, and if there are too many.
    fn remember(&self, value: &str) -> Option<usize> {
        let mut seen = self.seen.lock();
        let is_new = seen.len() < Self::VALUES_MAX && seen.insert(value.into());
        is_new.then(|| seen.len())
    }
}

impl<'a> Refusal<'a> {
    fn of(refused: &'a NotAdmitted) -> Option<Self> {
        match refused {
            NotAdmitted::Host(host) => {
                let option = Authority::parse(host).map(|a| format!("--allow-host {}", a.host));
                Some(Self { value: cut(host), option })
            }
            NotAdmitted::Origin(origin) => {
                let option = Origin::read(origin).map(|_| format!("--allow-origin {origin}"));
                Some(Self { value: cut(origin), option })
            }
            NotAdmitted::NoHost | NotAdmitted::Site => None,
        }
    }
}

/// The start of a value: no legal one is longer.
fn cut(text: &str) -> &str {
    const VALUE_BYTES_MAX: usize = 256;
    &text[..text.floor_char_boundary(VALUE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_option_that_admits() {
        let option = |refused: NotAdmitted| Refusal::of(&refused).unwrap().option;
        let some = |option: &str| Some(option.to_owned());
        let host = |host: &str| option(NotAdmitted::Host(host.into()));
        assert_eq!(host("Hub.example:4000"), some("--allow-host hub.example"));
        assert_eq!(host("[2001:db8::1]:80"), some("--allow-host 2001:db8::1"));
        assert_eq!(host("a b"), None);
        let origin = |origin: &str| option(NotAdmitted::Origin(origin.into()));
        assert_eq!(origin("https://a.example"), some("--allow-origin https://a.example"));
        assert_eq!(origin("null"), None);
        assert_eq!(Refusal::of(&NotAdmitted::Site), None);
    }

    #[test]
    fn each_value_is_told_once_and_the_memory_is_bounded() {
        let log = RefusalLog::default();
        assert_eq!(log.remember("a.example"), Some(1));
        assert_eq!(log.remember("a.example"), None);
        for count in 2..=RefusalLog::VALUES_MAX {
            assert_eq!(log.remember(&count.to_string()), Some(count));
        }
        assert_eq!(log.remember("b.example"), None);
        assert_eq!(log.seen.lock().len(), RefusalLog::VALUES_MAX);
        let long = NotAdmitted::Host("x".repeat(30_000).into());
        assert_eq!(Refusal::of(&long).unwrap().value.len(), 256);
    }
}
