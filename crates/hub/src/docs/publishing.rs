//! Publishing events to topics.
//!
//! Events are published to a [`Topic`], which is any visible text of up to 1,024 bytes, or to several
//! ([`Topics`](crate::Topics)). Topics need no set-up: a topic exists when something is published to it or
//! somebody reads it. A topic of a literal is a constant; a topic of other text is checked:
//!
//! ```
//! use tidings_hub::{Draft, Event, EventType, Hub, Topic};
//!
//! const SCORES: Topic = Topic::from_static("scores");
//! const GOAL: EventType = EventType::from_static("goal");
//!
//! # smol::block_on(async {
//! let hub = Hub::default();
//! let goal = Event::new("1:0").with_type(GOAL);
//! let published = hub.publish(Draft::new(SCORES, goal)).await?;
//! assert!(!published.is_duplicate);
//!
//! let match_7 = Topic::new(format!("scores/{}", 7))?;
//! hub.publish(Draft::new(match_7, Event::new("2:0"))).await?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! If you make topics of what others send, mind the slashes: a user called `a/b` has a topic of three
//! segments, which the pattern `users/*` does not match. An exact topic matches only itself.
//!
//! # The future
//!
//! [`Hub::publish`](crate::Hub::publish) submits the event at the call, from any thread, and never waits for
//! readers. Its future yields the [`Published`](crate::Published) event, or one
//! [`PublishError`](crate::PublishError). Dropping the future takes nothing back, so code that cannot wait
//! may drop it. A hub in memory has committed the event, or refused it, before the call returns.
//!
//! [`PublishError::Refused`](crate::PublishError::Refused) means that an event is against the hub's rules,
//! such as its size; its [`Refused`](crate::Refused) is the sentence to show a publisher.
//! [`Hub::publish_all`](crate::Hub::publish_all) takes several events and publishes all of them or none.
//!
//! [`PublishError::NotCommitted`](crate::PublishError::NotCommitted) means that the journal has written
//! nothing of the event, so that it can be published again unless it is too large.
//!
//! # Repeating
//!
//! A [`Draft`](crate::Draft) with an [`IdempotencyKey`](crate::IdempotencyKey) can be repeated: the second
//! time it is answered like the first, and nothing is published.
//!
//! # JSON
//!
//! Data is text. With the feature `json`, which is on by default, `Event::json(&value)` makes it of
//! any value that implements `serde::Serialize`.
//!
//! [`Topic`]: crate::Topic
