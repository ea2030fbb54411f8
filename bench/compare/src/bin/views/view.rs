//! The views that readers have, and their URLs.

use crate::servers::Kind;

/// The view of each reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum View {
    /// One topic, to which everything is compared.
    One,
    /// A topic and one that all readers share.
    Two,
    /// Ten topics.
    Ten,
    /// A topic and a pattern without events.
    Mixed,
    /// A pattern that matches one segment.
    Segment,
    /// A pattern that matches the rest.
    Rest,
}

impl View {
    /// All views but that of one topic.
    pub(crate) const OTHERS: [Self; 5] =
        [Self::Two, Self::Ten, Self::Mixed, Self::Segment, Self::Rest];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::One => "one topic",
            Self::Two => "two topics, one of them everybody's",
            Self::Ten => "ten topics of its own",
            Self::Mixed => "a topic of its own and a pattern without events",
            Self::Segment => "a pattern of its own (`u/17/*`)",
            Self::Rest => "a pattern of its own (`u/17/**`)",
        }
    }

    /// The path of its stream, with `{topic}`; `None` if the server has no such views.
    pub(crate) fn stream(self, kind: Kind) -> Option<String> {
        let peer = matches!(kind, Kind::Nchan | Kind::Axum);
        let more = |before: &str, after: &str| {
            (1..10).map(|number| format!("{before}{{topic}}-{number}{after}")).collect::<String>()
        };
        Some(match self {
            Self::One => "/topics/{topic}".to_owned(),
            Self::Two if peer => "/several/{topic},everybody".to_owned(),
            Self::Two => "/events?topic={topic}&topic=everybody".to_owned(),
            Self::Ten if peer => format!("/several/{{topic}}{}", more(",", "")),
            Self::Ten => format!("/events?topic={{topic}}{}", more("&topic=", "")),
            Self::Mixed | Self::Segment | Self::Rest if peer => return None,
            Self::Mixed => "/events?topic={topic}&match=quiet/**".to_owned(),
            Self::Segment => "/events?match=u/{topic}/*".to_owned(),
            Self::Rest => "/events?match=u/{topic}/**".to_owned(),
        })
    }

    /// The path that its events are published to.
    pub(crate) fn publish(self, kind: Kind) -> &'static str {
        match self {
            Self::Segment | Self::Rest => "/topics/u/{topic}/1",
            _ if kind == Kind::Nchan => "/publish/{topic}",
            _ => "/topics/{topic}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::View;
    use crate::servers::Kind;

    #[test]
    fn ten_topics_are_ten_everywhere() {
        for (kind, separator) in [(Kind::Tidings, "topic="), (Kind::Axum, "{topic}")] {
            let path = View::Ten.stream(kind).expect("all have several topics");
            assert_eq!(path.matches(separator).count(), 10, "{path}");
        }
    }

    #[test]
    fn only_tidings_has_patterns() {
        for view in View::OTHERS {
            assert!(view.stream(Kind::Tidings).is_some());
            let is_for_peers = matches!(view, View::Two | View::Ten);
            assert_eq!(view.stream(Kind::Nchan).is_some(), is_for_peers);
        }
    }
}
