//! Key sets: the public keys of an issuer, fetched from its URL (RFC 7517).
//!
//! ```text
//!  due, or asked for ─▶ fetch ─▶ jwks ─▶ the keys, until the next fetch succeeds
//!      schedule          bounded   pure
//! ```
//!
//! A server that hangs, lies or answers without end costs one bounded fetch at a time, and takes no
//! keys away: those of the last good answer stay.

mod error;
mod fetch;
mod jwks;
mod schedule;
mod source;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::select;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

pub use self::error::KeySetError;
use self::jwks::{JsonKey, of_json};
use self::schedule::Schedule;
pub use self::source::{InvalidKeySetUrl, KeySetSource};
use super::key::VerifyingKey;

/// The keys of one source, as they were fetched last.
pub(crate) struct KeySet {
    source: KeySetSource,
    keys: ArcSwap<FetchedKeys>,
    schedule: Mutex<Schedule>,
    /// Wakes the task that fetches.
    asked: Notify,
    /// The number of fetches that have ended.
    ended: watch::Sender<u64>,
    failures: AtomicU64,
}

/// Keys of a key set.
#[derive(Debug, Default)]
pub(super) struct FetchedKeys {
    texts: Vec<JsonKey>,
    pub(super) keys: Vec<VerifyingKey>,
    /// Raised whenever a key is taken away or replaced.
    pub(super) version: u64,
    /// Whether the last fetch brought them. Keys that are not current may lack a new one.
    pub(super) is_current: bool,
}

impl KeySet {
    pub(crate) fn new(source: KeySetSource) -> Self {
        Self {
            source,
            keys: ArcSwap::default(),
            schedule: Mutex::new(Schedule::new(Instant::now())),
            asked: Notify::new(),
            ended: watch::Sender::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Where the keys come from.
    pub(crate) fn source(&self) -> &KeySetSource {
        &self.source
    }

    pub(super) fn keys(&self) -> Arc<FetchedKeys> {
        self.keys.load_full()
    }

    /// The number of fetches that have failed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Asks for a fetch because of a key that is not there. Returns a receiver that changes when the
    /// fetch has ended; `None` if the last fetch is too recent for another one.
    pub(super) fn ask(&self) -> Option<watch::Receiver<u64>> {
        // Subscribed before the schedule is asked, so that an end in between is not missed.
        let ended = self.ended.subscribe();
        let is_coming = self.schedule.lock().handle_asked(Instant::now());
        self.asked.notify_one();
        is_coming.then_some(ended)
    }

    /// Fetches the keys whenever they are due.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the keys as they are.
    pub(crate) async fn keep(&self) {
        loop {
            let due = self.schedule.lock().due();
            select! {
                () = sleep_until(due) => {}
                () = self.asked.notified() => continue,
            }
            self.schedule.lock().handle_begun(Instant::now());
            let fetched = self.source.fetch_json().await;
            let is_good = self.take(fetched);
            self.schedule.lock().handle_ended(Instant::now(), is_good);
            self.ended.send_modify(|ended| *ended += 1);
        }
    }

    /// Takes up fetched keys; returns whether they are good.
    fn take(&self, fetched: Result<Vec<JsonKey>, KeySetError>) -> bool {
        let old = self.keys();
        let url = self.source.without_query();
        let texts = match fetched {
            Ok(texts) => texts,
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                warn!(
                    url,
                    error = &error as &dyn std::error::Error,
                    keys = old.keys.len(),
                    "key set not fetched"
                );
                let (texts, keys) = (old.texts.clone(), old.keys.clone());
                let stale = FetchedKeys { texts, keys, is_current: false, ..*old };
                self.keys.store(Arc::new(stale));
                return false;
            }
        };
        let is_same = texts == old.texts;
        if is_same && old.is_current {
            return true;
        }
        let is_reduced = old.texts.iter().any(|text| !texts.contains(text));
        let keys = texts.iter().map(JsonKey::to_key).collect::<Vec<_>>();
        if !is_same {
            info!(url, keys = keys.len(), "key set fetched");
        }
        let version = old.version + u64::from(is_reduced);
        self.keys.store(Arc::new(FetchedKeys { texts, keys, version, is_current: true }));
        true
    }
}

impl KeySetSource {
    /// Fetches the keys once.
    ///
    /// # Errors
    ///
    /// [`KeySetError`] if the answer is not a key set with usable keys, or does not come in time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub async fn fetch(&self) -> Result<Vec<VerifyingKey>, KeySetError> {
        Ok(self.fetch_json().await?.iter().map(JsonKey::to_key).collect())
    }

    async fn fetch_json(&self) -> Result<Vec<JsonKey>, KeySetError> {
        of_json(&fetch::fetch(self.uri()).await?, self.rsa())
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("source", &self.source).finish_non_exhaustive()
    }
}
