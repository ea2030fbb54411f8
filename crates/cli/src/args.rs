//! The command line as written, and its help.

#![expect(rustdoc::bare_urls, reason = "--help shows these texts as they stand")]

pub(crate) mod bench;
mod journal;
mod limits;
mod nats;
mod tls;
mod token;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use self::bench::BenchArgs;
pub(crate) use self::journal::{DataArgs, FolderArgs, JournalArgs, JournalCommand};
pub(crate) use self::limits::LimitArgs;
pub(crate) use self::nats::NatsArgs;
pub(crate) use self::tls::TlsArgs;
pub(crate) use self::token::{KeyArgs, KeyCommand, KeyNewArgs, RightsArgs, TokenArgs};
pub(crate) use self::tools::{ListenArgs, PublishArgs, RelayArgs};

/// Server-Sent Events for everyone: a hub to run beside any backend, and tools to listen and
/// publish.
#[derive(Debug, Parser)]
#[command(name = "tidings", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a hub: publish and subscribe over HTTP.
    Serve(ServeArgs),
    /// Run a hub with keyed endpoints, and a page that shows them live. Its events are in memory.
    #[command(mut_args(hide_data))]
    Demo(ServeArgs),
    /// Check the configuration of serve, and show each value with its source.
    Check(ServeArgs),
    /// Make tokens for tests and scripts, or explain one.
    Token(TokenArgs),
    /// Make API keys for backends.
    Key(KeyArgs),
    /// Follow an event stream of any server; print each event or pass it to a command.
    Listen(ListenArgs),
    /// Publish events to a hub, each exactly once.
    Publish(PublishArgs),
    /// Follow an event stream and publish its events to a hub, each exactly once.
    Relay(RelayArgs),
    /// Load a server of event streams, check every delivery, and measure.
    Bench(BenchArgs),
    /// Check or dump the events that a hub keeps on disk.
    Journal(JournalArgs),
    /// Generate shell completions.
    Completions(CompletionsArgs),
    /// Generate a manual page: 'tidings man | man -l -'.
    Man(ManArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// Shell to generate completions for.
    pub(crate) shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Command to describe [default: the whole program].
    #[arg(value_parser = [
        "serve", "demo", "check", "token", "key", "key-new", "listen", "publish", "relay", "bench", "bench-idle", "bench-fan-out",
        "bench-churn", "bench-replay", "bench-slow", "bench-publish", "journal", "journal-check", "journal-dump",
        "journal-new-epoch", "completions", "man",
    ])]
    pub(crate) command: Option<String>,
}

/// Hides the options of journals from the help of `demo`, which has none but memory.
fn hide_data(arg: clap::Arg) -> clap::Arg {
    let id = arg.get_id().as_str();
    let is_of_journal = ["data", "memory_bytes", "node"].contains(&id) || id.starts_with("nats");
    arg.hide(is_of_journal)
}

/// The arguments of `serve` and `demo` as written. `ServeConfig` is what they mean, together with the
/// configuration file and the environment.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = SERVE_HELP)]
pub(crate) struct ServeArgs {
    /// Configuration file in TOML; 'tidings check' shows what it means.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Address to listen on; port 0 picks a free port; may be repeated [default: 127.0.0.1:4000].
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<String>,

    /// Let everyone who can reach the address publish and read. Required to listen on addresses
    /// other than loopback, unless the configuration file asks for tokens.
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    #[command(flatten)]
    pub(crate) data: DataArgs,

    #[command(flatten)]
    pub(crate) nats: NatsArgs,

    /// Maximum number of events kept per topic [default: unlimited].
    #[arg(long, value_name = "N")]
    pub(crate) history_events: Option<String>,

    /// Age after which events are evicted, such as 1h [default: never].
    #[arg(long, value_name = "TIME")]
    pub(crate) history_age: Option<String>,

    /// Rules of the topics that a pattern matches: events:N, bytes:SIZE, age:TIME, latest, conflate,
    /// joined by commas, such as 'chat/**=events:100,age:7d'. The first pattern that matches a topic
    /// counts, and replaces --history-events and --history-age for it; may be repeated.
    #[arg(long, value_name = "PATTERN=RULES")]
    pub(crate) retain: Vec<String>,

    /// Heartbeat interval: send a comment after at most this much silence [default: 15s].
    #[arg(long, value_name = "TIME")]
    pub(crate) heartbeat: Option<String>,

    /// Reconnection time announced to clients [default: 2s].
    #[arg(long, value_name = "TIME")]
    pub(crate) retry: Option<String>,

    /// Maximum age of a stream, such as 1h; clients reconnect by themselves [default: unlimited].
    #[arg(long, value_name = "TIME")]
    pub(crate) max_age: Option<String>,

    /// Close a connection whose client reads nothing for this long; it can reconnect and resume
    /// [default: 60s].
    #[arg(long, value_name = "TIME")]
    pub(crate) stall_timeout: Option<String>,

    /// Maximum size of an event [default: 1MiB].
    #[arg(long, value_name = "BYTES")]
    pub(crate) event_bytes_max: Option<String>,

    /// Maximum size of all request bodies, and answers that are not read, that are held at the
    /// same time, such as 64MiB; more are refused for a moment [default: 128MiB, or four of the
    /// largest events].
    #[arg(long, value_name = "BYTES")]
    pub(crate) bodies_bytes: Option<String>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// Origin whose pages may publish and read, such as https://example.com; '*' lets every page
    /// read without credentials; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,

    /// Host name that requests may use, besides those of loopback; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,

    /// Address or network of a proxy in front, such as 10.0.0.0/8, which is believed when it tells the
    /// address of a client; may be repeated.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) trusted_proxy: Vec<String>,

    /// Level of the log on standard error: error, warn, info, debug or trace [default: warn].
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
}

impl ServeArgs {
    /// The flags that settings have, without their dashes, and the texts given with each.
    pub(crate) fn flags(&self) -> [(&'static str, Vec<String>); 38] {
        let one = |text: &Option<String>| text.iter().cloned().collect();
        let path =
            |path: &Option<PathBuf>| path.iter().map(|it| it.display().to_string()).collect();
        let switch = |is_on: bool| if is_on { vec!["true".to_owned()] } else { Vec::new() };
        [
            ("listen", self.listen.clone()),
            ("open", switch(self.open)),
            ("tls-certificate", path(&self.tls.tls_certificate)),
            ("tls-key", path(&self.tls.tls_key)),
            ("tls-client-ca", path(&self.tls.tls_client_ca)),
            ("tls-redirect", self.tls.tls_redirect.clone()),
            ("data", path(&self.data.data)),
            ("memory", switch(self.data.memory)),
            ("history-bytes", one(&self.data.history_bytes)),
            ("memory-bytes", one(&self.data.memory_bytes)),
            ("node", one(&self.nats.node)),
            ("nats", self.nats.nats.clone()),
            ("nats-creds", path(&self.nats.nats_creds)),
            ("nats-ca", path(&self.nats.nats_ca)),
            ("nats-stream", one(&self.nats.nats_stream)),
            ("nats-replicas", one(&self.nats.nats_replicas)),
            ("history-events", one(&self.history_events)),
            ("history-age", one(&self.history_age)),
            ("retain", self.retain.clone()),
            ("heartbeat", one(&self.heartbeat)),
            ("retry", one(&self.retry)),
            ("max-age", one(&self.max_age)),
            ("stall-timeout", one(&self.stall_timeout)),
            ("event-bytes-max", one(&self.event_bytes_max)),
            ("bodies-bytes", one(&self.bodies_bytes)),
            ("streams-max", one(&self.limits.streams_max)),
            ("filters-max", one(&self.limits.filters_max)),
            ("heads-max", one(&self.limits.heads_max)),
            ("handshakes-max", one(&self.limits.handshakes_max)),
            ("address-streams", one(&self.limits.address_streams)),
            ("address-requests", one(&self.limits.address_requests)),
            ("subject-streams", one(&self.limits.subject_streams)),
            ("subject-requests", one(&self.limits.subject_requests)),
            ("subject-events", one(&self.limits.subject_events)),
            ("allow-origin", self.allow_origin.clone()),
            ("allow-host", self.allow_host.clone()),
            ("trusted-proxy", self.trusted_proxy.clone()),
            ("log", one(&self.log)),
        ]
    }
}

const SERVE_HELP: &str = "\
Sources:
  Every option is also a variable of the environment, such as TIDINGS_HISTORY_BYTES (lists have
  commas), and a key of the configuration file, such as history_bytes. --allow-host is 'hosts'
  there, --allow-origin is 'origins', --trusted-proxy is 'trusted_proxies', --tls-key is 'key' in
  [tls], and --nats is 'servers' in [nats]. Flags win over the environment, and that over the file.
  SIGHUP reads them again: hosts, origins, trusted_proxies, bodies_bytes, history_events,
  history_age, retain, limits of addresses and subjects, keys, [[topics]] and the files of TLS change
  without a restart.";
