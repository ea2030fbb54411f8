//! Nobody reads the log, and the hub serves all the same.

use crate::program::{Program, drill};

/// The pipe holds 64 KiB, and a request logs a hundred bytes: the hub stood still after 700.
#[test]
fn a_log_that_nobody_reads_blocks_nobody_and_its_lost_lines_are_counted() {
    drill(async {
        let (program, _unread) = Program::start_unread(&["--log", "debug"]);
        while program.metric("tidings_log_lines_lost_total").await == 0 {
            program.publish("news", "still here").await;
        }
    });
}
