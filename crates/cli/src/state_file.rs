//! The file that keeps a reader's last event ID across runs of the program.
//!
//! It holds one line of JSON: the stream it belongs to, the last event ID, and for a relay the
//! idempotency key of its last publish. A complete new file replaces it by renaming, so it is whole
//! whenever the program or the machine stops.

use std::error::Error;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A larger file cannot be a state file: the client accepts events of up to 16 MiB, and JSON may
/// need six bytes for each byte of an ID.
const FILE_BYTES_MAX: u64 = 128 << 20;

/// A state file.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    content: StateContent,
    /// Whether the file on disk has this content.
    is_written: bool,
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
                let content: StateContent =
                    serde_json::from_str(&text).map_err(|error| fault(Fault::Foreign(error)))?;
                if content.stream != stream {
                    return Err(fault(Fault::OfAnotherStream(content.stream)));
                }
                content
            }
        };
        let mut file = Self { path: path.to_owned(), content, is_written: false };
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
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let replaced = write_new(&new, &self.content).and_then(|()| fs::rename(&new, &self.path));
        replaced.map_err(|error| StateError {
            path: self.path.clone(),
            fault: Fault::Unwritable(error),
        })?;
        self.is_written = true;
        Ok(())
    }
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

fn write_new(path: &Path, content: &StateContent) -> io::Result<()> {
    // The URL of the stream may contain secrets.
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut line = serde_json::to_vec(content)?;
    line.push(b'\n');
    file.write_all(&line)?;
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

    #[test]
    fn a_file_that_cannot_be_written_is_known_at_once() {
        let folder = Folder::new("state-unwritable");
        let error = StateFile::open(&folder.0.join("none/state"), "http://a/", "").unwrap_err();
        assert!(error.to_string().contains("cannot be written"), "{error}");
        assert!(error.source().is_some());
    }
}
