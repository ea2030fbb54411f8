//! The record: a page of tables for people, and a line of JSON for each run.

use serde_json::json;
use tidings_bench_compare::host::Host;
use tidings_bench_compare::load::{Outcome, faults};
use tidings_bench_compare::rounds::{Measured, about, line};
use tidings_bench_compare::stats::{Middle, show};

use crate::case::{
    ACCESSES, Background, CROWD, Case, FANNED_OUT, MERGED_CPU, MIDDLE, Part, Run, SIZES, TOPICS,
    Work,
};
use crate::servers::{Access, Kind};
use crate::view::View;

pub(crate) struct Record {
    pub(crate) host: Host,
    /// The versions of the peers.
    pub(crate) peers: Vec<String>,
    pub(crate) command: String,
    pub(crate) is_quick: bool,
    pub(crate) parts: Vec<Part>,
    pub(crate) measured: Measured<Run>,
}

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
        let turns = |part: Part| if self.is_quick { 1 } else { part.turns(Kind::Tidings) };
        let mut text = format!(
            "# What a view costs\n\n```\n{}\n```\n\n\
             {date}. {cores} cores of {processor}, {memory_gib} GiB, {kernel}; load average {load_average} when it began. \
             {rustc}. Tidings at {tidings}.{}\n\n\
             Each run starts a fresh server, pinned to core 0, with the load (`tidings bench`) pinned to core 1. Events have \
             100 bytes and are published over HTTP, 64 under way unless stated otherwise. {} round(s) in {} minutes, in each \
             of which Tidings has {} runs of each case of fan-out and access, {} of those with CPU time and many topics, \
             and one of the others, in turn, and each peer one of each; figures are medians.{quick} Every delivery is checked: faults are those lost, \
             doubled, out of order, misdelivered or altered, streams closed, and requests that failed. *× one topic* compares \
             with readers of one topic at the same server, each run with the one of the same turn.\n",
            self.command,
            self.peers.iter().map(|peer| format!(" {peer}.")).collect::<String>(),
            self.measured.rounds,
            self.measured.took.as_secs().div_ceil(60),
            turns(Part::FanOut),
            turns(Part::Cpu),
        );
        for part in &self.parts {
            let servers = Kind::ALL.into_iter().filter(|&kind| self.has(*part, kind));
            for (at, kind) in servers.enumerate() {
                text += &match part {
                    Part::Cpu => self.cpu(kind, at),
                    Part::FanOut => self.fan_out(kind, at),
                    Part::Memory => self.memory(kind, at),
                    Part::Access => self.access(kind, at),
                    Part::Beside => self.beside(kind, at),
                    Part::Many => self.many(kind, at),
                };
                text += &self.faults(*part, kind);
            }
        }
        text
    }

    fn has(&self, part: Part, kind: Kind) -> bool {
        self.measured.runs.iter().any(|run| run.case.part == part && run.server == kind)
    }

    /// A figure of the runs of a case, in their order; `None` of a run that failed.
    fn figures(&self, kind: Kind, case: Case, figure: usize) -> Vec<Option<f64>> {
        let Some(figure) = case.work.figures().get(figure) else { return Vec::new() };
        let runs = self.measured.runs.iter().filter(|run| run.server == kind && run.case == case);
        let figures = runs.map(|run| match &run.outcome {
            Outcome::Finished(result) => figure.of(result),
            Outcome::Failed(_) => None,
        });
        figures.collect()
    }

    /// The median of a figure of a case.
    fn median(&self, kind: Kind, case: Case, figure: usize) -> Option<f64> {
        Some(Middle::of(self.figures(kind, case, figure).into_iter().flatten())?.median)
    }

    /// The main figure of a case as a multiple of another's: the median of the turns. The machine's own speed
    /// changes from one minute to the next, and is about the same within a turn.
    fn times(&self, kind: Kind, case: Case, other: Case) -> Option<f64> {
        let [figures, others] = [case, other].map(|case| self.figures(kind, case, 0));
        let turns = figures.into_iter().zip(others);
        Some(Middle::of(turns.filter_map(|(figure, other)| Some(figure? / other?)))?.median)
    }

    fn cpu(&self, kind: Kind, at: usize) -> String {
        let case = |view, readers| case(Part::Cpu, view, readers, Work::OneEach);
        let of = |view, readers| self.median(kind, case(view, readers), 0);
        let sizes: Vec<_> =
            SIZES.into_iter().filter(|&readers| case(View::One, readers).is_for(kind)).collect();
        let named = |suffix: &str| {
            sizes.iter().map(|&size| format!(" {}{suffix} |", readers(size))).collect::<String>()
        };
        let mut text = heading(
            at,
            "Each event for one reader",
            "CPU time of the server for each event, in µs, beside so many readers; target: at most 1.3 × one topic, and at \
             most 1.3 × from 500 to 5,000 readers.",
            kind,
        );
        text += &format!(
            "| view |{}{} 5,000 against 500 | met |\n| --- |{}\n",
            named(""),
            named(", × one topic"),
            " ---: |".repeat(2 * sizes.len() + 2)
        );
        for view in [View::One].into_iter().chain(View::OTHERS) {
            if view.stream(kind).is_none() {
                continue;
            }
            let figures = sizes.iter().map(|&size| of(view, size));
            let ratios =
                sizes.iter().map(|&size| self.times(kind, case(view, size), case(View::One, size)));
            let ratios: Vec<_> = ratios.collect();
            let growth = self.times(kind, case(view, MIDDLE), case(view, SIZES[0]));
            let are_met = ratios.iter().chain([&growth]).map(|it| it.map(|it| it <= 1.3));
            text += &format!(
                "| {} |{}{} {} | {} |\n",
                view.title(),
                cells(figures, 1),
                cells(ratios.iter().copied(), 2),
                show(growth, 2),
                if is_judged(kind, view) { all_met(are_met) } else { "–" },
            );
        }
        text
    }

    fn fan_out(&self, kind: Kind, at: usize) -> String {
        let case = |view, work| case(Part::FanOut, view, CROWD, work);
        let figure = |view, work, at| self.median(kind, case(view, work), at);
        let times = |view, work| self.times(kind, case(view, work), case(View::One, work));
        let of = |view, work| figure(view, work, 0);
        let mut text = heading(
            at,
            "Each event for all of 1,000 readers",
            "Targets: at least 0.9 × the deliveries per second of one topic with 64 events under way, and at most 1.1 × its \
             CPU time with one event at a time.",
            kind,
        );
        text += "| view | deliveries/s, 64 under way | × one topic | CPU per delivery then, µs | CPU per delivery alone, µs \
                 | × one topic | met |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        for view in FANNED_OUT.into_iter().filter(|view| view.stream(kind).is_some()) {
            let [merged, alone] = [Work::AllMerged, Work::AllAlone].map(|work| of(view, work));
            let rate = times(view, Work::AllMerged);
            let cost = times(view, Work::AllAlone);
            let met = all_met([rate.map(|it| it >= 0.9), cost.map(|it| it <= 1.1)]);
            let name = if view == View::Segment { "a common pattern" } else { view.title() };
            text += &format!(
                "| {name} | {} | {} | {} | {} | {} | {} |\n",
                show(merged, 0),
                show(rate, 2),
                show(figure(view, Work::AllMerged, MERGED_CPU), 3),
                show(alone, 2),
                show(cost, 2),
                if is_judged(kind, view) { met } else { "–" },
            );
        }
        text
    }

    fn memory(&self, kind: Kind, at: usize) -> String {
        let cases: Vec<_> = Part::Memory.cases();
        let of = |view| {
            let case = cases.iter().find(|case| case.view == view)?;
            self.median(kind, *case, 0)
        };
        let mut text = heading(
            at,
            "Idle readers",
            "Resident memory of the server for each of 5,000 readers, in KB; targets: two topics at most 0.5, ten topics at \
             most 1.5, a pattern at most 0.6 beyond a reader of one topic.",
            kind,
        );
        text +=
            "| view | memory each, KB | beyond one topic | met |\n| --- | ---: | ---: | ---: |\n";
        for view in [View::One].into_iter().chain(View::OTHERS) {
            if view.stream(kind).is_none() {
                continue;
            }
            let beyond = of(view).zip(of(View::One)).map(|(it, one)| it - one);
            let most = match view {
                View::One => None,
                View::Two => Some(0.5),
                View::Ten => Some(1.5),
                View::Mixed | View::Segment | View::Rest => Some(0.6),
            };
            let most = most.filter(|_| is_judged(kind, view));
            let met = most.map_or("–", |most| all_met([beyond.map(|it| it <= most)]));
            text += &format!(
                "| {} | {} | {} | {met} |\n",
                view.title(),
                show(of(view), 2),
                show(beyond, 2)
            );
        }
        text
    }

    fn access(&self, kind: Kind, at: usize) -> String {
        let mut text = heading(
            at,
            "With tokens and keys",
            "The same with grants that cover what is read and are not everything, so that every event is checked; target: \
             at most 1.05 × the cost without, and at least 0.95 × the rate.",
            kind,
        );
        text += "| view | figure | without | token | API key | token, × | API key, × | met |\n\
                 | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
        let open = Part::Access.cases().into_iter().filter(|case| case.access == Access::Open);
        for case in open {
            let of = |access| self.median(kind, Case { access, ..case }, 0);
            let [none, token, key] = ACCESSES.map(of);
            let ratios = [Access::Token, Access::Key]
                .map(|access| self.times(kind, Case { access, ..case }, case));
            let is_rate = case.work == Work::AllMerged;
            let met = ratios.map(|it| it.map(|it| if is_rate { it >= 0.95 } else { it <= 1.05 }));
            let figure = &case.work.figures()[0];
            let size = readers(case.readers);
            text += &format!(
                "| {}, {size} readers | {} |{}{} {} |\n",
                case.view.title(),
                figure.title,
                cells([none, token, key], figure.decimals),
                cells(ratios, 2),
                all_met(met)
            );
        }
        text
    }

    fn beside(&self, kind: Kind, at: usize) -> String {
        let mut text = heading(
            at,
            "Another topic meanwhile",
            "The time from publishing an event to a topic of one reader until it is read, in ms, one event at a time with \
             pauses of 2 ms. The probe has precedence on the load's core.",
            kind,
        );
        text += "| | p50 | p99 | max | events |\n| --- | ---: | ---: | ---: | ---: |\n";
        for background in Background::ALL {
            let case = case(Part::Beside, View::Segment, 1, Work::Probe(background));
            let of = |figure| self.median(kind, case, figure);
            let figures = cells([of(1), of(0), of(2)], 2);
            text += &format!("| {} |{figures} {} |\n", background.title(), show(of(3), 0));
        }
        text
    }

    fn many(&self, kind: Kind, at: usize) -> String {
        let mut text = heading(
            at,
            "Many topics and patterns",
            "CPU time of the server for each event that is published to a topic that it knows, over HTTP, without readers of \
             the topic, beside readers of a tenth as many different patterns; target: the same, within 1.1 ×.",
            kind,
        );
        text += "| topics | patterns | CPU per event, µs | × |\n| ---: | ---: | ---: | ---: |\n";
        let case = |topics| case(Part::Many, View::Segment, 0, Work::Publish(topics));
        let of = |topics| self.median(kind, case(topics), 0);
        for topics in TOPICS {
            let times = self.times(kind, case(topics), case(TOPICS[0]));
            let patterns = show(Some(f64::from(topics) / 10.0), 0);
            let topic_count = show(Some(f64::from(topics)), 0);
            text += &format!(
                "| {topic_count} | {patterns} | {} | {} |\n",
                show(of(topics), 1),
                show(times, 2)
            );
        }
        text
    }

    /// The faults of a part, and the runs that failed.
    fn faults(&self, part: Part, kind: Kind) -> String {
        let runs =
            || self.measured.runs.iter().filter(|run| run.case.part == part && run.server == kind);
        let mut text = String::new();
        let mut found = 0;
        for run in runs() {
            match &run.outcome {
                Outcome::Finished(result) => found += faults(result),
                Outcome::Failed(why) => {
                    text += &format!("\n{}, round {}: {why}\n", run.case.name(), run.round + 1);
                }
            }
        }
        format!("\nFaults: {found}.\n{text}")
    }

    /// Returns a line of JSON about the comparison, and one for each run.
    pub(crate) fn lines(&self) -> String {
        let runs = self.measured.runs.iter();
        let lines =
            runs.map(|run| line(run.round, (&run.case.name(), run.server.name()), &run.outcome));
        about(&self.command, &self.host, &json!(self.peers)) + &lines.collect::<String>()
    }
}

/// Returns the heading of a part, with its explanation before the first server's table.
fn heading(at: usize, title: &str, about: &str, kind: Kind) -> String {
    let about = if at == 0 { format!("\n## {title}\n\n{about}\n") } else { String::new() };
    format!("{about}\n**{}**\n\n", kind.title())
}

/// Returns whether targets are held against a row: those of Tidings, but for what they refer to.
fn is_judged(kind: Kind, view: View) -> bool {
    kind == Kind::Tidings && view != View::One
}

fn case(part: Part, view: View, readers: u32, work: Work) -> Case {
    Case { part, view, access: Access::Open, readers, work }
}

fn readers(count: u32) -> String {
    show(Some(f64::from(count)), 0)
}

fn cells(figures: impl IntoIterator<Item = Option<f64>>, decimals: usize) -> String {
    figures.into_iter().map(|figure| format!(" {} |", show(figure, decimals))).collect()
}

/// Returns whether all targets are met, in words.
fn all_met(are_met: impl IntoIterator<Item = Option<bool>>) -> &'static str {
    let mut all = Some(true);
    for is_met in are_met {
        all = match (all, is_met) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (None, _) | (_, None) => None,
            _ => Some(true),
        };
    }
    match all {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "not measured",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn host() -> Host {
        Host { cores: 2, memory_gib: 24, tidings: "x".to_owned(), ..Host::default() }
    }

    fn cpu_run(view: View, readers: u32, micros: f64) -> Run {
        let result = json!({ "server": { "cpu_us_per_event": micros }, "faults": { "lost": 0 } });
        let case = case(Part::Cpu, view, readers, Work::OneEach);
        Run { round: 0, server: Kind::Tidings, case, outcome: Outcome::Finished(result) }
    }

    #[test]
    fn a_view_is_compared_with_one_topic_and_with_fewer_readers() {
        let mut runs = Vec::new();
        for readers in SIZES {
            runs.push(cpu_run(View::One, readers, 20.0));
            runs.push(cpu_run(View::Two, readers, 25.0));
            runs.push(cpu_run(View::Rest, readers, 30.0));
        }
        let measured = Measured { runs, rounds: 1, took: Duration::from_secs(61) };
        let record = Record {
            host: host(),
            peers: vec!["a peer 1.2".to_owned()],
            command: "the command".to_owned(),
            is_quick: false,
            parts: vec![Part::Cpu],
            measured,
        };
        let page = record.page();
        for wanted in [
            "the command",
            "Tidings at x. a peer 1.2.",
            "| one topic | 20.0 | 20.0 | 20.0 | 1.00 | 1.00 | 1.00 | 1.00 | – |",
            "everybody's | 25.0 | 25.0 | 25.0 | 1.25 | 1.25 | 1.25 | 1.00 | yes |",
            "(`u/17/**`) | 30.0 | 30.0 | 30.0 | 1.50 | 1.50 | 1.50 | 1.00 | NO |",
            "(`u/17/*`) | – | – | – | – | – | – | – | not measured |",
            "Faults: 0.",
        ] {
            assert!(page.contains(wanted), "{wanted} in:\n{page}");
        }
        assert_eq!(record.lines().lines().count(), 10);
    }
}
