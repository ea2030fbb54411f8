//! Views: what a subscriber is sent, by the filters it asks for and the grant it has.

use std::sync::Arc;

use crate::filter::TopicFilter;
use crate::grant::Grant;
use crate::topic::Topic;

/// Everything a subscriber should be sent: the events of any topic that one of its filters matches, as
/// far as its grant allows.
///
/// An event that several filters match is sent once. Cloning is cheap: one filter lies in place,
/// several are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    filters: Filters,
    grant: Grant,
}

/// Always [`Filters::One`] where there is one, so that equal views are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Filters {
    One(TopicFilter),
    Many(Arc<[TopicFilter]>),
}

impl View {
    /// Creates the view of several filters, with a grant that allows everything. Repeated filters count
    /// once; a view without filters sees nothing.
    #[must_use]
    pub fn new(filters: impl IntoIterator<Item = TopicFilter>) -> Self {
        let mut distinct: Vec<TopicFilter> = Vec::new();
        for filter in filters {
            if !distinct.contains(&filter) {
                distinct.push(filter);
            }
        }
        let filters = match distinct.len() {
            1 => Filters::One(distinct.remove(0)),
            _ => Filters::Many(distinct.into()),
        };
        Self { filters, grant: Grant::default() }
    }

    /// Narrows the view to what a grant allows.
    #[must_use]
    pub fn with_grant(mut self, grant: Grant) -> Self {
        self.grant = grant;
        self
    }

    /// The filters, each once.
    #[must_use]
    pub fn filters(&self) -> &[TopicFilter] {
        match &self.filters {
            Filters::One(filter) => std::slice::from_ref(filter),
            Filters::Many(filters) => filters,
        }
    }

    /// The grant, which decides what of the filters' events the subscriber may read.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Returns whether one of the filters matches the topic called `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.filters().iter().any(|filter| filter.matches(name))
    }
}

impl From<Topic> for View {
    fn from(topic: Topic) -> Self {
        TopicFilter::Exact(topic).into()
    }
}

impl From<TopicFilter> for View {
    fn from(filter: TopicFilter) -> Self {
        Self { filters: Filters::One(filter), grant: Grant::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_filters_count_once() {
        let topic = Topic::new("a").unwrap();
        let view = View::new([topic.clone().into(), topic.into()]);
        assert_eq!(view.filters().len(), 1);
    }
}
