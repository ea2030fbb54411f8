//! A hub that joins: it reads the whole stream before it is ready.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use tidings_bench_compare::publishing::wire::Wire;
use tidings_bench_compare::publishing::{Load, Until};

use crate::args::Amounts;
use crate::servers::{self, Programs, Setting};

/// A hub's start.
pub(crate) struct Joined {
    pub(crate) what: &'static str,
    pub(crate) events: u64,
    pub(crate) messages: u64,
    pub(crate) took: Duration,
}

/// Starts hubs on a stream with nothing in it, with large groups, and with groups of few events.
pub(crate) fn measure(
    programs: &Programs,
    folder: &Path,
    amounts: Amounts,
) -> Result<Vec<Joined>, Box<dyn Error>> {
    let nats = servers::start_nats(programs, Setting::ALL[0], folder)?;
    let large = Load { connections: 16, batch: 500, until: Until::Events(amounts.held) };
    let small = Load { connections: 3, batch: 1, until: Until::Time(2 * amounts.time) };
    let mut joined = Vec::new();
    for (what, stream, load) in [
        ("an empty stream", "EMPTY", None),
        ("large groups", "LARGE", Some(large)),
        ("groups of one event", "SMALL", Some(small)),
    ] {
        let hubs = servers::start_hubs(programs, &nats, (stream, 3), folder)?;
        let mut events = 0;
        if let Some(load) = load {
            events = load.run(Wire::Tidings, &servers::addresses(&hubs))?.events;
        }
        let cold = servers::start_hub(programs, &nats, stream, folder)?;
        let messages = cold.metric("tidings_stream_read")?;
        joined.push(Joined { what, events, messages, took: cold.started_in });
    }
    Ok(joined)
}
