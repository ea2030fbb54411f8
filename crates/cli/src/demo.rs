//! The feeds of the demo's page: a ticker, a scoreboard, news, notifications, and the hub's numbers.

pub(crate) mod keyed;
mod ticker;
mod words;

use std::time::Duration;

use serde_json::{Value, json};
use tidings_hub::{Draft, Event, EventType, Hub, HubStats, Now, PublishError, Topic};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::warn;

use self::keyed::Keyed;
use self::ticker::Ticker;
use self::words::Words;

/// Publishes what the page shows, for as long as it is polled.
pub(crate) async fn feed(hub: Hub, keyed: Keyed) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut feeds = Feeds::new(hub, keyed);
    let started = Instant::now();
    for second in 0_u64.. {
        seconds.tick().await;
        if let Err(error) = feeds.publish(second, started.elapsed()).await {
            warn!(error = &error as &dyn std::error::Error, "demo event not published");
        }
    }
}

struct Feeds {
    hub: Hub,
    keyed: Keyed,
    ticker: Ticker,
    words: Words,
    last: HubStats,
}

impl Feeds {
    fn new(hub: Hub, keyed: Keyed) -> Self {
        let last = hub.stats();
        Self { hub, keyed, ticker: Ticker::default(), words: Words::default(), last }
    }

    async fn publish(&mut self, second: u64, uptime: Duration) -> Result<(), PublishError> {
        let now = Now::read();
        self.hub.tick(now);
        let time = now.time.unix_millis();
        for price in self.ticker.next_prices() {
            let tick = json!({ "symbol": price.symbol, "price": price.price(), "time": time });
            self.send("demo/ticker", "tick", &tick).await?;
        }
        if second.is_multiple_of(4) {
            for score in self.words.next_scores() {
                self.send("demo/scoreboard", "score", &score).await?;
            }
        }
        if second.is_multiple_of(7) {
            let news = json!({ "headline": self.words.next_headline(), "time": time });
            self.send("demo/news", "news", &news).await?;
        }
        if second.is_multiple_of(11) {
            let notice = json!({ "text": self.words.next_notice(), "time": time });
            self.send("demo/notifications", "notice", &notice).await?;
        }
        if second.is_multiple_of(2)
            && let Some(publishing) = self.keyed.send_time(now.time)
        {
            publishing.await?;
        }
        let stats = self.statistics(uptime);
        self.send("demo/dashboard", "stats", &stats).await
    }

    /// The hub's own numbers; unknown ones are null.
    fn statistics(&mut self, uptime: Duration) -> Value {
        let now = self.hub.stats();
        let per_second = now.published - self.last.published;
        self.last = now;
        json!({
            "subscribers": now.subscribers,
            "events": now.published,
            "events_per_second": per_second,
            "history_bytes": now.history_bytes,
            "memory_bytes": memory_stats::memory_stats().map(|memory| memory.physical_mem),
            "uptime_seconds": uptime.as_secs(),
        })
    }

    async fn send(
        &self,
        topic: &'static str,
        event_type: &'static str,
        data: &Value,
    ) -> Result<(), PublishError> {
        let event = Event::new(data.to_string()).with_type(EventType::from_static(event_type));
        self.hub.publish(Draft::new(Topic::from_static(topic), event)).await.map(drop)
    }
}
