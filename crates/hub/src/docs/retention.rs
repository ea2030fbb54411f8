//! Retention: what history holds.
//!
//! [`Retention`](crate::Retention) bounds history by bytes, by events of each topic, and by age. The oldest
//! events go first. Everything counts as bytes: text, lists, topics, names. The newest events stay whatever
//! their size, so that a large one still reaches the readers that are waiting for it.
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
