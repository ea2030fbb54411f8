//! The cases: readers of a view, and what is done to them.

use tidings_bench_compare::load::{Outcome, faults};

use crate::args::Args;
use crate::servers::{Access, Kind};
use crate::view::View;

/// A part of the comparison, with a table of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// CPU time per event, each for one reader.
    Cpu,
    /// Events that all readers get.
    FanOut,
    /// Memory of idle readers.
    Memory,
    /// The first two with tokens and keys.
    Access,
    /// Latency of another topic meanwhile.
    Beside,
    /// Publishing with many topics and patterns.
    Many,
}

/// Readers of a view, and the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Case {
    pub(crate) part: Part,
    pub(crate) view: View,
    pub(crate) access: Access,
    /// The number of readers at full size.
    pub(crate) readers: u32,
    pub(crate) work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// Each event is for one reader.
    OneEach,
    /// Each event is for all readers, one at a time.
    AllAlone,
    /// Each event is for all readers, 64 under way.
    AllMerged,
    /// Nothing is published.
    Idle,
    /// Another topic's latency, beside something.
    Probe(Background),
    /// Publishing to so many topics, beside a tenth as many patterns.
    Publish(u32),
}

/// The load while another topic's latency is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Background {
    Nothing,
    FanOut,
    CatchUp,
    Replay,
}

/// The outcome of a case.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) round: u32,
    pub(crate) server: Kind,
    pub(crate) case: Case,
    pub(crate) outcome: Outcome,
}

impl Part {
    pub(crate) const ALL: [Self; 6] =
        [Self::Cpu, Self::FanOut, Self::Memory, Self::Access, Self::Beside, Self::Many];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::FanOut => "fan-out",
            Self::Memory => "memory",
            Self::Access => "access",
            Self::Beside => "beside",
            Self::Many => "many",
        }
    }

    /// How often a round runs its cases at a server. Runs of one case differ most by how the processes
    /// take turns on their cores, above all the rates of fan-out, so that several runs in turn with the
    /// other cases say more than long ones. The peers have one run: nothing is judged by their figures.
    pub(crate) fn turns(self, kind: Kind) -> u32 {
        match self {
            _ if !kind.is_ours() => 1,
            Self::FanOut | Self::Access => 5,
            Self::Cpu | Self::Many => 3,
            Self::Memory | Self::Beside => 1,
        }
    }

    /// Returns the parts that are wanted.
    ///
    /// # Errors
    ///
    /// A name is unknown.
    pub(crate) fn chosen(args: &Args) -> Result<Vec<Self>, String> {
        let names = Self::ALL.map(Self::name);
        if let Some(unknown) = args.only.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(format!("unknown name '{unknown}'; known names are {}", names.join(", ")));
        }
        let is_wanted =
            |part: &Self| args.only.is_empty() || args.only.iter().any(|it| it == part.name());
        Ok(Self::ALL.into_iter().filter(is_wanted).collect())
    }

    /// Returns its cases, in the order of their runs.
    pub(crate) fn cases(self) -> Vec<Case> {
        let open =
            |view, readers, work| Case { part: self, view, access: Access::Open, readers, work };
        let all = [View::One].into_iter().chain(View::OTHERS);
        match self {
            Self::Cpu => {
                let of_size = |readers| all.clone().map(move |view| (view, readers));
                let sizes = SIZES.into_iter().flat_map(of_size);
                sizes.map(|(view, readers)| open(view, readers, Work::OneEach)).collect()
            }
            Self::FanOut => [Work::AllAlone, Work::AllMerged]
                .into_iter()
                .flat_map(|work| FANNED_OUT.map(|view| open(view, CROWD, work)))
                .collect(),
            Self::Memory => all.map(|view| open(view, IDLE_READERS, Work::Idle)).collect(),
            // The accesses of a view follow each other, because the machine's speed changes in minutes.
            Self::Access => {
                let each = [View::One, View::Two, View::Ten, View::Segment];
                let each = each.map(|view| open(view, MIDDLE, Work::OneEach));
                let crowd = FANNED_OUT.map(|view| open(view, CROWD, Work::AllMerged));
                let of_access = |case| ACCESSES.map(|access| Case { access, ..case });
                each.into_iter().chain(crowd).flat_map(of_access).collect()
            }
            Self::Beside => Background::ALL
                .map(|background| open(View::Segment, 1, Work::Probe(background)))
                .to_vec(),
            Self::Many => {
                TOPICS.map(|topics| open(View::Segment, 0, Work::Publish(topics))).to_vec()
            }
        }
    }
}

/// The numbers of readers that events are published to one by one.
pub(crate) const SIZES: [u32; 3] = [500, MIDDLE, 15_000];
pub(crate) const MIDDLE: u32 = 5000;
/// The number of readers that all get the same events.
pub(crate) const CROWD: u32 = 1000;
/// The number of readers that are idle.
const IDLE_READERS: u32 = 5000;
/// Views of which many readers get the same events.
pub(crate) const FANNED_OUT: [View; 3] = [View::One, View::Two, View::Segment];
pub(crate) const ACCESSES: [Access; 3] = [Access::Open, Access::Token, Access::Key];
/// The numbers of topics that are published to.
pub(crate) const TOPICS: [u32; 2] = [10, 100_000];

impl Background {
    pub(crate) const ALL: [Self; 4] = [Self::Nothing, Self::FanOut, Self::CatchUp, Self::Replay];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Nothing => "alone",
            Self::FanOut => "beside a fan-out to 10,000 readers of patterns",
            Self::CatchUp => {
                "beside 200 readers that catch up by a pattern over 1,000,000 events of other topics"
            }
            Self::Replay => "beside 500 readers that replay 100,000 events each",
        }
    }
}

impl Case {
    /// Returns whether a server takes part.
    pub(crate) fn is_for(&self, kind: Kind) -> bool {
        let is_common = matches!(self.part, Part::Cpu | Part::FanOut | Part::Memory);
        // The peers' cost at the largest size says nothing new and takes long.
        let is_small = self.readers <= MIDDLE;
        kind.is_ours() || (is_common && is_small && self.view.stream(kind).is_some())
    }

    /// Returns its name, for the terminal and the lines of JSON.
    pub(crate) fn name(&self) -> String {
        let Self { part, view, access, readers, work } = self;
        match work {
            Work::Probe(background) => format!("beside {background:?}"),
            Work::Publish(topics) => format!("many {topics} topics"),
            _ => format!("{} {view:?} {work:?} {readers} {access:?}", part.name()),
        }
    }
}

impl Run {
    /// Returns a line about the run for the terminal.
    pub(crate) fn line(&self) -> String {
        let name = format!("{} {}: {}", self.round + 1, self.case.name(), self.server.name());
        match &self.outcome {
            Outcome::Failed(why) => format!("{name}: {why}"),
            Outcome::Finished(result) => {
                let figures = self.case.work.figures().iter().map(|figure| {
                    let value = figure.of(result).unwrap_or(f64::NAN);
                    format!("{} {value:.*}", figure.title, figure.decimals)
                });
                let figures = figures.collect::<Vec<_>>().join(", ");
                match faults(result) {
                    0 => format!("{name}: {figures}"),
                    faults => format!("{name}: {figures}, {faults} FAULTS"),
                }
            }
        }
    }

    /// Returns what is wrong with a run of this build, which must be without faults.
    pub(crate) fn blame(&self) -> Option<String> {
        let is_faultless = match &self.outcome {
            Outcome::Finished(result) => faults(result) == 0,
            Outcome::Failed(_) => false,
        };
        (self.server == Kind::Tidings && !is_faultless).then(|| self.line())
    }
}

/// A figure in the results of a load.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) decimals: usize,
    pointer: &'static str,
    /// The divisor of the number.
    unit: f64,
}

impl Figure {
    const fn new(title: &'static str, decimals: usize, pointer: &'static str) -> Self {
        Self { title, decimals, pointer, unit: 1.0 }
    }

    pub(crate) fn of(&self, result: &serde_json::Value) -> Option<f64> {
        Some(result.pointer(self.pointer)?.as_f64()? / self.unit)
    }
}

const CPU_PER_EVENT: Figure = Figure::new("CPU per event, µs", 1, "/server/cpu_us_per_event");
/// The place of the CPU time among the figures of deliveries with 64 events under way.
pub(crate) const MERGED_CPU: usize = 2;
const CPU_PER_DELIVERY: Figure =
    Figure::new("CPU per delivery, µs", 2, "/server/cpu_us_per_delivery");
const DELIVERIES: Figure = Figure::new("deliveries/s", 0, "/deliveries_per_second");
const MEMORY: Figure =
    Figure { unit: 1024.0, ..Figure::new("memory each, KB", 2, "/server/rss_per_subscriber") };
const P50: Figure = Figure::new("p50, ms", 2, "/latency_ms/p50");
const P99: Figure = Figure::new("p99, ms", 2, "/latency_ms/p99");
const LONGEST: Figure = Figure::new("max, ms", 1, "/latency_ms/max");
const EVENTS: Figure = Figure::new("events", 0, "/events");

impl Work {
    /// Returns the figures of such a case, the main one first.
    pub(crate) fn figures(self) -> &'static [Figure] {
        match self {
            Self::OneEach => const { &[CPU_PER_EVENT, P99] },
            Self::AllAlone => const { &[CPU_PER_DELIVERY, P99] },
            Self::AllMerged => const { &[DELIVERIES, P99, CPU_PER_DELIVERY] },
            Self::Idle => const { &[MEMORY] },
            Self::Probe(_) => const { &[P99, P50, LONGEST, EVENTS] },
            Self::Publish(_) => const { &[CPU_PER_EVENT] },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Part;
    use crate::servers::Kind;

    #[test]
    fn no_case_is_there_twice_and_all_have_names_of_their_own() {
        let cases: Vec<_> = Part::ALL.into_iter().flat_map(Part::cases).collect();
        let names: BTreeSet<_> = cases.iter().map(super::Case::name).collect();
        assert_eq!(names.len(), cases.len());
    }

    #[test]
    fn peers_take_part_where_they_can() {
        let of = |kind| {
            let cases = Part::Cpu.cases().into_iter().filter(move |case| case.is_for(kind));
            cases.count()
        };
        assert_eq!((of(Kind::Tidings), of(Kind::Nchan), of(Kind::Axum)), (18, 6, 6));
    }
}
