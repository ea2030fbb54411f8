//! The arguments of `journal`, and those of `serve` about where events are kept, and their help.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where `serve` keeps events, as written. `JournalConfig` is what it means.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct DataArgs {
    /// Folder for events, which survive crashes and restarts; it is created if it does not exist. A
    /// folder serves one hub at a time [default: tidings-data; with --nats, none].
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub(crate) data: Option<PathBuf>,

    /// Keep events in memory only: they are lost when the process ends.
    #[arg(long)]
    pub(crate) memory: bool,

    /// Maximum size of the history, such as 64MiB; the oldest events are evicted [default: 10GiB,
    /// and no more than leaves a tenth of the disk free; in memory, 256MiB].
    #[arg(long, value_name = "BYTES")]
    pub(crate) history_bytes: Option<String>,

    /// Maximum size of the part of the history that is held in memory, for readers that are not far
    /// behind [default: 256MiB].
    #[arg(long, value_name = "BYTES", conflicts_with = "memory")]
    pub(crate) memory_bytes: Option<String>,
}

/// The arguments of `journal` as written.
#[derive(Args, Debug)]
#[command(after_help = JOURNAL_HELP)]
pub(crate) struct JournalArgs {
    #[command(subcommand)]
    pub(crate) command: JournalCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Read the whole journal and report all damage.
    Check(FolderArgs),
    /// Print all events as lines of JSON, which 'tidings publish --ndjson -' accepts.
    Dump(FolderArgs),
    /// Give a copy of a journal an epoch of its own, so that readers of the original are told of a gap.
    NewEpoch(FolderArgs),
}

#[derive(Args, Debug)]
pub(crate) struct FolderArgs {
    /// Folder of the journal, as given to 'tidings serve --data'.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

const JOURNAL_HELP: &str = "\
'check' and 'dump' change nothing. They can run while a hub uses the journal; its last write may then
appear incomplete.

Standard output:
  check      one line if the journal is sound. Otherwise standard error names each damaged file, the
             byte, and the lost entries
  dump       one event per line, the oldest first: \"topic\" or \"topics\", \"id\" as readers saw it,
             \"data\", and \"type\", \"retry\" and \"private\" if they were set. Times, idempotency
             keys and the hops of relayed events are not included. Damage is reported on standard
             error
  new-epoch  one line. The hub must not be running

Exit status:
  0  the journal is sound, or has a new epoch
  1  the journal is damaged, there is none, or it cannot be read or written
  2  the command line is wrong";
