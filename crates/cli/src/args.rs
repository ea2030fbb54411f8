//! What may be written on the command line, and its help.

#![expect(rustdoc::bare_urls, reason = "what is written here is shown by --help, as it stands")]

mod bench;
mod tools;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use self::bench::{BenchArgs, CommonArgs, ScenarioArgs};
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
    /// Runs a hub: publish and subscribe over HTTP.
    Serve(ServeArgs),
    /// Runs a hub with the keyed endpoints and a page that shows them live.
    Demo(ServeArgs),
    /// Follows an event stream of any server, and shows each event or hands it to a command.
    Listen(ListenArgs),
    /// Publishes events to a hub, each of them once.
    Publish(PublishArgs),
    /// Follows an event stream and publishes it to a hub, losing and doubling nothing.
    Relay(RelayArgs),
    /// Measures a server of event streams: loads it, and checks everything that it delivers.
    Bench(BenchArgs),
    /// Prints what makes a shell complete this program's arguments.
    Completions(CompletionsArgs),
    /// Prints a manual page, as man reads it: 'tidings man | man -l -'.
    Man(ManArgs),
}

/// As written, and as meant.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: Shell,
}

/// As written, and as meant.
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// The command to describe; without it, the program as a whole.
    #[arg(value_parser = [
        "serve", "demo", "listen", "publish", "relay", "bench", "bench-idle", "bench-fan-out", "bench-churn",
        "bench-replay", "bench-slow", "bench-publish", "completions", "man",
    ])]
    pub(crate) command: Option<String>,
}

/// As written; `Config` is what it means.
#[derive(Args, Debug, Default)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one. May be repeated.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4000")]
    pub(crate) listen: Vec<String>,

    /// Lets everybody who reaches the address publish and read: needed for addresses other than
    /// loopback while there are no tokens.
    #[arg(long)]
    pub(crate) open: bool,

    /// Keeps events in memory alone: they are gone when the process ends. There is no other journal
    /// yet.
    #[arg(long)]
    pub(crate) memory: bool,

    /// Bytes that history takes at most, such as 64MiB; the oldest events make room.
    #[arg(long, value_name = "BYTES", default_value = "256MiB")]
    pub(crate) history_bytes: String,

    /// Events that each topic keeps at most; without it, as many as the bytes allow.
    #[arg(long, value_name = "N")]
    pub(crate) history_events: Option<String>,

    /// Age after which events are let go of, such as 1h; without it, never.
    #[arg(long, value_name = "TIME")]
    pub(crate) history_age: Option<String>,

    /// Silence after which a comment is sent at the latest.
    #[arg(long, value_name = "TIME", default_value = "15s")]
    pub(crate) heartbeat: String,

    /// Reconnection time that streams announce.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    pub(crate) retry: String,

    /// How long a stream lasts at most, such as 1h; readers come back by themselves.
    #[arg(long, value_name = "TIME")]
    pub(crate) max_age: Option<String>,

    /// How long a reader may take nothing before its connection is closed; it comes back and resumes.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    pub(crate) stall_timeout: String,

    /// Bytes of one event at most.
    #[arg(long, value_name = "BYTES", default_value = "1MiB")]
    pub(crate) event_bytes_max: String,

    /// Origin whose pages may publish and read, such as https://example.com; '*' lets every page
    /// read, without credentials. May be repeated.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,

    /// Name that this hub is reached by, beside those of loopback. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,

    /// What is logged on standard error: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: String,
}
