//! Measurements with a large journal: starting, publishing beside what is held, resuming, reading from disk.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::behind::{Behind, behind};
use crate::replay::replay;
use crate::resume::resume;
use crate::server::{Programs, Server};
use tidings_bench_compare::publishing::wire::Wire;
use tidings_bench_compare::publishing::{Load, Published, Until};

/// Connections and batch of the measurement beside what is held.
const CONNECTIONS: usize = 64;
/// Readers that read from the beginning at the same time.
pub(crate) const READERS: usize = 4;
/// Events that each of them reads: far more than memory holds.
const READ_MAX: u64 = 2_500_000;
/// Events of the small journal that readers resume in, to compare with the large one.
pub(crate) const FEW: u64 = 12_000;

/// The results of a large journal.
pub(crate) struct Full {
    pub(crate) held: u64,
    /// How the journal was filled.
    pub(crate) filling: Published,
    pub(crate) started_in: Duration,
    pub(crate) empty: Published,
    pub(crate) full: Published,
    /// Events per second, all readers together.
    pub(crate) replayed: f64,
    /// The longest time to resume with few events held, and with all of them.
    pub(crate) resumed: [Duration; 2],
    pub(crate) behind: Behind,
}

/// Fills a journal, and measures.
pub(crate) fn measure(
    programs: &Programs,
    folder: &Path,
    held: u64,
    time: Duration,
) -> Result<Full, Box<dyn Error>> {
    let few = folder.join("few");
    let server = Server::start(programs, Wire::Tidings, &few)?;
    Load { connections: 16, batch: 100, until: Until::Events(FEW) }
        .run(server.wire, &[server.address])?;
    // The load ends with events under way; after a restart, nothing is.
    drop(server);
    let server = Server::start(programs, Wire::Tidings, &few)?;
    let resumed_in_few = resume(server.address)?;
    drop(server);
    fs::remove_dir_all(&few)?;

    let folder = folder.join("full");
    let single = Load { connections: CONNECTIONS, batch: 1, until: Until::Time(time) };
    let fill = Load { connections: 16, batch: 500, until: Until::Events(held) };
    let server = Server::start(programs, Wire::Tidings, &folder)?;
    let empty = single.run(server.wire, &[server.address])?;
    let filling = fill.run(server.wire, &[server.address])?;
    drop(server);
    let server = Server::start(programs, Wire::Tidings, &folder)?;
    let started_in = server.started_in;
    let resumed = [resumed_in_few, resume(server.address)?];
    let full = single.run(server.wire, &[server.address])?;
    let replayed = replay(server.address, READERS, READ_MAX.min(held))?;
    let behind = behind(server.address, server.id(), time)?;
    drop(server);
    fs::remove_dir_all(&folder)?;
    Ok(Full { held, filling, started_in, empty, full, replayed, resumed, behind })
}
