//! The meaning of the command line of `bench`.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use tidings_bench::{BadTarget, Batch, Config, EVENT_BYTES_MIN, ProgressStyle, Scenario, Target};

use super::units::{at_least, bytes, duration};
use super::{Checker, Mistakes};
use crate::args::bench::{
    BenchArgs, CommonArgs, EventsArgs, PublishingArgs, ScenarioArgs, SubscribersArgs, TopicsArgs,
};

/// The configuration of `bench`.
#[derive(Debug)]
pub(crate) struct BenchConfig {
    pub(crate) run: Config,
    pub(crate) output: Output,
}

/// The format of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    People,
    Json,
}

/// No machine has ports, addresses and memory for more connections.
const CONNECTIONS_MAX: u32 = 1_000_000;
/// Each event takes four bytes during the run.
const EVENTS_MAX: u32 = 100_000_000;
/// No server accepts more requests at a time.
const UNDER_WAY_MAX: u32 = 1_000_000;
/// One thread cannot publish faster.
const RATE_MAX: u32 = 1_000_000;
/// Half of what the decoder accepts for an event: a server may add an ID and other fields.
const BYTES_MAX: usize = 8 << 20;
/// Headers that this program always sends itself.
const OWN_HEADERS: [&str; 4] = ["host", "content-length", "transfer-encoding", "connection"];

impl BenchConfig {
    /// Checks the arguments.
    pub(crate) fn check(args: &BenchArgs) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut checker = Checker { mistakes: &mut mistakes };
        let common = args.scenario.common();
        let subscribe = checker.target("", &common.url);
        let (topics, bytes, scenario) = checker.scenario(&args.scenario, subscribe.as_ref());
        let publish = match &common.publish_url {
            Some(url) => checker.target("--publish-url ", url),
            None => subscribe.clone(),
        };
        let headers = checker.bench_headers(&common.header);
        let servers = checker.servers(&common.server_pid);
        let mut timeout = Duration::ZERO;
        checker.set(&mut timeout, "--timeout", &common.timeout, |text| {
            at_least(Duration::from_millis(100), duration(text)?)
        });
        if let (Some(subscribe), Some(publish), 2..) = (&subscribe, &publish, topics)
            && !(subscribe.has_topic() && publish.has_topic())
        {
            checker.mistake(format!(
                "--topics {topics}: a URL without {topic} has only one topic; put {topic} where \
                 the topic stands",
                topic = Target::TOPIC
            ));
        }
        let progress = match (io::stderr().is_terminal(), common.progress) {
            (true, _) => ProgressStyle::Terminal,
            (false, true) => ProgressStyle::Lines,
            (false, false) => ProgressStyle::None,
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

impl Checker<'_> {
    /// Returns the number of topics, the size of an event, and the scenario.
    fn scenario(
        &mut self,
        args: &ScenarioArgs,
        subscribe: Option<&Target>,
    ) -> (u32, usize, Option<Scenario>) {
        let (mut topics, mut size) = (1, EVENT_BYTES_MIN);
        let scenario = match args {
            ScenarioArgs::Idle(args) => {
                let subscribers = self.subscribers(&args.subscribers);
                topics = self.topics_of(&args.topics, subscribers);
                let mut hold = Duration::ZERO;
                self.set(&mut hold, "--hold", &args.hold, duration);
                Some(Scenario::Idle { subscribers, hold })
            }
            ScenarioArgs::FanOut(args) => {
                let subscribers = self.subscribers(&args.subscribers);
                topics = self.topics_of(&args.topics, subscribers);
                let events;
                (events, size) = self.events(&args.events, EVENTS_MAX);
                let under_way = self.count("--under-way", &args.under_way, UNDER_WAY_MAX);
                Some(Scenario::FanOut { subscribers, events, under_way })
            }
            ScenarioArgs::Churn(args) => {
                let connections = self.count("--connections", &args.connections, EVENTS_MAX);
                let under_way = self.count("--under-way", &args.under_way, CONNECTIONS_MAX);
                Some(Scenario::Churn { connections, under_way })
            }
            ScenarioArgs::Replay(args) => {
                let events;
                (events, size) = self.events(&args.events, EVENTS_MAX);
                let subscribers = self.subscribers(&args.subscribers);
                if args.start.contains(['\r', '\n', '\0']) {
                    self.mistake("--start: cannot be sent in a header".to_owned());
                }
                let start = (!args.no_start).then(|| args.start.clone());
                Some(Scenario::Replay { events, subscribers, start })
            }
            ScenarioArgs::Slow(args) => {
                let events;
                (events, size) = self.events(&args.events, EVENTS_MAX / 2);
                let subscribers = self.subscribers(&args.subscribers);
                let stalled = self.count("--stalled", &args.stalled, CONNECTIONS_MAX);
                let rate = args.rate.strip_suffix("/s").unwrap_or(&args.rate);
                let rate = self.count("--rate", rate, RATE_MAX);
                Some(Scenario::Slow { subscribers, stalled, events, rate })
            }
            ScenarioArgs::Publish(args) => {
                let events;
                (events, size) = self.events(&args.events, EVENTS_MAX);
                topics = self.count("--topics", &args.topics.topics, EVENTS_MAX);
                let connections = self.count("--connections", &args.connections, CONNECTIONS_MAX);
                let pipelined = self.count("--pipelined", &args.pipelined, UNDER_WAY_MAX);
                let batch = self.batch(args, subscribe);
                batch.map(|batch| Scenario::Publish { connections, pipelined, events, batch })
            }
        };
        (topics, size, scenario)
    }

    /// Parses a whole number from 1 to `most`.
    fn count(&mut self, flag: &str, text: &str, most: u32) -> u32 {
        let mut count = 1;
        self.set(&mut count, flag, text, |text| match text.parse() {
            Ok(count) if (1..=most).contains(&count) => Ok(count),
            _ => Err(format!("must be a whole number from 1 to {most}")),
        });
        count
    }

    fn subscribers(&mut self, args: &SubscribersArgs) -> u32 {
        self.count("--subscribers", &args.subscribers, CONNECTIONS_MAX)
    }

    /// Parses the number of topics. Each topic needs at least one subscriber.
    fn topics_of(&mut self, args: &TopicsArgs, subscribers: u32) -> u32 {
        let topics = self.count("--topics", &args.topics, CONNECTIONS_MAX);
        if topics > subscribers {
            self.mistake(format!(
                "--topics {topics}: must not exceed the number of subscribers, because each has one topic"
            ));
        }
        topics
    }

    /// Parses the number of events and their size.
    fn events(&mut self, args: &EventsArgs, most: u32) -> (u32, usize) {
        let events = self.count("--events", &args.events, most);
        let mut size = EVENT_BYTES_MIN;
        self.set(&mut size, "--bytes", &args.bytes, |text| match bytes(text)? {
            0..EVENT_BYTES_MIN => Err(format!(
                "must be at least {EVENT_BYTES_MIN}, to hold the fields that are checked"
            )),
            size if size > BYTES_MAX => Err("must be at most 8MiB".to_owned()),
            size => Ok(size),
        });
        (events, size)
    }

    /// Parses how several events go into one request; `Some(None)` for one event per request.
    fn batch(
        &mut self,
        args: &PublishingArgs,
        subscribe: Option<&Target>,
    ) -> Option<Option<Batch>> {
        let events = self.count("--batch", &args.batch, UNDER_WAY_MAX);
        if events == 1 {
            if args.batch_url.is_some() {
                self.mistake("--batch-url: it is used only if --batch is more than 1".into());
            }
            return Some(None);
        }
        let target = match &args.batch_url {
            Some(url) => self.target("--batch-url ", url)?,
            None => subscribe?.at("/events"),
        };
        Some(Some(Batch { events, target }))
    }

    /// Parses a URL. A mistake starts with `flag`.
    fn target(&mut self, flag: &str, text: &str) -> Option<Target> {
        let why = match Target::parse(text) {
            Ok(target) => return Some(target),
            Err(BadTarget::Credentials) => {
                "send the user name and the password as --header".to_owned()
            }
            Err(error) => error.to_string(),
        };
        self.mistake(format!("{flag}{text}: {why}"));
        None
    }

    fn bench_headers(&mut self, texts: &[String]) -> Vec<(String, String)> {
        let headers = self.headers("--header", texts);
        for (name, value) in &headers {
            let is_name =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            // A value may be a secret, so it is not shown.
            if name.is_empty() || !name.bytes().all(is_name) {
                self.mistake(
                    "--header: the name must consist of letters, digits and dashes".to_owned(),
                );
            } else if value.contains(['\r', '\n', '\0']) {
                self.mistake(format!("--header {name}: the value must not contain line ends"));
            } else if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                self.mistake(format!("--header {name}: this header is set by the program"));
            }
        }
        headers
    }

    fn servers(&mut self, texts: &[String]) -> Vec<u32> {
        if !texts.is_empty() && !cfg!(target_os = "linux") {
            self.mistake(
                "--server-pid: available only on Linux, because it reads /proc".to_owned(),
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
    fn events_go_to_the_url_of_the_stream_unless_told_otherwise() {
        let config = check("idle http://a --publish-url http://b/{topic}").unwrap();
        assert_eq!(Ok(config.subscribe), Target::parse("http://a"));
        assert_eq!(Ok(config.publish), Target::parse("http://b/{topic}"));
    }

    #[test]
    fn batches_go_where_the_hub_takes_them_unless_told() {
        let batch = |line: &str| match check(line).unwrap().scenario {
            Scenario::Publish { batch, .. } => batch,
            _ => panic!("publish was asked for"),
        };
        assert_eq!(batch("publish http://a/topics/{topic}"), None);
        let usual = batch("publish http://a:1/topics/{topic} --batch 16").unwrap();
        assert_eq!((usual.events, Ok(usual.target)), (16, Target::parse("http://a:1/events")));
        let told = batch("publish http://a/ --batch 2 --batch-url http://b/many").unwrap();
        assert_eq!(Ok(told.target), Target::parse("http://b/many"));
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
                "--bytes 55: must be at least 56",
                "--timeout 1",
                "--server-pid me",
                "--publish-url b: not",
            ],
        );
        refused("slow http://a --rate 5/m --stalled 0", &["--rate 5/m", "--stalled 0"]);
        refused("idle http://a/{topic} --subscribers 2 --topics 3", &["must not exceed"]);
        refused("idle http://a/ --topics 2", &["a URL without {topic}"]);
        refused("idle http://{topic}.a/", &["host name"]);
        refused("idle http://u:p@a/", &["--header"]);
        refused("publish http://a --batch-url http://b", &["--batch-url"]);
        refused("replay http://a --bytes 9MiB", &["must be at most 8MiB"]);
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
