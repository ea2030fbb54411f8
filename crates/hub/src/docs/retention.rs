//! Retention: what history holds.
//!
//! [`Retention`](crate::Retention) bounds history by bytes, by events of each topic, and by age. The oldest
//! events go first. Everything counts as bytes: text, lists, topics, names. The newest events stay whatever
//! their size, so that a large one still reaches the readers that are waiting for it.
//!
//! On a journal that keeps its entries, such as [`DiskJournal`](crate::journal::DiskJournal), the bound on
//! bytes is one of memory alone: older events are read from the journal when a reader asks for them, and
//! the journal has a bound of its own. The limits of topics hold for the events in the journal, too: a
//! subscriber that reads there may be sent events that came to be beyond them within the last second.
//!
//! [`Retention::rules`](crate::Retention::rules) gives the topics of a pattern limits of their own, by events, bytes
//! and age, or the newest event alone. What the newest event supersedes is no gap.
//! [`TopicLimits::conflate`](crate::TopicLimits::conflate) keeps all events, and lets readers that are behind
//! skip those that have a newer one in their topic. [`Hub::limit_topics`](crate::Hub::limit_topics) changes the limits
//! of topics while the hub is in use.
//!
//! ```
//! # use std::{num::NonZeroUsize, time::Duration};
//! # use tidings_hub::{Hub, HubConfig};
//! let mut config = HubConfig::default();
//! config.retention.bytes_max = 64 * 1024 * 1024;
//! config.retention.topic_events_max = NonZeroUsize::new(100);
//! config.retention.age_max = Some(Duration::from_secs(3600));
//! let hub = Hub::new(config);
//! # assert_eq!(hub.config().retention.bytes_max, 64 << 20);
//! ```
