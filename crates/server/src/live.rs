//! The part of a server's configuration that can change while the server runs, and the state that
//! outlives such changes.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tidings_hub::{GapShape, PublicTopics, TopicFilter, View};
use tokio::sync::{Notify, watch};

use crate::auth::authenticator::Authenticator;
use crate::auth::config::{AuthConfig, TopicAccess, TopicRule};
use crate::auth::key_set::{KeySet, KeySetSource};
use crate::auth::revocations::Revocations;
use crate::budget::Budget;
use crate::config::{Limits, Origins, ServerConfig};
use crate::http::served_hosts::ServedHosts;
use crate::proxies::TrustedProxies;
use crate::tls::TlsIdentity;

/// The part of a configuration that can change while the server runs.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) hosts: ServedHosts,
    pub(crate) origins: Origins,
    pub(crate) proxies: TrustedProxies,
    pub(crate) limits: Limits,
    /// How readers are told of gaps, by topic.
    gaps: Vec<(TopicFilter, GapShape)>,
    /// `None` if everyone may do everything.
    pub(crate) auth: Option<Arc<Authenticator>>,
}

impl Live {
    fn new(config: &ServerConfig, auth: Option<Arc<Authenticator>>) -> Self {
        let proxies = TrustedProxies::new(config.trusted_proxies.clone());
        let (hosts, origins) = (ServedHosts::new(config.hosts.clone()), config.origins.clone());
        let gaps = config.topics.iter().filter_map(|rule| Some((rule.filter.clone(), rule.gap?)));
        Self { hosts, origins, proxies, limits: config.limits, gaps: gaps.collect(), auth }
    }

    /// How the reader of a view is told of a gap, if rules say so: by the end of the stream if that is the
    /// rule of everything in the view.
    pub(crate) fn gap_of(&self, view: &View) -> Option<GapShape> {
        if self.gaps.is_empty() {
            return None;
        }
        let rule = |filter: &TopicFilter| {
            let (_, gap) = self.gaps.iter().find(|(rule, _)| rule.covers(filter))?;
            Some(*gap)
        };
        let is_close = view.filters().iter().all(|filter| rule(filter) == Some(GapShape::Close));
        is_close.then_some(GapShape::Close)
    }
}

/// Changes the configuration of a [`Server`](crate::Server) while it runs. Clones change the same
/// server.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    live: ArcSwap<Live>,
    /// `None` without TLS.
    tls: ArcSwapOption<rustls::ServerConfig>,
    bodies: Arc<Budget>,
    public: PublicTopics,
    revocations: Revocations,
    key_sets: watch::Sender<Vec<Arc<KeySet>>>,
    reloaded: Notify,
}

impl Control {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let public = PublicTopics::new(access_rules(&config.topics));
        let key_sets = config.auth.as_ref().map_or_else(Vec::new, |auth| sets_of(auth, &[]));
        let auth = config.auth.clone();
        let auth =
            auth.map(|auth| Authenticator::new(auth, key_sets.clone(), &public)).map(Arc::new);
        Self(Arc::new(Shared {
            live: ArcSwap::from_pointee(Live::new(config, auth)),
            tls: ArcSwapOption::new(
                config.tls.as_ref().map(|tls| Arc::clone(tls.identity.config())),
            ),
            bodies: Budget::new(config.bodies_bytes_max),
            public,
            revocations: Revocations::default(),
            key_sets: watch::Sender::new(key_sets),
            reloaded: Notify::new(),
        }))
    }

    /// Applies the parts of `config` that can change while the server runs: hosts, origins, proxies, the
    /// limits of addresses and subjects, the budget of bodies and answers, keys, the access to topics, and the certificate of TLS. Everything
    /// else is ignored. Whether there is authentication or TLS at all stays as it is: without any
    /// authentication in `config`, the keys stay as they are, too.
    ///
    /// Requests are judged anew from now on, and so are the events of open streams. Streams end if
    /// they name a topic that is no longer public and that their grant does not name. All others go
    /// on, with the grant that they were opened with: a key that `config` leaves out opens no new
    /// streams, but its open streams stay.
    pub fn reload(&self, config: &ServerConfig) {
        let shared = &*self.0;
        shared.public.set(access_rules(&config.topics));
        let old = shared.live.load().auth.clone();
        let auth = match (old, config.auth.clone()) {
            (Some(_), Some(auth)) => {
                let key_sets = sets_of(&auth, &shared.key_sets.borrow());
                shared.key_sets.send_replace(key_sets.clone());
                Some(Arc::new(Authenticator::new(auth, key_sets, &shared.public)))
            }
            (old, _) => old,
        };
        shared.live.store(Arc::new(Live::new(config, auth)));
        shared.bodies.set_max(config.bodies_bytes_max);
        if let Some(tls) = &config.tls {
            self.set_identity(&tls.identity);
        }
        shared.reloaded.notify_one();
    }

    /// Changes the certificate and the key of TLS for the handshakes that begin from now on. Nothing
    /// changes for a server without TLS.
    pub fn set_identity(&self, identity: &TlsIdentity) {
        if self.0.tls.load().is_some() {
            self.0.tls.store(Some(Arc::clone(identity.config())));
        }
    }

    /// The part of TLS that can change.
    pub(crate) fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.0.tls.load_full()
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

    /// The key sets that are fetched, and each change of them.
    pub(crate) fn key_sets(&self) -> watch::Receiver<Vec<Arc<KeySet>>> {
        self.0.key_sets.subscribe()
    }

    /// The subjects whose tokens were revoked.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.0.revocations
    }
}

/// The key sets of a configuration: those that are known keep their keys.
fn sets_of(auth: &AuthConfig, known: &[Arc<KeySet>]) -> Vec<Arc<KeySet>> {
    let set = |source: &KeySetSource| match known.iter().find(|set| set.source() == source) {
        Some(set) => Arc::clone(set),
        None => Arc::new(KeySet::new(source.clone())),
    };
    auth.key_sets.iter().map(set).collect()
}

fn access_rules(rules: &[TopicRule]) -> impl Iterator<Item = (TopicFilter, bool)> {
    rules.iter().filter_map(|rule| {
        rule.access.map(|access| (rule.filter.clone(), access == TopicAccess::Public))
    })
}
