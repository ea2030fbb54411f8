//! What the command line of `bench` means.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tidings_bench::{Batch, Config, EVENT_BYTES_MIN, Place, Scenario, Scheme, Target, Way};
use url::Url;

use super::{Mistakes, Reader, at_least, bytes, duration};
use crate::args::{BenchArgs, CommonArgs, ScenarioArgs};

/// Everything `bench` needs to know.
#[derive(Debug)]
pub(crate) struct BenchConfig {
    pub(crate) run: Config,
    pub(crate) output: Output,
}

/// For whom the result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    People,
    Json,
}

/// More connections than any one machine has ports, addresses and memory for.
const CONNECTIONS_MAX: u32 = 1_000_000;
/// Each costs four bytes while the run lasts.
const EVENTS_MAX: u32 = 100_000_000;
/// More requests on their way than any server takes in.
const UNDER_WAY_MAX: u32 = 1_000_000;
/// Faster than one thread can be.
const RATE_MAX: u32 = 1_000_000;
/// Half of what the decoder takes of an event: a server may add an ID and more.
const BYTES_MAX: usize = 8 << 20;
/// Where topics stand in a URL.
const TOPIC: &str = "{topic}";
/// Stands for [`TOPIC`] while a URL is parsed, which would encode the braces.
const STAND_IN: &str = "tidings-bench-topic";
/// Headers that belong to a connection or to its requests, and that are always sent.
const OWN_HEADERS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

impl BenchConfig {
    /// Checks what was written.
    pub(crate) fn check(args: &BenchArgs) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut reader = Reader { mistakes: &mut mistakes };
        let common = args.scenario.common();
        let (topics, bytes, scenario) = reader.scenario(&args.scenario);
        let subscribe = reader.target("", &common.url);
        let publish = match &common.publish_url {
            Some(url) => reader.target("--publish-url ", url),
            None => subscribe.clone(),
        };
        let headers = reader.bench_headers(&common.header);
        let servers = reader.servers(&common.server_pid);
        let mut timeout = Duration::ZERO;
        reader.set(&mut timeout, "--timeout", &common.timeout, |text| {
            at_least(Duration::from_millis(100), duration(text)?)
        });
        if let (Some(subscribe), Some(publish), 2..) = (&subscribe, &publish, topics)
            && !(subscribe.has_topic() && publish.has_topic())
        {
            reader.mistake(format!(
                "--topics {topics}: a URL without {TOPIC} has one topic; {TOPIC} is needed where \
                 the topic stands"
            ));
        }
        let progress = match (io::stderr().is_terminal(), common.progress) {
            (true, _) => Way::Terminal,
            (false, true) => Way::Lines,
            (false, false) => Way::None,
        };
        match (subscribe, publish, scenario) {
            (Some(subscribe), Some(publish), Some(scenario)) if mistakes.is_empty() => Ok(Self {
                run: Config {
                    url: common.url.clone(),
                    subscribe,
                    publish,
                    headers,
                    topics,
                    bytes,
                    scenario,
                    servers,
                    timeout,
                    progress,
                },
                output: if common.json { Output::Json } else { Output::People },
            }),
            _ => Err(Mistakes(mistakes)),
        }
    }
}

impl ScenarioArgs {
    fn common(&self) -> &CommonArgs {
        match self {
            Self::Idle(args) => &args.common,
            Self::FanOut(args) => &args.common,
            Self::Churn(args) => &args.common,
            Self::Replay(args) => &args.common,
            Self::Slow(args) => &args.common,
            Self::Publish(args) => &args.common,
        }
    }
}

impl Reader<'_> {
    /// The number of topics, the bytes of an event, and the scenario itself.
    fn scenario(&mut self, args: &ScenarioArgs) -> (u32, usize, Option<Scenario>) {
        let (mut topics, mut size) = (1, EVENT_BYTES_MIN);
        let scenario = match args {
            ScenarioArgs::Idle(args) => {
                let subscribers = self.count("--subscribers", &args.subscribers, CONNECTIONS_MAX);
                topics = self.topics(&args.topics, subscribers);
                let mut hold = Duration::ZERO;
                self.set(&mut hold, "--hold", &args.hold, duration);
                Some(Scenario::Idle { subscribers, hold })
            }
            ScenarioArgs::FanOut(args) => {
                let subscribers = self.count("--subscribers", &args.subscribers, CONNECTIONS_MAX);
                topics = self.topics(&args.topics, subscribers);
                size = self.event_bytes(&args.bytes);
                let events = self.count("--events", &args.events, EVENTS_MAX);
                let under_way = self.count("--under-way", &args.under_way, UNDER_WAY_MAX);
                Some(Scenario::FanOut { subscribers, events, under_way })
            }
            ScenarioArgs::Churn(args) => {
                let connections = self.count("--connections", &args.connections, EVENTS_MAX);
                let under_way = self.count("--under-way", &args.under_way, CONNECTIONS_MAX);
                Some(Scenario::Churn { connections, under_way })
            }
            ScenarioArgs::Replay(args) => {
                size = self.event_bytes(&args.bytes);
                let events = self.count("--events", &args.events, EVENTS_MAX);
                let subscribers = self.count("--subscribers", &args.subscribers, CONNECTIONS_MAX);
                if args.start.contains(['\r', '\n', '\0']) {
                    self.mistake("--start: no header can carry it".to_owned());
                }
                let start = (!args.no_start).then(|| args.start.clone());
                Some(Scenario::Replay { events, subscribers, start })
            }
            ScenarioArgs::Slow(args) => {
                size = self.event_bytes(&args.bytes);
                let subscribers = self.count("--subscribers", &args.subscribers, CONNECTIONS_MAX);
                let stalled = self.count("--stalled", &args.stalled, CONNECTIONS_MAX);
                let events = self.count("--events", &args.events, EVENTS_MAX / 2);
                let rate = args.rate.strip_suffix("/s").unwrap_or(&args.rate);
                let rate = self.count("--rate", rate, RATE_MAX);
                Some(Scenario::Slow { subscribers, stalled, events, rate })
            }
            ScenarioArgs::Publish(args) => {
                size = self.event_bytes(&args.bytes);
                topics = self.count("--topics", &args.topics, EVENTS_MAX);
                let connections = self.count("--connections", &args.connections, CONNECTIONS_MAX);
                let pipelined = self.count("--pipelined", &args.pipelined, UNDER_WAY_MAX);
                let events = self.count("--events", &args.events, EVENTS_MAX);
                let together = self.count("--batch", &args.batch, UNDER_WAY_MAX);
                let url = args.batch_url.as_deref();
                self.batch(together, url, &args.common.url).map(|batch| Scenario::Publish {
                    connections,
                    pipelined,
                    events,
                    batch,
                })
            }
        };
        (topics, size, scenario)
    }

    /// Reads a whole number from 1 to `most`.
    fn count(&mut self, flag: &str, text: &str, most: u32) -> u32 {
        let mut count = 1;
        self.set(&mut count, flag, text, |text| match text.parse() {
            Ok(count) if (1..=most).contains(&count) => Ok(count),
            _ => Err(format!("a whole number from 1 to {most} is needed")),
        });
        count
    }

    fn topics(&mut self, text: &str, subscribers: u32) -> u32 {
        let topics = self.count("--topics", text, CONNECTIONS_MAX);
        if topics > subscribers {
            self.mistake(format!(
                "--topics {topics}: more than there are subscribers, of which each has one topic"
            ));
        }
        topics
    }

    fn event_bytes(&mut self, text: &str) -> usize {
        let mut size = EVENT_BYTES_MIN;
        self.set(&mut size, "--bytes", text, |text| match bytes(text)? {
            0..EVENT_BYTES_MIN => Err(format!(
                "at least {EVENT_BYTES_MIN} are needed, for what each event says of itself"
            )),
            size if size > BYTES_MAX => Err("at most 8MiB are possible".to_owned()),
            size => Ok(size),
        });
        size
    }

    /// Where lines of JSON go, if more than one event is published at a time.
    fn batch(&mut self, events: u32, url: Option<&str>, server: &str) -> Option<Option<Batch>> {
        if events == 1 {
            if url.is_some() {
                self.mistake(
                    "--batch-url: nothing is sent there unless --batch is more than 1".into(),
                );
            }
            return Some(None);
        }
        let target = match url {
            Some(url) => self.target("--batch-url ", url)?,
            // What is wrong with the URL itself is said elsewhere.
            None => {
                let url = Url::parse(&server.replace(TOPIC, STAND_IN)).ok()?;
                let url = url.join("/events").ok()?;
                self.target("", url.as_str())?
            }
        };
        Some(Some(Batch { events, target }))
    }

    /// Takes a URL apart; `flag` is said before a mistake.
    fn target(&mut self, flag: &str, text: &str) -> Option<Target> {
        let refuse = |reader: &mut Self, why: &str| {
            reader.mistake(format!("{flag}{text}: {why}"));
            None
        };
        let Ok(url) = Url::parse(&text.replace(TOPIC, STAND_IN)) else {
            return refuse(self, "not an absolute http or https URL");
        };
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return refuse(self, "not an absolute http or https URL"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(self, "a name and a password are to be sent as --header");
        }
        let host = url.host_str().unwrap_or_default();
        if host.contains(STAND_IN) {
            return refuse(self, "the topic cannot stand in the host's name");
        }
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let path = path.split(STAND_IN).map(str::to_owned).collect();
        Some(Target { place: Place { scheme, host, port }, authority, path })
    }

    fn bench_headers(&mut self, texts: &[String]) -> Vec<(String, String)> {
        let headers = self.headers("--header", texts);
        for (name, value) in &headers {
            let is_name =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            // A value may be a secret, so it is not shown.
            if name.is_empty() || !name.bytes().all(is_name) {
                self.mistake("--header: a name of letters, digits and dashes is needed".to_owned());
            } else if value.contains(['\r', '\n', '\0']) {
                self.mistake(format!("--header {name}: the value has a line end in it"));
            } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.mistake(format!("--header {name}: this one is always made here"));
            }
        }
        headers
    }

    fn servers(&mut self, texts: &[String]) -> Vec<u32> {
        if !texts.is_empty() && !cfg!(target_os = "linux") {
            self.mistake(
                "--server-pid: memory and CPU time of a server are read from /proc, which only \
                 Linux has"
                    .to_owned(),
            );
        }
        let texts = texts.iter();
        texts.map(|text| self.count("--server-pid", text, u32::MAX)).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn check(line: &str) -> Result<Config, Mistakes> {
        let words = ["tidings", "bench"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words) {
            Ok(Cli { command: Command::Bench(args) }) => {
                BenchConfig::check(&args).map(|config| config.run)
            }
            Ok(_) => panic!("bench was asked for"),
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn refused(line: &str, parts: &[&str]) {
        let told = check(line).unwrap_err().to_string();
        for part in parts {
            assert!(told.contains(part), "{part:?} is missing in {told:?}");
        }
        assert_eq!(told.lines().count(), parts.len(), "{told}");
    }

    #[test]
    fn defaults_are_a_small_run() {
        let config = check("fan-out http://a/topics/{topic}").unwrap();
        let FanOut { subscribers, events, under_way } = config.scenario else { panic!() };
        assert_eq!((subscribers, events, under_way), (1_000, 1_000, 1));
        assert_eq!((config.topics, config.bytes), (1, 100));
        assert_eq!(config.publish, config.subscribe);
        let Slow { rate, stalled, .. } = check("slow http://a").unwrap().scenario else { panic!() };
        assert_eq!((rate, stalled), (200, 50));
    }

    use Scenario::{FanOut, Slow};

    #[test]
    fn a_url_is_cut_where_the_topic_stands() {
        let config = check("idle http://[::1]:81/a/{topic}?x={topic}&y").unwrap();
        let Target { place, authority, path } = config.subscribe;
        assert_eq!(place, Place { scheme: Scheme::Http, host: "::1".into(), port: 81 });
        assert_eq!(authority, "[::1]:81");
        assert_eq!(path, ["/a/", "?x=", "&y"]);
        let config = check("idle http://a --publish-url http://b/{topic}").unwrap();
        assert_eq!(
            (config.subscribe.path, config.subscribe.place.port),
            (vec!["/".to_owned()], 80)
        );
        assert_eq!(config.publish.authority, "b");
        let secure = check("idle https://a").unwrap().subscribe.place;
        assert_eq!(secure, Place { scheme: Scheme::Https, host: "a".into(), port: 443 });
    }

    #[test]
    fn batches_go_where_the_hub_takes_them_unless_told() {
        let batch = |line: &str| match check(line).unwrap().scenario {
            Scenario::Publish { batch, .. } => batch,
            _ => panic!("publish was asked for"),
        };
        assert_eq!(batch("publish http://a/topics/{topic}"), None);
        let usual = batch("publish http://a:1/topics/{topic} --batch 16").unwrap();
        assert_eq!((usual.events, usual.target.path), (16, vec!["/events".to_owned()]));
        let told = batch("publish http://a/ --batch 2 --batch-url http://b/many").unwrap();
        assert_eq!(told.target.authority, "b");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        refused(
            "fan-out ftp://a --subscribers 0 --topics x --events 1.5 --under-way 1e3 --bytes 55 \
             --timeout 1 --server-pid me --publish-url b",
            &[
                "ftp://a: not",
                "--subscribers 0",
                "--topics x",
                "--events 1.5",
                "--under-way 1e3",
                "--bytes 55: at least 56",
                "--timeout 1",
                "--server-pid me",
                "--publish-url b: not",
            ],
        );
        refused("slow http://a --rate 5/m --stalled 0", &["--rate 5/m", "--stalled 0"]);
        refused("idle http://a/{topic} --subscribers 2 --topics 3", &["more than there are"]);
        refused("idle http://a/ --topics 2", &["a URL without {topic}"]);
        refused("idle http://{topic}.a/", &["host's name"]);
        refused("idle http://u:p@a/", &["--header"]);
        refused("publish http://a --batch-url http://b", &["--batch-url"]);
        refused("replay http://a --bytes 9MiB", &["at most 8MiB"]);
    }

    #[test]
    fn headers_that_would_break_the_requests_are_refused_and_no_secret_is_shown() {
        for header in ["Host:x", "content-length:3", ":s3cret", "a(b:s3cret", "s3cret"] {
            let told = check(&format!("idle http://a -H {header}")).unwrap_err().to_string();
            assert!(told.contains("--header") && !told.contains("s3cret"), "{told}");
        }
        let config = check("idle http://a -H Authorization:Bearer").unwrap();
        assert_eq!(config.headers, [("Authorization".to_owned(), "Bearer".to_owned())]);
    }
}
