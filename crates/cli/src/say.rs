//! Telling the person who started the program.

use std::io::{self, Write};

/// Prints a line. Standard output may be closed.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
