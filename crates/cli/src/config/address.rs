//! URLs as people write them: of hubs, and of event streams.

use std::env;
use std::net::IpAddr;

use tidings_client::{HyperTransport, HyperTransportBuilder, Proxy};
use tidings_hub::TopicFilter;
use url::Url;

/// The hub that is meant if none is named.
const DEFAULT_HUB: &str = "http://127.0.0.1:4000";

/// The environment variable that names another one.
const HUB_VARIABLE: &str = "TIDINGS_HUB";

/// Idle connections kept for publishing, one request at a time.
const CONNECTIONS_KEPT: usize = 1;

/// Returns the URL of the hub: the one given, that of the environment, or the default.
pub(super) fn hub_url(given: Option<&str>) -> String {
    let variable = env::var(HUB_VARIABLE).ok();
    let named = given.or(variable.as_deref()).filter(|text| !text.is_empty());
    let hub = named.unwrap_or(DEFAULT_HUB);
    as_url(hub).unwrap_or_else(|| hub.to_owned())
}

/// Completes a URL that may be written short: `:4000/topics/hello`, `localhost:4000`. Returns `None`
/// for a text that is no URL. A port is required, because a topic may be any other word.
pub(super) fn as_url(text: &str) -> Option<String> {
    if text.contains("://") {
        return Some(text.to_owned());
    }
    let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.rsplit_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_host = host == "localhost" || bare.parse::<IpAddr>().is_ok();
    match host {
        _ if !is_port => None,
        "" => Some(format!("http://127.0.0.1{text}")),
        _ => is_host.then(|| format!("http://{text}")),
    }
}

/// Removes from a URL what may change between runs although the stream is the same: credentials.
pub(super) fn identity(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return url.to_owned() };
    // These cannot fail if there is something to remove.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    let others: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(name, _)| name != "token").collect();
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    url.into()
}

/// Returns the URL of a hub's stream of several topics. The client refuses it if it is malformed.
pub(super) fn events_url<'a>(
    hub: &str,
    query: impl IntoIterator<Item = (&'a str, &'a String)>,
) -> String {
    let Ok(mut url) = Url::parse(hub) else { return hub.to_owned() };
    let path = format!("{}/events", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut().extend_pairs(query);
    url.into()
}

/// A hub's stream, as its URL names it.
pub(super) struct HubStream {
    /// The path of the hub itself, without a slash at its end.
    base: String,
    pub(super) filters: Vec<TopicFilter>,
}

impl HubStream {
    /// Reads the URL of a stream; `None` if it does not look like that of a hub.
    pub(super) fn of(url: &Url) -> Option<Self> {
        let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
        if let Some((base, topic)) = path.split_once("/topics/") {
            return Some(Self {
                base: base.to_owned(),
                filters: exact(topic).into_iter().collect(),
            });
        }
        let base = path.strip_suffix("/events")?.to_owned();
        let filter = |name: &str, value: &str| match name {
            "topic" => exact(value),
            "match" => TopicFilter::pattern(value).ok(),
            _ => None,
        };
        let filters = url.query_pairs().filter_map(|(name, value)| filter(&name, &value)).collect();
        Some(Self { base, filters })
    }

    /// Returns the text that names what it is a stream of.
    pub(super) fn name(&self) -> String {
        self.filters.iter().map(TopicFilter::as_str).collect::<Vec<_>>().join(",")
    }
}

/// Returns whether a URL can be that of a hub, and not of a stream of it.
pub(super) fn is_hub(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.query().is_none() && !url.path().contains("/topics/"))
}

/// Returns the topic that a stream is of, or what else names its content.
pub(super) fn stream_name(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return String::new() };
    let name = HubStream::of(&url).map(|stream| stream.name()).filter(|name| !name.is_empty());
    name.unwrap_or_else(|| url.path().to_owned())
}

/// Returns whether the stream at `url` plainly contains the events of a topic at a hub.
pub(super) fn contains(url: &str, hub: &str, topic: &str) -> bool {
    let (Ok(url), Ok(hub)) = (Url::parse(url), Url::parse(hub)) else { return false };
    let Some(stream) = HubStream::of(&url).filter(|_| is_on(&url, &hub)) else { return false };
    stream.base == hub.path().trim_end_matches('/')
        && stream.filters.iter().any(|filter| filter.matches(topic))
}

fn exact(topic: &str) -> Option<TopicFilter> {
    tidings_hub::Topic::new(topic).ok().map(TopicFilter::Exact)
}

/// Returns whether a URL plainly leads to the hub: to the same port of the same host, where all
/// names of loopback are one.
fn is_on(url: &Url, hub: &Url) -> bool {
    let host = |url: &Url| {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() => "localhost".to_owned(),
            _ => host,
        }
    };
    host(url) == host(hub) && url.port_or_known_default() == hub.port_or_known_default()
}

/// Describes the transport of an event source, which has its connection to itself.
pub(super) fn stream_transport() -> HyperTransportBuilder {
    HyperTransport::builder().proxy(proxy())
}

/// Describes the transport of a publisher, which publishes again and again.
pub(super) fn publishing_transport() -> HyperTransportBuilder {
    HyperTransport::builder().proxy(proxy()).connections_kept(CONNECTIONS_KEPT)
}

fn proxy() -> Proxy {
    Proxy::from_env().except_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_may_be_written_short_and_a_topic_is_none() {
        for (text, url) in [
            (":4000", "http://127.0.0.1:4000"),
            (":4000/topics/hello?x", "http://127.0.0.1:4000/topics/hello?x"),
            ("localhost:80/a", "http://localhost:80/a"),
            ("[::1]:4000", "http://[::1]:4000"),
            ("10.0.0.7:1/b", "http://10.0.0.7:1/b"),
            ("https://example.com/x", "https://example.com/x"),
        ] {
            assert_eq!(as_url(text).as_deref(), Some(url), "{text}");
        }
        for topic in ["hello", "scores/7", "scores:7", "localhost", ":", ":x", "a:1/b", "a/b:1", ""]
        {
            assert_eq!(as_url(topic), None, "{topic}");
        }
    }

    #[test]
    fn a_streams_identity_is_its_url_without_credentials() {
        assert_eq!(identity("http://u:p@a/x?topic=b&token=s#f"), "http://a/x?topic=b");
        assert_eq!(identity("http://a/x?token=s"), "http://a/x");
    }

    #[test]
    fn a_stream_that_contains_its_own_copy_is_known() {
        let hub = "http://127.0.0.1:4000/hub";
        for (url, topic) in [
            ("http://localhost:4000/hub/topics/a/b%20c", "a/b c"),
            ("http://[::1]:4000/hub/events?topic=a&match=b/*&x=y", "a"),
            ("http://127.0.0.1:4000/hub/events?topic=a&match=b/*", "b/c"),
        ] {
            assert!(contains(url, hub, topic), "{url} contains {topic}");
        }
        for url in [
            "http://localhost:4000/hub/topics/b",
            "http://localhost:4000/hub/events?topic=b",
            "http://localhost:4001/hub/topics/a",
            "http://localhost:4000/topics/a",
            "http://example.com:4000/hub/topics/a",
            "http://localhost:4000/hub/feed",
        ] {
            assert!(!contains(url, hub, "a"), "{url} does not contain it");
        }
    }
}
