//! The conversation with the other hubs of a stream: this one tells how it stands, hears them, and answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::api::{Question, answer, node_state};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::nats::bus::{Bus, Hearing, Said};
use crate::router::Router;

/// How often a hub tells the others that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// Questions that are answered at a time.
const QUESTIONS_MAX: usize = 8;
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Tells the other hubs that this one ends.
pub(crate) async fn leave(context: &Context) {
    if let Some(cluster) = &context.cluster {
        cluster.leave(node_state(context)).await;
    }
}

/// Tells the others how this hub stands, hears them, and answers them, for as long as the hub is served.
pub(crate) async fn keep(router: Arc<Router>) {
    let Some(cluster) = router.context.cluster.clone() else { return };
    loop {
        let bus = cluster.bus();
        if let Some(bus) = bus
            && let Ok(told) = bus.told().await
            && let Ok(asked) = bus.asked().await
        {
            cluster.listen_anew();
            converse(&router, &cluster, &bus, (told, asked)).await;
        }
        sleep(RETRY_EVERY).await;
    }
}

/// Tells, hears and answers until there is no connection any more.
async fn converse(
    router: &Arc<Router>,
    cluster: &Arc<Cluster>,
    bus: &Bus,
    (mut told, mut asked): (Hearing, Hearing),
) {
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answering = JoinSet::new();
    loop {
        tokio::select! {
            _ = beats.tick() => {
                cluster.tell(bus, node_state(&router.context)).await;
            }
            said = told.next() => match said {
                Some(said) => cluster.hear(&said),
                None => return,
            },
            said = asked.next() => {
                let Some(said) = said else { return };
                while answering.try_join_next().is_some() {}
                if answering.len() < QUESTIONS_MAX {
                    answering.spawn(answer_one(Arc::clone(router), bus.clone(), said));
                }
            }
        }
    }
}

async fn answer_one(router: Arc<Router>, bus: Bus, said: Said) {
    let Some(reply) = said.reply else { return };
    let Ok(question) = serde_json::from_slice::<Question>(&said.bytes) else { return };
    let context = &router.context;
    // A hub that asks knows its own answer.
    let is_own = context.cluster.as_ref().is_none_or(|it| it.number() == question.by);
    if is_own {
        return;
    }
    if let Some(answer) = answer(context, &question, bus.bytes_max()).await {
        let told = json!({ "node": context.config.node.as_str(), "answer": answer });
        let _ = bus.answer(&reply, told.to_string().into_bytes()).await;
    }
}
