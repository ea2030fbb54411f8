//! Revoking: what hubs on the same journal have revoked counts here, and is not forgotten with its entry.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::error;

use crate::api::close_within;
use crate::auth::revocations::Revocations;
use crate::context::Context;
use crate::engine::ended_within::EndedWithin;
use crate::journal::ServedJournal;
use crate::notices::Revoked;
use crate::router::Router;

/// Revokes the tokens of the subjects that a hub on the same journal has revoked, and ends their streams.
pub(crate) fn revoke(context: &Context) {
    let Some(journal) = &context.journal else { return };
    for Revoked { subject, moment, place, is_again } in journal.take_revoked() {
        let is_new = context.control.revocations().note(&subject, moment, place);
        // Told once more, it is only news to a hub that was not there the first time.
        if is_new || !is_again {
            context.engine.close_subject(&subject);
            context.streams.close_bodies(&subject);
        }
    }
    for EndedWithin { subject, patterns } in journal.take_ended() {
        close_within(context, &subject, &patterns);
    }
}

/// Notes what was revoked before the hub is served: there are no streams yet that it could end.
pub(crate) fn begin(journal: &ServedJournal, revocations: &Revocations) {
    for Revoked { subject, moment, place, .. } in journal.take_revoked() {
        revocations.note(&subject, moment, place);
    }
    drop(journal.take_ended());
}

/// Keeps revocations for as long as tokens may last: in the journal's folder, if it has one, and by entries that are
/// committed once more before the journal drops them.
pub(crate) async fn keep(router: Arc<Router>) {
    /// A crash in between forgets nothing: a hub that starts reads the newest entries.
    const KEEP_EVERY: Duration = Duration::from_secs(1);
    let context = &router.context;
    let Some(journal) = context.journal.as_ref().filter(|it| it.has_others()) else { return };
    loop {
        sleep(KEEP_EVERY).await;
        // Without authentication there are no tokens to revoke.
        if context.control.live().auth.is_none() {
            continue;
        }
        write_down(context).await;
        #[cfg(feature = "nats")]
        tell_again(context, journal).await;
        #[cfg(not(feature = "nats"))]
        let _ = journal;
    }
}

/// Writes what other hubs have revoked to the journal's folder.
async fn write_down(context: &Context) {
    let unkept = context.control.revocations().take_unkept();
    if unkept.is_empty() {
        return;
    }
    let control = context.control.clone();
    let keeping = spawn_blocking(move || {
        unkept.iter().try_for_each(|subject| control.revocations().keep(subject))
    });
    if let Ok(Err(error)) = keeping.await {
        error!(error = &error as &dyn std::error::Error, "revocation not kept");
    }
}

/// Commits revocations once more whose entries the journal is about to drop, or does not have.
#[cfg(feature = "nats")]
async fn tell_again(context: &Context, journal: &ServedJournal) {
    /// Some hundred kilobytes: the others have their turn in the next second.
    const AT_ONCE: usize = 1000;
    let Some(aged) = journal.aged() else { return };
    for (subject, moment) in context.control.revocations().told_before(aged, AT_ONCE) {
        for topic in crate::notices::of_revoked(&subject, moment) {
            if context.hub.close(topic).await.is_err() {
                // The journal is away, and says so itself.
                return;
            }
        }
    }
}
