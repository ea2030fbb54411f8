//! Marks that a request puts on all its events.

use tidings_hub::{Draft, IdempotencyKey, Via};

/// The marks that a request puts on its events.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    pub(super) key: Option<IdempotencyKey>,
    pub(super) via: Option<Via>,
    /// Whether they are private, whatever the body says.
    pub(super) private: bool,
}

impl Marks {
    /// Marks the event at `index` in the request.
    pub(super) fn put_on(&self, mut draft: Draft, index: u64) -> Draft {
        if let Some(key) = &self.key {
            draft = draft.with_idempotency_key(key.at(index));
        }
        if self.private {
            draft = draft.with_private(true);
        }
        match &self.via {
            // An event may name its own hops.
            Some(via) if draft.via().is_none() => draft.with_via(via.clone()),
            _ => draft,
        }
    }

    /// Marks events, the first of which is at this index in the request.
    pub(super) fn put_on_all(&self, drafts: Vec<Draft>, first: u64) -> Vec<Draft> {
        if self.key.is_none() && self.via.is_none() && !self.private {
            return drafts;
        }
        (first..).zip(drafts).map(|(index, draft)| self.put_on(draft, index)).collect()
    }
}
