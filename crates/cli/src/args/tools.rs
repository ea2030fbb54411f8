//! The arguments of `listen`, `publish` and `relay`, and their help.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// The arguments of `listen` as written. `ListenConfig` is what they mean.
#[derive(Args, Debug)]
#[command(after_help = LISTEN_HELP)]
pub(crate) struct ListenArgs {
    /// URL of an event stream, which may be as short as :4000/topics/hello; or a topic of the hub; or,
    /// with --topic or --match, the URL of a hub.
    #[arg(value_name = "URL|TOPIC")]
    pub(crate) source: Option<String>,

    /// URL of the hub [default: TIDINGS_HUB, or http://127.0.0.1:4000].
    #[arg(long, value_name = "URL")]
    pub(crate) hub: Option<String>,

    /// Topic of the hub to subscribe to; may be repeated.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Pattern of topics to subscribe to, such as scores/* or '**'; may be repeated.
    #[arg(long = "match", value_name = "PATTERN")]
    pub(crate) pattern: Vec<String>,

    /// Request header, as 'Name: value'; not sent to another origin after a redirect; may be
    /// repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Certificates of authorities in PEM to trust for https, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// ID of the event to start after; a hub also accepts 'earliest'. An ID in --state takes
    /// precedence.
    #[arg(long, value_name = "ID")]
    pub(crate) last_event_id: Option<String>,

    /// File that keeps the last event ID, so that the next run resumes after the last event of this
    /// run.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// Print events and connection changes as lines of JSON. With --exec, pass each event as such a
    /// line.
    #[arg(long)]
    pub(crate) json: bool,

    /// Shell command to run for each event, one at a time, instead of printing the event. It gets the
    /// data on standard input, and TIDINGS_EVENT_TYPE and TIDINGS_EVENT_ID in its environment.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Option<String>,

    /// Choice if the command fails: go on with the next event, run it again for this one, or stop.
    #[arg(long, value_name = "skip|retry|stop", default_value = "skip", requires = "exec")]
    pub(crate) on_failure: String,

    /// Give up after this many failed attempts in a row [default: never].
    #[arg(long, value_name = "N")]
    pub(crate) attempts: Option<String>,

    /// Idle timeout: reconnect after this much silence, also while waiting for the head of the response
    /// (a minute at most).
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) idle_timeout: String,
}

const LISTEN_HELP: &str = "\
Standard output:
  to a terminal  the type, data and ID of each event, in color unless NO_COLOR is set; control
                 characters are shown as U+FFFD. Changes of the connection are reported on
                 standard error
  to a pipe      the data of each event and a line end, and nothing else; gaps, ends of streams,
                 failed attempts and failures are reported on standard error. It ends when its reader
                 has gone
  with --json    one object per line: {\"kind\":\"open|event|comment|retrying|gap|end|closed\", …}.
                 An event has \"type\", \"data\" and \"id\", which is the last event ID at that event

State:
  The file is replaced by renaming, after an event is printed or its command has ended. If a run is
  killed between the two, the next run gets this event again: it may be handled twice, but it is not
  lost. The file belongs to one URL. A file that cannot be replaced, because it is a mount of its own,
  is written in place.

Commands:
  A command that fails (a status other than 0) is reported. By default its event is passed over. With
  --on-failure retry it runs again, after waits of 1 s to 1 min; with --on-failure stop the program ends
  with status 1, and the next run gets the event again.
  A type or an ID over 64 KiB is too long for the environment: its variable is not set, which is
  reported. With --json, standard input contains everything.

Environment:
  TIDINGS_HUB                          the hub, if none is named
  HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY
                                       the proxy; never used for loopback

Exit status:
  0  the server ended the stream for good (204), the topic's stream ended as done or stopped, SIGINT
     or SIGTERM arrived, or the reader of the output went away
  1  the stream failed for good, the topic's stream was aborted or expired, a file could not be
     written, the command could not be started, or it failed and --on-failure is stop
  2  the command line is wrong";

/// The arguments of `publish` as written. `PublishConfig` is what they mean.
#[derive(Args, Debug)]
#[command(
    after_help = PUBLISH_HELP,
    group = ArgGroup::new("many").args(["ndjson", "event_stream", "lines"]),
)]
pub(crate) struct PublishArgs {
    /// Topic to publish to; with --topic, the data of the event instead.
    #[arg(value_name = "TOPIC")]
    pub(crate) first: Option<String>,

    /// Data of the event [default: standard input, without its last line end].
    #[arg(value_name = "DATA")]
    pub(crate) second: Option<String>,

    /// URL of the hub [default: TIDINGS_HUB, or http://127.0.0.1:4000].
    #[arg(long, value_name = "URL")]
    pub(crate) hub: Option<String>,

    /// Topic to publish to; with --ndjson, for lines that name no topic; may be repeated to publish
    /// one event to several topics.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,

    /// Type of the event, or of each line [default: message].
    #[arg(long = "type", value_name = "TYPE", conflicts_with_all = ["ndjson", "event_stream"])]
    pub(crate) event_type: Option<String>,

    /// ID of the event [default: assigned by the hub].
    #[arg(long, value_name = "ID", conflicts_with = "many")]
    pub(crate) id: Option<String>,

    /// Reconnection time that the event sets for its readers, such as 5s.
    #[arg(long, value_name = "TIME", conflicts_with = "many")]
    pub(crate) retry: Option<String>,

    /// Idempotency key: a hub that remembers the key publishes nothing and answers with the earlier
    /// ID [default: random, the same for all attempts of this run].
    #[arg(long, value_name = "KEY", conflicts_with = "many")]
    pub(crate) idempotency_key: Option<String>,

    /// File of events as lines of JSON, such as {"topic": "news", "data": "hi"}; '-' for standard
    /// input.
    #[arg(long, value_name = "FILE")]
    pub(crate) ndjson: Option<PathBuf>,

    /// File of events as an event stream, whose types and IDs are kept; '-' for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) event_stream: Option<PathBuf>,

    /// Publish each line of standard input as an event, as it comes: 'tail -f log | tidings publish
    /// hello --lines'.
    #[arg(long)]
    pub(crate) lines: bool,

    /// Publish the input as a stream of the topic, which begins before it and ends after it. Without another
    /// format, the input is the event stream of standard input: 'curl -N URL | tidings publish chat/1 --stream'.
    #[arg(long, conflicts_with_all = ["id", "retry", "idempotency_key"])]
    pub(crate) stream: bool,

    /// End that readers are sent: an event of type 'end', or nothing but the input.
    #[arg(long, value_name = "event|close", default_value = "event", requires = "stream")]
    pub(crate) end: String,

    /// ID of the producer that owns the stream, so that nobody else publishes to it.
    #[arg(long, value_name = "ID", requires = "stream")]
    pub(crate) producer: Option<String>,

    /// Epoch of the producer: higher for each successor, which shuts out those before it.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "producer")]
    pub(crate) epoch: u64,

    /// Go on with the stream that is open, instead of beginning one.
    #[arg(long = "continue", requires = "stream")]
    pub(crate) continues: bool,

    /// Request header, as 'Name: value'; may be repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Certificates of authorities in PEM to trust for https, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

const PUBLISH_HELP: &str = "\
A request that the hub does not answer is repeated with the same idempotency key, so that nothing is
published twice; each failed attempt is reported on standard error. When a file contains a mistake, the
events before it stay published, and the message says how many there are. Standard output is the ID of
a single event, or the number of events of a file. Long input shows its progress on standard error if
that is a terminal. Lines end with LF or CRLF; an empty line is an event, too, and bytes that are not
UTF-8 become U+FFFD.

With --stream each event is published by itself as it comes, and the stream ends as done when the input ends. If
the program is killed, or the input contains a mistake, the stream stays open: run it again with the rest of the
input and --continue, and with --producer also a higher --epoch.

Environment:
  TIDINGS_HUB                          the hub, if none is named
  HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY
                                       the proxy; never used for loopback

Exit status:
  0  everything was published
  1  not everything was published, or the outcome is unknown
  2  the command line is wrong";

/// The arguments of `relay` as written. `RelayConfig` is what they mean.
#[derive(Args, Debug)]
#[command(after_help = RELAY_HELP)]
pub(crate) struct RelayArgs {
    /// URL of the event stream to follow, which may be as short as :4000/topics/hello.
    pub(crate) upstream: String,

    /// Topic to publish its events to.
    #[arg(long, value_name = "TOPIC")]
    pub(crate) to: String,

    /// URL of the hub to publish to [default: TIDINGS_HUB, or http://127.0.0.1:4000].
    #[arg(long, value_name = "URL")]
    pub(crate) hub: Option<String>,

    /// File that keeps the last event ID, so that the next run continues after the last event
    /// published.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,

    /// ID of the upstream event to start after; a hub also accepts 'earliest'. An ID in --state takes
    /// precedence.
    #[arg(long, value_name = "ID")]
    pub(crate) last_event_id: Option<String>,

    /// Header of requests to the upstream, as 'Name: value'; may be repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Header of requests to the hub, as 'Name: value'; may be repeated.
    #[arg(long, value_name = "HEADER")]
    pub(crate) hub_header: Vec<String>,

    /// Certificates of authorities in PEM to trust for https, instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Idle timeout: reconnect to the upstream after this much silence, also while waiting for the head
    /// of the response (a minute at most).
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) idle_timeout: String,
}

const RELAY_HELP: &str = "\
Events are published one by one, in order, with their types and IDs. The idempotency key of each is
derived from the upstream, the last event ID and the event. An ID that the hub does not accept is
omitted.

Which events can be lost or published twice:
  The upstream sends IDs and replays what follows them, and --state is given: none, across failures of
  either connection and restarts of the relay or the upstream.
  The upstream is a hub that lost its history (in memory, restarted): the gap is reported here and
  published as an event of type gap.
  Without --state: events that the upstream publishes while the relay is not running are lost.
  The upstream sends no IDs: events sent while the connection is down are lost. If the upstream repeats
  its events on every connection, they are published again.
  The upstream gives one ID to several events of equal type and data: the hub takes them for one event.
  Relays form a ring: each event reaches every hub once. A hub refuses an event that comes back to its
  topic, or that has passed 16 relays; the relay says so and passes over it.

Failed attempts are reported on standard error. The relay waits between them, for as long as the hub asks
(an hour at most), and never gives up.

Environment:
  TIDINGS_HUB                          the hub, if none is named
  HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY
                                       the proxy; never used for loopback

Exit status:
  0  the upstream ended the stream for good (204), or SIGINT or SIGTERM arrived
  1  the upstream or the hub refused for good, or the file could not be written
  2  the command line is wrong";
