//! What may be written after `listen`, `publish` and `relay`, and their help.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// As written; `ListenConfig` is what it means.
#[derive(Args, Debug)]
#[command(after_help = LISTEN_HELP)]
pub(crate) struct ListenArgs {
    /// URL of an event stream, or of a hub if --topic or --match say what of it.
    pub(crate) url: String,

    /// Topic of the hub to listen to. May be repeated.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Pattern of topics, such as scores/* or '**'. May be repeated.
    #[arg(long = "match", value_name = "PATTERN")]
    pub(crate) pattern: Vec<String>,

    /// Request header, as 'Name: value'. Not sent to another origin that a redirect leads to. May
    /// be repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// ID of the event to start after; a hub also knows 'earliest'. A place in --state goes before.
    #[arg(long, value_name = "ID")]
    pub(crate) last_event_id: Option<String>,

    /// File that keeps the place, so that the next run resumes after the last event of this one.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Prints everything that happens as lines of JSON.
    #[arg(long)]
    pub(crate) json: bool,

    /// Shell command to run for each event, one at a time, instead of printing it: it has the data
    /// on its standard input, and TIDINGS_EVENT_TYPE and TIDINGS_EVENT_ID in its environment.
    #[arg(long, value_name = "COMMAND", conflicts_with = "json")]
    pub(crate) exec: Option<String>,

    /// Gives up after so many failed attempts in a row; without it, never.
    #[arg(long, value_name = "N")]
    pub(crate) attempts: Option<String>,

    /// Silence after which a connection counts as dead and is made again.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) idle_timeout: String,
}

const LISTEN_HELP: &str = "\
Standard output:
  to a terminal  the event's type, data and ID, in colour unless NO_COLOR is set; control
                 characters are shown as U+FFFD. What happens to the connection is told on
                 standard error
  to a pipe      the data of each event and a line end, and nothing else; gaps and failures are
                 told on standard error
  with --json    one object a line: {\"kind\":\"open|event|comment|retrying|gap|closed\", …}. An event
                 has \"type\", \"data\" and \"id\", the last event ID as of it

State:
  The file is replaced by renaming, after an event was printed or its command has ended. A run that
  is killed between the two gets this one event again next time: it may come twice, but is not lost.
  A command that fails is reported, and the place moves on. The file belongs to one URL.

Exit status:
  0  the server said not to come back (204), SIGINT or SIGTERM came, or nobody reads the output
  1  the stream failed for good, a file could not be written, or no command could be run
  2  the command line is wrong";

/// As written; `PublishConfig` is what it means.
#[derive(Args, Debug)]
#[command(
    after_help = PUBLISH_HELP,
    group = ArgGroup::new("many").args(["ndjson", "event_stream"]),
)]
pub(crate) struct PublishArgs {
    /// The event's data. Without it, all of standard input is, but for one line end at its end.
    #[arg(conflicts_with = "many")]
    pub(crate) data: Option<String>,

    /// URL of the hub.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4000")]
    pub(crate) hub: String,

    /// Topic to publish to; with --ndjson, of the lines that name none. May be repeated: the event
    /// is one event in all of them.
    #[arg(long, value_name = "TOPIC", required_unless_present = "ndjson")]
    pub(crate) topic: Vec<String>,

    /// The event's type.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "many")]
    pub(crate) event_type: Option<String>,

    /// The event's ID; without it, the hub makes one.
    #[arg(long, value_name = "ID", conflicts_with = "many")]
    pub(crate) id: Option<String>,

    /// Reconnection time that readers take from the event, such as 5s.
    #[arg(long, value_name = "TIME", conflicts_with = "many")]
    pub(crate) retry: Option<String>,

    /// Name of this publish: a hub that remembers it answers with the ID from then and publishes
    /// nothing. Without it, one is drawn, and holds for the attempts of this run.
    #[arg(long, value_name = "KEY", conflicts_with = "many")]
    pub(crate) idempotency_key: Option<String>,

    /// File of events as lines of JSON, such as {"topic": "news", "data": "hi"}; '-' is standard
    /// input.
    #[arg(long, value_name = "FILE")]
    pub(crate) ndjson: Option<PathBuf>,

    /// File of events as an event stream; '-' is standard input. Types and IDs are kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) event_stream: Option<PathBuf>,

    /// Request header, as 'Name: value'. May be repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,
}

const PUBLISH_HELP: &str = "\
A request that the hub does not answer is repeated under the same idempotency key, so that nothing
is published twice. Of many events, those before a mistake stay published, and the message says how
many they are. Standard output is the ID of one event, or the number of many; long input shows its
progress on standard error if that is a terminal.

Exit status:
  0  everything was published
  1  not everything was, or it is not known
  2  the command line is wrong";

/// As written; `RelayConfig` is what it means.
#[derive(Args, Debug)]
#[command(after_help = RELAY_HELP)]
pub(crate) struct RelayArgs {
    /// URL of the event stream to follow.
    pub(crate) upstream: String,

    /// Topic to publish its events to.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) to: String,

    /// URL of the hub to publish to.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4000")]
    pub(crate) hub: String,

    /// File that keeps the place, so that the next run goes on after the last event published.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// ID of the upstream event to start after; a hub also knows 'earliest'. A place in --state
    /// goes before.
    #[arg(long, value_name = "ID")]
    pub(crate) last_event_id: Option<String>,

    /// Header of the requests to the upstream, as 'Name: value'. May be repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Header of the requests to the hub, as 'Name: value'. May be repeated.
    #[arg(long, value_name = "HEADER")]
    pub(crate) hub_header: Vec<String>,

    /// Silence after which the connection to the upstream counts as dead and is made again.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) idle_timeout: String,
}

const RELAY_HELP: &str = "\
Each event is published with its type and its ID, in order, one after the other, under an
idempotency key made of the upstream, the place and the event. An ID that the hub cannot take is
left out.

What can be lost or doubled:
  Upstream sends IDs and keeps what follows them, and --state is given: nothing, across cuts of
  either connection and restarts of the relay or the upstream.
  Upstream is a hub that has lost its history (one in memory, restarted): its gap is reported here,
  and published as an event of type gap.
  No --state: what is published upstream while the relay does not run is lost.
  Upstream sends no IDs: what it sends while the connection is down is lost, and where it sends its
  events again on every connection, they are published again.
  Upstream gives one ID to several events of equal type and data: the hub takes them for one.

Exit status:
  0  the upstream said not to come back (204), or SIGINT or SIGTERM came
  1  the upstream or the hub refused for good, or the file could not be written
  2  the command line is wrong";
