//! Testing your handlers, without waiting.
//!
//! Make a hub at a time of your own ([`HubBuilder::at`](crate::HubBuilder::at)), publish, and read what your
//! handler returns. A hub in memory commits at the call, so that nothing has to be waited for. A body's first
//! piece is its preamble: a comment and the reconnection time, together with the events that are due by then.
//! To see a heartbeat, a timeout or an age, tick the hub with a later [`Now`](crate::Now).
//!
//! ```
//! use std::time::Duration;
//! use smol::stream::StreamExt; // or that of futures
//! use tidings_hub::{Draft, Event, Hub, Now, Start, Topic};
//!
//! const ORDER: Topic = Topic::from_static("orders/7");
//!
//! # smol::block_on(async {
//! let now = Now::read();
//! let hub = Hub::builder().at(now).build();
//!
//! let mut body = hub.stream(ORDER, Start::Tail).with_timeout(Duration::from_secs(60));
//! assert_eq!(body.next().await.ok_or("ended")?, ":\nretry: 2000\n");
//!
//! let published = hub.publish(Draft::new(ORDER, Event::new("packed"))).await?;
//! let text = format!("id: {}\ndata: packed\n\n", published.id());
//! assert_eq!(body.next().await.ok_or("ended")?, text);
//! assert_eq!(hub.page(ORDER, Start::Oldest, 10).await.events[0].event.data(), "packed");
//!
//! hub.tick(now + Duration::from_secs(61));
//! assert_eq!(body.next().await, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
