//! Transports, sources and publishers, as `listen`, `publish` and `relay` need them.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use tidings_client::{Builder, EventSource, HyperTransport, HyperTransportBuilder, Publisher};

use crate::config::Checker;
use crate::config::address::{publishing_transport, stream_transport};
use crate::config::units::duration;
use crate::follow::Follower;
use crate::message::{self, tell};
use crate::sentence::sentence;
use crate::state_file::StateFile;

/// The maximum wait for the head of a response: after a minute, proxies give up too.
const RESPONSE_TIMEOUT_MAX: Duration = Duration::from_secs(60);

impl Checker<'_> {
    /// Makes a transport that trusts the given authorities, or those of the system.
    pub(super) fn transport(
        &mut self,
        builder: HyperTransportBuilder,
        ca: Option<&Path>,
    ) -> HyperTransport {
        let Some(path) = ca else { return builder.build() };
        let trusting = |pem: Vec<u8>| {
            builder.clone().roots_pem(&pem).map_err(|error| io::Error::other(error.to_string()))
        };
        match fs::read(path).and_then(trusting) {
            Ok(trusting) => trusting.build(),
            Err(error) => {
                self.mistake(format!("--ca {}: {error}", path.display()));
                builder.build()
            }
        }
    }

    pub(super) fn source(
        &mut self,
        url: &str,
        headers: &[String],
        idle_timeout: &str,
        ca: Option<&Path>,
    ) -> Builder {
        let transport = self.transport(stream_transport(), ca);
        let mut builder = EventSource::get(url).transport(transport);
        for (name, value) in self.headers("--header", headers) {
            builder = builder.secret_header(name, value);
        }
        let mut idle = Duration::ZERO;
        self.set(&mut idle, "--idle-timeout", idle_timeout, duration);
        builder.idle_timeout(idle).response_timeout(idle.min(RESPONSE_TIMEOUT_MAX))
    }

    /// Parses headers. The client checks whether they are legal.
    pub(in crate::config) fn headers(
        &mut self,
        flag: &str,
        texts: &[String],
    ) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for text in texts {
            match text.split_once(':') {
                Some((name, value)) => {
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                // The text may be a misplaced secret, so it is not shown.
                None => self.mistake(format!("{flag}: must be 'Name: value'")),
            }
        }
        headers
    }

    pub(super) fn follower(
        &mut self,
        builder: Builder,
        stream: &str,
        path: Option<&Path>,
        asked: Option<&str>,
    ) -> Option<Follower> {
        let asked = asked.unwrap_or_default();
        // Before the file is touched: other mistakes must not leave a file behind.
        if !self.mistakes.is_empty() {
            return None;
        }
        let state = match path.map(|path| StateFile::open(path, stream, asked)).transpose() {
            Ok(state) => state,
            Err(error) => {
                self.mistake(format!("--state: {}", sentence(&error)));
                return None;
            }
        };
        let last_event_id = state.as_ref().map_or(asked, StateFile::last_event_id);
        match builder.last_event_id(last_event_id).open() {
            Ok(source) => Some(Follower::new(source, state)),
            Err(error) => {
                self.mistake(sentence(&error));
                None
            }
        }
    }

    pub(super) fn publisher(
        &mut self,
        hub: &str,
        flag: &str,
        headers: &[String],
        ca: Option<&Path>,
    ) -> Option<Publisher> {
        let transport = self.transport(publishing_transport(), ca);
        let mut builder = Publisher::builder(hub)
            .transport(transport)
            .on_retry(|retrying| tell(&message::retrying(retrying)));
        for (name, value) in self.headers(flag, headers) {
            builder = builder.header(name, value);
        }
        match builder.build() {
            Ok(publisher) => Some(publisher),
            Err(error) => {
                self.mistake(sentence(&error));
                None
            }
        }
    }
}
