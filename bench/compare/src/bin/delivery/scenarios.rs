//! The scenarios of the comparison, as a table.

use crate::figures::{
    CONNECTED, CONNECTIONS, CONNECTIONS_OF_CPU, CPU_PER_CONNECTION, CPU_PER_DELIVERY,
    CPU_PER_EVENT, DELIVERIES, EVENTS, GROWTH, GROWTH_WITHOUT, KERNEL_MEMORY, MEMORY, P50, P99,
    SLOWER, WITH_STALLED, WITHOUT_STALLED,
};
use crate::scenario::{Bound, Cores, PaceOf, Scenario, Sized, Target, Topics, Work};
use crate::servers::{Ability, Kind};

const BETTER_THAN_PEERS: Target = Target { column: 0, bound: Bound::BetterThanPeers };

const fn target(column: usize, bound: Bound) -> Target {
    Target { column, bound }
}

/// Events to publish at full and at quick size, scaled by a server's pace, but at least `least`.
const fn events(full: u32, quick: u32, pace: PaceOf, least: u32) -> Option<Work> {
    Some(Work { option: "--events", amount: Sized(full, quick), pace, least })
}

/// Connections to open and close, scaled like [`events`].
const fn connections(full: u32, quick: u32, pace: PaceOf, least: u32) -> Option<Work> {
    Some(Work { option: "--connections", amount: Sized(full, quick), pace, least })
}

/// The defaults of a scenario.
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
    needs: None,
    limit: Kind::Limit,
    columns: &[],
    targets: &[BETTER_THAN_PEERS],
    left_out: &[],
    once: &[],
    turns: 1,
};

const STALLED_MEMORY: &str = "\
Memory growth is the difference between the end of the half without stalled readers and the half with them: the peak RSS of \
the server's processes, and the machine's TCP memory when all other readers have read everything. It includes the history of \
the half's own 4.9 MB of events, which *grew by without* shows for the first half, and both ends of each connection: the \
kernel buffers about 130 KB for each stalled reader, 6.2 MB in total, whatever the server does.";

pub(crate) const SCENARIOS: [Scenario; 13] = [
    Scenario {
        name: "idle-own-topics",
        title: "15,000 idle subscribers, each on a topic of its own",
        load: "idle",
        subscribers: Some(Sized(15_000, 2000)),
        topics: Topics::Own,
        options: &["--hold", "1s"],
        columns: &[MEMORY, KERNEL_MEMORY, CONNECTED],
        targets: &[target(0, Bound::AtMost(0.5)), BETTER_THAN_PEERS],
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
        targets: &[target(0, Bound::AtMost(0.5)), BETTER_THAN_PEERS],
        once: &[Kind::Node, Kind::Starlette],
        ..COMMON
    },
    Scenario {
        name: "idle-http2",
        title: "5,000 idle subscribers on HTTP/2, 100 on a connection, each on a topic of its own",
        load: "bench/http2_idle.py",
        subscribers: Some(Sized(5000, 1000)),
        note: Some(
            "`tidings bench` speaks only HTTP/1, so the load is a script. It opens 100 additional streams before the first \
             sample, so that one-time costs of the server are not counted.",
        ),
        options: &["--streams", "100"],
        needs: Some(Ability::Http2),
        columns: &[MEMORY, CONNECTED],
        targets: &[target(0, Bound::AtMost(1.5)), BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "fan-out-1000",
        title: "1,000 subscribers, one event at a time",
        subscribers: Some(Sized(1000, 1000)),
        work: events(600, 150, PaceOf::Single, 10),
        options: &["--under-way", "1"],
        columns: &[CPU_PER_DELIVERY, DELIVERIES, P50, P99],
        targets: &[target(0, Bound::AtMostTimesLimit(1.10)), BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "fan-out-1000-merged",
        title: "1,000 subscribers, 64 events under way",
        subscribers: Some(Sized(1000, 1000)),
        work: events(10_000, 2000, PaceOf::Merged, 64),
        options: &["--under-way", "64"],
        limit: Kind::LimitMerged,
        columns: &[DELIVERIES, CPU_PER_DELIVERY, P99],
        targets: &[target(0, Bound::AtLeast(4e6)), BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "fan-out-10000-merged",
        title: "10,000 subscribers, 8 events under way",
        subscribers: Some(Sized(10_000, 2000)),
        work: events(250, 100, PaceOf::Merged, 16),
        options: &["--under-way", "8"],
        limit: Kind::LimitMerged,
        columns: &[DELIVERIES, CPU_PER_DELIVERY, P99],
        targets: &[target(0, Bound::AtLeast(1e6)), BETTER_THAN_PEERS],
        once: &[Kind::Node, Kind::Starlette],
        ..COMMON
    },
    Scenario {
        name: "topics-5000",
        title: "5,000 topics of one subscriber, publishing over HTTP included",
        subscribers: Some(Sized(5000, 1000)),
        topics: Topics::Own,
        work: events(100_000, 20_000, PaceOf::Requests, 1000),
        options: &["--under-way", "64"],
        columns: &[CPU_PER_EVENT, EVENTS, P99],
        targets: &[target(0, Bound::AtMostTimesLimit(1.35)), BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "churn",
        title: "streams opened and closed, 64 at a time",
        load: "churn",
        work: connections(20_000, 5000, PaceOf::Requests, 1000),
        cores: Cores::Shared,
        note: Some(
            "Server and load share core 0. Linux processes a loopback packet where it was sent, so the load does most of \
             the handshake for both ends, and a connection costs it more than it costs a fast server. On a core of its \
             own, the load would leave such a server idle between two connections: half of them would find the server's \
             core asleep, which costs on average some 20 µs more at the server and 10 µs at the load. A slower server never \
             sleeps, avoids both costs, and looks better for it. On one core, waking costs next to nothing, and every \
             server works at capacity. The first column is the capacity of a core of its own, a second divided by the \
             CPU time per connection; *connections/s* is the rate of server and load together on one core.",
        ),
        // Several for each turn of either side, without overflowing a server's backlog.
        options: &["--under-way", "64"],
        columns: &[CONNECTIONS_OF_CPU, CPU_PER_CONNECTION, CONNECTIONS, P99],
        targets: &[target(0, Bound::AtLeastTimesLimit(0.85)), BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "replay",
        title: "1,000 events replayed to 200 subscribers",
        load: "replay",
        subscribers: Some(Sized(200, 200)),
        options: &["--events", "1000"],
        needs: Some(Ability::Replay),
        columns: &[DELIVERIES, CPU_PER_DELIVERY],
        targets: &[target(0, Bound::AtLeast(3e6)), BETTER_THAN_PEERS],
        ..COMMON
    },
    Scenario {
        name: "slow-readers",
        title: "50 readers that stopped reading beside 100 fast ones",
        load: "slow",
        subscribers: Some(Sized(100, 100)),
        work: events(1200, 300, PaceOf::Nothing, 1),
        // 4.9 MB for each reader: more than the kernel buffers for a reader that does not read.
        options: &["--stalled", "50", "--bytes", "4096", "--rate", "400"],
        columns: &[SLOWER, WITHOUT_STALLED, WITH_STALLED, GROWTH, GROWTH_WITHOUT],
        note: Some(STALLED_MEMORY),
        targets: &[target(0, Bound::AtMost(1.5)), target(3, Bound::AtMost(16.0))],
        left_out: &[Kind::Starlette],
        ..COMMON
    },
    Scenario {
        name: "publish",
        title: "publishing, 64 connections",
        load: "publish",
        work: events(200_000, 30_000, PaceOf::Requests, 1000),
        options: &["--connections", "64"],
        columns: &[EVENTS, CPU_PER_EVENT, P99],
        targets: &[target(0, Bound::AtLeast(80e3)), BETTER_THAN_PEERS],
        turns: 3,
        ..COMMON
    },
    Scenario {
        name: "publish-pipelined",
        title: "publishing, 1 connection with 64 unanswered requests",
        load: "publish",
        work: events(200_000, 30_000, PaceOf::Requests, 1000),
        options: &["--connections", "1", "--pipelined", "64"],
        columns: &[EVENTS, CPU_PER_EVENT, P99],
        targets: &[target(0, Bound::AtLeast(100e3)), BETTER_THAN_PEERS],
        turns: 3,
        ..COMMON
    },
    Scenario {
        name: "publish-batches",
        title: "publishing in batches of 64, 4 connections",
        load: "publish",
        work: events(600_000, 100_000, PaceOf::Requests, 1000),
        options: &["--connections", "4", "--batch", "64"],
        needs: Some(Ability::Batches),
        columns: &[EVENTS, CPU_PER_EVENT, P99],
        targets: &[target(0, Bound::AtLeast(300e3))],
        ..COMMON
    },
];

#[cfg(test)]
mod tests {
    use super::{Cores, SCENARIOS};
    use crate::scenario::Size;
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
            ("replay", &["tidings", "before", "nchan"][..]),
            ("publish-batches", &["tidings", "before"]),
            ("idle-http2", &["tidings", "before", "axum-http2"]),
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
