//! Comparisons in rounds: every server has its turn in each, and no round begins that would end too late.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::host::Host;
use crate::load::Outcome;

/// The runs of some rounds.
#[derive(Debug)]
pub struct Measured<R> {
    /// In their order.
    pub runs: Vec<R>,
    /// The number of rounds.
    pub rounds: u32,
    /// The time that they took.
    pub took: Duration,
}

/// Measures so many rounds at most, none of which is likely to end after `time_max`. `round` is given its
/// number, and adds a run at a time.
///
/// # Errors
///
/// Those of a round.
pub fn measure<R>(
    (rounds_max, time_max): (u32, Duration),
    mut round: impl FnMut(u32, &mut dyn FnMut(R, &str)) -> Result<(), Box<dyn Error>>,
) -> Result<Measured<R>, Box<dyn Error>> {
    let began = Instant::now();
    let (mut runs, mut rounds, mut longest) = (Vec::new(), 0, Duration::ZERO);
    while rounds < rounds_max && began.elapsed() + longest <= time_max {
        let round_began = Instant::now();
        round(rounds, &mut |run, line| {
            eprintln!("{:4} s  {line}", began.elapsed().as_secs());
            runs.push(run);
        })?;
        rounds += 1;
        longest = longest.max(round_began.elapsed());
    }
    Ok(Measured { runs, rounds, took: began.elapsed() })
}

/// Writes the page and the lines of JSON of a comparison, and prints the page.
///
/// # Errors
///
/// The folder cannot be written to, or there were faults.
pub fn write(
    folder: &Path,
    name: &str,
    (page, lines): (&str, &str),
    faults: &[String],
) -> Result<(), Box<dyn Error>> {
    let path = folder.join(format!("{name}.md"));
    fs::create_dir_all(folder)?;
    fs::write(&path, page)?;
    fs::write(folder.join(format!("{name}.jsonl")), lines)?;
    println!("{page}\nwritten: {}", path.display());
    match faults {
        [] => Ok(()),
        faults => Err(format!("there were faults:\n{}", faults.join("\n")).into()),
    }
}

/// Returns a line of JSON about a comparison.
#[must_use]
pub fn about(command: &str, host: &Host, peers: &Value) -> String {
    let about = json!({
        "command": command,
        "date": host.date,
        "processor": host.processor,
        "kernel": host.kernel,
        "tidings": host.tidings,
        "peers": peers,
    });
    format!("{about}\n")
}

/// Returns a line of JSON about a run. Rounds are counted from 0.
#[must_use]
pub fn line(round: u32, (case, server): (&str, &str), outcome: &Outcome) -> String {
    let mut line = json!({ "round": round + 1, "case": case, "server": server });
    match outcome {
        Outcome::Finished(result) => line["result"] = result.clone(),
        Outcome::Failed(why) => line["failed"] = why.as_str().into(),
    }
    format!("{line}\n")
}
