//! The record: a page of tables for people, and a line of JSON for each run.

use serde_json::json;
use tidings_bench_compare::host::Host;
use tidings_bench_compare::load::{Outcome, faults};
use tidings_bench_compare::rounds::{Measured, about, line};
use tidings_bench_compare::stats::{Middle, show};

use crate::case::{Case, Figure, Run};
use crate::servers::Kind;

pub(crate) struct Record {
    pub(crate) host: Host,
    /// The versions of what the peer is made of.
    pub(crate) peer: String,
    pub(crate) command: String,
    pub(crate) is_quick: bool,
    pub(crate) cases: Vec<Case>,
    pub(crate) measured: Measured<Run>,
}

/// The most that an idle reader may take over TLS, in KB.
const MEMORY_MAX: [(Case, f64); 2] = [(Case::Idle, 11.0), (Case::IdleHttp2, 1.5)];
/// The most that tokens may cost, as a factor.
const TOKENS_MAX: f64 = 1.05;
/// The cases in which tokens must cost no more than that.
const DELIVERIES: [Case; 2] = [Case::FanOut, Case::OwnTopics];

impl Record {
    pub(crate) fn page(&self) -> String {
        let Host { date, processor, cores, memory_gib, kernel, load_average, rustc, tidings } =
            &self.host;
        let quick = match self.is_quick {
            true => {
                " **This was a quick run, smaller than the tables say: its figures mean little.**"
            }
            false => "",
        };
        format!(
            "# What tokens and TLS cost\n\n```\n{}\n```\n\n\
             {date}. {cores} cores of {processor}, {memory_gib} GiB, {kernel}; load average {load_average} when it began. \
             {rustc}. Tidings at {tidings}; the peer: {}.\n\n\
             Each run starts a fresh server, pinned to core 0, with the load in a process of its own, pinned to core 1. {} \
             round(s) in {} minutes, in each of which every server has its turn; figures are medians.{quick} CPU time and \
             memory are those of the server's process (`/proc`). Events have 100 bytes of data and are published over \
             HTTP/1.1, with a token (HS256, patterns that cover the topics and not everything) in the header where there are \
             tokens; each event that is read is checked. Connections are opened one after the other, and memory is read half a \
             second after the last one. Handshakes are TLS 1.3 with an ECDSA key, never resumed; their connections are closed \
             without a request. *hyper* and *hyper-rustls* are one program, `bench/compare/peers/hyper-rustls`: a broadcast \
             channel for each topic, and no heartbeats, IDs or history; events without readers, such as those of the rows about \
             publishing, go nowhere there.\n\n{}\n{}\n{}",
            self.command,
            self.peer,
            self.measured.rounds,
            self.measured.took.as_secs().div_ceil(60),
            self.figures(),
            self.targets(),
            self.faults(),
        )
    }

    /// The table of all figures, a column for each server.
    fn figures(&self) -> String {
        let titles: String = Kind::ALL.iter().map(|kind| format!(" {} |", kind.title())).collect();
        let mut text = format!("| |{titles}\n| --- |{}\n", " ---: |".repeat(Kind::ALL.len()));
        for &case in &self.cases {
            for figure in case.figures() {
                let shown = Kind::ALL.map(|kind| {
                    format!(" {} |", show(self.median(kind, case, figure), figure.decimals))
                });
                text += &format!("| {} |{}\n", figure.title, shown.concat());
            }
        }
        text
    }

    fn targets(&self) -> String {
        let mut text = String::from("| target | figure | met |\n| --- | ---: | --- |\n");
        let mut row = |about: String, figure: Option<f64>, most: f64| {
            let met = match figure {
                Some(figure) if figure <= most => "yes",
                Some(_) => "NO",
                None => "not measured",
            };
            text += &format!("| {about} | {} | {met} |\n", show(figure, 2));
        };
        for (case, most) in MEMORY_MAX {
            for kind in [Kind::Tls, Kind::Both] {
                let figure = &case.figures()[0];
                let median = self.median(kind, case, figure);
                row(format!("{}, {}: at most {most}", figure.title, kind.title()), median, most);
            }
        }
        for case in DELIVERIES {
            for (kind, than) in [(Kind::Token, Kind::Plain), (Kind::Both, Kind::Tls)] {
                let figure = &case.figures()[0];
                let [with, without] = [kind, than].map(|kind| self.median(kind, case, figure));
                let ratio = with.zip(without).map(|(with, without)| with / without);
                // Nothing is said of a cost that is too small to be seen.
                let ratio = ratio.filter(|ratio| ratio.is_finite());
                let about = format!(
                    "{}, {}: at most {TOKENS_MAX} × {}",
                    figure.title,
                    kind.title(),
                    match than {
                        Kind::Plain => "without",
                        _ => "TLS alone",
                    }
                );
                row(about, ratio, TOKENS_MAX);
            }
        }
        text
    }

    fn median(&self, kind: Kind, case: Case, figure: &Figure) -> Option<f64> {
        let runs = self.measured.runs.iter().filter(|run| run.server == kind && run.case == case);
        let figures = runs.filter_map(|run| match &run.outcome {
            Outcome::Finished(result) => figure.of(result),
            Outcome::Failed(_) => None,
        });
        Some(Middle::of(figures)?.median)
    }

    /// The number of faults, and the runs that failed.
    fn faults(&self) -> String {
        let (mut count, mut failed) = (0, String::new());
        for run in &self.measured.runs {
            match &run.outcome {
                Outcome::Finished(result) => count += faults(result),
                Outcome::Failed(_) => failed += &format!("\n{}\n", run.line()),
            }
        }
        format!("Faults: {count}.\n{failed}")
    }

    /// Returns a line of JSON about the comparison, and one for each run.
    pub(crate) fn lines(&self) -> String {
        let runs = self.measured.runs.iter();
        let lines =
            runs.map(|run| line(run.round, (run.case.name(), run.server.title()), &run.outcome));
        about(&self.command, &self.host, &json!(self.peer)) + &lines.collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn record(figures: &[(Kind, Case, f64)]) -> Record {
        let runs = figures.iter().map(|&(server, case, figure)| {
            let key = case.figures()[0].key;
            let outcome = Outcome::Finished(json!({ key: figure, "faults": { "all": 0 } }));
            Run { round: 0, server, case, outcome }
        });
        Record {
            host: Host { tidings: "x".to_owned(), ..Host::default() },
            peer: "hyper".to_owned(),
            command: "secured".to_owned(),
            is_quick: false,
            cases: Case::ALL.to_vec(),
            measured: Measured { runs: runs.collect(), rounds: 1, took: Duration::from_secs(1) },
        }
    }

    #[test]
    fn targets_are_met_at_their_bound_and_missed_beyond_it() {
        let text = record(&[
            (Kind::Tls, Case::Idle, 11.0),
            (Kind::Both, Case::Idle, 11.1),
            (Kind::Plain, Case::FanOut, 100.0),
            (Kind::Token, Case::FanOut, 105.0),
            (Kind::Tls, Case::FanOut, 100.0),
            (Kind::Both, Case::FanOut, 106.0),
        ])
        .targets();
        let met = |start: &str| {
            let line = text.lines().find(|line| line.contains(start)).unwrap_or_else(|| {
                panic!("no line with {start} in {text}");
            });
            line.rsplit('|').nth(1).unwrap_or_default().trim().to_owned()
        };
        assert_eq!(met("HTTP/1.1, KB, with TLS"), "yes");
        assert_eq!(met("HTTP/1.1, KB, with both"), "NO");
        assert_eq!(met("1,000 readers, µs, with tokens"), "yes");
        assert_eq!(met("1,000 readers, µs, with both"), "NO");
        assert_eq!(met("HTTP/2, 100 to a connection, KB, with TLS"), "not measured");
    }

    #[test]
    fn a_figure_has_the_median_of_its_server_and_case() {
        let text = record(&[
            (Kind::Plain, Case::Publish, 1.0),
            (Kind::Plain, Case::Publish, 9.0),
            (Kind::Plain, Case::Publish, 2.0),
            (Kind::Tls, Case::Publish, 5.0),
        ])
        .figures();
        let line = "| CPU per publish, 64 connections, µs | 2.0 | – | 5.0 | – | – | – |";
        assert!(text.contains(line), "{text}");
    }
}
