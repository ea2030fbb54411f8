//! `tidings publish`: one event, or a file of them.

mod reading;

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::time::{Duration, Instant};

use tidings_client::{PublishError, PublishManyError, Publisher};

use self::reading::Mistake;
use crate::config::{Data, Input, PublishConfig, Watched};

/// One event's data at most: what a hub can be told to take at most.
const DATA_BYTES_MAX: u64 = 1 << 30;

/// Publishes what was asked for.
pub(crate) fn run(config: PublishConfig) -> Result<(), Box<dyn Error>> {
    let PublishConfig { publisher, input, watched } = config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match input {
        Input::One { data, template, key } => {
            let data = match data {
                Data::Here(data) => data,
                Data::StandardInput => standard_input()?,
            };
            let draft = template.draft(data).ok_or(Unpublished::NoTopic)?;
            let published = runtime.block_on(publisher.publish_with_key(draft, &key));
            let published = published.map_err(|error| Unpublished::of(error, &key))?;
            say(&published.id)
        }
        Input::Many { format, file, template } => {
            let (events, mistake) = reading::events(format, file, template);
            let published = runtime.block_on(many(&publisher, events, watched));
            // The thread that reads may wait for input that nobody needs.
            runtime.shutdown_background();
            let published = published?;
            match mistake.take() {
                Some(mistake) => Err(Unpublished::Mistake { mistake, published }.into()),
                None => say(&published.to_string()),
            }
        }
    }
}

async fn many(
    publisher: &Publisher,
    events: reading::Events,
    watched: Watched,
) -> Result<u64, PublishManyError> {
    let mut meter = Meter::new(watched);
    let published =
        publisher.publish_stream(events, |receipt| meter.count(receipt.committed)).await;
    meter.end();
    published
}

/// Reads all of standard input, but for one line end at its end, which is the shell's and no data.
fn standard_input() -> Result<String, Box<dyn Error>> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        eprintln!("tidings: the data is read from here; Ctrl-D ends it");
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

/// Prints the result; that nobody reads it does not undo it.
fn say(line: &str) -> Result<(), Box<dyn Error>> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Shows how many events were published, where somebody watches and it takes long.
struct Meter {
    watched: Watched,
    started: Instant,
    shown: Option<Instant>,
    count: u64,
}

impl Meter {
    /// What is over before this shows no progress.
    const AFTER: Duration = Duration::from_secs(1);
    /// Faster than this nobody reads.
    const EVERY: Duration = Duration::from_millis(200);

    fn new(watched: Watched) -> Self {
        Self { watched, started: Instant::now(), shown: None, count: 0 }
    }

    fn count(&mut self, committed: u64) {
        self.count += committed;
        let now = Instant::now();
        let is_due = self.shown.is_none_or(|shown| now >= shown + Self::EVERY);
        if self.watched == Watched::Yes && now >= self.started + Self::AFTER && is_due {
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
    /// It may have been published; the key finds out.
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

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "standard input is longer than 1 GiB"),
            Self::NotUtf8 => write!(f, "standard input is not UTF-8"),
            Self::NoTopic => write!(f, "no --topic was given"),
            Self::Publish(error) => write!(f, "{error}"),
            Self::Unsettled { error, key } => write!(
                f,
                "{error}; within ten minutes, --idempotency-key {key} publishes it without \
                 doubling it"
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
