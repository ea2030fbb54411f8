//! The part of a server's configuration that can change while the server runs.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::budget::Budget;
use crate::config::{Hosts, Origins, ServerConfig};

/// The part of a configuration that can change while the server runs.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) hosts: Hosts,
    pub(crate) origins: Origins,
}

impl Live {
    fn new(config: &ServerConfig) -> Self {
        Self { hosts: config.hosts.clone(), origins: config.origins.clone() }
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
}

impl Control {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let live = ArcSwap::from_pointee(Live::new(config));
        Self(Arc::new(Shared { live, bodies: Budget::new(config.bodies_bytes_max) }))
    }

    /// Takes up what can change while the server runs: hosts, origins and the budget of
    /// bodies and answers. Everything else in `config` is ignored. No stream and no request ends;
    /// requests that come from now on are judged anew.
    pub fn reload(&self, config: &ServerConfig) {
        self.0.live.store(Arc::new(Live::new(config)));
        self.0.bodies.set_max(config.bodies_bytes_max);
    }

    /// The current configuration.
    pub(crate) fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.0.live.load()
    }

    /// The bytes that request bodies and answers hold.
    pub(crate) fn bodies(&self) -> &Arc<Budget> {
        &self.0.bodies
    }
}
