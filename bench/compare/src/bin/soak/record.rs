//! The page for people.

use std::fmt::Write as _;

use tidings_bench_compare::host::Host;

use crate::load::SCENARIOS;
use crate::resume::VIEWS;
use crate::sample::Sample;
use crate::server::OPTIONS;
use crate::tally::Tally;
use crate::verdict::{GROWTH_MAX, SLOPE_MAX, Verdict};

pub(crate) struct Record {
    pub(crate) host: Host,
    /// The commit or the path of the program that was loaded.
    pub(crate) program: String,
    pub(crate) load_average_after: String,
    pub(crate) command: String,
    pub(crate) minutes: u32,
    pub(crate) samples: Vec<Sample>,
    pub(crate) before: Sample,
    pub(crate) after: Sample,
    pub(crate) tally: Tally,
    pub(crate) verdict: Verdict,
}

impl Record {
    pub(crate) fn page(&self) -> String {
        let mut text = String::from("# Soak: memory under load for a long time\n\n");
        self.head(&mut text);
        self.verdict(&mut text);
        self.table(&mut text);
        self.work(&mut text);
        text
    }

    fn head(&self, text: &mut String) {
        let host = &self.host;
        let _ = write!(
            text,
            "```\n{}\n```\n\n\
             {}. {} cores of {}, {} GiB, {}; load average {} when it began, {} when it ended. {}. \
             {}.\n\n\
             `tidings serve {OPTIONS}`, loaded for {} minutes by all of these at once, each run again as soon as it ends:\n\n",
            self.command,
            host.date,
            host.cores,
            host.processor,
            host.memory_gib,
            host.kernel,
            host.load_average,
            self.load_average_after,
            host.rustc,
            self.program,
            self.minutes
        );
        for scenario in SCENARIOS {
            let _ = writeln!(text, "- `tidings bench {scenario}`");
        }
        let _ = write!(
            text,
            "- a publisher of up to 500 numbered events per second, 20 to 2,000 bytes each, to 50 topics and to others that get \
             only one\n- readers that stay for up to 4 s and resume by their last event ID; a twentieth of the times they \
             begin anew, and\n  another twentieth they stay away for up to 20 s. One for each of these queries: `{}`\n\n",
            VIEWS.join("`,\n  `")
        );
    }

    fn verdict(&self, text: &mut String) {
        let verdict = &self.verdict;
        let [third, last] = verdict.quarters;
        let said = match verdict.result() {
            Ok(()) => "memory is flat, and nothing was wrong".to_owned(),
            Err(wrong) => wrong,
        };
        let _ = write!(
            text,
            "Verdict: **{said}**.\n\n\
             | rule | bound | found |\n| --- | ---: | ---: |\n\
             | slope of a fitted line over the second half, MB per minute | < {SLOPE_MAX} | {:.3} |\n\
             | mean of the last quarter : mean of the third | < {GROWTH_MAX} | {:.4} ({last:.2} MB : {third:.2} MB) |\n\
             | descriptors left when all clients have gone | 0 | {} |\n\
             | events lost, doubled, out of order, misdelivered or altered; requests that failed | 0 | {} |\n\n",
            verdict.slope,
            last / third,
            verdict.descriptors_left,
            verdict.faults
        );
        for (fault, count) in &self.tally.faults {
            let _ = writeln!(text, "- {count} × {fault}");
        }
        if !self.tally.faults.is_empty() {
            text.push('\n');
        }
    }

    /// Writes twelve rows at most, of five minutes in an hour.
    fn table(&self, text: &mut String) {
        let _ = write!(
            text,
            "Memory is resident and anonymous (`RssAnon`), sampled each 10 s together with the descriptors and `/metrics`; \
             other figures are\nmeans, those of events are sums. Before the load it was {:.1} MB, and {:.1} MB when all clients \
             had gone.\n\n\
             | minutes | memory, MB | least | most | descriptors | subscribers | topics | history, MB | published | delivered | gaps |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            self.before.memory, self.after.memory
        );
        let mut earlier = &self.before;
        for rows in self.samples.chunks(self.samples.len().div_ceil(12).max(1)) {
            let Some(last) = rows.last() else { continue };
            let mean =
                |of: fn(&Sample) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
            let least = rows.iter().map(|it| it.memory).fold(f64::INFINITY, f64::min);
            let most = rows.iter().map(|it| it.memory).fold(0.0, f64::max);
            let sum = |of: fn(&Sample) -> f64| of(last) - of(earlier);
            let _ = writeln!(
                text,
                "| {:.0}–{:.0} | {:.2} | {least:.2} | {most:.2} | {:.0} | {:.0} | {:.0} | {:.2} | {} | {} | {} |",
                earlier.at.as_secs_f64() / 60.0,
                last.at.as_secs_f64() / 60.0,
                mean(|it| it.memory),
                mean(|it| it.descriptors as f64),
                mean(|it| it.metrics.subscribers),
                mean(|it| it.metrics.topics),
                mean(|it| it.metrics.history_bytes) / 1e6,
                sum(|it| it.metrics.published),
                sum(|it| it.metrics.delivered),
                sum(|it| it.metrics.gaps),
            );
            earlier = last;
        }
        text.push('\n');
    }

    fn work(&self, text: &mut String) {
        text.push_str("| work of all loads together | count |\n| --- | ---: |\n");
        for (work, count) in &self.tally.work {
            let _ = writeln!(text, "| {work} | {count} |");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidings_bench_compare::host::Host;

    use super::Record;
    use crate::sample::Sample;
    use crate::tally::Tally;
    use crate::verdict::Verdict;

    fn record(faults: u64) -> Record {
        let host = Host { cores: 2, memory_gib: 24, ..Host::default() };
        let sample = |number: u64| Sample {
            at: Duration::from_secs(10 * number),
            memory: 20.0,
            ..Sample::default()
        };
        let samples: Vec<_> = (1..360).map(sample).collect();
        let (before, after) = (sample(0), sample(360));
        let mut tally = Tally::default();
        tally.faults("churn: refused".to_owned(), faults);
        let verdict = Verdict::new(&samples, &before, &after, &tally);
        Record {
            host,
            program: "Tidings at 1234567".to_owned(),
            load_average_after: "x".to_owned(),
            command: "x".to_owned(),
            minutes: 60,
            samples,
            before,
            after,
            tally,
            verdict,
        }
    }

    #[test]
    fn an_hour_has_a_row_for_each_five_minutes() {
        let page = record(0).page();
        let rows: Vec<_> = page.lines().filter(|line| line.contains('–')).collect();
        assert_eq!(rows.len(), 12);
        assert!(rows[0].starts_with("| 0–5 | 20.00 |"), "{}", rows[0]);
        assert!(rows[11].starts_with("| 55–60 | 20.00 |"), "{}", rows[11]);
        assert!(page.contains("Verdict: **memory is flat, and nothing was wrong**"));
    }

    #[test]
    fn faults_are_listed_and_decide() {
        let page = record(3).page();
        assert!(page.contains("Verdict: **there were 3 faults**"));
        assert!(page.contains("- 3 × churn: refused"));
    }
}
