//! The meaning of the command lines of `listen`, `publish` and `relay`.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use tidings_client::{Builder, Draft, EventId, EventSource, EventType, IdempotencyKey, Publisher};
use url::Url;

use super::{Checker, Mistakes, duration};
use crate::args::{ListenArgs, PublishArgs, RelayArgs};
use crate::follow::Follower;
use crate::sentence::sentence;
use crate::state_file::StateFile;

/// The configuration of `listen`.
pub(crate) struct ListenConfig {
    pub(crate) follower: Follower,
    pub(crate) sink: Sink,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// A terminal. Changes of the connection are shown on standard error.
    Terminal(Color),
    /// A program that reads the data.
    Pipe,
    /// A program that reads everything, as JSON.
    Json,
    /// A shell command for each event.
    Command(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Color {
    Yes,
    No,
}

/// The configuration of `publish`.
pub(crate) struct PublishConfig {
    pub(crate) publisher: Publisher,
    pub(crate) input: Input,
    pub(crate) interactive: Interactive,
}

/// The events to publish.
pub(crate) enum Input {
    One { data: DataSource, template: Template, key: IdempotencyKey },
    Many { format: FileFormat, file: Box<dyn Read + Send>, template: Template },
}

/// Where the data of a single event comes from.
pub(crate) enum DataSource {
    Here(String),
    StandardInput,
}

/// The format of a file of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    Ndjson,
    EventStream,
}

/// The properties of an event other than its data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template {
    pub(crate) topics: Vec<String>,
    pub(crate) event_type: Option<EventType>,
    pub(crate) id: Option<EventId>,
    pub(crate) retry: Option<Duration>,
}

impl Template {
    /// Makes an event with this data; `None` if there is no topic.
    pub(crate) fn draft(&self, data: impl Into<String>) -> Option<Draft> {
        let (first, more) = self.topics.split_first()?;
        let mut draft = more.iter().fold(Draft::new(first, data), Draft::with_topic);
        if let Some(event_type) = &self.event_type {
            draft = draft.with_type(event_type.clone());
        }
        if let Some(id) = &self.id {
            draft = draft.with_id(id.clone());
        }
        if let Some(retry) = self.retry {
            draft = draft.with_retry(retry);
        }
        Some(draft)
    }
}

/// Whether a person may be watching standard error, so that progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interactive {
    Yes,
    No,
}

/// The configuration of `relay`.
pub(crate) struct RelayConfig {
    pub(crate) follower: Follower,
    pub(crate) publisher: Publisher,
    /// Identifies the upstream in idempotency keys.
    pub(crate) upstream: String,
    pub(crate) to: String,
    /// The hub's stream of the topic, for asking whether the hub holds an event.
    pub(crate) copy: Builder,
    pub(crate) interactive: Interactive,
}

impl ListenConfig {
    /// Checks the arguments, and reads the state file.
    pub(crate) fn check(args: &ListenArgs) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut checker = Checker { mistakes: &mut mistakes };
        let url = checker.stream_url(args);
        let mut builder = checker.source(&url, &args.header, &args.idle_timeout);
        if let Some(text) = &args.attempts {
            match text.parse::<NonZeroU32>() {
                Ok(attempts) => builder = builder.attempts_max(attempts),
                Err(_) => checker
                    .mistake(format!("--attempts {text}: must be a whole number of at least 1")),
            }
        }
        let sink = match (&args.exec, args.json) {
            (Some(command), _) => Sink::Command(command.clone()),
            (None, true) => {
                builder = builder.comments();
                Sink::Json
            }
            (None, false) if io::stdout().is_terminal() => Sink::Terminal(color()),
            (None, false) => Sink::Pipe,
        };
        let asked = args.last_event_id.as_deref();
        let follower = checker.follower(builder, &identity(&url), args.state.as_deref(), asked);
        finish(mistakes, follower.map(|follower| Self { follower, sink }))
    }
}

impl PublishConfig {
    /// Checks the arguments, and opens the input file.
    pub(crate) fn check(args: &PublishArgs) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut checker = Checker { mistakes: &mut mistakes };
        let publisher = checker.publisher(&args.hub, "--header", &args.header);
        let template = checker.template(args);
        let file = match (&args.ndjson, &args.event_stream) {
            (Some(path), _) => Some((FileFormat::Ndjson, "--ndjson", path)),
            (None, Some(path)) => Some((FileFormat::EventStream, "--event-stream", path)),
            (None, None) => None,
        };
        let input = match file {
            Some((format, flag, path)) => {
                let file = checker.file(flag, path);
                file.map(|file| Input::Many { format, file, template })
            }
            None => {
                let data = args.data.clone().map_or(DataSource::StandardInput, DataSource::Here);
                let key = checker.key(args.idempotency_key.as_deref());
                Some(Input::One { data, template, key })
            }
        };
        let interactive = interactive();
        let config =
            publisher.zip(input).map(|(publisher, input)| Self { publisher, input, interactive });
        finish(mistakes, config)
    }
}

impl RelayConfig {
    /// Checks the arguments, and reads the state file.
    pub(crate) fn check(args: &RelayArgs) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut checker = Checker { mistakes: &mut mistakes };
        let builder = checker.source(&args.upstream, &args.header, &args.idle_timeout);
        let publisher = checker.publisher(&args.hub, "--hub-header", &args.hub_header);
        let mut copy = EventSource::get(&events_url(&args.hub, [("topic", &args.to)]));
        for (name, value) in checker.headers("--hub-header", &args.hub_header) {
            copy = copy.secret_header(name, value);
        }
        let upstream = identity(&args.upstream);
        let (to, interactive) = (args.to.clone(), interactive());
        // The state of one topic says nothing about another topic.
        let stream = format!("{upstream} to {to} at {}", identity(&args.hub));
        let asked = args.last_event_id.as_deref();
        let follower = checker.follower(builder, &stream, args.state.as_deref(), asked);
        let config = follower.zip(publisher).map(|(follower, publisher)| Self {
            follower,
            publisher,
            upstream,
            to,
            copy,
            interactive,
        });
        finish(mistakes, config)
    }
}

/// Returns the configuration if there are no mistakes.
fn finish<T>(mistakes: Vec<String>, config: Option<T>) -> Result<T, Mistakes> {
    config.filter(|_| mistakes.is_empty()).ok_or(Mistakes(mistakes))
}

fn interactive() -> Interactive {
    match io::stderr().is_terminal() {
        true => Interactive::Yes,
        false => Interactive::No,
    }
}

/// Decides whether a terminal is shown colors; see no-color.org.
fn color() -> Color {
    match env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        true => Color::No,
        false => Color::Yes,
    }
}

/// Removes from a URL what may change between runs although the stream is the same: credentials.
fn identity(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return url.to_owned() };
    // These cannot fail if there is something to remove.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    let others: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(name, _)| name != "token").collect();
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    url.into()
}

/// Returns the URL of a hub's stream of several topics. The client refuses it if it is malformed.
fn events_url<'a>(hub: &str, query: impl IntoIterator<Item = (&'a str, &'a String)>) -> String {
    let Ok(mut url) = Url::parse(hub) else { return hub.to_owned() };
    let path = format!("{}/events", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.query_pairs_mut().extend_pairs(query);
    url.into()
}

impl Checker<'_> {
    /// Returns the URL to listen to: as given, or the hub's stream of the given topics.
    fn stream_url(&mut self, args: &ListenArgs) -> String {
        if args.topic.is_empty() && args.pattern.is_empty() {
            return args.url.clone();
        }
        let is_hub = Url::parse(&args.url)
            .is_ok_and(|url| url.query().is_none() && !url.path().contains("/topics/"));
        if !is_hub {
            self.mistake(format!(
                "{}: with --topic or --match, this must be the URL of the hub itself, such \
                 as http://127.0.0.1:4000",
                args.url
            ));
        }
        let topics = args.topic.iter().map(|topic| ("topic", topic));
        events_url(&args.url, topics.chain(args.pattern.iter().map(|pattern| ("match", pattern))))
    }

    fn source(&mut self, url: &str, headers: &[String], idle_timeout: &str) -> Builder {
        let mut builder = EventSource::get(url);
        for (name, value) in self.headers("--header", headers) {
            builder = builder.secret_header(name, value);
        }
        let mut idle = Duration::ZERO;
        self.set(&mut idle, "--idle-timeout", idle_timeout, duration);
        builder.idle_timeout(idle)
    }

    /// Parses headers. The client checks whether they are legal.
    pub(super) fn headers(&mut self, flag: &str, texts: &[String]) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for text in texts {
            match text.split_once(':') {
                Some((name, value)) => {
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                // The text may be a misplaced secret, so it is not shown.
                None => self.mistake(format!("{flag}: must be 'Name: value'")),
            }
        }
        headers
    }

    fn follower(
        &mut self,
        builder: Builder,
        stream: &str,
        path: Option<&Path>,
        asked: Option<&str>,
    ) -> Option<Follower> {
        let asked = asked.unwrap_or_default();
        // Before the file is touched: other mistakes must not leave a file behind.
        if !self.mistakes.is_empty() {
            return None;
        }
        let state = match path.map(|path| StateFile::open(path, stream, asked)).transpose() {
            Ok(state) => state,
            Err(error) => {
                self.mistake(format!("--state: {}", sentence(&error)));
                return None;
            }
        };
        let last_event_id = state.as_ref().map_or(asked, StateFile::last_event_id);
        match builder.last_event_id(last_event_id).open() {
            Ok(source) => Some(Follower::new(source, state)),
            Err(error) => {
                self.mistake(sentence(&error));
                None
            }
        }
    }

    fn publisher(&mut self, hub: &str, flag: &str, headers: &[String]) -> Option<Publisher> {
        let mut builder = Publisher::builder(hub);
        for (name, value) in self.headers(flag, headers) {
            builder = builder.header(name, value);
        }
        match builder.build() {
            Ok(publisher) => Some(publisher),
            Err(error) => {
                self.mistake(sentence(&error));
                None
            }
        }
    }

    fn template(&mut self, args: &PublishArgs) -> Template {
        let mut template = Template { topics: args.topic.clone(), ..Template::default() };
        if let Some(text) = &args.event_type {
            self.set(&mut template.event_type, "--type", text, |text| {
                EventType::new(text).map(Some).map_err(|error| error.to_string())
            });
        }
        if let Some(text) = &args.id {
            self.set(&mut template.id, "--id", text, |text| {
                EventId::new(text).map(Some).map_err(|error| error.to_string())
            });
        }
        if let Some(text) = &args.retry {
            self.set(&mut template.retry, "--retry", text, |text| duration(text).map(Some));
        }
        template
    }

    fn key(&mut self, text: Option<&str>) -> IdempotencyKey {
        let mut key = IdempotencyKey::random();
        if let Some(text) = text {
            self.set(&mut key, "--idempotency-key", text, |text| {
                IdempotencyKey::new(text).map_err(|error| error.to_string())
            });
        }
        key
    }

    fn file(&mut self, flag: &str, path: &Path) -> Option<Box<dyn Read + Send>> {
        if path == Path::new("-") {
            return Some(Box::new(io::stdin()));
        }
        match File::open(path) {
            Ok(file) => Some(Box::new(file)),
            Err(error) => {
                self.mistake(format!("{flag} {}: {error}", path.display()));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    /// Returns the mistakes of a command line that clap accepts.
    #[track_caller]
    fn mistakes(line: &str) -> String {
        let words = line.split_whitespace();
        let checked = match Cli::try_parse_from(["tidings"].into_iter().chain(words)) {
            Err(error) => panic!("{error}"),
            Ok(Cli { command: Command::Listen(args) }) => ListenConfig::check(&args).map(drop),
            Ok(Cli { command: Command::Publish(args) }) => PublishConfig::check(&args).map(drop),
            Ok(Cli { command: Command::Relay(args) }) => RelayConfig::check(&args).map(drop),
            Ok(_) => panic!("{line} is none of the tools"),
        };
        checked.err().map_or_else(String::new, |mistakes| mistakes.to_string())
    }

    fn listen_url(line: &str) -> String {
        let words = ["tidings", "listen"].into_iter().chain(line.split_whitespace());
        let Command::Listen(args) = Cli::parse_from(words).command else {
            panic!("listen was asked for")
        };
        let mut mistakes = Vec::new();
        let url = Checker { mistakes: &mut mistakes }.stream_url(&args);
        assert_eq!(mistakes, <[String; 0]>::default());
        url
    }

    #[test]
    fn topics_and_patterns_make_the_url_of_one_stream() {
        assert_eq!(listen_url("http://a/topics/x"), "http://a/topics/x");
        assert_eq!(listen_url("http://a --topic x/ü"), "http://a/events?topic=x%2F%C3%BC");
        assert_eq!(
            listen_url("http://a/hub/ --topic x --match y/* --match **"),
            "http://a/hub/events?topic=x&match=y%2F*&match=**"
        );
    }

    #[test]
    fn every_mistake_of_the_tools_is_told_at_once() {
        let told = mistakes(
            "listen http://a/topics/x --topic x -H name --attempts 0 --idle-timeout 5 --state /none/x",
        );
        assert_eq!(told.lines().count(), 4, "{told}");
        for part in ["hub itself", "--header", "--attempts 0", "--idle-timeout 5"] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        let told = mistakes("publish hi --topic x --retry soon --idempotency-key ä --hub a");
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(mistakes("relay a --to x").contains("absolute http or https URL"));
        assert!(mistakes("listen http://a/ --last-event-id earliest").is_empty());
        assert!(mistakes("publish --ndjson /none/x").contains("--ndjson /none/x"));
    }

    #[test]
    fn a_header_in_the_wrong_place_is_not_shown() {
        let told = mistakes("listen http://a/ -H Bearer-s3cret");
        assert!(!told.is_empty() && !told.contains("s3cret"), "{told}");
    }

    #[test]
    fn a_streams_identity_is_its_url_without_credentials() {
        assert_eq!(identity("http://u:p@a/x?topic=b&token=s#f"), "http://a/x?topic=b");
        assert_eq!(identity("http://a/x?token=s"), "http://a/x");
    }

    #[test]
    fn one_events_parts_are_not_given_for_many() {
        for line in [
            "publish data --ndjson f",
            "publish --ndjson f --event-stream g --topic x",
            "publish --event-stream f",
            "publish data",
            "publish --ndjson f --id 1",
            "publish --event-stream f --topic x --idempotency-key k",
            "listen http://a/ --json --exec cat",
            "relay http://a/",
        ] {
            let words = ["tidings"].into_iter().chain(line.split_whitespace());
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }
}
