//! Runs a load, and interprets its results.

use std::io::{self, Read};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::process;

/// The outcome of a run.
#[derive(Debug)]
pub enum Outcome {
    /// The load's results.
    Finished(Value),
    /// The run failed, with the message of the load.
    Failed(String),
}

/// Runs a load until it ends, or kills it after a timeout.
///
/// # Errors
///
/// The load cannot be run.
pub fn finish(command: Command, longest: Duration) -> io::Result<Outcome> {
    Ok(outcome(&run(command, longest)?))
}

/// Counts the faults of deliveries and the failed requests.
#[must_use]
pub fn faults(result: &Value) -> u64 {
    ["faults", "refused"]
        .iter()
        .filter_map(|name| result.get(name)?.as_object())
        .flat_map(|counts| counts.values().filter_map(Value::as_u64))
        .sum()
}

/// Interprets the output of the load, whose exit status is 1 if there were faults.
fn outcome(output: &Output) -> Outcome {
    match (output.status.code(), serde_json::from_slice(&output.stdout)) {
        (Some(0), Ok(result)) => Outcome::Finished(result),
        (Some(1), Ok(result)) if faults(&result) > 0 => Outcome::Finished(result),
        (code, _) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim().lines().last().unwrap_or("no message").to_owned();
            match code {
                Some(_) => Outcome::Failed(said),
                None => Outcome::Failed("killed because it took too long".to_owned()),
            }
        }
    }
}

fn run(mut command: Command, longest: Duration) -> io::Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Both are read while the command runs, so that it never blocks on a full pipe.
    let stdout = thread::spawn(move || read(stdout));
    let stderr = thread::spawn(move || read(stderr));
    let status = match process::wait(&mut child, longest)? {
        Some(status) => status,
        None => {
            child.kill()?;
            child.wait()?
        }
    };
    let joined = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Output { status, stdout: joined(stdout), stderr: joined(stderr) })
}

fn read(pipe: Option<impl Read>) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(mut pipe) = pipe {
        // Missing output is noticed when it is parsed.
        let _ = pipe.read_to_end(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{ExitStatus, Output};

    use serde_json::json;

    use super::{Outcome, faults, outcome};

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        let status = ExitStatus::from_raw(code << 8);
        Output { status, stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn faults_and_requests_that_failed_count() {
        let result = json!({
            "faults": {"lost": 1, "doubled": 2},
            "refused": {"status 500": 3},
            "ended": {"reset": 50},
        });
        assert_eq!(faults(&result), 6);
        assert_eq!(faults(&json!({})), 0);
    }

    #[test]
    fn a_run_with_faults_is_finished_and_one_that_broke_off_is_not() {
        let clean = r#"{"faults": {"lost": 0}}"#;
        let faulty = r#"{"faults": {"lost": 1}}"#;
        assert!(matches!(outcome(&output(0, clean, "")), Outcome::Finished(_)));
        assert!(matches!(outcome(&output(1, faulty, "1 lost")), Outcome::Finished(_)));
        for (code, stdout) in [(1, clean), (1, ""), (2, "")] {
            let Outcome::Failed(why) = outcome(&output(code, stdout, "a\nlast\n")) else {
                panic!("{code} {stdout}");
            };
            assert_eq!(why, "last");
        }
    }
}
