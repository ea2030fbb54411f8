//! The file that keeps a reader's last event ID across runs of the program.
//!
//! It holds one line of JSON: the stream it belongs to, the last event ID, and for a relay the
//! idempotency key of its last publish. A complete new file replaces it by renaming, so it is whole
//! whenever the program or the machine stops.
//!
//! A file that is a mount of its own, as containers have them, cannot be replaced. It is written in
//! place: each write appends a line, and the last complete line counts.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A larger file cannot be a state file: the client accepts events of up to 16 MiB, and JSON may
/// need six bytes for each byte of an ID.
const FILE_BYTES_MAX: u64 = 128 << 20;

/// The size from which a file written in place starts again at its beginning. Large enough that a
/// write is mostly one line, small enough to be read at each such start.
const IN_PLACE_BYTES_MAX: u64 = 64 << 10;

/// A state file.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    content: StateContent,
    /// Whether the file on disk has this content.
    is_written: bool,
    replacement: Replacement,
}

/// The way in which the file gets new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replacement {
    Rename,
    /// No other file can take its name.
    InPlace,
}

#[derive(Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct StateContent {
    stream: String,
    last_event_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publishing: Option<String>,
}

impl StateFile {
    /// Reads the state of `stream` from the file at `path`. A missing or empty file is created with
    /// the last event ID `otherwise`.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written, or it belongs to another stream.
    pub(crate) fn open(path: &Path, stream: &str, otherwise: &str) -> Result<Self, StateError> {
        let fault = |fault| StateError { path: path.to_owned(), fault };
        let content = match read(path).map_err(|error| fault(Fault::Unreadable(error)))? {
            None => StateContent {
                stream: stream.to_owned(),
                last_event_id: otherwise.to_owned(),
                publishing: None,
            },
            Some(text) => {
                let content = parse(&text).map_err(|error| fault(Fault::Foreign(error)))?;
                if content.stream != stream {
                    return Err(fault(Fault::OfAnotherStream(content.stream)));
                }
                content
            }
        };
        let replacement = Replacement::Rename;
        let mut file = Self { path: path.to_owned(), content, is_written: false, replacement };
        // Now rather than after the first event: a file that cannot be written is reported at once.
        file.write()?;
        Ok(file)
    }

    /// Returns the last event ID; empty if there is none.
    pub(crate) fn last_event_id(&self) -> &str {
        &self.content.last_event_id
    }

    /// Returns the key that a relay was about to publish under when the file was last written. The
    /// event may or may not have been published.
    pub(crate) fn publishing(&self) -> Option<&str> {
        self.content.publishing.as_deref()
    }

    /// Advances to `last_event_id`. It is saved with the next write.
    pub(crate) fn advance(&mut self, last_event_id: &str) {
        if self.content.last_event_id != last_event_id {
            last_event_id.clone_into(&mut self.content.last_event_id);
            self.is_written = false;
        }
    }

    /// Advances to `last_event_id` and saves it.
    pub(crate) fn save(&mut self, last_event_id: &str) -> Result<(), StateError> {
        self.advance(last_event_id);
        self.flush()
    }

    /// Saves what is not saved yet.
    pub(crate) fn flush(&mut self) -> Result<(), StateError> {
        if self.is_written { Ok(()) } else { self.write() }
    }

    /// Saves that the next event is being published under `key`.
    pub(crate) fn announce(&mut self, key: &str) -> Result<(), StateError> {
        self.content.publishing = Some(key.to_owned());
        self.write()
    }

    fn write(&mut self) -> Result<(), StateError> {
        self.try_write().map_err(|error| StateError {
            path: self.path.clone(),
            fault: Fault::Unwritable(error),
        })?;
        self.is_written = true;
        Ok(())
    }

    fn try_write(&mut self) -> io::Result<()> {
        let mut line = serde_json::to_vec(&self.content)?;
        line.push(b'\n');
        if self.replacement == Replacement::Rename {
            match replace(&self.path, &line) {
                Err(error) if may_be_written_in_place(&error) && self.path.is_file() => {
                    self.replacement = Replacement::InPlace;
                }
                replaced => return replaced,
            }
        }
        write_in_place(&self.path, &line)
    }
}

/// Returns whether the file itself may be writable although no other file can take its name: it is a
/// mount point, or its folder is not to be changed.
fn may_be_written_in_place(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ResourceBusy
            | io::ErrorKind::CrossesDevices
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
    )
}

fn replace(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut name = path.to_owned().into_os_string();
    name.push(".new");
    let new = PathBuf::from(name);
    write_new(&new, line)?;
    fs::rename(&new, path).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Writes `line` so that at every moment the last complete line of the file is the old or the new
/// one.
fn write_in_place(path: &Path, line: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    if end >= IN_PLACE_BYTES_MAX && line.len() as u64 <= end - last_line_bytes(&mut file, end)? {
        // The new line goes over old ones. Until the rest is cut off, the last line counts.
        file.rewind()?;
        file.write_all(line)?;
        file.sync_data()?;
        file.set_len(line.len() as u64)?;
        return file.sync_all();
    }
    file.seek(SeekFrom::End(0))?;
    if end > 0 && !ends_with_newline(&mut file)? {
        // A write was cut off here.
        file.write_all(b"\n")?;
    }
    file.write_all(line)?;
    file.sync_data()
}

/// Returns the size of the last line, including an incomplete one after it.
fn last_line_bytes(file: &mut File, end: u64) -> io::Result<u64> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(end).read_to_end(&mut text)?;
    let complete = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let start = text[..complete].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok(end - start as u64)
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Parses the last line that is whole: a write in place may have been cut off.
fn parse(text: &str) -> Result<StateContent, serde_json::Error> {
    let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
    let last = serde_json::from_str(lines.next().unwrap_or_default());
    last.or_else(|error| lines.find_map(|line| serde_json::from_str(line).ok()).ok_or(error))
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(text).filter(|text| !text.trim().is_empty()))
}

fn write_new(path: &Path, line: &[u8]) -> io::Result<()> {
    // The URL of the stream may contain secrets.
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(line)?;
    // Before renaming: the name must not reach the disk before the content.
    file.sync_data()
}

/// The state cannot be kept.
#[derive(Debug)]
pub(crate) struct StateError {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Unreadable(io::Error),
    Unwritable(io::Error),
    Foreign(serde_json::Error),
    OfAnotherStream(String),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::Unreadable(_) => write!(f, "the state file {path} cannot be read"),
            Fault::Unwritable(_) => write!(f, "the state file {path} cannot be written"),
            Fault::Foreign(_) => write!(f, "{path} is not a state file of this program"),
            Fault::OfAnotherStream(stream) => {
                write!(f, "the state file {path} belongs to another stream, {stream}")
            }
        }
    }
}

impl Error for StateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.fault {
            Fault::Unreadable(error) | Fault::Unwritable(error) => Some(error),
            Fault::Foreign(error) => Some(error),
            Fault::OfAnotherStream(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of one test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tidings-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_last_event_id_is_found_again_by_the_next_run() {
        let folder = Folder::new("state-again");
        let path = folder.0.join("state");
        let mut file = StateFile::open(&path, "http://a/", "earliest").unwrap();
        assert_eq!(file.last_event_id(), "earliest");
        file.save("7\u{1}\"ü").unwrap();
        // The ID on the command line is where the first run starts, not where the reader stands.
        let file = StateFile::open(&path, "http://a/", "earliest").unwrap();
        assert_eq!(file.last_event_id(), "7\u{1}\"ü");
    }

    #[test]
    fn a_key_is_saved_before_its_publish_and_the_last_event_id_with_the_next_key() {
        let folder = Folder::new("state-announced");
        let path = folder.0.join("state");
        let read = || {
            let file = StateFile::open(&path, "http://a/", "").unwrap();
            (file.last_event_id().to_owned(), file.publishing().map(str::to_owned))
        };
        let mut file = StateFile::open(&path, "http://a/", "1").unwrap();
        file.announce("key of 2").unwrap();
        assert_eq!(read(), ("1".to_owned(), Some("key of 2".to_owned())));
        file.advance("2");
        assert_eq!(read().0, "1");
        file.announce("key of 3").unwrap();
        assert_eq!(read(), ("2".to_owned(), Some("key of 3".to_owned())));
        file.advance("3");
        file.flush().unwrap();
        assert_eq!(read().0, "3");
    }

    #[test]
    fn a_missing_and_an_empty_file_are_made_and_belong_to_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = Folder::new("state-empty");
        let path = folder.0.join("state");
        for _ in 0..2 {
            assert_eq!(StateFile::open(&path, "http://a/", "").unwrap().last_event_id(), "");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::write(&path, "").unwrap();
        }
    }

    #[test]
    fn a_file_of_another_stream_or_program_is_left_as_it_is() {
        let folder = Folder::new("state-foreign");
        let path = folder.0.join("state");
        StateFile::open(&path, "http://a/", "1").unwrap();
        let error = StateFile::open(&path, "http://b/", "").unwrap_err();
        assert!(error.to_string().contains("another stream, http://a/"), "{error}");
        assert_eq!(StateFile::open(&path, "http://a/", "").unwrap().last_event_id(), "1");

        for text in ["precious", "{\"last_event_id\":\"1\"}", "{\"stream\":\"http://a/\"}"] {
            fs::write(&path, text).unwrap();
            assert!(StateFile::open(&path, "http://a/", "").is_err(), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    /// The bug: a bind-mounted file cannot be replaced by renaming (EBUSY), and no run could start.
    #[test]
    fn a_file_that_cannot_be_replaced_is_written_in_place_and_stays_small() {
        let folder = Folder::new("state-in-place");
        let path = folder.0.join("state");
        fs::write(&path, "").unwrap();
        let mut file = StateFile {
            path: path.clone(),
            content: StateContent {
                stream: "http://a/".to_owned(),
                last_event_id: String::new(),
                publishing: None,
            },
            is_written: false,
            replacement: Replacement::InPlace,
        };
        for number in 0..3_000 {
            let id = format!("{number}{}", "x".repeat(number % 400));
            file.save(&id).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.len() < 70_000, "{} bytes", text.len());
            assert_eq!(parse(&text).unwrap().last_event_id, id);
        }
    }

    #[test]
    fn a_write_in_place_that_was_cut_off_leaves_the_last_event_id_before_it() {
        let folder = Folder::new("state-torn");
        let path = folder.0.join("state");
        let line = |id: &str| format!("{{\"stream\":\"http://a/\",\"last_event_id\":\"{id}\"}}\n");
        let whole = line("1") + &line("2");
        for cut in 1..line("2").len() {
            let text = &whole[..whole.len() - cut];
            let id = parse(text).unwrap().last_event_id;
            // All but the line end is a whole line, too.
            assert_eq!(id, if cut == 1 { "2" } else { "1" }, "{text}");
            fs::write(&path, text).unwrap();
            write_in_place(&path, line("3").as_bytes()).unwrap();
            assert_eq!(parse(&fs::read_to_string(&path).unwrap()).unwrap().last_event_id, "3");
        }
        // A start at the beginning of a large file that was cut off before the rest was removed.
        let many: String = (0..2_000).map(|n| line(&n.to_string())).collect();
        let torn = format!("{}{}", &line("2000")[..10], &many[10..]);
        assert_eq!(parse(&torn).unwrap().last_event_id, "1999");
    }

    #[test]
    fn errors_of_mounted_files_lead_to_writing_in_place() {
        // EBUSY, EXDEV, EACCES, EROFS; and ENOSPC, which does not.
        for (code, expected) in [(16, true), (18, true), (13, true), (30, true), (28, false)] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(may_be_written_in_place(&error), expected, "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_known_at_once() {
        let folder = Folder::new("state-unwritable");
        let error = StateFile::open(&folder.0.join("none/state"), "http://a/", "").unwrap_err();
        assert!(error.to_string().contains("cannot be written"), "{error}");
        assert!(error.source().is_some());
    }
}
