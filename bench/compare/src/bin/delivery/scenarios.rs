//! What is measured, and what is aimed at.

use crate::figures::{
    CONNECTED, CONNECTIONS, CONNECTIONS_OF_CPU, CPU_PER_CONNECTION, CPU_PER_DELIVERY,
    CPU_PER_EVENT, Column, DELIVERIES, EVENTS, GROWTH, GROWTH_WITHOUT, KERNEL_MEMORY, MEMORY, P50,
    P99, SLOWER, WITH_STALLED, WITHOUT_STALLED,
};
use crate::servers::{Kind, Server};

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Quick,
}

/// A number for each size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sized(u32, u32);

impl Sized {
    pub(crate) fn of(self, size: Size) -> u32 {
        match size {
            Size::Full => self.0,
            Size::Quick => self.1,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The load's own name for it; with HTTP/2, the script that is the load.
    pub(crate) load: &'static str,
    pub(crate) subscribers: Option<Sized>,
    pub(crate) topics: Topics,
    pub(crate) work: Option<Work>,
    pub(crate) cores: Cores,
    /// What has to be known to read its figures.
    pub(crate) note: Option<&'static str>,
    /// Options that are always the same.
    pub(crate) options: &'static [&'static str],
    pub(crate) needs: Needs,
    /// Which server ratios to the limit refer to.
    pub(crate) limit: Kind,
    /// The first is what the scenario is about.
    pub(crate) columns: &'static [Column],
    pub(crate) targets: &'static [Target],
    /// Servers for which it would take too long, or that cannot keep up with its pace.
    pub(crate) left_out: &'static [Kind],
    /// Servers that have only one round of it, because a run takes long.
    pub(crate) once: &'static [Kind],
    /// How often each server has its turn in a round: more often where turns are short and servers close.
    pub(crate) turns: u32,
}

/// Where the load runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Server and load have a core each.
    Each,
    /// The load runs on the server's.
    Shared,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Topics {
    One,
    /// Each subscriber has its own.
    Own,
}

/// How many events or connections there are, for the fastest servers.
#[derive(Debug)]
pub(crate) struct Work {
    option: &'static str,
    amount: Sized,
    pace: PaceOf,
    /// At least so many, for the slowest.
    least: u32,
}

#[derive(Clone, Copy, Debug)]
enum PaceOf {
    Single,
    Merged,
    Requests,
    /// The same for all.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Replay,
    Batches,
    Http2,
}

/// What a column of Tidings' is held against.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) column: usize,
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    AtMostTimesLimit(f64),
    AtLeastTimesLimit(f64),
    BetterThanPeers,
}

impl Scenario {
    /// Whether a server takes part in a round of it.
    pub(crate) fn is_for(&self, server: &Server, size: Size, round: u32) -> bool {
        let is_able = match self.needs {
            // The same peer is there twice, so that it speaks HTTP/2 only where that is measured.
            Needs::Nothing => server.kind != Kind::AxumHttp2,
            Needs::Replay => server.has_replay(),
            Needs::Batches => server.has_batches(),
            Needs::Http2 => server.has_http2(),
        };
        // A yardstick that nothing is measured by need not run.
        let is_meant = server.kind != Kind::LimitMerged || self.limit == Kind::LimitMerged;
        let is_in_time = round == 0 || !self.once.contains(&server.kind);
        // A small size is small enough for everybody.
        let is_left_out = size == Size::Full && self.left_out.contains(&server.kind);
        is_able && is_meant && is_in_time && !is_left_out
    }

    /// Connections that both sides hold at once.
    pub(crate) fn connections(&self, size: Size) -> u32 {
        self.subscribers.map_or(0, |subscribers| subscribers.of(size)) + CONNECTIONS_BESIDE
    }

    /// The load's arguments that say what is done, for `server`.
    pub(crate) fn arguments(&self, server: &Server, size: Size) -> Vec<String> {
        let mut arguments = vec![self.load.to_owned()];
        let mut push = |name: &str, number: u32| {
            arguments.extend([name.to_owned(), number.to_string()]);
        };
        if let Some(subscribers) = self.subscribers {
            push("--subscribers", subscribers.of(size));
            if let Topics::Own = self.topics {
                push("--topics", subscribers.of(size));
            }
        }
        if let Some(work) = &self.work {
            push(work.option, work.amount(server, size));
        }
        arguments.extend(self.options.iter().map(|&option| option.to_owned()));
        arguments
    }
}

/// Stalled readers, publishers and the program's own.
const CONNECTIONS_BESIDE: u32 = 150;

impl Work {
    fn amount(&self, server: &Server, size: Size) -> u32 {
        let share = match self.pace {
            PaceOf::Single => server.pace.single,
            PaceOf::Merged => server.pace.merged,
            PaceOf::Requests => server.pace.requests,
            PaceOf::Nothing => 1.0,
        };
        ((f64::from(self.amount.of(size)) * share).round() as u32).max(self.least)
    }
}

const BETTER_THAN_PEERS: Target = Target { column: 0, bound: Bound::BetterThanPeers };

/// What most scenarios have in common.
const COMMON: Scenario = Scenario {
    name: "",
    title: "",
    load: "fan-out",
    subscribers: None,
    topics: Topics::One,
    work: None,
    cores: Cores::Each,
    note: None,
    options: &[],
    needs: Needs::Nothing,
    limit: Kind::Limit,
    columns: &[],
    targets: &[BETTER_THAN_PEERS],
    left_out: &[],
    once: &[],
    turns: 1,
};

const STALLED_MEMORY: &str = "\
Memory grows by what the server's processes (RSS, the most there was) and the machine's TCP have more than when the half \
without stalled readers was over, counted when all but these have read everything. So it holds what the server keeps of the \
half's own 4.9 MB of events, which *grew by without* shows for the half before, and both ends of each connection: what a \
stalled reader's own kernel has received for it is about 130 KB each, 6.2 MB, whatever the server does.";

pub(crate) const SCENARIOS: [Scenario; 13] = [
    Scenario {
        name: "idle-own-topics",
        title: "15,000 idle subscribers, each on a topic of its own",
        load: "idle",
        subscribers: Some(Sized(15_000, 2000)),
        topics: Topics::Own,
        options: &["--hold", "1s"],
        columns: &[MEMORY, KERNEL_MEMORY, CONNECTED],
        targets: &[Target { column: 0, bound: Bound::AtMost(0.5) }, BETTER_THAN_PEERS],
        once: &[Kind::Node, Kind::Starlette],
        ..COMMON
    },
    Scenario {
        name: "idle-one-topic",
        title: "15,000 idle subscribers of one topic",
        load: "idle",
        subscribers: Some(Sized(15_000, 2000)),
        options: &["--hold", "1s"],
        columns: &[MEMORY, KERNEL_MEMORY, CONNECTED],
        targets: &[Target { column: 0, bound: Bound::AtMost(0.5) }, BETTER_THAN_PEERS],
        once: &[Kind::Node, Kind::Starlette],
        ..COMMON
    },
    Scenario {
        name: "idle-http2",
        title: "5,000 idle subscribers on HTTP/2, 100 on a connection, each on a topic of its own",
        load: "bench/http2_idle.py",
        subscribers: Some(Sized(5000, 1000)),
        note: Some(
            "`tidings bench` speaks HTTP/1 alone, so the load is a script. It opens 100 streams more before it looks \
             for the first time: what a server takes once is not counted.",
        ),
        options: &["--streams", "100"],
        needs: Needs::Http2,
        columns: &[MEMORY, CONNECTED],
        targets: &[Target { column: 0, bound: Bound::AtMost(1.5) }, BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "fan-out-1000",
        title: "1,000 subscribers, one event at a time",
        subscribers: Some(Sized(1000, 1000)),
        work: Some(Work {
            option: "--events",
            amount: Sized(600, 150),
            pace: PaceOf::Single,
            least: 10,
        }),
        options: &["--under-way", "1"],
        columns: &[CPU_PER_DELIVERY, DELIVERIES, P50, P99],
        targets: &[Target { column: 0, bound: Bound::AtMostTimesLimit(1.10) }, BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "fan-out-1000-merged",
        title: "1,000 subscribers, 64 events under way",
        subscribers: Some(Sized(1000, 1000)),
        work: Some(Work {
            option: "--events",
            amount: Sized(10_000, 2000),
            pace: PaceOf::Merged,
            least: 64,
        }),
        options: &["--under-way", "64"],
        limit: Kind::LimitMerged,
        columns: &[DELIVERIES, CPU_PER_DELIVERY, P99],
        targets: &[Target { column: 0, bound: Bound::AtLeast(4e6) }, BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "fan-out-10000-merged",
        title: "10,000 subscribers, 8 events under way",
        subscribers: Some(Sized(10_000, 2000)),
        work: Some(Work {
            option: "--events",
            amount: Sized(250, 100),
            pace: PaceOf::Merged,
            least: 16,
        }),
        options: &["--under-way", "8"],
        limit: Kind::LimitMerged,
        columns: &[DELIVERIES, CPU_PER_DELIVERY, P99],
        targets: &[Target { column: 0, bound: Bound::AtLeast(1e6) }, BETTER_THAN_PEERS],
        once: &[Kind::Node, Kind::Starlette],
        ..COMMON
    },
    Scenario {
        name: "topics-5000",
        title: "5,000 topics of one subscriber, publishing over HTTP included",
        subscribers: Some(Sized(5000, 1000)),
        topics: Topics::Own,
        work: Some(Work {
            option: "--events",
            amount: Sized(100_000, 20_000),
            pace: PaceOf::Requests,
            least: 1000,
        }),
        options: &["--under-way", "64"],
        columns: &[CPU_PER_EVENT, EVENTS, P99],
        targets: &[Target { column: 0, bound: Bound::AtMostTimesLimit(1.35) }, BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "churn",
        title: "streams opened and closed, 64 at a time",
        load: "churn",
        work: Some(Work {
            option: "--connections",
            amount: Sized(20_000, 5000),
            pace: PaceOf::Requests,
            least: 1000,
        }),
        cores: Cores::Shared,
        note: Some(
            "Server and load share core 0. Linux works off a packet on loopback where it was sent, so the load does most \
             of the handshake for both ends, and a connection costs it more than it costs a fast server. On a core \
             of its own it leaves such a server with nothing to do between two connections: half of them find the server's \
             core asleep, which costs each on average some 20 µs more at the server and 10 at the load. A slower server \
             never sleeps, is spared both, and looks the better for it. On one core, waking costs next to nothing, and \
             every server is asked for all it can do. The first column is what a core to itself would be good for, a \
             second divided by the CPU time for a connection; *connections/s* is what server and load did \
             together on one core.",
        ),
        // Some for each turn of either side, and no server's backlog is filled.
        options: &["--under-way", "64"],
        columns: &[CONNECTIONS_OF_CPU, CPU_PER_CONNECTION, CONNECTIONS, P99],
        targets: &[Target { column: 0, bound: Bound::AtLeastTimesLimit(0.85) }, BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "replay",
        title: "1,000 events replayed to 200 subscribers",
        load: "replay",
        subscribers: Some(Sized(200, 200)),
        options: &["--events", "1000"],
        needs: Needs::Replay,
        columns: &[DELIVERIES, CPU_PER_DELIVERY],
        targets: &[Target { column: 0, bound: Bound::AtLeast(3e6) }, BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "slow-readers",
        title: "50 readers that stopped reading beside 100 fast ones",
        load: "slow",
        subscribers: Some(Sized(100, 100)),
        work: Some(Work {
            option: "--events",
            amount: Sized(1200, 300),
            pace: PaceOf::Nothing,
            least: 1,
        }),
        // 4.9 MB for each reader: more than the kernel keeps for one that does not read.
        options: &["--stalled", "50", "--bytes", "4096", "--rate", "400"],
        columns: &[SLOWER, WITHOUT_STALLED, WITH_STALLED, GROWTH, GROWTH_WITHOUT],
        note: Some(STALLED_MEMORY),
        targets: &[
            Target { column: 0, bound: Bound::AtMost(1.5) },
            Target { column: 3, bound: Bound::AtMost(16.0) },
        ],
        left_out: &[Kind::Starlette],
        ..COMMON
    },
    Scenario {
        name: "publish",
        title: "publishing, 64 connections",
        load: "publish",
        work: Some(Work {
            option: "--events",
            amount: Sized(200_000, 30_000),
            pace: PaceOf::Requests,
            least: 1000,
        }),
        options: &["--connections", "64"],
        columns: &[EVENTS, CPU_PER_EVENT, P99],
        targets: &[Target { column: 0, bound: Bound::AtLeast(80e3) }, BETTER_THAN_PEERS],
        turns: 3,
        ..COMMON
    },
    Scenario {
        name: "publish-pipelined",
        title: "publishing, 1 connection with 64 requests on their way",
        load: "publish",
        work: Some(Work {
            option: "--events",
            amount: Sized(200_000, 30_000),
            pace: PaceOf::Requests,
            least: 1000,
        }),
        options: &["--connections", "1", "--pipelined", "64"],
        columns: &[EVENTS, CPU_PER_EVENT, P99],
        targets: &[Target { column: 0, bound: Bound::AtLeast(100e3) }, BETTER_THAN_PEERS],
        turns: 3,
        ..COMMON
    },
    Scenario {
        name: "publish-batches",
        title: "publishing in batches of 64, 4 connections",
        load: "publish",
        work: Some(Work {
            option: "--events",
            amount: Sized(600_000, 100_000),
            pace: PaceOf::Requests,
            least: 1000,
        }),
        options: &["--connections", "4", "--batch", "64"],
        needs: Needs::Batches,
        columns: &[EVENTS, CPU_PER_EVENT, P99],
        targets: &[Target { column: 0, bound: Bound::AtLeast(300e3) }],
        ..COMMON
    },
];

#[cfg(test)]
mod tests {
    use super::{Cores, SCENARIOS, Size};
    use crate::servers::SERVERS;

    #[test]
    fn names_are_used_once_and_every_target_has_its_column() {
        for (index, scenario) in SCENARIOS.iter().enumerate() {
            let name = scenario.name;
            assert!(SCENARIOS[..index].iter().all(|other| other.name != name), "{name}");
            for target in scenario.targets {
                assert!(target.column < scenario.columns.len(), "{name}");
            }
        }
    }

    #[test]
    fn the_load_is_told_everything() {
        let find = |name: &str| SCENARIOS.iter().find(|scenario| scenario.name == name);
        let topics = find("topics-5000").expect("a scenario");
        let text = "fan-out --subscribers 5000 --topics 5000 --events 100000 --under-way 64";
        assert_eq!(topics.arguments(&SERVERS[0], Size::Full).join(" "), text);
        let text = "fan-out --subscribers 1000 --topics 1000 --events 1000 --under-way 64";
        let slowest = &SERVERS[SERVERS.len() - 1];
        assert_eq!(topics.arguments(slowest, Size::Quick).join(" "), text);
    }

    #[test]
    fn only_where_the_load_would_be_the_limit_it_shares_the_servers_core() {
        let shared = SCENARIOS.iter().filter(|scenario| scenario.cores == Cores::Shared);
        let shared: Vec<_> =
            shared.map(|scenario| (scenario.name, scenario.note.is_some())).collect();
        assert_eq!(shared, [("churn", true)]);
    }

    #[test]
    fn only_who_can_replay_or_take_batches_is_asked_to() {
        for (name, able) in [
            ("replay", &["tidings", "nchan"][..]),
            ("publish-batches", &["tidings"]),
            ("idle-http2", &["tidings", "axum-http2"]),
        ] {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name);
            let scenario = scenario.expect("a scenario");
            let found: Vec<_> = SERVERS
                .iter()
                .filter(|server| scenario.is_for(server, Size::Full, 0))
                .map(|server| server.name)
                .collect();
            assert_eq!(found, able);
        }
    }
}
