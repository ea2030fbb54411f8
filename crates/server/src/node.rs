//! Nodes: hubs among others, their names and how they stand.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a hub among others: in lists, in metrics, and in the header `Tidings-Node`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(Box<str>);

impl NodeName {
    /// The most bytes that a name has.
    pub const BYTES_MAX: usize = 64;

    /// Checks `name` once.
    ///
    /// # Errors
    ///
    /// [`InvalidNodeName`] unless it has 1 to 64 letters, digits, '.', '-' or '_'.
    pub fn new(name: &str) -> Result<Self, InvalidNodeName> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        match (1..=Self::BYTES_MAX).contains(&name.len()) && name.bytes().all(is_fine) {
            true => Ok(Self(name.into())),
            false => Err(InvalidNodeName),
        }
    }

    /// A name that begins with that of a machine and ends at random, since a machine may have several hubs. Of the
    /// machine's name, the part up to the first point counts.
    #[must_use]
    pub fn on(machine: &str) -> Self {
        let short = machine.split('.').next().unwrap_or_default();
        let is_fine = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let mut name: String = short.chars().filter(is_fine).take(Self::BYTES_MAX - 5).collect();
        if name.is_empty() {
            name.push_str("hub");
        }
        name.push('-');
        name.extend(std::iter::repeat_with(fastrand::lowercase).take(4));
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NodeName {
    /// The name of a hub on a machine whose name is not known.
    fn default() -> Self {
        Self::on("")
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text cannot be the name of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidNodeName;

impl fmt::Display for InvalidNodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name has 1 to {} letters, digits, '.', '-' or '_'", NodeName::BYTES_MAX)
    }
}

impl std::error::Error for InvalidNodeName {}

/// The state of a hub, as it tells it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct NodeState {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) addresses: Vec<String>,
    /// `ready`, `behind` or `draining`; `silent` if it has not been heard of late.
    pub(crate) state: String,
    pub(crate) epoch: String,
    /// Its newest event.
    pub(crate) last_event_id: String,
    /// The newest message of the stream that it has read, if there is a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read: Option<u64>,
    /// The events that it has not read yet, as far as that is known.
    pub(crate) lag_events: u64,
    pub(crate) lag_ms: u64,
    pub(crate) subscribers: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_fit_for_headers_and_labels() {
        for name in ["a", "hub-1.example_2", &"x".repeat(64)] {
            assert_eq!(NodeName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a b", "é", "a\n", "\"", &"x".repeat(65)] {
            assert_eq!(NodeName::new(name), Err(InvalidNodeName), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_is_made_is_a_name() {
        for (machine, start) in [("web1.example.org", "web1-"), ("", "hub-"), ("é é", "hub-")] {
            let name = NodeName::on(machine);
            assert!(name.as_str().starts_with(start), "{name}");
            assert_eq!(NodeName::new(name.as_str()), Ok(name));
        }
        assert!(NodeName::new(NodeName::on(&"x".repeat(300)).as_str()).is_ok());
    }
}
