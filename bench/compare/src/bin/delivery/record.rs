//! The record: a page of tables for people, and a line of JSON for each run.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tidings_bench_compare::load::{Outcome, faults};
use tidings_bench_compare::stats::{Middle, show};

use crate::figures::{Better, Column};
use crate::machine::Machine;
use crate::run::Run;
use crate::scenario::{Bound, Scenario, Size};
use crate::servers::{Kind, SERVERS, Server};

pub(crate) struct Record {
    pub(crate) machine: Machine,
    pub(crate) size: Size,
    pub(crate) rounds: u32,
    pub(crate) took: Duration,
    pub(crate) scenarios: Vec<&'static Scenario>,
    pub(crate) runs: Vec<Run>,
}

/// The results of a server in a scenario, over all rounds.
struct Row<'a> {
    server: &'static Server,
    runs: Vec<&'a Run>,
    /// One for each column; `None` if no run finished.
    figures: Vec<Option<Middle>>,
}

impl Record {
    /// Writes `delivery.md` and `delivery.jsonl`.
    pub(crate) fn write(&self, folder: &Path, command: &str) -> io::Result<()> {
        fs::write(folder.join("delivery.md"), self.page(command))?;
        fs::write(folder.join("delivery.jsonl"), self.lines(command))
    }

    /// Fails if there were faults of a server that must be without them.
    pub(crate) fn verdict(&self) -> Result<(), Box<dyn std::error::Error>> {
        let blamed: Vec<String> = self.runs.iter().filter_map(Run::blame).collect();
        match blamed.is_empty() {
            true => Ok(()),
            false => Err(format!("there were faults:\n{}", blamed.join("\n")).into()),
        }
    }

    /// Summarizes all scenarios in one table: Tidings, the yardstick, the best peer, the targets.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::from(
            "| scenario | figure | Tidings | before | limit | best peer | target | met |\n\
             | --- | --- | ---: | ---: | ---: | ---: | --- | --- |\n",
        );
        for scenario in &self.scenarios {
            let rows = self.rows(scenario);
            let mut columns: Vec<usize> = scenario.targets.iter().map(|it| it.column).collect();
            columns.dedup();
            for column in columns {
                let bounds = scenario.targets.iter().filter(|target| target.column == column);
                let (targets, met): (Vec<_>, Vec<_>) = bounds
                    .map(|target| {
                        (words(target.bound), verdict(target.bound, scenario, column, &rows))
                    })
                    .unzip();
                let (about, kind) = (&scenario.columns[column], scenario.limit);
                let shown = |row: Option<&Row<'_>>| {
                    show(
                        row.and_then(|row| row.figures[column]).map(|it| it.median),
                        about.decimals,
                    )
                };
                let best = best_peer(&rows, column, about.better);
                let best = best.map_or("–".to_owned(), |row| {
                    format!("{} ({})", shown(Some(row)), row.server.title)
                });
                text += &format!(
                    "| {} | {} | {} | {} | {} | {best} | {} | {} |\n",
                    scenario.name,
                    about.title,
                    shown(rows.iter().find(|row| row.server.is_tidings())),
                    shown(rows.iter().find(|row| row.server.kind == Kind::Before)),
                    shown(rows.iter().find(|row| row.server.kind == kind)),
                    targets.join("; "),
                    met.join("; "),
                );
            }
        }
        text
    }

    fn page(&self, command: &str) -> String {
        let mut text = format!(
            "# Delivery: Tidings beside its peers\n\n```\n{command}\n```\n\n{}\n{}\n{}",
            self.machine(),
            self.method(),
            self.summary()
        );
        for scenario in &self.scenarios {
            text += &self.section(scenario);
        }
        text
    }

    fn machine(&self) -> String {
        let machine = &self.machine;
        let mut text = format!(
            "{}. {} cores of {}, {} GiB, {}; load average {} when it began. {}. Tidings at {}.\n",
            machine.host.date,
            machine.host.cores,
            machine.host.processor,
            machine.host.memory_gib,
            machine.host.kernel,
            machine.host.load_average,
            machine.host.rustc,
            machine.host.tidings
        );
        for server in self.servers() {
            let version = machine.peers.get(server.name).map(|version| format!(": {version}"));
            text += &format!(
                "\n- {}{}; `taskset -c 0 {}`{}",
                server.title,
                version.unwrap_or_default(),
                server.shown(),
                server.note.map(|note| format!("; {note}")).unwrap_or_default()
            );
        }
        text.push('\n');
        text
    }

    /// Returns the servers that took part.
    fn servers(&self) -> impl Iterator<Item = &'static Server> {
        SERVERS.iter().filter(|server| self.runs.iter().any(|run| run.server.kind == server.kind))
    }

    fn method(&self) -> String {
        let size = match self.size {
            Size::Full => "",
            Size::Quick => {
                " **This was a quick run, smaller than the titles say: its figures mean little.**"
            }
        };
        format!(
            "Each run starts a fresh server, pinned to core 0, with the load pinned to core 1 unless stated otherwise: \
             `taskset -c 1 tidings bench … --timeout 10s --json --server-pid PID URL` with the options stated below. Events \
             have 100 bytes unless stated otherwise. {} round(s) in {} minutes, in each of which every server has its turn, \
             or several turns if they are short. Figures are medians; ± is half the distance between the least and the \
             greatest.{size} Slower servers get less work, so that measuring each takes about the same time. CPU time and \
             memory are those of the server's own processes (`/proc`). *limit* is a bare epoll server that pays one `send` \
             for each delivery and nothing else; *limit, merging* is the same with one `send` for all events that arrived \
             in the meantime. *load* is how busy the load's core was: near 100 % it bounds the figures. Faults are \
             deliveries lost, doubled, out of order, misdelivered or altered, streams closed, and requests that failed.\n",
            self.rounds,
            self.took.as_secs().div_ceil(60),
        )
    }

    fn section(&self, scenario: &Scenario) -> String {
        let rows = self.rows(scenario);
        let Some(first) = rows.first() else { return String::new() };
        let titles: Vec<_> = scenario.columns.iter().map(|column| column.title).collect();
        let command = first.runs.first().map_or("", |run| run.command.as_str());
        let note = scenario.note.map(|note| format!("{note}\n\n")).unwrap_or_default();
        let mut text = format!(
            "\n## {}: {}\n\n`{command}`\n\n{note}| server | {} | ± | × limit | × best peer | load | faults |\n| --- |{} ---: |\n",
            scenario.name,
            scenario.title,
            titles.join(" | "),
            " ---: |".repeat(titles.len() + 4),
        );
        let main = &scenario.columns[0];
        let median = |row: &Row<'_>| row.figures[0].map(|it| it.median);
        let limit = rows.iter().find(|row| row.server.kind == scenario.limit).and_then(median);
        let best = best_peer(&rows, 0, main.better).and_then(median);
        for row in &rows {
            let figures: Vec<String> = scenario
                .columns
                .iter()
                .zip(&row.figures)
                .map(|(column, figure)| show(figure.map(|it| it.median), column.decimals))
                .collect();
            let ratio = |to: Option<f64>| show(median(row).zip(to).map(|(it, to)| it / to), 2);
            let spread = row.figures[0].map(|it| it.spread * 50.0);
            text += &format!(
                "| {} | {} | {} % | {} | {} | {} % | {} |\n",
                row.server.title,
                figures.join(" | "),
                show(spread, 0),
                ratio(limit),
                ratio(best),
                show(row.load(), 0),
                row.faults(),
            );
        }
        for row in &rows {
            for run in &row.runs {
                if let Outcome::Failed(why) = &run.outcome {
                    text += &format!("\n{}, round {}: {why}\n", row.server.title, run.round + 1);
                }
            }
        }
        for target in scenario.targets {
            let verdict = verdict(target.bound, scenario, target.column, &rows);
            let title = scenario.columns[target.column].title;
            text += &format!("\nTarget, {title}: {}. Met: **{verdict}**\n", words(target.bound));
        }
        text
    }

    fn rows(&self, scenario: &Scenario) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        for server in self.servers() {
            let runs: Vec<&Run> = self
                .runs
                .iter()
                .filter(|run| run.scenario == scenario.name && run.server.kind == server.kind)
                .collect();
            if runs.is_empty() {
                continue;
            }
            let figure = |column: &Column| {
                Middle::of(runs.iter().filter_map(|run| (column.value)(run.result()?)))
            };
            let figures = scenario.columns.iter().map(figure).collect();
            rows.push(Row { server, runs, figures });
        }
        rows
    }

    fn lines(&self, command: &str) -> String {
        let machine = &self.machine;
        let about = json!({
            "command": command,
            "date": machine.host.date,
            "processor": machine.host.processor,
            "cores": machine.host.cores,
            "memory_gib": machine.host.memory_gib,
            "kernel": machine.host.kernel,
            "load_average": machine.host.load_average,
            "rustc": machine.host.rustc,
            "tidings": machine.host.tidings,
            "peers": machine.peers,
        });
        let mut text = format!("{about}\n");
        for run in &self.runs {
            let mut line = json!({
                "round": run.round + 1,
                "scenario": run.scenario,
                "server": run.server.name,
                "command": run.command,
            });
            match &run.outcome {
                Outcome::Finished(result) => line["result"] = result.clone(),
                Outcome::Failed(why) => line["failed"] = why.as_str().into(),
            }
            text += &format!("{line}\n");
        }
        text
    }
}

impl Row<'_> {
    /// Returns how busy the load's core was, in percent.
    fn load(&self) -> Option<f64> {
        let busy = self.runs.iter().filter_map(|run| {
            let result = run.result()?;
            Some(result["load_cpu_seconds"].as_f64()? / result["seconds"].as_f64()? * 100.0)
        });
        Middle::of(busy).map(|it| it.median)
    }

    /// Lists the faults of all rounds, by name.
    fn faults(&self) -> String {
        let results = || self.runs.iter().filter_map(|run| run.result());
        if results().map(faults).sum::<u64>() == 0 {
            return if results().count() == 0 { "–".to_owned() } else { "0".to_owned() };
        }
        let mut found = std::collections::BTreeMap::<&str, u64>::new();
        for counts in results()
            .flat_map(|result| [result.get("faults"), result.get("refused")])
            .filter_map(|counts| counts?.as_object())
        {
            for (name, count) in counts {
                *found.entry(name).or_default() += count.as_u64().unwrap_or_default();
            }
        }
        let found = found.iter().filter(|(_, count)| **count > 0);
        found.map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }
}

fn best_peer<'a, 'b>(rows: &'a [Row<'b>], column: usize, better: Better) -> Option<&'a Row<'b>> {
    let median = |row: &Row<'_>| row.figures[column].map(|it| it.median);
    let peers = rows.iter().filter(|row| row.server.is_peer() && median(row).is_some());
    let order = |a: &&Row<'_>, b: &&Row<'_>| {
        let (a, b) = (median(a).unwrap_or(f64::NAN), median(b).unwrap_or(f64::NAN));
        match better {
            Better::Less => a.total_cmp(&b),
            Better::More => b.total_cmp(&a),
        }
    };
    peers.min_by(order)
}

/// Returns whether Tidings meets a bound, with the figure that decides.
fn verdict(bound: Bound, scenario: &Scenario, column: usize, rows: &[Row<'_>]) -> String {
    let about = &scenario.columns[column];
    let median = |row: &Row<'_>| row.figures[column].map(|it| it.median);
    let ours = rows.iter().find(|row| row.server.is_tidings()).and_then(median);
    let limit = rows.iter().find(|row| row.server.kind == scenario.limit).and_then(median);
    let best = best_peer(rows, column, about.better).and_then(median);
    let times_limit = || ours.zip(limit).map(|(ours, limit)| ours / limit);
    let (is_met, by) = match bound {
        Bound::AtMost(most) => (ours.map(|it| it <= most), show(ours, about.decimals)),
        Bound::AtLeast(least) => (ours.map(|it| it >= least), show(ours, about.decimals)),
        Bound::AtMostTimesLimit(most) => {
            (times_limit().map(|it| it <= most), format!("{} ×", show(times_limit(), 2)))
        }
        Bound::AtLeastTimesLimit(least) => {
            (times_limit().map(|it| it >= least), format!("{} ×", show(times_limit(), 2)))
        }
        Bound::BetterThanPeers => {
            let is_better = ours.zip(best).map(|(ours, best)| match about.better {
                Better::Less => ours < best,
                Better::More => ours > best,
            });
            (is_better, format!("{} × the best", show(ours.zip(best).map(|(a, b)| a / b), 2)))
        }
    };
    match is_met {
        Some(true) => format!("yes ({by})"),
        Some(false) => format!("NO ({by})"),
        None => "not measured".to_owned(),
    }
}

fn words(bound: Bound) -> String {
    match bound {
        Bound::AtMost(most) => format!("≤ {}", show(Some(most), usize::from(most.fract() != 0.0))),
        Bound::AtLeast(least) => format!("≥ {}", show(Some(least), 0)),
        Bound::AtMostTimesLimit(most) => format!("≤ {most:.2} × limit"),
        Bound::AtLeastTimesLimit(least) => format!("≥ {least:.2} × limit"),
        Bound::BetterThanPeers => "better than every peer".to_owned(),
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
