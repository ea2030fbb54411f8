//! The hosts that are served, as requests spell them.

use std::borrow::Cow;
use std::sync::OnceLock;

use crate::config::Hosts;
use crate::http::authority::Authority;

/// The hosts that are served, and the spelling that requests usually have.
#[derive(Debug)]
pub(crate) struct ServedHosts {
    hosts: Hosts,
    /// The first text that named one of them. Nearly every request repeats it, and comparing texts is much
    /// less work than reading one. A client that comes first with another text takes nothing but that from
    /// the others.
    usual: OnceLock<(Box<str>, Authority)>,
}

impl ServedHosts {
    pub(crate) fn new(hosts: Hosts) -> Self {
        Self { hosts, usual: OnceLock::new() }
    }

    /// Reads a host with or without a port; `None` if it is none, or not one that is served.
    pub(crate) fn find(&self, text: &str) -> Option<Cow<'_, Authority>> {
        match self.usual.get() {
            Some((usual, authority)) if **usual == *text => Some(Cow::Borrowed(authority)),
            _ => self.read(text).map(Cow::Owned),
        }
    }

    fn read(&self, text: &str) -> Option<Authority> {
        let authority = Authority::parse(text)?;
        let is_served = match &self.hosts {
            Hosts::Any => true,
            Hosts::Listed(names) => {
                authority.host.is_loopback() || names.iter().any(|name| name.0 == authority.host)
            }
        };
        if !is_served {
            return None;
        }
        self.usual.get_or_init(|| (text.into(), authority.clone()));
        Some(authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::authority::HostName;

    #[test]
    fn what_was_asked_before_changes_nothing() {
        let texts = [
            "evil.example",
            "localhost:4000",
            "localhost",
            "LOCALHOST:4000",
            "127.0.0.1:4000",
            "hub.example",
            "hub.example:443",
            "hub.example.evil.example",
            "",
        ];
        let listed = || Hosts::Listed(vec![HostName::parse("hub.example").unwrap()]);
        for first in texts {
            let hosts = ServedHosts::new(listed());
            for text in [first].into_iter().chain(texts).chain(texts) {
                let alone = ServedHosts::new(listed());
                assert_eq!(hosts.find(text), alone.find(text), "{text:?} after {first:?}");
            }
            assert!(hosts.find("evil.example").is_none() && hosts.find("localhost:1").is_some());
        }
    }
}
