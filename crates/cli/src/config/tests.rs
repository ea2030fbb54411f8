//! Tests of what command lines, environment and configuration file mean together.

use super::settings::{Change, find};
use super::*;
use crate::args::{Cli, Command};
use clap::Parser as _;

fn check(line: &str) -> Result<ServeConfig, Mistakes> {
    let words = ["tidings", "serve"].into_iter().chain(line.split_whitespace());
    let Command::Serve(args) = Cli::parse_from(words).command else {
        panic!("serve was asked for")
    };
    ServeConfig::of(&args, Keeps::OnDisk, |_| None)
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
    let (folder, memory_bytes) = on_disk("--data d --history-bytes 100GiB --memory-bytes 64MiB");
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
        ServeConfig::of(&args, Keeps::InMemory, |_| None)
    };
    let config = demo("--history-bytes 1MiB").unwrap();
    assert!(matches!(config.journal, JournalConfig::Memory));
    assert_eq!(config.hub.retention.bytes_max, 1 << 20);
    let mistakes = demo("--data d --memory-bytes 1MiB --retry x").unwrap_err();
    assert_eq!(mistakes.0.len(), 3, "{mistakes}");
}

#[test]
fn a_later_source_may_change_the_journal_and_one_source_names_one() {
    let file = Written::new("journal", "data = \"events\"\nmemory_bytes = \"1MiB\"");
    let JournalConfig::Disk(folder) = check_all("", &[], &file).unwrap().journal else {
        panic!("on disk")
    };
    // Paths are those of the file.
    assert_eq!(folder.path, file.0.join("events"));
    let config = check_all("--memory", &[], &file).unwrap();
    assert!(matches!(config.journal, JournalConfig::Memory));
    assert_eq!(config.hub.retention.bytes_max, 256 << 20);
    let both = Written::new("journals", "data = \"events\"\nmemory = true");
    let mistakes = check_all("", &[], &both).unwrap_err().to_string();
    assert!(mistakes.contains(":1: data = \"events\": there is no journal"), "{mistakes}");
}

#[test]
fn hubs_of_a_stream_keep_events_in_memory() {
    let of_stream = |config: ServeConfig| match config.journal {
        JournalConfig::Nats(stream) => (stream, config.hub.retention.bytes_max),
        other => panic!("{other:?}"),
    };
    let (stream, memory) = of_stream(check("--nats nats://a:4222,tls://b").unwrap());
    assert_eq!((stream.servers.len(), &*stream.stream, stream.replicas), (2, "TIDINGS", 1));
    assert_eq!((memory, stream.stream_bytes_max), (256 << 20, 512 << 20));
    let text =
        "history_bytes = \"1MiB\"\n[nats]\nservers = [\"nats://u:secret@a\"]\nreplicas = \"3\"";
    let config = check_all("--nats-stream other", &[], &Written::new("stream", text)).unwrap();
    let shown = config.settings.to_string();
    assert!(shown.contains("nats.servers = [\"nats://***@a\"]"), "{shown}");
    let (stream, memory) = of_stream(config);
    assert_eq!((memory, &*stream.stream, stream.replicas), (1 << 20, "other", 3));
    for (line, why) in [
        ("--nats http://a", "must be an address such as"),
        ("--nats nats://a --nats-stream a.b", "letters, digits"),
        ("--nats nats://a --nats-replicas 2", "must be 1, 3 or 5"),
        ("--nats nats://a --nats-creds /nowhere", "No such file"),
        ("--nats-stream a", "needs the servers, too"),
    ] {
        let mistakes = check(line).unwrap_err().to_string();
        assert!(mistakes.contains(why), "{line}: {mistakes}");
    }
    let memory = check("--nats nats://a --memory-bytes 1MiB").unwrap_err().to_string();
    assert!(memory.contains("history_bytes bounds the memory"), "{memory}");
}

#[test]
fn a_folder_beside_a_stream_is_a_copy_of_it() {
    let text =
        "history_bytes = \"1GiB\"\nmemory_bytes = \"64MiB\"\n[nats]\nservers = [\"nats://a\"]";
    let config = check_all("--data d", &[], &Written::new("copied", text)).unwrap();
    let JournalConfig::Nats(stream) = config.journal else { panic!("{:?}", config.journal) };
    let copy = stream.copy.unwrap();
    assert_eq!((copy.folder.to_str(), copy.disk.bytes_max), (Some("d"), 1 << 30));
    assert_eq!((config.hub.retention.bytes_max, stream.stream_bytes_max), (64 << 20, 2 << 30));
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
         --allow-host a/b --log loud --retain a=events:0",
    )
    .unwrap_err();
    let text = mistakes.to_string();
    assert_eq!(mistakes.0.len(), 13, "{text}");
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
        "--retain",
    ] {
        assert!(text.contains(flag), "{flag} is missing in {text}");
    }
}

/// A configuration file, in a folder of its own that ends with it.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, text: &str) -> Self {
        let folder = env::temp_dir().join(format!("tidings-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("tidings.toml"), text).unwrap();
        Self(folder)
    }

    /// Writes a certificate for a host, which is its own authority, and its key.
    fn issue(&self, host: &str) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        std::fs::write(self.0.join("clients.pem"), &certificate).unwrap();
        std::fs::write(self.0.join("nats-ca.pem"), &certificate).unwrap();
        std::fs::write(self.0.join("hub.creds"), "").unwrap();
        std::fs::write(self.0.join("cert.pem"), certificate).unwrap();
        std::fs::write(self.0.join("key.pem"), key.serialize_pem()).unwrap();
    }

    fn path(&self) -> String {
        self.0.join("tidings.toml").display().to_string()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn check_all(
    line: &str,
    environment: &[(&str, &str)],
    file: &Written,
) -> Result<ServeConfig, Mistakes> {
    let line = format!("tidings serve {line}");
    let Command::Serve(mut args) = Cli::parse_from(line.split_whitespace()).command else {
        panic!("serve was asked for")
    };
    args.config = Some(file.path().into());
    let variable = |name: &str| environment.iter().find(|(found, _)| *found == name);
    ServeConfig::of(&args, Keeps::OnDisk, |name| {
        variable(name).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let text = "retry = \"7s\"\nheartbeat = \"7s\"\nmax_age = \"7s\"\nhosts = [\"a\", \"b\"]";
    let file = Written::new("precedence", text);
    let environment = [
        ("TIDINGS_RETRY", "8s"),
        ("TIDINGS_HEARTBEAT", "8s"),
        ("TIDINGS_ALLOW_HOST", "c, d"),
        ("TIDINGS_MAX_AGE", ""),
    ];
    let config = check_all("--retry 9s", &environment, &file).unwrap();
    assert_eq!(config.hub.reconnection_time, Duration::from_secs(9));
    assert_eq!(config.hub.heartbeat_interval, Duration::from_secs(8));
    assert_eq!(config.hub.stream_age_max, Some(Duration::from_secs(7)));
    let names = ["c", "d"].map(|name| HostName::parse(name).unwrap());
    assert_eq!(config.server.hosts, Hosts::Listed(names.into()));
    let shown = config.settings.to_string();
    for (value, source) in [
        ("retry = \"9s\"", "--retry"),
        ("heartbeat = \"8s\"", "TIDINGS_HEARTBEAT"),
        ("hosts = [\"c\", \"d\"]", "TIDINGS_ALLOW_HOST"),
        ("max_age = \"7s\"", &format!("{}:3", file.path())),
        ("log = \"warn\"", "default"),
        ("# history_events: unlimited", "default"),
    ] {
        let line = shown.lines().find(|line| line.starts_with(value));
        assert!(line.is_some_and(|line| line.ends_with(&format!(" # {source}"))), "{shown}");
    }
}

#[test]
fn mistakes_of_all_sources_are_told_at_once_with_their_places() {
    let file = Written::new("mistakes", "\nheartbeat = \"soon\"\nlog = \"loud\"\nlimit = 1");
    let environment = [("TIDINGS_OPEN", "maybe"), ("TIDINGS_RETRY", "2d")];
    let mistakes = check_all("--max-age 0s", &environment, &file).unwrap_err();
    let starts = [
        format!("{}:4: unknown key 'limit'", file.path()),
        "TIDINGS_OPEN=maybe: ".to_owned(),
        format!("{}:2: heartbeat = \"soon\": must be a time", file.path()),
        "TIDINGS_RETRY=2d: must be at most".to_owned(),
        "--max-age 0s: ".to_owned(),
        format!("{}:3: log = \"loud\": ", file.path()),
    ];
    assert_eq!(mistakes.0.len(), starts.len(), "{mistakes}");
    for (mistake, start) in mistakes.0.iter().zip(starts) {
        assert!(mistake.starts_with(&start), "{mistake}");
    }
}

#[test]
fn what_is_shown_is_a_configuration_file_of_the_same_meaning() {
    let text = "listen = [\"127.0.0.1:0\"]\norigins = [\"https://a.example\", \"*\"]\nopen = true";
    let config = check_all("", &[], &Written::new("first", text)).unwrap();
    let shown = Written::new("second", &config.settings.to_string());
    let again = check_all("", &[], &shown).unwrap();
    assert_eq!(format!("{:?}", again.server), format!("{:?}", config.server));
    assert_eq!(again.settings.needing_restart(&config.settings), Vec::<&str>::new());
    assert!(config.warnings().iter().any(|warning| warning.contains("every web page")));
}

#[test]
fn rules_of_retention_are_those_of_the_flags_and_then_of_the_sections() {
    let text = "retain = [\"x=latest\"]\n[[topics]]\nmatch = \"b/**\"\nretain = { events = 7 }";
    let file = Written::new("retain", text);
    let rules = |line: &str, environment: &[(&str, &str)]| {
        let config = check_all(line, environment, &file).unwrap();
        let filters = config.hub.retention.rules.into_iter().map(|rule| rule.filter);
        filters.map(|filter| filter.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(rules("", &[]), ["x", "b/**"]);
    assert_eq!(rules("--retain a=events:1,age:1d --retain c=latest", &[]), ["a", "c", "b/**"]);
    let environment = [("TIDINGS_RETAIN", "a/*=events:1,age:1d; c=latest")];
    assert_eq!(rules("", &environment), ["a/*", "c", "b/**"]);
    let mistakes = check("--retain a --retain b=days:7").unwrap_err();
    assert_eq!(mistakes.0.len(), 2, "{mistakes}");
    assert!(mistakes.0[1].starts_with("--retain b=days:7: 'days' is no rule"), "{mistakes}");
}

#[test]
fn tls_is_a_section_of_the_file_and_its_paths_are_the_files() {
    let text = "hosts = [\"a.example\", \"b.example\"]\n[tls]\ncertificate = \"cert.pem\"\n\
                key = \"key.pem\"\nredirect = [\"127.0.0.1:0\"]";
    let file = Written::new("tls", text);
    let missing = check_all("", &[], &file).unwrap_err().to_string();
    assert!(missing.contains("cert.pem cannot be read"), "{missing}");
    file.issue("a.example");
    let config = check_all("", &[], &file).unwrap();
    let tls = config.server.tls.as_ref().unwrap();
    assert_eq!((tls.identity.names(), tls.redirect.len()), (vec!["a.example".to_owned()], 1));
    let warnings = config.warnings().join("\n");
    assert!(warnings.contains("not for the host b.example"), "{warnings}");
    assert!(!warnings.contains("not for the host a.example"), "{warnings}");
}

#[test]
fn a_part_of_tls_alone_is_a_mistake() {
    let text = "[tls]\nkey = \"key.pem\"\ncertificates = \"cert.pem\"";
    let mistakes = check_all("", &[], &Written::new("half", text)).unwrap_err().to_string();
    for part in [
        ":2: tls.key = \"key.pem\": needs its certificate",
        ":3: unknown key 'tls.certificates': did you mean 'tls.certificate'?",
    ] {
        assert!(mistakes.contains(part), "{mistakes}");
    }
    for flag in ["--tls-certificate a", "--tls-client-ca a", "--tls-redirect 127.0.0.1:0"] {
        assert!(check(flag).unwrap_err().to_string().contains(" needs "), "{flag}");
    }
}

#[test]
fn a_new_value_is_taken_up_or_needs_a_restart() {
    let old = check("--retry 1s --allow-host a").unwrap().settings;
    let new = check("--retry 2s --heartbeat 1s --allow-host b").unwrap().settings;
    assert_eq!(old.needing_restart(&new), ["heartbeat", "retry"]);
    let reloaded = old.clone().reloaded(new.clone());
    assert_eq!(reloaded.get("hosts").unwrap().text(), "b");
    assert_eq!(reloaded.get("retry").unwrap().text(), "1s");
    assert_eq!(reloaded.needing_restart(&new), ["heartbeat", "retry"]);
}

#[test]
fn every_setting_is_a_flag_and_the_other_way_round() {
    let Command::Serve(args) = Cli::parse_from(["tidings", "serve"]).command else {
        panic!("serve was asked for")
    };
    let flags = args.flags().map(|(flag, _)| flag.to_owned());
    assert_eq!(SETTINGS.iter().map(|it| it.flag).collect::<Vec<_>>(), flags);
    let command = <Cli as clap::CommandFactory>::command();
    let serve = command.find_subcommand("serve").unwrap();
    let known = serve.get_arguments().filter_map(|argument| argument.get_long());
    let known: Vec<_> = known.filter(|long| !["config", "help"].contains(long)).collect();
    assert_eq!(known, flags);
}

#[test]
fn the_example_file_names_every_key_with_its_default() {
    let example = include_str!("../../../../docs/tidings.toml");
    let (settings, sections) = example.split_once("\n# [auth]\n").unwrap();
    let lines = settings.lines().filter_map(|line| line.strip_prefix("# "));
    let is_key = |line: &&str| line.split_once(" = ").is_some_and(|(key, _)| find(key).is_some());
    let is_of_stream = |line: &&str| line.starts_with("nats.");
    let lines: Vec<_> = lines.filter(is_key).collect();
    let read = |name, is_left_out: &dyn Fn(&&str) -> bool| {
        let lines = lines.iter().filter(|line| !is_left_out(line));
        let text = lines.map(|line| format!("{line}\n")).collect::<String>();
        let file = Written::new(name, &text);
        file.issue("events.example.com");
        check_all("", &[], &file).unwrap()
    };
    let config = read("example", &is_of_stream);
    let of_stream = read("streaming", &|_| false);
    assert!(matches!(of_stream.journal, JournalConfig::Nats(_)));
    let lines = sections.lines().filter_map(|line| line.strip_prefix("# "));
    let sections = lines.map(|line| format!("{line}\n")).collect::<String>();
    let secret = "s".repeat(32);
    let file = Written::new("sections", &format!("[auth]\n{sections}"));
    let guarded = check_all("", &[("EVENTS_SECRET", &secret)], &file).unwrap();
    let auth = guarded.server.auth.unwrap();
    assert_eq!((auth.keys.len(), auth.api_keys.len(), auth.in_query), (1, 1, true));
    assert_eq!((guarded.server.topics.len(), guarded.hub.retention.rules.len()), (1, 1));
    for setting in SETTINGS {
        let [value, other] = [&config, &of_stream].map(|it| it.settings.get(setting.key));
        let value = value.filter(|value| !value.is_default()).or(other);
        let value = value.unwrap_or_else(|| panic!("{} is missing", setting.key));
        assert!(!value.is_default(), "{}", setting.key);
        if let settings::Default::Text(default) = setting.default {
            assert_eq!(value.text(), default, "{}", setting.key);
        }
        let is_marked = example.split("\n\n").any(|paragraph| {
            paragraph.contains(&format!("\n# {} = ", setting.key)) && paragraph.contains("[reload]")
        });
        assert_eq!(is_marked, setting.change == Change::Reload, "{}", setting.key);
    }
}
