//! Proxies in front of the server, and the addresses of clients that they tell.

mod forwarded;
pub(crate) mod protocol;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use self::forwarded::chain;

/// A network of addresses, such as 10.0.0.0/8; a single address is one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads an address, with or without the number of bits that its network has in common.
    ///
    /// # Errors
    ///
    /// [`InvalidNetwork`] if `text` is something else, or if the address has bits beyond that number,
    /// which is probably a mistake.
    pub fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        Self::read(text).ok_or_else(|| InvalidNetwork { text: text.into() })
    }

    fn read(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let length = if address.is_ipv4() { 32 } else { 128 };
        let is_number = |bits: &&str| bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            Some(bits) => {
                Some(bits).filter(is_number)?.parse().ok().filter(|bits| *bits <= length)?
            }
            None => length,
        };
        let network = Self { address, bits };
        (network.masked(address) == address).then_some(network)
    }

    /// Returns whether an address is in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == self.address
    }

    /// The address with the bits alone that the network has in common.
    fn masked(&self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
        }
    }
}

/// The error of a text that is no network of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNetwork {
    text: Box<str>,
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not an address or a network: give it as in 10.0.0.1 or 10.0.0.0/8",
            self.text
        )
    }
}

impl std::error::Error for InvalidNetwork {}

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The address of the client whose request the peer of a connection has passed on; `None` if the
    /// peer is no trusted proxy, or tells none.
    ///
    /// Each proxy adds the address that it was asked from. So the list is read from its end, and the
    /// first address that is no trusted proxy's is the client's: all before it is the client's word.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<SocketAddr> {
        if self.0.is_empty() || !self.contains(peer) {
            return None;
        }
        let mut client = None;
        for told in chain(headers) {
            // A proxy that does not know, or does not tell, is as far as the chain goes.
            let Some(address) = told else { break };
            client = Some(address);
            if !self.contains(address.ip()) {
                break;
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_network_is_an_address_and_the_bits_that_count() {
        let network = |text| Network::parse(text).unwrap();
        let contains = |text, address: &str| network(text).contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "2001:db8::1"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
        assert!(contains("192.0.2.7", "::ffff:192.0.2.7"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::1"));
        for text in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "::/129", "a"] {
            assert!(Network::parse(text).is_err(), "{text:?}");
        }
    }

    fn client(peer: &str, lines: &[(&'static str, &'static str)]) -> Option<String> {
        let proxies = ["10.0.0.0/8", "2001:db8::/32"].map(|text| Network::parse(text).unwrap());
        let headers: HeaderMap = lines
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let proxies = TrustedProxies::new(proxies.into());
        proxies.client(peer.parse().unwrap(), &headers).map(|client| client.to_string())
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxys() {
        let x = "x-forwarded-for";
        let told = |value| client("10.0.0.1", &[(x, value)]);
        assert_eq!(told("192.0.2.1").unwrap(), "192.0.2.1:0");
        // What comes before is what the client says.
        assert_eq!(told("198.51.100.1, 192.0.2.1").unwrap(), "192.0.2.1:0");
        assert_eq!(told("192.0.2.1, 10.0.0.2,2001:db8::7").unwrap(), "192.0.2.1:0");
        assert_eq!(told("x, 10.0.0.2").unwrap(), "10.0.0.2:0");
        assert_eq!(told("10.0.0.3, 10.0.0.2").unwrap(), "10.0.0.3:0");
        assert_eq!(told("192.0.2.1:4711").unwrap(), "192.0.2.1:4711");
        assert_eq!(told("[2001:db9::1]:4711").unwrap(), "[2001:db9::1]:4711");
        assert_eq!(told("unknown"), None);
        assert_eq!(told(""), None);
        let lines = [(x, "198.51.100.1"), (x, "192.0.2.1")];
        assert_eq!(client("10.0.0.1", &lines).unwrap(), "192.0.2.1:0");
        assert_eq!(client("10.0.0.1", &[]), None);
    }

    #[test]
    fn a_peer_that_is_no_proxy_is_not_believed() {
        for name in ["x-forwarded-for", "forwarded"] {
            assert_eq!(client("192.0.2.9", &[(name, "for=198.51.100.1")]), None);
        }
        assert_eq!(client("192.0.2.9", &[("x-forwarded-for", "198.51.100.1")]), None);
    }

    #[test]
    fn the_standard_header_says_the_same() {
        let told = |value| client("10.0.0.1", &[("forwarded", value)]);
        assert_eq!(told("for=192.0.2.1").unwrap(), "192.0.2.1:0");
        assert_eq!(
            told("For=\"[2001:db9::1]:80\";proto=https, for=10.0.0.2; by=_x").unwrap(),
            "[2001:db9::1]:80"
        );
        assert_eq!(told("proto=https;host=\"a,b\";for=\"192.0.2.1\"").unwrap(), "192.0.2.1:0");
        for value in ["for=_hidden", "for=unknown", "proto=https", "for=\"192.0.2.1", ""] {
            assert_eq!(told(value), None, "{value}");
        }
        // A client's header that a proxy which writes the other one has passed on.
        let lines = [("forwarded", "for=198.51.100.1"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client("10.0.0.1", &lines).unwrap(), "192.0.2.1:0");
    }
}
