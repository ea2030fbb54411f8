//! The arguments of `bench`, and their help.

use clap::{Args, Subcommand};

/// The arguments of `bench` as written. `BenchConfig` is what they mean.
#[derive(Args, Debug)]
#[command(after_help = BENCH_HELP)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    pub(crate) scenario: ScenarioArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioArgs {
    /// Open many event streams and hold them: what does an idle subscriber cost?
    Idle(IdleArgs),
    /// Publish to many subscribers: deliveries per second, latency, CPU time per delivery.
    FanOut(FanOutArgs),
    /// Open event streams and close them: connections per second.
    Churn(ChurnArgs),
    /// Publish first, then let subscribers read everything: events replayed per second.
    Replay(ReplayArgs),
    /// Publish at a steady rate, first without and then beside readers that never read.
    Slow(SlowArgs),
    /// Publish without any subscriber: publishes per second.
    Publish(PublishingArgs),
}

/// The options of every scenario.
#[derive(Args, Debug)]
pub(crate) struct CommonArgs {
    /// URL of the event stream, such as 'http://127.0.0.1:4000/topics/{topic}'; {topic} becomes the
    /// name of a topic, new in each run. Without {topic}, there is one topic.
    pub(crate) url: String,

    /// URL to POST the data of an event to [default: the URL of the event stream].
    #[arg(long, value_name = "URL")]
    pub(crate) publish_url: Option<String>,

    /// Header of every request, as 'Name: value'; may be repeated.
    #[arg(short = 'H', long, value_name = "HEADER")]
    pub(crate) header: Vec<String>,

    /// Process of the server: report its memory and CPU time, descendants included; may be repeated.
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Vec<String>,

    /// Give up after this much time without progress.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: String,

    /// Print the results as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,

    /// Show progress on standard error even if it is not a terminal.
    #[arg(long)]
    pub(crate) progress: bool,
}

/// How many event streams there are.
#[derive(Args, Debug)]
pub(crate) struct SubscribersArgs {
    /// Event streams to open.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) subscribers: String,
}

/// How many topics there are.
#[derive(Args, Debug)]
pub(crate) struct TopicsArgs {
    /// Topics to spread event streams and events over.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) topics: String,
}

/// Which events are published.
#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    /// Events to publish, over all topics.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(crate) events: String,

    /// Size of each event's data, at least 56 bytes.
    #[arg(long, value_name = "BYTES", default_value = "100")]
    pub(crate) bytes: String,
}

#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    #[command(flatten)]
    pub(crate) subscribers: SubscribersArgs,

    #[command(flatten)]
    pub(crate) topics: TopicsArgs,

    /// How long to hold the event streams.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(crate) hold: String,
}

#[derive(Args, Debug)]
pub(crate) struct FanOutArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    #[command(flatten)]
    pub(crate) subscribers: SubscribersArgs,

    #[command(flatten)]
    pub(crate) topics: TopicsArgs,

    #[command(flatten)]
    pub(crate) events: EventsArgs,

    /// Events under way at a time: an event is under way until every subscriber of its topic has it
    /// and its publish is answered.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) under_way: String,
}

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

#[derive(Args, Debug)]
#[command(mut_arg("subscribers", |arg| arg.default_value("200")))]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    #[command(flatten)]
    pub(crate) subscribers: SubscribersArgs,

    #[command(flatten)]
    pub(crate) events: EventsArgs,

    /// Last-Event-ID that subscribers send; for a hub, 'earliest' is everything it holds.
    #[arg(long, value_name = "ID", default_value = "earliest")]
    pub(crate) start: String,

    /// Send no Last-Event-ID, for servers that replay without it.
    #[arg(long, conflicts_with = "start")]
    pub(crate) no_start: bool,
}

#[derive(Args, Debug)]
#[command(
    mut_arg("subscribers", |arg| arg.default_value("100")),
    mut_arg("events", |arg| arg.help("Events to publish in each half")),
    mut_arg("bytes", |arg| arg.default_value("5kB").help(SLOW_BYTES_HELP)),
)]
pub(crate) struct SlowArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    #[command(flatten)]
    pub(crate) subscribers: SubscribersArgs,

    /// Subscribers that never read, in the second half.
    #[arg(long, value_name = "N", default_value = "50")]
    pub(crate) stalled: String,

    #[command(flatten)]
    pub(crate) events: EventsArgs,

    /// Events to publish per second, whether earlier ones have arrived or not.
    #[arg(long, value_name = "N/s", default_value = "200/s")]
    pub(crate) rate: String,
}

const SLOW_BYTES_HELP: &str = "\
Size of each event's data, at least 56 bytes. The events of a half must exceed what the kernel buffers for a \
connection, about 4 MB, or no reader stalls";

#[derive(Args, Debug)]
#[command(mut_arg("events", |arg| arg.default_value("100000")))]
pub(crate) struct PublishingArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Connections to publish over.
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) connections: String,

    /// Unanswered requests at a time on each connection.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) pipelined: String,

    /// Events in each request, as lines of JSON if there are several.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) batch: String,

    /// URL to POST lines of JSON to [default: /events of the server].
    #[arg(long, value_name = "URL")]
    pub(crate) batch_url: Option<String>,

    #[command(flatten)]
    pub(crate) topics: TopicsArgs,

    #[command(flatten)]
    pub(crate) events: EventsArgs,
}

const BENCH_HELP: &str = "\
Any server can be measured that answers GET with an event stream and accepts an event's data by POST, on
the same URL or another. Every delivery is checked: each subscriber must receive each event of its topic
once, in order and unaltered. The load runs on one thread; give the server another core.

The result is printed on standard output, with --json as one object. Latency is the time from sending a
publish to reading the delivery. Ctrl-C ends a run early and prints the results so far.

Exit status:
  0    the run finished and nothing was wrong
  1    events were lost, doubled, out of order, misdelivered or altered, streams were closed, or a
       connection or a publish failed
  2    the command line is wrong
  130  Ctrl-C ended the run";
