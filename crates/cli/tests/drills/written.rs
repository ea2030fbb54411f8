//! Configuration files of drills.

use std::fs;
use std::path::PathBuf;

/// A configuration file, in a folder of its own that ends with it.
pub(crate) struct Written(PathBuf);

impl Written {
    /// Chooses a folder for a drill.
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tidings-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> String {
        self.0.join("tidings.toml").display().to_string()
    }

    /// Writes the file.
    pub(crate) fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
