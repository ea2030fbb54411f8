//! A scenario of the comparison: the work of the load, and the targets.

use crate::figures::Column;
use crate::servers::{Ability, Kind, Server};

/// The size of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Full,
    Quick,
}

/// A number for each size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sized(pub(super) u32, pub(super) u32);

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
    /// The load's name for the scenario; for HTTP/2, the script that is the load.
    pub(crate) load: &'static str,
    pub(crate) subscribers: Option<Sized>,
    pub(crate) topics: Topics,
    pub(crate) work: Option<Work>,
    pub(crate) cores: Cores,
    /// Explains the figures.
    pub(crate) note: Option<&'static str>,
    /// Options of the load that do not depend on the server or the size.
    pub(crate) options: &'static [&'static str],
    /// The ability that a server needs to take part.
    pub(crate) needs: Option<Ability>,
    /// The yardstick that ratios refer to.
    pub(crate) limit: Kind,
    /// The columns, with the main figure first.
    pub(crate) columns: &'static [Column],
    pub(crate) targets: &'static [Target],
    /// Servers for which the scenario would take too long, or that cannot keep up with its pace.
    pub(crate) left_out: &'static [Kind],
    /// Servers that take part in the first round only, because a run takes long.
    pub(crate) once: &'static [Kind],
    /// How many turns each server has in a round: more if turns are short and servers are close.
    pub(crate) turns: u32,
}

/// The cores of server and load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Server and load have a core each.
    Each,
    /// The load runs on the server's core.
    Shared,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Topics {
    One,
    /// A topic for each subscriber.
    Own,
}

/// The number of events or connections, for the fastest servers.
#[derive(Debug)]
pub(crate) struct Work {
    pub(super) option: &'static str,
    pub(super) amount: Sized,
    pub(super) pace: PaceOf,
    /// The minimum for the slowest servers.
    pub(super) least: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PaceOf {
    Single,
    Merged,
    Requests,
    /// The same for all servers.
    Nothing,
}

/// A bound for one of the columns.
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
    /// Returns whether a server takes part in a round.
    pub(crate) fn is_for(&self, server: &Server, size: Size, round: u32) -> bool {
        let is_able = match self.needs {
            // The same peer is there twice, so that it speaks HTTP/2 only where that is measured.
            None => server.kind != Kind::AxumHttp2,
            Some(ability) => server.can(ability),
        };
        // A yardstick that is not referred to need not run.
        let is_meant = server.kind != Kind::LimitMerged || self.limit == Kind::LimitMerged;
        let is_in_time = round == 0 || !self.once.contains(&server.kind);
        // The small size is feasible for all servers.
        let is_left_out = size == Size::Full && self.left_out.contains(&server.kind);
        is_able && is_meant && is_in_time && !is_left_out
    }

    /// Returns the number of connections that both sides hold at once.
    pub(crate) fn connections(&self, size: Size) -> u32 {
        self.subscribers.map_or(0, |subscribers| subscribers.of(size)) + CONNECTIONS_BESIDE
    }

    /// Returns the load's arguments for `server`.
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

/// Connections of stalled readers and publishers, and descriptors of the programs.
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
