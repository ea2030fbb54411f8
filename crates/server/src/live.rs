//! The part of a server's configuration that can change while the server runs, and the state that
//! outlives such changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tidings_hub::PublicTopics;
use tokio::sync::Notify;

use crate::auth::authenticator::Authenticator;
use crate::auth::config::{TopicAccess, TopicRule};
use crate::auth::revocations::Revocations;
use crate::budget::Budget;
use crate::config::{Hosts, Origins, ServerConfig};

/// The part of a configuration that can change while the server runs.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) hosts: Hosts,
    pub(crate) origins: Origins,
    /// `None` if everyone may do everything.
    pub(crate) auth: Option<Arc<Authenticator>>,
}

impl Live {
    fn new(config: &ServerConfig, public: &PublicTopics) -> Self {
        let auth = config.auth.clone().map(|auth| Arc::new(Authenticator::new(auth, public)));
        Self { hosts: config.hosts.clone(), origins: config.origins.clone(), auth }
    }
}

/// Changes the configuration of a [`Server`](crate::Server) while it runs. Clones change the same
/// server.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    live: ArcSwap<Live>,
    bodies: Arc<Budget>,
    public: PublicTopics,
    revocations: Revocations,
    reloaded: Notify,
}

impl Control {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let public = PublicTopics::new(access_rules(&config.topics));
        Self(Arc::new(Shared {
            live: ArcSwap::from_pointee(Live::new(config, &public)),
            bodies: Budget::new(config.bodies_bytes_max),
            public,
            revocations: Revocations::default(),
            reloaded: Notify::new(),
        }))
    }

    /// Applies the parts of `config` that can change while the server runs: hosts, origins, the
    /// budget of bodies and answers, keys, and the access to topics. Everything else is ignored, and
    /// whether there is authentication at all stays as it is.
    ///
    /// Requests are judged anew from now on, and so are the events of open streams. Streams end if
    /// they name a topic that is no longer public and that their grant does not name. All others go
    /// on, with the grant that they were opened with: a key that `config` leaves out opens no new
    /// streams, but its open streams stay.
    pub fn reload(&self, config: &ServerConfig) {
        let shared = &*self.0;
        let had_auth = shared.live.load().auth.is_some();
        let mut config = config.clone();
        if had_auth != config.auth.is_some() {
            config.auth = had_auth.then(Default::default);
        }
        shared.public.set(access_rules(&config.topics));
        shared.live.store(Arc::new(Live::new(&config, &shared.public)));
        shared.bodies.set_max(config.bodies_bytes_max);
        shared.reloaded.notify_one();
    }

    /// Waits for the next reload.
    pub(crate) async fn reloaded(&self) {
        self.0.reloaded.notified().await;
    }

    /// The current configuration.
    pub(crate) fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.0.live.load()
    }

    /// The bytes that request bodies and answers hold.
    pub(crate) fn bodies(&self) -> &Arc<Budget> {
        &self.0.bodies
    }

    /// The subjects whose tokens were revoked.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }
}

fn access_rules(rules: &[TopicRule]) -> impl Iterator<Item = (tidings_hub::TopicFilter, bool)> {
    rules.iter().filter_map(|rule| {
        rule.access.map(|access| (rule.filter.clone(), access == TopicAccess::Public))
    })
}
