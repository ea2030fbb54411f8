//! `tidings journal`: examines the folder in which a hub keeps its events.

use std::error::Error;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tidings_hub::journal::disk::{Checked, Dumped, Folder, check, dump, epoch, new_epoch};
use tidings_hub::journal::{Content, Entry, JournalError};
use tidings_hub::{Cursor, Epoch, EventType, Topic, Via};

use crate::args::{FolderArgs, JournalCommand};
use crate::message::{tell, without_controls};
use crate::print::print;

/// Runs a command of `journal`.
pub(crate) fn run(command: JournalCommand) -> Result<(), Box<dyn Error>> {
    match command {
        JournalCommand::Check(FolderArgs { folder }) => run_check(&folder),
        JournalCommand::Dump(FolderArgs { folder }) => run_dump(&folder),
        JournalCommand::NewEpoch(FolderArgs { folder }) => run_new_epoch(&folder),
    }
}

fn run_check(folder: &Path) -> Result<(), Box<dyn Error>> {
    let checked = check(&Folder::new(folder)).map_err(|error| unusable(folder, error))?;
    if checked.segments == 0 {
        return Err(NoJournal(folder.to_owned()).into());
    }
    checked.damage.iter().for_each(|damage| tell(&damage.to_string()));
    match checked.damage.len() {
        0 => Ok(print(sound(&checked).as_bytes())?),
        findings => Err(Damaged { findings, entries: checked.entries }.into()),
    }
}

/// Describes a sound journal.
fn sound(checked: &Checked) -> String {
    let Checked { entries, segments, torn_bytes, .. } = checked;
    let entries = counted(*entries, ["entry", "entries"]);
    let segments = counted(*segments as u64, ["segment", "segments"]);
    let mut line = format!("sound: {entries} in {segments}");
    if *torn_bytes > 0 {
        line.push_str(&format!(
            "; an incomplete write of {torn_bytes} bytes at the end, which was never acknowledged"
        ));
    }
    line + "\n"
}

fn counted(number: u64, [one, many]: [&str; 2]) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn run_dump(folder: &Path) -> Result<(), Box<dyn Error>> {
    let storage = Folder::new(folder);
    let unusable = |error| unusable(folder, error);
    let epoch = epoch(&storage).map_err(unusable)?.ok_or_else(|| NoJournal(folder.to_owned()))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut written, mut findings, mut entries) = (Ok(()), 0, 0);
    dump(&storage, &mut |found| {
        match found {
            Dumped::Entry { entry, .. } => {
                entries += 1;
                written = write_entry(&mut out, &entry, epoch);
            }
            Dumped::Damage(damage) => {
                findings += 1;
                tell(&damage.to_string());
            }
            _ => {}
        }
        match &written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })
    .map_err(unusable)?;
    match written.and_then(|()| out.flush()) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        written => written?,
    }
    if findings > 0 {
        return Err(Damaged { findings, entries }.into());
    }
    Ok(())
}

fn run_new_epoch(folder: &Path) -> Result<(), Box<dyn Error>> {
    new_epoch(&Folder::new(folder)).map_err(|error| unusable(folder, error))?;
    let line =
        "the journal has a new epoch: readers that come with an older event ID are told of a gap\n";
    Ok(print(line.as_bytes())?)
}

/// An event as `tidings publish --ndjson` reads it.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    private: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<&'a str>,
    data: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Writes the line of an event. What closed the streams of a topic is no event.
fn write_entry(out: &mut impl Write, entry: &Entry, epoch: Epoch) -> io::Result<()> {
    let Content::Event(event) = &entry.content else { return Ok(()) };
    let cursor = Cursor { epoch, sequence: entry.sequence };
    let id = event.id().cloned().unwrap_or_else(|| cursor.to_event_id());
    let event_type = event.event_type();
    let names = entry.topics.as_slice();
    let line = Line {
        topic: (names.len() == 1).then(|| names[0].as_str()),
        topics: (names.len() != 1).then(|| names.iter().map(Topic::as_str).collect()),
        r#type: (*event_type != EventType::default()).then(|| event_type.as_str()),
        id: id.as_str(),
        retry: event.retry().map(|retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX)),
        private: entry.private,
        via: entry.via.as_ref().map(Via::as_str),
        data: event.data(),
    };
    let line = serde_json::to_string(&line).map_err(io::Error::from)?;
    writeln!(out, "{}", without_controls(&line))
}

/// Names the folder of a journal that cannot be used.
pub(crate) fn unusable(folder: &Path, source: JournalError) -> Unusable {
    Unusable { folder: folder.to_owned(), source }
}

/// The journal in a folder cannot be used.
#[derive(Debug)]
pub(crate) struct Unusable {
    folder: PathBuf,
    source: JournalError,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the journal in {}", self.folder.display())
    }
}

impl Error for Unusable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// A folder without a journal.
#[derive(Debug)]
struct NoJournal(PathBuf);

impl fmt::Display for NoJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no journal in {}", self.0.display())
    }
}

impl Error for NoJournal {}

/// A journal that is damaged; the findings have been reported.
#[derive(Debug)]
struct Damaged {
    findings: usize,
    entries: u64,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = counted(self.findings as u64, ["place", "places"]);
        write!(f, "the journal is damaged in {places}; sound entries: {}", self.entries)
    }
}

impl Error for Damaged {}
