//! `tidings publish`: publishes one event or a file of events.

mod input;

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_core::Stream as _;
use tidings_client::{PublishError, PublishManyError, Publisher};

use self::input::Mistake;
use crate::config::{DataSource, Input, Interactive, PublishConfig, StreamOptions, StreamStart};
use crate::message::{name, tell};

/// The maximum size of an event's data: the maximum that a hub can be configured to accept.
const DATA_BYTES_MAX: u64 = 1 << 30;

/// Publishes the input.
pub(crate) fn run(config: PublishConfig) -> Result<(), Box<dyn Error>> {
    let PublishConfig { publisher, input, interactive } = config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match input {
        Input::One { data, template, key } => {
            let data = match data {
                DataSource::Here(data) => data,
                DataSource::StandardInput => standard_input()?,
            };
            let draft = template.draft(data).ok_or(Unpublished::NoTopic)?;
            let published = runtime.block_on(publisher.publish_with_key(draft, &key));
            let published = published.map_err(|error| Unpublished::of(error, &key))?;
            // The ID is the hub's text.
            say(&name(&published.id))
        }
        Input::Stream { format, file, template, options } => {
            let (events, mistake) = input::events(format, file, template.clone());
            let topic = template.topics.first().ok_or(Unpublished::NoTopic)?;
            let produced = runtime.block_on(produce(&publisher, topic, options, events, &mistake));
            runtime.shutdown_background();
            say(&produced?.to_string())
        }
        Input::Many { format, file, template } => {
            let (events, mistake) = input::events(format, file, template);
            let published = runtime.block_on(many(&publisher, events, interactive));
            // The thread that reads may be waiting for input that is no longer needed.
            runtime.shutdown_background();
            let published = published?;
            match mistake.take() {
                Some(mistake) => Err(Unpublished::Mistake { mistake, published }.into()),
                None => say(&published.to_string()),
            }
        }
    }
}

/// Publishes a stream of a topic, event by event. After a mistake it stays open.
async fn produce(
    publisher: &Publisher,
    topic: &str,
    options: StreamOptions,
    mut events: input::Events,
    mistake: &input::MistakeSlot,
) -> Result<u64, Unpublished> {
    let StreamOptions { start, end, producer } = options;
    let mut stream = match start {
        StreamStart::Begin => publisher.begin(topic, producer).await?,
        StreamStart::Continue => publisher.resume(topic, producer),
    };
    let mut published = 0;
    while let Some(draft) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
        match stream.send(draft).await {
            Ok(_) => published += 1,
            Err(PublishError::Refused(refused)) if refused.is_stopped() => {
                tell("a reader has stopped the stream");
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(mistake) = mistake.take() {
        return Err(Unpublished::Mistake { mistake, published });
    }
    stream.end(end).await?;
    Ok(published)
}

async fn many(
    publisher: &Publisher,
    events: input::Events,
    interactive: Interactive,
) -> Result<u64, PublishManyError> {
    let mut meter = ProgressMeter::new(interactive);
    let published =
        publisher.publish_stream(events, |receipt| meter.count(receipt.committed)).await;
    meter.end();
    published
}

/// Reads all of standard input, without the line end at its end, which comes from the shell.
fn standard_input() -> Result<String, Box<dyn Error>> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        tell("reading the data from standard input; Ctrl-D ends it");
    }
    let mut bytes = Vec::new();
    stdin.lock().take(DATA_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > DATA_BYTES_MAX {
        return Err(Unpublished::TooLong.into());
    }
    let mut text = String::from_utf8(bytes).map_err(|_| Unpublished::NotUtf8)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Prints the result. If it is not read, the publish is not undone.
fn say(line: &str) -> Result<(), Box<dyn Error>> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Shows how many events were published, if publishing takes long and standard error is interactive.
struct ProgressMeter {
    interactive: Interactive,
    started: Instant,
    shown: Option<Instant>,
    count: u64,
}

impl ProgressMeter {
    /// Publishing that is faster than this shows no progress.
    const AFTER: Duration = Duration::from_secs(1);
    /// The interval between updates, as fast as people can read.
    const EVERY: Duration = Duration::from_millis(200);

    fn new(interactive: Interactive) -> Self {
        Self { interactive, started: Instant::now(), shown: None, count: 0 }
    }

    fn count(&mut self, committed: u64) {
        self.count += committed;
        let now = Instant::now();
        let is_due = self.shown.is_none_or(|shown| now >= shown + Self::EVERY);
        if self.interactive == Interactive::Yes && now >= self.started + Self::AFTER && is_due {
            self.shown = Some(now);
            eprint!("\r{} events published", self.count);
        }
    }

    fn end(&self) {
        if self.shown.is_some() {
            eprintln!("\r{} events published", self.count);
        }
    }
}

/// Why not everything was published.
#[derive(Debug)]
enum Unpublished {
    TooLong,
    NotUtf8,
    NoTopic,
    Publish(PublishError),
    /// The event may have been published. Publishing it again under the key finds out.
    Unsettled {
        error: PublishError,
        key: String,
    },
    Mistake {
        mistake: Mistake,
        published: u64,
    },
}

impl Unpublished {
    fn of(error: PublishError, key: &tidings_client::IdempotencyKey) -> Self {
        match error {
            PublishError::Unsettled { .. } => {
                Self::Unsettled { error, key: key.as_str().to_owned() }
            }
            error => Self::Publish(error),
        }
    }
}

impl From<PublishError> for Unpublished {
    fn from(error: PublishError) -> Self {
        Self::Publish(error)
    }
}

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "standard input is longer than 1 GiB"),
            Self::NotUtf8 => write!(f, "standard input is not UTF-8"),
            Self::NoTopic => write!(f, "no topic was given"),
            Self::Publish(error) => write!(f, "{error}"),
            Self::Unsettled { error, key } => write!(
                f,
                "{error}; to try again within ten minutes without publishing twice, use \
                 --idempotency-key {key}"
            ),
            Self::Mistake { mistake, published } => match published {
                0 => write!(f, "{mistake}; nothing was published"),
                1 => write!(f, "{mistake}; the event before it was published"),
                n => write!(f, "{mistake}; the {n} events before it were published"),
            },
        }
    }
}

impl Error for Unpublished {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Publish(error) | Self::Unsettled { error, .. } => error.source(),
            _ => None,
        }
    }
}
