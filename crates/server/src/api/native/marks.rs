//! Marks that the headers of a request put on all its events.

use tidings_hub::{Draft, IdempotencyKey, Via};

/// The marks that the headers of a request put on its events.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) key: Option<IdempotencyKey>,
    pub(super) via: Option<Via>,
}

impl Marks {
    /// Marks the event at `index` in the request.
    pub(super) fn put_on(&self, mut draft: Draft, index: u64) -> Draft {
        if let Some(key) = &self.key {
            draft = draft.with_idempotency_key(key.at(index));
        }
        match &self.via {
            Some(via) => draft.with_via(via.clone()),
            None => draft,
        }
    }
}
