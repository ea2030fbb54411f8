//! The meaning of the command line. Everything is checked here, and all mistakes are reported at once.

mod address;
mod bench;
mod journal;
mod tools;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use tidings_hub::HubConfig;
use tidings_server::{HostName, Hosts, Origin, Origins, Others, ServerConfig};
use tracing::level_filters::LevelFilter;

use crate::args::{DataArgs, ServeArgs};

pub(crate) use self::bench::{BenchConfig, Output};
pub(crate) use self::journal::{DataFolder, JournalConfig};
pub(crate) use self::tools::{
    Color, DataSource, Exec, ExecInput, FileFormat, Input, Interactive, ListenConfig, OnFailure,
    PublishConfig, RelayConfig, Sink, Template,
};

/// The configuration of `serve` and `demo`.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    pub(crate) hub: HubConfig,
    pub(crate) journal: JournalConfig,
    pub(crate) server: ServerConfig,
    /// Whether an address to listen on can be reached from other machines.
    pub(crate) is_exposed: bool,
    pub(crate) log: LevelFilter,
}

/// All mistakes of a command line, one sentence each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

/// A larger event is a file. Also, sizes in a history are 32-bit numbers.
const EVENT_BYTES_MAX: usize = 1 << 30;
/// The largest events that request bodies must have room for: one that is read, one that is
/// published meanwhile, and as much while their buffers grow.
const LARGEST_EVENTS_MIN: usize = 4;
/// More frequent heartbeats are traffic rather than signs of life.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
/// Healthy readers pause this long: a phone between two cells, a laptop with a closed lid.
const STALL_MIN: Duration = Duration::from_secs(1);
/// The maximum reconnection time. Clients may count milliseconds in 32 bits.
const RETRY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl ServeConfig {
    /// Checks the arguments.
    pub(crate) fn check(args: &ServeArgs) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut hub = HubConfig::default();
        let mut server = ServerConfig::default();
        let mut checker = Checker { mistakes: &mut mistakes };

        server.listen = args.listen.iter().flat_map(|text| checker.addresses(text)).collect();
        let is_exposed = server.listen.iter().any(|address| !address.ip().is_loopback());
        for address in server.listen.iter().filter(|address| !address.ip().is_loopback()) {
            if !args.open {
                checker.mistake(format!(
                    "--listen {address}: this address is reachable from other machines and there is \
                     no authentication; --open lets everyone publish and read"
                ));
            }
        }
        let journal = checker.journal(&args.data, &mut hub.retention.bytes_max);
        checker.set(&mut hub.heartbeat_interval, "--heartbeat", &args.heartbeat, |text| {
            at_least(HEARTBEAT_MIN, duration(text)?)
        });
        checker.set(&mut hub.reconnection_time, "--retry", &args.retry, |text| {
            at_most(RETRY_MAX, duration(text)?)
        });
        checker.set(&mut server.stall_timeout, "--stall-timeout", &args.stall_timeout, |text| {
            at_least(STALL_MIN, duration(text)?)
        });
        checker.set(&mut hub.event_bytes_max, "--event-bytes-max", &args.event_bytes_max, |text| {
            match bytes(text)? {
                0 => Err("must be at least 1".to_owned()),
                n if n > EVENT_BYTES_MAX => Err("must be at most 1GiB".to_owned()),
                n => Ok(n),
            }
        });
        let bodies_min = hub.event_bytes_max.saturating_mul(LARGEST_EVENTS_MIN);
        server.bodies_bytes_max = server.bodies_bytes_max.max(bodies_min);
        if let Some(text) = &args.bodies_bytes {
            checker.set(&mut server.bodies_bytes_max, "--bodies-bytes", text, |text| {
                let why = "must hold four of the largest events (--event-bytes-max)";
                bytes(text)?
                    .checked_sub(bodies_min)
                    .map(|more| bodies_min + more)
                    .ok_or(why.to_owned())
            });
        }
        if let Some(text) = &args.history_events {
            let number = |text: &str| {
                let why = |_| "must be a whole number of at least 1".to_owned();
                NonZeroUsize::from_str(text).map(Some).map_err(why)
            };
            checker.set(&mut hub.retention.topic_events_max, "--history-events", text, number);
        }
        if let Some(text) = &args.history_age {
            checker.set(&mut hub.retention.age_max, "--history-age", text, positive);
        }
        if let Some(text) = &args.max_age {
            checker.set(&mut hub.stream_age_max, "--max-age", text, positive);
        }
        server.origins = checker.origins(&args.allow_origin);
        server.hosts = checker.hosts(args, is_exposed);
        let mut log = LevelFilter::WARN;
        checker.set(&mut log, "--log", &args.log, |text| {
            text.parse().map_err(|_| "must be one of error, warn, info, debug, trace".to_owned())
        });

        if mistakes.is_empty() {
            Ok(Self { hub, journal, server, is_exposed, log })
        } else {
            Err(Mistakes(mistakes))
        }
    }

    /// Checks the arguments of `demo`, which keeps its events in memory.
    pub(crate) fn check_demo(mut args: ServeArgs) -> Result<Self, Mistakes> {
        let of_disk = [
            ("--data", args.data.data.is_some()),
            ("--memory-bytes", args.data.memory_bytes.is_some()),
        ];
        let mistake = |flag| {
            format!(
                "{flag}: the demo keeps its events in memory; 'tidings serve' keeps them on disk"
            )
        };
        let mut mistakes: Vec<String> = of_disk
            .iter()
            .filter(|(_, is_given)| *is_given)
            .map(|(flag, _)| mistake(flag))
            .collect();
        args.data = DataArgs { memory: true, data: None, memory_bytes: None, ..args.data };
        match Self::check(&args) {
            Ok(config) if mistakes.is_empty() => Ok(config),
            Ok(_) => Err(Mistakes(mistakes)),
            Err(more) => {
                mistakes.extend(more.0);
                Err(Mistakes(mistakes))
            }
        }
    }
}

/// Parses values and collects mistakes.
struct Checker<'a> {
    mistakes: &'a mut Vec<String>,
}

impl Checker<'_> {
    fn mistake(&mut self, mistake: String) {
        self.mistakes.push(mistake);
    }

    fn set<T>(
        &mut self,
        target: &mut T,
        flag: &str,
        text: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) {
        match read(text) {
            Ok(value) => *target = value,
            Err(why) => self.mistake(format!("{flag} {text}: {why}")),
        }
    }

    /// Returns the journal, and sets the bound of the history in memory.
    fn journal(&mut self, args: &DataArgs, memory_bytes: &mut usize) -> JournalConfig {
        let mut history_bytes = None;
        if let Some(text) = &args.history_bytes {
            self.set(&mut history_bytes, "--history-bytes", text, |text| bytes(text).map(Some));
        }
        if let Some(text) = &args.memory_bytes {
            self.set(memory_bytes, "--memory-bytes", text, bytes);
        }
        if args.memory {
            *memory_bytes = history_bytes.unwrap_or(*memory_bytes);
            return JournalConfig::Memory;
        }
        let history_bytes = history_bytes.map(|bytes| bytes as u64);
        JournalConfig::on_disk(args.data.as_deref(), history_bytes)
    }

    /// Returns the address, or all addresses of a name that this machine has.
    fn addresses(&mut self, text: &str) -> Vec<SocketAddr> {
        if let Ok(address) = text.parse() {
            return vec![address];
        }
        let Some((name, Ok(_))) = text.rsplit_once(':').map(|(n, port)| (n, port.parse::<u16>()))
        else {
            self.mistake(format!(
                "--listen {text}: must be an address and a port, such as 127.0.0.1:4000, [::1]:4000 or \
                 localhost:4000"
            ));
            return Vec::new();
        };
        let resolved = text.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
        let mut addresses = resolved.unwrap_or_default();
        addresses.sort();
        addresses.dedup();
        // A name may have an IPv6 address although this machine has no IPv6.
        addresses.retain(|address| UdpSocket::bind((address.ip(), 0)).is_ok());
        if addresses.is_empty() {
            self.mistake(format!("--listen {text}: {name:?} is not a name of this machine"));
        }
        addresses
    }

    fn origins(&mut self, texts: &[String]) -> Origins {
        let mut origins = Origins::default();
        for text in texts {
            match Origin::parse(text) {
                _ if text == "*" => origins.others = Others::Read,
                Ok(origin) => origins.listed.push(origin),
                Err(error) => self.mistake(format!("--allow-origin {text}: {error}")),
            }
        }
        origins
    }

    fn hosts(&mut self, args: &ServeArgs, is_exposed: bool) -> Hosts {
        let mut listed = Vec::new();
        for text in &args.allow_host {
            match HostName::parse(text) {
                Ok(name) => listed.push(name),
                Err(error) => self.mistake(format!("--allow-host {text}: {error}")),
            }
        }
        if is_exposed && args.open && listed.is_empty() {
            Hosts::Any
        } else {
            Hosts::Listed(listed)
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "must be a time with its unit, such as 500ms, 15s, 5m or 1h".to_owned())
}

fn positive(text: &str) -> Result<Option<Duration>, String> {
    at_least(Duration::from_millis(1), duration(text)?).map(Some)
}

fn at_least(least: Duration, duration: Duration) -> Result<Duration, String> {
    if duration >= least {
        return Ok(duration);
    }
    Err(format!("must be at least {}", humantime::format_duration(least)))
}

fn at_most(most: Duration, duration: Duration) -> Result<Duration, String> {
    if duration <= most {
        return Ok(duration);
    }
    Err(format!("must be at most {}", humantime::format_duration(most)))
}

/// Parses a number of bytes: plain, or in units of 1,000 (kB, MB, GB) or 1,024 (KiB, MiB, GiB).
fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit: Option<usize> = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1000),
        "m" | "mb" => Some(1000 * 1000),
        "g" | "gb" => Some(1000 * 1000 * 1000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        _ => None,
    };
    let number: Option<usize> = text[..digits].parse().ok();
    number
        .zip(unit)
        .and_then(|(number, unit)| number.checked_mul(unit))
        .ok_or_else(|| "must be a number of bytes, such as 65536, 64KiB or 256MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    fn check(line: &str) -> Result<ServeConfig, Mistakes> {
        let words = ["tidings", "serve"].into_iter().chain(line.split_whitespace());
        let Command::Serve(args) = Cli::parse_from(words).command else {
            panic!("serve was asked for")
        };
        ServeConfig::check(&args)
    }

    #[test]
    fn without_flags_it_is_loopback_and_nobody_elses() {
        let config = check("").unwrap();
        assert_eq!(config.server.listen, ["127.0.0.1:4000".parse().unwrap()]);
        assert!(!config.is_exposed);
        assert_eq!(config.server.hosts, Hosts::Listed(Vec::new()));
        assert_eq!(config.hub.retention.bytes_max, 256 << 20);
    }

    #[test]
    fn events_are_kept_on_disk_unless_they_are_to_be_in_memory() {
        let on_disk = |line: &str| {
            let config = check(line).unwrap();
            let JournalConfig::Disk(folder) = config.journal else { panic!("{line}: in memory") };
            (folder, config.hub.retention.bytes_max)
        };
        let (folder, memory_bytes) = on_disk("");
        assert_eq!((folder.path, memory_bytes), ("tidings-data".into(), 256 << 20));
        assert!(folder.config.bytes_max <= 10 << 30);
        let (folder, memory_bytes) =
            on_disk("--data d --history-bytes 100GiB --memory-bytes 64MiB");
        assert_eq!((folder.path, memory_bytes), ("d".into(), 64 << 20));
        assert_eq!((folder.config.bytes_max, folder.config.segment_bytes), (100 << 30, 16 << 20));
        let (folder, _) = on_disk("--history-bytes 32MiB");
        assert_eq!((folder.config.bytes_max, folder.config.segment_bytes), (32 << 20, 2 << 20));
        for (line, bytes) in [("--memory", 256 << 20), ("--memory --history-bytes 1MiB", 1 << 20)] {
            let config = check(line).unwrap();
            assert!(matches!(config.journal, JournalConfig::Memory), "{line}");
            assert_eq!(config.hub.retention.bytes_max, bytes, "{line}");
        }
    }

    #[test]
    fn the_demo_is_in_memory() {
        let demo = |line: &str| {
            let words = ["tidings", "demo"].into_iter().chain(line.split_whitespace());
            let Command::Demo(args) = Cli::parse_from(words).command else { panic!("a demo") };
            ServeConfig::check_demo(args)
        };
        let config = demo("--history-bytes 1MiB").unwrap();
        assert!(matches!(config.journal, JournalConfig::Memory));
        assert_eq!(config.hub.retention.bytes_max, 1 << 20);
        let mistakes = demo("--data d --memory-bytes 1MiB --retry x").unwrap_err();
        assert_eq!(mistakes.0.len(), 3, "{mistakes}");
    }

    #[test]
    fn an_address_that_others_reach_needs_to_be_opened() {
        let mistakes = check("--listen 0.0.0.0:4000").unwrap_err().to_string();
        assert!(mistakes.contains("--open"), "{mistakes}");
        let config = check("--listen 0.0.0.0:4000 --open").unwrap();
        assert!(config.is_exposed);
        assert_eq!(config.server.hosts, Hosts::Any);
        let config = check("--listen 0.0.0.0:4000 --open --allow-host news.example").unwrap();
        assert!(matches!(config.server.hosts, Hosts::Listed(names) if names.len() == 1));
        assert!(!check("--listen [::1]:0").unwrap().is_exposed);
    }

    #[test]
    fn a_name_means_all_its_addresses_on_this_machine() {
        let config = check("--listen localhost:4000").unwrap();
        let all = "localhost:4000".to_socket_addrs().unwrap();
        let mut usable: Vec<_> =
            all.filter(|address| UdpSocket::bind((address.ip(), 0)).is_ok()).collect();
        usable.sort();
        usable.dedup();
        assert_eq!(config.server.listen, usable);
        assert!(!config.is_exposed);
        for text in ["here", "localhost", ":4000x"] {
            assert!(check(&format!("--listen {text}")).is_err(), "{text}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let mistakes = check(
            "--listen here --history-bytes lots --history-events 0 --history-age 5 --heartbeat 0s \
             --retry 2d --max-age 0s --stall-timeout 1ms --event-bytes-max 2GiB --allow-origin example.com \
             --allow-host a/b --log loud",
        )
        .unwrap_err();
        let text = mistakes.to_string();
        assert_eq!(mistakes.0.len(), 12, "{text}");
        for flag in [
            "--listen",
            "--history-bytes",
            "--history-events",
            "--history-age",
            "--heartbeat",
            "--retry",
            "--max-age",
            "--stall-timeout",
            "--event-bytes-max",
            "--allow-origin",
            "--allow-host",
            "--log",
        ] {
            assert!(text.contains(flag), "{flag} is missing in {text}");
        }
    }

    #[test]
    fn bytes_are_read_in_both_kinds_of_units() {
        for (text, number) in [
            ("0", 0),
            ("65536", 65536),
            ("64KiB", 65536),
            ("64 kib", 65536),
            ("2MB", 2_000_000),
            ("1GiB", 1 << 30),
            ("7b", 7),
        ] {
            assert_eq!(bytes(text), Ok(number), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5MiB", "1TiB", "99999999999999999999", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
