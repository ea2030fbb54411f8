//! Reading a view from a page of the journal.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use super::count::Patience;
use super::kept::{Kept, KeptPage};
use super::ladder::Change;
use super::own_ends::is_ended_by_ends;
use super::page_limits::{OfTopic, PageBound};
use super::read::ends;
use super::told::Told;
use super::topic_state::{Past, TopicState};
use super::{EvictionStamp, History, Kind, ReadMax, ReadPosition, Resolved, Selection};
use crate::cursor::Sequence;
use crate::journal::TopicSet;
use crate::retention::TopicLimits;
use crate::time::Time;
use crate::topic::Topic;

/// Why reading a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeptStop {
    /// The page has been read to its end, or as far as the limits allow.
    Full,
    /// The topic's streams were closed here.
    Closed(Sequence),
    /// The topic's stream ended: the position is after its end if that was visited, else before it.
    StreamEnd,
    /// The next event of the view has been evicted by a rule, and the reader has not been told so. Nothing was
    /// read.
    Gap,
    /// The next event of the view has been evicted. The journal must count by these limits of a topic whether it was so when
    /// the reader was told of losses. Nothing was read.
    Asked(Topic, TopicLimits),
}

/// A read of a page.
#[derive(Clone, Copy)]
pub(crate) struct KeptRead<'a> {
    pub(crate) page: &'a KeptPage,
    pub(crate) view: &'a Resolved,
    /// The losses that the reader knows of.
    pub(crate) told: Option<&'a Told>,
    /// The time by the hub's wall clock.
    pub(crate) time: Time,
    pub(crate) patience: Patience,
}

/// How a topic of a view has an event that the journal keeps.
#[derive(Clone, Copy)]
enum Has {
    /// Its readers are sent it.
    Sent,
    /// A newer event stands for it. If the topic keeps it all the same, readers of another topic that has evicted it
    /// are sent it.
    Superseded { is_kept: bool },
    /// It is beyond a limit.
    Evicted(Knows),
}

/// Whether a reader was told that an event is lost to a topic.
#[derive(Clone, Copy)]
enum Knows {
    Told,
    New,
    /// The journal must be asked about this topic of the event.
    Asks(usize),
    /// It was told if other topics had a newer event by then.
    IfSuperseded,
}

/// The limits of a topic in a read.
#[derive(Clone, Copy)]
struct TopicBounds {
    /// Events up to here are beyond the limits on events and bytes.
    through: Sequence,
    /// Earlier events are too old.
    too_old: Time,
    /// Of what is beyond them, the reader was told up to here.
    told: PageBound,
    told_too_old: Time,
    /// Whether the newest event alone counts, if it counts more than others.
    newest: Option<Newest>,
}

/// How the newest event of a topic stands for those before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Newest {
    /// The topic keeps no others.
    Alone,
    /// Readers that are behind skip the others.
    Before,
}

/// The limits of topics that a read has met.
type Met<'a> = HashMap<&'a Topic, TopicBounds>;

/// The limits of a topic cannot be told before the journal has counted again.
struct Uncounted;

impl Has {
    /// How a view has an event by two of its topics.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Sent, _) | (_, Self::Sent) => Self::Sent,
            (Self::Evicted(_), Self::Superseded { is_kept: true })
            | (Self::Superseded { is_kept: true }, Self::Evicted(_)) => Self::Sent,
            // It is lost as soon as the last of them lets go of it.
            (Self::Evicted(one), Self::Evicted(other)) => Self::Evicted(match (one, other) {
                (Knows::New, _) | (_, Knows::New) => Knows::New,
                (Knows::Asks(topic), _) | (_, Knows::Asks(topic)) => Knows::Asks(topic),
                (Knows::IfSuperseded, _) | (_, Knows::IfSuperseded) => Knows::IfSuperseded,
                (Knows::Told, Knows::Told) => Knows::Told,
            }),
            (Self::Evicted(knows), Self::Superseded { .. })
            | (Self::Superseded { .. }, Self::Evicted(knows)) => Self::Evicted(match knows {
                Knows::Told => Knows::IfSuperseded,
                knows => knows,
            }),
            (Self::Superseded { is_kept: one }, Self::Superseded { is_kept: other }) => {
                Self::Superseded { is_kept: one || other }
            }
        }
    }
}

impl History {
    /// The topics whose entries a view reads from the journal.
    pub(crate) fn topics_of(&self, view: &Resolved) -> TopicSet {
        if view.has_pattern() {
            return TopicSet::All;
        }
        let names = view.keys().iter().filter_map(|&key| self.topics.get(key));
        TopicSet::Topics(names.map(|state| state.name.clone()).collect())
    }

    /// Reads the view's events after the place from a page, in rising order, and advances the position.
    ///
    /// Nothing beyond the history's own tail is read, so that no reader gets ahead of the feed.
    pub(crate) fn read_kept<'a>(
        &'a self,
        read: KeptRead<'a>,
        position: &mut ReadPosition,
        max: &mut ReadMax,
        mut visit: impl FnMut(Kept<'a>),
    ) -> KeptStop {
        let KeptRead { page, view, .. } = read;
        let (mut bytes, mut entries) = (0, 0);
        let filters = view.keys().len() + view.groups().len();
        let mut met = Met::new();
        for kept in page.after(position.after) {
            let sequence = kept.block.sequence(kept.index);
            if sequence > self.tail {
                break;
            }
            let has = match self.has_in_view(read, kept, position.told_at, &mut met) {
                Ok(has) => has,
                Err(Uncounted) => {
                    // That of an exact topic is counted before the page is read again.
                    if view.has_pattern() {
                        page.set_outdated();
                    }
                    return KeptStop::Full;
                }
            };
            if let Some(has) = has {
                let kind = kept.block.kind(kept.index);
                match kind {
                    Kind::Event | Kind::End => match has {
                        Has::Superseded { .. } | Has::Evicted(Knows::Told) => {}
                        Has::Evicted(_) if entries > 0 => return KeptStop::Full,
                        Has::Evicted(Knows::New | Knows::IfSuperseded) => return KeptStop::Gap,
                        Has::Evicted(Knows::Asks(topic)) => {
                            let topic = kept.topics.as_slice()[topic].clone();
                            let limits = self.told_limits_of(&topic);
                            return KeptStop::Asked(topic, limits);
                        }
                        Has::Sent => {
                            let chunk = kept.block.chunk(kept.index).len();
                            if entries == max.entries || (bytes > 0 && bytes + chunk > max.bytes) {
                                return KeptStop::Full;
                            }
                            (bytes, entries) = (bytes + chunk, entries + 1);
                            visit(kept);
                            position.ends.enter();
                            if kind == Kind::End && is_ended_by_ends(view, position.ends) {
                                position.after = sequence;
                                return KeptStop::StreamEnd;
                            }
                        }
                    },
                    Kind::Close if ends(view, *position, sequence) => {
                        return KeptStop::Closed(sequence);
                    }
                    Kind::SilentEnd
                        if matches!(has, Has::Sent)
                            && self.is_silent_end(view, position.ends, sequence) =>
                    {
                        return KeptStop::StreamEnd;
                    }
                    Kind::Close | Kind::Mark | Kind::SilentEnd => {}
                }
            }
            position.after = sequence;
            if !max.steps.take(filters * kept.topics.as_slice().len()) {
                return KeptStop::Full;
            }
        }
        position.after = position.after.max(page.through().min(self.tail));
        max.steps.end();
        KeptStop::Full
    }

    /// How a view has an entry of a page; `None` if the entry is of no topic of the view, or the view's grant does
    /// not allow it. An event is sent if one of the view's topics has it, and is lost if none has it and one of them
    /// has evicted it.
    fn has_in_view<'a>(
        &self,
        read: KeptRead<'a>,
        kept: Kept<'a>,
        told_at: EvictionStamp,
        met: &mut Met<'a>,
    ) -> Result<Option<Has>, Uncounted> {
        let topics = kept.topics.as_slice();
        let mut found: Option<Has> = None;
        for (at, topic) in topics.iter().enumerate() {
            let key = self.topics.find(topic);
            let is_selected = match read.view.selection() {
                Selection::One(_) | Selection::Many(_) => {
                    key.is_some_and(|key| read.view.keys().contains(&key))
                }
                Selection::Scan(scan) => scan.view.matches(topic.as_str()),
            };
            if is_selected {
                let has = self.has_kept(read, (kept, at), told_at, met)?;
                found = Some(found.map_or(has, |others| has.with(others)));
            }
        }
        if let Some(Has::Evicted(knows @ Knows::IfSuperseded)) = &mut found {
            *knows = match told_at {
                EvictionStamp::MAX => Knows::Told,
                _ => self.knows_superseded(read, kept, met),
            };
        }
        let grant = read.view.grant().filter(|_| found.is_some());
        let is_allowed = grant.is_none_or(|grant| {
            grant.allows(topics.iter().map(Topic::as_str), kept.block.is_private(kept.index))
        });
        Ok(found.filter(|_| is_allowed))
    }

    /// How a topic of a view, that at a place among those of an entry, has the entry, for a reader that was told of gaps
    /// up to a stamp.
    fn has_kept<'a>(
        &self,
        read: KeptRead<'a>,
        (kept, at): (Kept<'a>, usize),
        told_at: EvictionStamp,
        met: &mut Met<'a>,
    ) -> Result<Has, Uncounted> {
        let kind = kept.block.kind(kept.index);
        // No rule is about the end of a topic's streams, which is no loss.
        if kind == Kind::Close {
            return Ok(Has::Sent);
        }
        let topic = &kept.topics.as_slice()[at];
        let past = self.topics.find(topic).and_then(|key| self.topics.get(key));
        let past = past.map(TopicState::past);
        let sequence = kept.block.sequence(kept.index);
        let (evicted_through, evicted_at) = past.map_or_else(
            || (self.topics.forgotten_through(), self.topics.forgotten_at()),
            |past| {
                // Later evictions may be of events that other topics hold, which are no losses.
                let is_dead = sequence <= past.dead_through;
                let at = if is_dead { past.dead_at.min(past.evicted_at) } else { past.evicted_at };
                (past.evicted_through, at)
            },
        );
        let bounds = match self.is_limiting_journal() {
            true => Some(self.bounds_in(read, topic, past, met)?),
            false => None,
        };
        let freed_at = self.freed.find(topic, sequence);
        let is_evicted = sequence <= evicted_through
            || freed_at.is_some()
            || bounds.is_some_and(|bounds| sequence <= bounds.through);
        // The end of a stream goes with the events after it. Of one that is not told, nothing is lost.
        if !matches!(kind, Kind::Event | Kind::End) {
            return Ok(if is_evicted { Has::Superseded { is_kept: false } } else { Has::Sent });
        }
        // A reader that skips an event because it is behind must be allowed to read the newer one.
        let may_skip = read.view.grant().is_none();
        let newest = bounds.and_then(|bounds| bounds.newest).filter(|_| kind == Kind::Event);
        // One that is skipped is lost all the same once the topic lets go of it.
        let is_skipped = may_skip && !is_evicted;
        if let Some(how) = newest.filter(|how| *how == Newest::Alone || is_skipped) {
            let on_page = read.page.newest.get(topic).copied();
            let newest = on_page.max(past.map(|past| past.newest_event));
            if newest > Some(sequence) {
                return Ok(Has::Superseded { is_kept: how == Newest::Before });
            }
        }
        let time = kept.block.time(kept.index);
        if !is_evicted && bounds.is_none_or(|bounds| time >= bounds.too_old) {
            return Ok(Has::Sent);
        }
        let is_told_by_stamp = sequence <= evicted_through && evicted_at <= told_at
            || freed_at.is_some_and(|freed_at| freed_at <= told_at);
        Ok(Has::Evicted(match bounds.map(|bounds| (bounds.told_too_old, bounds.told)) {
            _ if is_told_by_stamp || told_at == EvictionStamp::MAX => Knows::Told,
            Some((too_old, _)) if time < too_old => Knows::Told,
            Some((_, PageBound::At(through))) if sequence <= through => Knows::Told,
            Some((_, PageBound::Unknown)) => Knows::Asks(at),
            Some((_, PageBound::At(_))) | None => Knows::New,
        }))
    }

    /// Tells if a reader knows of the loss of an event that some topics have superseded: only if all of them had done so when
    /// it was told of losses.
    fn knows_superseded(&self, read: KeptRead<'_>, kept: Kept<'_>, met: &Met<'_>) -> Knows {
        /// Entries of the page that are looked at before the journal is asked.
        const LOOKED_AT_MAX: usize = 256;
        // Without that, it was told of nothing after its place. The evictions that it has looked at were no losses: a topic
        // of the view still held the event.
        let Some(told) = self.told_by_rules(read) else { return Knows::New };
        let place = kept.block.sequence(kept.index);
        for (at, topic) in kept.topics.as_slice().iter().enumerate() {
            let how = met.get(topic).and_then(|bounds| bounds.newest);
            if how != Some(Newest::Alone) {
                continue;
            }
            let newer = || {
                let mut next = read.page.after(place).take(LOOKED_AT_MAX);
                next.find(|newer| {
                    let is_event = newer.block.kind(newer.index) == Kind::Event;
                    is_event && newer.topics.as_slice().contains(topic)
                })
            };
            let was_superseded = match (told.bound(topic), newer()) {
                (Some(bound), _) => place <= bound,
                (None, Some(newer)) => newer.block.sequence(newer.index) <= told.through,
                (None, None) => {
                    // The topic's newest event when the page was read may be this one, and what came since is in memory.
                    let past = self.topics.find(topic).and_then(|key| self.topics.get(key));
                    let newest = past.map(|state| state.past().newest_event);
                    let newest = [read.page.newest.get(topic).copied(), newest];
                    let is_then = |newer: Sequence| newer > place && newer <= told.through;
                    if !newest.into_iter().flatten().any(is_then) {
                        return Knows::Asks(at);
                    }
                    true
                }
            };
            if !was_superseded {
                return Knows::New;
            }
        }
        Knows::Told
    }

    /// The losses that a reader knows of, if the rules are those by which there were no others.
    fn told_by_rules<'a>(&self, read: KeptRead<'a>) -> Option<&'a Told> {
        read.told.filter(|told| told.rules == self.topics.rules().changes())
    }

    /// The limits of a topic in a read.
    fn bounds_in<'a>(
        &self,
        read: KeptRead<'a>,
        topic: &'a Topic,
        past: Option<&Past>,
        met: &mut Met<'a>,
    ) -> Result<TopicBounds, Uncounted> {
        if let Some(bounds) = met.get(topic) {
            return Ok(*bounds);
        }
        let rules = self.topics.rules();
        let rule = past.map_or_else(|| rules.find(topic.as_str()), Past::rule);
        let limits = rules.limits(rule);
        let told = self.told_by_rules(read);
        let (through, told_through) = match &read.page.limits {
            Some(of_page) => match of_page.of(topic) {
                Some(of_topic) => self.bounds_on_page(read, topic, (of_topic, limits), told)?,
                None => (Sequence::ZERO, PageBound::At(Sequence::ZERO)),
            },
            None => {
                let key = self.topics.find(topic);
                let bound = key.map_or(Some(Sequence::ZERO), |key| self.bound(key, read.patience));
                let told = told.and_then(|told| told.bound(topic)).unwrap_or_default();
                (bound.ok_or(Uncounted)?, PageBound::At(told))
            }
        };
        let too_old = |now: Time| match limits.age_max {
            // Without rules, what is too old is beneath the floor.
            Some(age_max) if !rules.is_empty() => now.saturating_sub(age_max),
            _ => Time::default(),
        };
        let bounds = TopicBounds {
            through,
            too_old: too_old(read.time),
            told: told_through,
            told_too_old: told.map_or(Time::default(), |told| too_old(told.time)),
            newest: match limits {
                TopicLimits { latest_only: true, .. } => Some(Newest::Alone),
                TopicLimits { conflate: true, .. } => Some(Newest::Before),
                _ => None,
            },
        };
        met.insert(topic, bounds);
        Ok(bounds)
    }

    /// The place up to which events of a topic on a page are beyond its limits, and that up to which the reader was told
    /// so.
    fn bounds_on_page(
        &self,
        read: KeptRead<'_>,
        topic: &Topic,
        (of_topic, limits): (&OfTopic, &TopicLimits),
        told: Option<&Told>,
    ) -> Result<(Sequence, PageBound), Uncounted> {
        let key = self.topics.find(topic);
        let since = |place| match key {
            Some(key) => self.since(key, place),
            // A topic that is not known has had no events since, if all that were are known.
            None => (self.topics.unknown_released() <= place).then_some(Change::default()),
        };
        let change = since(read.page.as_of);
        if change.is_none() && !read.patience.takes(read.page.as_of) {
            // Memory may have let go of them by the topic's limits: then all that is older is beyond them.
            let past = key.and_then(|key| self.topics.get(key)).map(TopicState::past);
            let is_all = past.is_some_and(|past| past.evicted_through >= read.page.through());
            if !is_all {
                return Err(Uncounted);
            }
        }
        let bound = of_topic.bound(limits, change.unwrap_or_default());
        let PageBound::At(through) = bound else { return Err(Uncounted) };
        let told = match told {
            None => PageBound::At(Sequence::ZERO),
            Some(told) => match (told.bound(topic), change, since(told.through)) {
                (Some(bound), ..) => PageBound::At(bound),
                (None, Some(change), Some(since_told)) => {
                    of_topic.bound(limits, change.minus(since_told))
                }
                (None, ..) => PageBound::Unknown,
            },
        };
        Ok((through, told))
    }

    /// The limits by which a topic had let go of its events when a reader was told of losses.
    fn told_limits_of(&self, topic: &Topic) -> TopicLimits {
        let state = self.topics.find(topic).and_then(|key| self.topics.get(key));
        let rules = self.topics.rules();
        let rule = state.map_or_else(|| rules.find(topic.as_str()), |state| state.past().rule());
        match rules.limits(rule) {
            TopicLimits { latest_only: true, .. } => {
                TopicLimits::default().with_events_max(NonZeroUsize::MIN)
            }
            limits => limits.clone(),
        }
    }

    /// Notes an entry of a page that ended the streams of a view's only topic.
    pub(crate) fn note_kept_end(&mut self, view: &Resolved, sequence: Sequence) {
        if let Selection::One(key) = view.selection() {
            self.topics.note_released_end(*key, sequence);
        }
    }
}
