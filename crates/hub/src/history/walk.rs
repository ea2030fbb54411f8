//! Walking the entries of a view in rising or falling order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::reach::Reach;
use super::sequences::Sequences;
use super::{Held, History};
use crate::cursor::Sequence;
use crate::grant::Grant;

/// One step of a walk.
pub(super) struct Step<'a> {
    pub(super) held: Held<'a>,
    /// Whether the view has the entry: walks of patterns pass every entry there is.
    pub(super) in_view: bool,
    /// How many [steps](super::Steps) it took.
    pub(super) cost: usize,
}

impl<'a> Step<'a> {
    fn of_scan(history: &History, view: &crate::view::View, held: Held<'a>) -> Self {
        let cost = view.filters().len() * held.block.topics(held.index).len();
        Self { held, in_view: history.scan_matches(view, held), cost }
    }
}

impl History {
    /// Walks the entries after a place, in rising order, as far as a grant allows.
    pub(super) fn forward<'a>(
        &'a self,
        reach: &Reach<'a>,
        grant: Option<&'a Grant>,
        after: Sequence,
    ) -> impl Iterator<Item = Step<'a>> + use<'a> {
        self.checked(grant, Forward::new(self, reach, after))
    }

    /// Walks the entries up to and including a place, in falling order, as far as a grant allows.
    pub(super) fn backward<'a>(
        &'a self,
        reach: &Reach<'a>,
        grant: Option<&'a Grant>,
        through: Sequence,
    ) -> impl Iterator<Item = Step<'a>> + use<'a> {
        self.checked(grant, Backward::new(self, reach, through))
    }

    /// The steps of a walk, as a grant allows.
    fn checked<'a, I: Iterator<Item = Step<'a>>>(
        &'a self,
        grant: Option<&'a Grant>,
        steps: I,
    ) -> impl Iterator<Item = Step<'a>> + use<'a, I> {
        steps.map(move |step| {
            let in_view = step.in_view && self.is_allowed(grant, || step.held);
            Step { in_view, ..step }
        })
    }
}

/// The entries after a place, in rising order.
///
/// The lists of topics are merged, so that the walk costs what it yields. Where patterns match too many
/// topics, the walk is over the history itself: merging would cost each reader the number of topics at
/// every turn.
enum Forward<'a> {
    One {
        history: &'a History,
        list: &'a Sequences,
        next: usize,
    },
    Many {
        history: &'a History,
        heads: BinaryHeap<Reverse<(Sequence, usize, usize)>>,
        lists: Vec<&'a Sequences>,
    },
    Scan {
        history: &'a History,
        view: &'a crate::view::View,
        block: usize,
        index: usize,
    },
}

impl<'a> Forward<'a> {
    fn new(history: &'a History, reach: &Reach<'a>, after: Sequence) -> Self {
        let list = |key| history.topics.get(key).map(|state| &state.entries);
        match reach {
            Reach::All(view) => {
                let (block, index) = history.position_after(after);
                Self::Scan { history, view, block, index }
            }
            Reach::One(key) if let Some(list) = list(*key) => {
                Self::One { history, list, next: list.through(after) }
            }
            _ => {
                let keys = reach.keys().unwrap_or_default();
                let lists: Vec<_> = keys.iter().filter_map(|&key| list(key)).collect();
                let heads = lists.iter().enumerate().filter_map(|(at, list)| {
                    let next = list.through(after);
                    list.get(next).map(|sequence| Reverse((sequence, at, next)))
                });
                Self::Many { history, heads: heads.collect(), lists }
            }
        }
    }
}

impl<'a> Iterator for Forward<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        match self {
            Self::One { history, list, next } => {
                let sequence = list.get(*next)?;
                *next += 1;
                Some(Step { held: history.held(sequence), in_view: true, cost: 1 })
            }
            Self::Many { history, heads, lists } => {
                let Reverse((sequence, _, _)) = *heads.peek()?;
                // An event of several of the topics stands in several lists and is yielded once.
                while let Some(Reverse((head, at, next))) = heads.peek().copied()
                    && head == sequence
                {
                    heads.pop();
                    if let Some(following) = lists[at].get(next + 1) {
                        heads.push(Reverse((following, at, next + 1)));
                    }
                }
                Some(Step { held: history.held(sequence), in_view: true, cost: 1 })
            }
            Self::Scan { history, view, block, index } => {
                let current = &history.blocks.get(*block)?.block;
                let held = Held { block: current, index: *index };
                *index += 1;
                if *index == current.len() {
                    (*block, *index) = (*block + 1, 0);
                }
                Some(Step::of_scan(history, view, held))
            }
        }
    }
}

/// The entries up to and including a place, in falling order.
enum Backward<'a> {
    Lists {
        history: &'a History,
        heads: BinaryHeap<(Sequence, usize, usize)>,
        lists: Vec<&'a Sequences>,
    },
    Scan {
        history: &'a History,
        view: &'a crate::view::View,
        block: usize,
        index: usize,
    },
}

impl<'a> Backward<'a> {
    fn new(history: &'a History, reach: &Reach<'a>, through: Sequence) -> Self {
        if let Reach::All(view) = reach {
            let (block, index) = history.position_after(through);
            return Self::Scan { history, view, block, index };
        }
        let keys = reach.keys().unwrap_or_default();
        let lists: Vec<_> = keys
            .iter()
            .filter_map(|&key| history.topics.get(key).map(|state| &state.entries))
            .collect();
        let heads = lists.iter().enumerate().filter_map(|(at, list)| {
            let last = list.through(through).checked_sub(1)?;
            Some((list.get(last)?, at, last))
        });
        Self::Lists { history, heads: heads.collect(), lists }
    }
}

impl<'a> Iterator for Backward<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        match self {
            Self::Lists { history, heads, lists } => {
                let (sequence, _, _) = *heads.peek()?;
                while let Some((head, at, last)) = heads.peek().copied()
                    && head == sequence
                {
                    heads.pop();
                    if let Some(before) = last.checked_sub(1)
                        && let Some(sequence) = lists[at].get(before)
                    {
                        heads.push((sequence, at, before));
                    }
                }
                Some(Step { held: history.held(sequence), in_view: true, cost: 1 })
            }
            Self::Scan { history, view, block, index } => {
                while *index == 0 {
                    *block = block.checked_sub(1)?;
                    *index = history.blocks[*block].block.len();
                }
                *index -= 1;
                let held = Held { block: &history.blocks[*block].block, index: *index };
                Some(Step::of_scan(history, view, held))
            }
        }
    }
}
