//! The meaning of the command lines of `listen`, `publish` and `relay`.

mod connections;

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use tidings_client::{
    Builder, Draft, EndNotice, EventId, EventSource, EventType, IdempotencyKey, Producer, Publisher,
};
use tidings_hub::TopicFilter;

use super::address::{
    as_url, contains, events_url, hub_url, identity, is_hub, stream_name, stream_transport,
};
use super::units::duration;
use super::{Checker, Mistakes};
use crate::args::{ListenArgs, PublishArgs, RelayArgs};
use crate::follow::Follower;

/// Stands for a URL that is missing, so that the other arguments are checked, too.
const DUMMY_URL: &str = "http://127.0.0.1/";

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
    Command(Exec),
}

/// A shell command that runs for each event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exec {
    pub(crate) command: String,
    pub(crate) input: ExecInput,
    pub(crate) on_failure: OnFailure,
}

/// The standard input of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecInput {
    Data,
    /// The whole event.
    Json,
}

/// The choice of what happens if a command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    Skip,
    Retry,
    Stop,
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
    One {
        data: DataSource,
        template: Template,
        key: IdempotencyKey,
    },
    Many {
        format: FileFormat,
        file: Box<dyn Read + Send>,
        template: Template,
    },
    /// A stream of the template's topic.
    Stream {
        format: FileFormat,
        file: Box<dyn Read + Send>,
        template: Template,
        options: StreamOptions,
    },
}

/// How a stream of a topic is produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamOptions {
    pub(crate) start: StreamStart,
    pub(crate) end: EndNotice,
    pub(crate) producer: Option<Producer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamStart {
    Begin,
    Continue,
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
    /// Each line is the data of an event.
    Lines,
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
    /// The topic that the upstream is a stream of, or another name for what it contains.
    pub(crate) upstream_topic: String,
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
        let mut builder =
            checker.source(&url, &args.header, &args.idle_timeout, args.ca.as_deref());
        if let Some(text) = &args.attempts {
            match text.parse::<NonZeroU32>() {
                Ok(attempts) => builder = builder.attempts_max(attempts),
                Err(_) => checker
                    .mistake(format!("--attempts {text}: must be a whole number of at least 1")),
            }
        }
        let sink = match (&args.exec, args.json) {
            (Some(command), json) => Sink::Command(Exec {
                command: command.clone(),
                input: if json { ExecInput::Json } else { ExecInput::Data },
                on_failure: checker.on_failure(&args.on_failure),
            }),
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
        let hub = hub_url(args.hub.as_deref());
        let publisher = checker.publisher(&hub, "--header", &args.header, args.ca.as_deref());
        let (topics, data) = checker.topics_and_data(args);
        let template = checker.template(args, topics);
        let stdin = Path::new("-");
        let file = match (&args.ndjson, &args.event_stream) {
            (Some(path), _) => Some((FileFormat::Ndjson, "--ndjson", path.as_path())),
            (None, Some(path)) => Some((FileFormat::EventStream, "--event-stream", path.as_path())),
            (None, None) if args.lines => Some((FileFormat::Lines, "--lines", stdin)),
            (None, None) => args.stream.then_some((FileFormat::EventStream, "--stream", stdin)),
        };
        let input = match file {
            Some((format, flag, path)) => {
                let file = checker.file(flag, path);
                let options = args.stream.then(|| checker.stream_options(args, &template));
                file.map(|file| match options {
                    Some(options) => Input::Stream { format, file, template, options },
                    None => Input::Many { format, file, template },
                })
            }
            None => {
                let data = data.map_or(DataSource::StandardInput, DataSource::Here);
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
        let hub = hub_url(args.hub.as_deref());
        let url = as_url(&args.upstream).unwrap_or_else(|| args.upstream.clone());
        if contains(&url, &hub, &args.to) {
            checker.mistake(format!(
                "the upstream contains the topic {} of the same hub: every event would come back for \
                 ever",
                args.to
            ));
        }
        let builder =
            checker.source(&url, &args.header, &args.idle_timeout, args.ca.as_deref()).comments();
        let publisher =
            checker.publisher(&hub, "--hub-header", &args.hub_header, args.ca.as_deref());
        let mut copy = EventSource::get(&events_url(&hub, [("topic", &args.to)]));
        copy = copy.transport(checker.transport(stream_transport(), args.ca.as_deref()));
        for (name, value) in checker.headers("--hub-header", &args.hub_header) {
            copy = copy.secret_header(name, value);
        }
        let upstream = identity(&url);
        let upstream_topic = stream_name(&url);
        let (to, interactive) = (args.to.clone(), interactive());
        // The state of one topic says nothing about another topic.
        let stream = format!("{upstream} to {to} at {}", identity(&hub));
        let asked = args.last_event_id.as_deref();
        let follower = checker.follower(builder, &stream, args.state.as_deref(), asked);
        let config = follower.zip(publisher).map(|(follower, publisher)| Self {
            follower,
            publisher,
            upstream,
            upstream_topic,
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

impl Checker<'_> {
    /// Returns the URL to listen to: as given, or the hub's stream of the given topics.
    fn stream_url(&mut self, args: &ListenArgs) -> String {
        let given = args.source.as_deref().map(|text| (text, as_url(text)));
        let topics = args.topic.iter().map(|topic| ("topic", topic));
        let filters = topics.chain(args.pattern.iter().map(|pattern| ("match", pattern)));
        match given {
            Some((_, Some(url))) if args.hub.is_some() => {
                self.mistake(format!("{url}: with --hub, this must be a topic"));
                url
            }
            Some((_, Some(url))) if args.topic.is_empty() && args.pattern.is_empty() => url,
            Some((_, Some(url))) if is_hub(&url) => events_url(&url, filters),
            Some((text, None)) if args.topic.is_empty() && args.pattern.is_empty() => {
                let kind = match TopicFilter::pattern(text) {
                    Ok(TopicFilter::Pattern(_)) => "match",
                    _ => "topic",
                };
                events_url(&hub_url(args.hub.as_deref()), [(kind, &text.to_owned())])
            }
            Some((text, _)) => {
                self.mistake(format!(
                    "{text}: with --topic or --match, this must be the URL of the hub itself, such as \
                     http://127.0.0.1:4000"
                ));
                text.to_owned()
            }
            None if args.topic.is_empty() && args.pattern.is_empty() => {
                self.mistake("a topic or the URL of a stream is missing".to_owned());
                DUMMY_URL.to_owned()
            }
            None => events_url(&hub_url(args.hub.as_deref()), filters),
        }
    }

    fn on_failure(&mut self, text: &str) -> OnFailure {
        let mut on_failure = OnFailure::Skip;
        self.set(&mut on_failure, "--on-failure", text, |text| match text {
            "skip" => Ok(OnFailure::Skip),
            "retry" => Ok(OnFailure::Retry),
            "stop" => Ok(OnFailure::Stop),
            _ => Err("must be skip, retry or stop".to_owned()),
        });
        on_failure
    }

    /// Decides which of the words are the topic and the data.
    fn topics_and_data(&mut self, args: &PublishArgs) -> (Vec<String>, Option<String>) {
        let (first, second) = (args.first.clone(), args.second.clone());
        let (topics, data) = match (args.topic.is_empty(), first) {
            (true, first) => (first.into_iter().collect(), second),
            (false, first) => {
                if second.is_some() {
                    self.mistake("with --topic, the only other word is the data".to_owned());
                }
                (args.topic.clone(), first)
            }
        };
        let is_file =
            args.ndjson.is_some() || args.event_stream.is_some() || args.lines || args.stream;
        if is_file && data.is_some() {
            self.mistake("the data comes from the input, so it cannot be given as well".to_owned());
        }
        if topics.is_empty() && args.ndjson.is_none() {
            self.mistake(
                "a topic is missing: tidings publish TOPIC DATA, or tidings publish --topic TOPIC DATA"
                    .to_owned(),
            );
        }
        (topics, data)
    }

    fn template(&mut self, args: &PublishArgs, topics: Vec<String>) -> Template {
        let mut template = Template { topics, ..Template::default() };
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

    fn stream_options(&mut self, args: &PublishArgs, template: &Template) -> StreamOptions {
        if template.topics.len() != 1 {
            self.mistake("a stream is of one topic: tidings publish TOPIC --stream".to_owned());
        }
        let mut end = EndNotice::Event;
        self.set(&mut end, "--end", &args.end, |text| match text {
            "event" => Ok(EndNotice::Event),
            "close" => Ok(EndNotice::Close),
            _ => Err("must be event or close".to_owned()),
        });
        let mut producer = None;
        if let Some(id) = &args.producer {
            self.set(&mut producer, "--producer", id, |id| {
                let producer = Producer::new(id, args.epoch);
                producer.map(Some).ok_or_else(|| "cannot be sent in a header".to_owned())
            });
        }
        let start = match args.continues {
            true => StreamStart::Continue,
            false => StreamStart::Begin,
        };
        StreamOptions { start, end, producer }
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
mod tests;
