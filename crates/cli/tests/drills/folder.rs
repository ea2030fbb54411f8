//! Temporary folders, and the journals in them as `tidings journal` sees them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::program::tidings;

/// A folder that is removed at the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tidings-drill-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Returns the path of something in the folder.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Runs `tidings journal` to its end.
pub(crate) fn journal(command: &str, folder: &str) -> Output {
    tidings().args(["journal", command, folder]).output().unwrap()
}

/// Returns what a successful `tidings journal` printed.
pub(crate) fn journal_prints(command: &str, folder: &str) -> String {
    let output = journal(command, folder);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns data and ID of all events in a journal, by topic.
pub(crate) fn dumped(folder: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let mut events: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in journal_prints("dump", folder).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        events.entry(text("topic")).or_default().push((text("data"), text("id")));
    }
    events
}

/// Returns the segments of a journal, the oldest first.
pub(crate) fn segments(folder: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(Path::new(folder)).unwrap().map(|file| file.unwrap().path());
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "segment");
    let mut segments: Vec<_> = files.filter(is_segment).collect();
    segments.sort();
    segments
}
