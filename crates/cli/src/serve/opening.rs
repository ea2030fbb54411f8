//! Opening the journal of a hub. While the store of a shared journal cannot be reached, a stand-in tells
//! everybody to come back.

use std::error::Error;
use std::io;
use std::time::Duration;

use tidings_hub::Hub;
use tidings_hub::journal::shared::Stopped;
use tidings_hub::journal::{DiskJournal, JournalError};
use tidings_server::nats::NatsJournal;
use tidings_server::{Listeners, ServedJournal, Server};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio::{pin, select};

use crate::config::{JournalConfig, ServeConfig};
use crate::journal::unusable;
use crate::say::say;

/// The result of opening the journal.
pub(super) enum Opened {
    Hub(Box<OpenedHub>),
    /// The past of the stream has changed while it was read.
    PastChanged(NatsJournal),
}

/// A hub on its journal.
pub(super) struct OpenedHub {
    pub(super) hub: Hub,
    pub(super) journal: Option<ServedJournal>,
    /// The addresses, if they were bound before the journal was open.
    pub(super) listeners: Option<Listeners>,
}

/// A stream that can be reached is open within this time. Connections wait until then.
const ALONE_MAX: Duration = Duration::from_millis(500);
/// How long the last answers of a stand-in may take.
const LEAVING_MAX: Duration = Duration::from_secs(1);

/// Opens the journal, and makes the hub on it.
pub(super) async fn open(
    config: &ServeConfig,
    after: Option<NatsJournal>,
) -> Result<Opened, Box<dyn Error>> {
    let builder = Hub::builder().config(config.hub.clone());
    let (hub, journal) = match &config.journal {
        JournalConfig::Memory => (builder.build(), None),
        JournalConfig::Disk(folder) => {
            let journal = DiskJournal::new(&folder.path, folder.config.clone());
            let hub = builder.open(Box::new(journal.clone())).await;
            let hub = hub.map_err(|error| unusable(&folder.path, error))?;
            (hub, Some(journal.into()))
        }
        JournalConfig::Nats(stream) => {
            let journal = after.unwrap_or_else(|| NatsJournal::new(stream.clone()));
            return open_shared(config, journal).await;
        }
    };
    Ok(Opened::Hub(Box::new(OpenedHub { hub, journal, listeners: None })))
}

async fn open_shared(config: &ServeConfig, journal: NatsJournal) -> Result<Opened, Box<dyn Error>> {
    let opening = Hub::builder().config(config.hub.clone()).open(Box::new(journal.clone()));
    pin!(opening);
    let mut listeners = Listeners::bind(&config.server)?;
    let mut stand_in = None;
    let opened = select! {
        biased;
        opened = &mut opening => opened,
        () = sleep(ALONE_MAX) => {
            let (ours, others) = listeners.share()?;
            listeners = ours;
            stand_in = Some(StandIn::start(config, others, &journal));
            select! {
                opened = opening => opened,
                why = journal.ended() => Err(JournalError::new(why.to_string(), None)),
            }
        }
    };
    match opened {
        Ok(hub) => {
            if let Some(stand_in) = stand_in {
                stand_in.end().await;
            }
            let (journal, listeners) = (Some(journal.into()), Some(listeners));
            Ok(Opened::Hub(Box::new(OpenedHub { hub, journal, listeners })))
        }
        Err(error) => match journal.stopped() {
            Some(Stopped::PastChanged { .. }) => Ok(Opened::PastChanged(journal.anew())),
            _ => Err(error.into()),
        },
    }
}

/// A server that tells everybody to come back. Dropping it closes its connections.
struct StandIn {
    end: oneshot::Sender<()>,
    serving: JoinSet<io::Result<()>>,
}

impl StandIn {
    fn start(config: &ServeConfig, listeners: Listeners, journal: &NatsJournal) -> Self {
        for address in listeners.addresses() {
            say(&format!("the stream is not open yet: {address} tells everybody to come back"));
        }
        let hub = Hub::builder().config(config.hub.clone()).build();
        let server = Server::on(listeners, config.server.clone(), hub);
        let server = server.while_opening().with_journal(journal.clone());
        let (end, ended) = oneshot::channel();
        let mut serving = JoinSet::new();
        serving.spawn(server.serve(async {
            // Without a sender, nobody waits for the journal any more.
            let _ = ended.await;
        }));
        Self { end, serving }
    }

    /// Accepts no more connections, and ends the open ones after their requests. New ones wait for the next
    /// server.
    async fn end(mut self) {
        let _ = self.end.send(());
        // Clients that are slower than that are cut off: they are not being served.
        let _ = timeout(LEAVING_MAX, self.serving.join_next()).await;
    }
}
