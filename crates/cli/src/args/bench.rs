//! What may be written after `bench`, and its help.

use clap::{Args, Subcommand};

/// As written; `BenchConfig` is what it means.
#[derive(Args, Debug)]
#[command(after_help = BENCH_HELP)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) scenario: ScenarioArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioArgs {
    /// Opens many event streams and holds them: what does a quiet subscriber cost?
    Idle(IdleArgs),
    /// Publishes to many subscribers: deliveries per second, latency, CPU time for each.
    FanOut(FanOutArgs),
    /// Opens event streams and closes them: connections per second.
    Churn(ChurnArgs),
    /// Publishes first, then lets subscribers read all of it: events replayed per second.
    Replay(ReplayArgs),
    /// Publishes at a steady rate, first without and then beside readers that never read.
    Slow(SlowArgs),
    /// Publishes to nobody: publishes per second.
    Publish(PublishingArgs),
}

/// As written: what every scenario needs.
#[derive(Args, Debug)]
pub(crate) struct CommonArgs {
    /// URL of the event stream, such as 'http://127.0.0.1:4000/topics/{topic}': {topic} becomes the
    /// name of a topic, new in each run. Without it, there is one topic.
    pub(crate) url: String,

    /// URL to POST an event's data to; without it, that of the event stream.
    #[arg(long, value_name = "URL")]
    pub(crate) publish_url: Option<String>,

    /// Request header for subscribing and publishing, as 'Name: value'. May be repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Process of the server, of which memory and CPU time are told, with all its descendants. May
    /// be repeated.
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Vec<String>,

    /// Gives up when nothing that is waited for has come for so long.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: String,

    /// Prints the results as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,

    /// Shows progress on standard error also if that is no terminal.
    #[arg(long)]
    pub(crate) progress: bool,
}

/// As written.
#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Event streams to open.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) subscribers: String,

    /// Topics that they are spread over.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) topics: String,

    /// How long they are held.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(crate) hold: String,
}

/// As written.
#[derive(Args, Debug)]
pub(crate) struct FanOutArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Event streams to open.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) subscribers: String,

    /// Topics that they are spread over; events go to the topics in turn.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) topics: String,

    /// Events to publish, over all topics.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) events: String,

    /// Events on their way at a time: until each of its subscribers has one and its publish is
    /// answered.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) under_way: String,

    /// Bytes of each event's data, 56 at least.
    #[arg(long, value_name = "BYTES", default_value = "100")]
    pub(crate) bytes: String,
}

/// As written.
#[derive(Args, Debug)]
pub(crate) struct ChurnArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Event streams to open and close.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub(crate) connections: String,

    /// Connections at a time.
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) under_way: String,
}

/// As written.
#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Events to publish before.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) events: String,

    /// Subscribers that read all of them.
    #[arg(long, value_name = "N", default_value = "200")]
    pub(crate) subscribers: String,

    /// What they send as Last-Event-ID; a hub takes 'earliest' for everything it holds.
    #[arg(long, value_name = "ID", default_value = "earliest")]
    pub(crate) start: String,

    /// Sends no Last-Event-ID, for servers that replay by themselves.
    #[arg(long, conflicts_with = "start")]
    pub(crate) no_start: bool,

    /// Bytes of each event's data, 56 at least.
    #[arg(long, value_name = "BYTES", default_value = "100")]
    pub(crate) bytes: String,
}

/// As written.
#[derive(Args, Debug)]
pub(crate) struct SlowArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Subscribers that read at once, whose latency is measured.
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) subscribers: String,

    /// Subscribers of the second half that never read.
    #[arg(long, value_name = "N", default_value = "50")]
    pub(crate) stalled: String,

    /// Events to publish in each half.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) events: String,

    /// Bytes of each event's data, 56 at least. All events of a half together have to be more than
    /// the kernel holds for a connection, some 4 MB, or no reader stalls.
    #[arg(long, value_name = "BYTES", default_value = "5kB")]
    pub(crate) bytes: String,

    /// Events to publish per second, whether those before have arrived or not.
    #[arg(long, value_name = "N/s", default_value = "200/s")]
    pub(crate) rate: String,
}

/// As written.
#[derive(Args, Debug)]
pub(crate) struct PublishingArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Connections to publish over.
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) connections: String,

    /// Requests on their way at a time on each connection.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) pipelined: String,

    /// Events in each request, as lines of JSON if there is more than one.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) batch: String,

    /// URL to POST lines of JSON to; without it, /events of the server.
    #[arg(long, value_name = "URL")]
    pub(crate) batch_url: Option<String>,

    /// Topics that events go to in turn.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) topics: String,

    /// Events to publish.
    #[arg(long, value_name = "N", default_value = "100000")]
    pub(crate) events: String,

    /// Bytes of each event's data, 56 at least.
    #[arg(long, value_name = "BYTES", default_value = "100")]
    pub(crate) bytes: String,
}

const BENCH_HELP: &str = "\
Any server will do that answers GET with an event stream and takes the data of an event by POST on
the same URL or another. Every delivery is checked: each subscriber has to get each event of its
topic once, in order, unaltered. One thread does all the work; give the server another core.

Standard output is the result, with --json as one object. Latency is the time from sending a publish
until the delivery was read. Ctrl-C ends a run early and prints what was measured so far.

Exit status:
  0    the run was finished, and nothing was wrong
  1    events were lost, doubled, out of order, misdelivered or altered, streams were closed, or a
       connection or a publish failed
  2    the command line is wrong
  130  Ctrl-C ended the run";
