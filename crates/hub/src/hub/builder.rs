//! Making hubs.

use crate::filter::TopicFilter;
use crate::hub::{Hub, HubConfig};
use crate::journal::{Journal, JournalError, MemoryJournal};
use crate::retention::{RetentionRule, TopicLimits};
use crate::time::Now;

/// Makes a [`Hub`]: with a configuration, a journal, and a time of its own.
///
/// ```
/// use tidings_hub::{Hub, HubConfig, Now};
///
/// let hub = Hub::builder().config(HubConfig::default()).at(Now::read()).build();
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder makes no hub until it is told to build"]
pub struct HubBuilder {
    config: HubConfig,
    memory: Option<MemoryJournal>,
    now: Option<Now>,
}

impl Hub {
    /// Starts to make a hub other than that of [`Hub::new`].
    pub fn builder() -> HubBuilder {
        HubBuilder::default()
    }
}

impl HubBuilder {
    /// Sets the configuration.
    pub fn config(mut self, config: HubConfig) -> Self {
        self.config = config;
        self
    }

    /// Gives the topics that a filter matches limits of their own, unless an earlier rule matches them. It
    /// adds to the rules of the configuration, which must be set before.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidings_hub::{Hub, TopicFilter, TopicLimits};
    ///
    /// # fn make() -> Result<Hub, tidings_hub::InvalidPattern> {
    /// let hub = Hub::builder()
    ///     .retain(TopicFilter::pattern("prices/*")?, TopicLimits::default().latest_only())
    ///     .retain(
    ///         TopicFilter::pattern("chat/**")?,
    ///         TopicLimits::default().with_age_max(Duration::from_secs(24 * 60 * 60)),
    ///     )
    ///     .build();
    /// # Ok(hub)
    /// # }
    /// ```
    pub fn retain(mut self, filter: TopicFilter, limits: TopicLimits) -> Self {
        self.config.retention.rules.push(RetentionRule::new(filter, limits));
        self
    }

    /// Sets the time at which the hub starts, for tests that step it; by default the time of the
    /// machine's clocks.
    pub fn at(mut self, now: Now) -> Self {
        self.now = Some(now);
        self
    }

    /// Sets the journal in memory, for tests that repeat a run; by default a new one.
    pub fn memory(mut self, journal: MemoryJournal) -> Self {
        self.memory = Some(journal);
        self
    }

    /// Makes a hub that keeps its events in memory.
    #[must_use]
    pub fn build(self) -> Hub {
        let journal = self.memory.unwrap_or_default();
        journal.limit_keys(self.config.retention.keys_bytes_max());
        let opened = journal.opened();
        let now = self.now.unwrap_or_else(Now::read);
        Hub::with_opened(self.config, Box::new(journal), opened, now)
    }

    /// Opens a journal and makes a hub on it. When it is made, its history has the newest entries that the
    /// journal kept; new ones come as [`Hub::run`] follows the journal, which [`Hub::drive_with`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::open`], and of its feed.
    pub async fn open(self, journal: Box<dyn Journal>) -> Result<Hub, JournalError> {
        let opened = journal.open().await?;
        let now = self.now.unwrap_or_else(Now::read);
        let hub = Hub::with_opened(self.config, journal, opened, now);
        hub.restore_streams(opened.tail).await?;
        hub.warm(opened.tail).await?;
        hub.expire();
        hub.free_streams();
        hub.tell_restored();
        Ok(hub)
    }
}
