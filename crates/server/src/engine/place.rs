//! The places of a slot among those that read its sources.

use tidings_hub::Sequence;

/// The place of one source of a slot, in 64 bits: each topic of each reader may have one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u64);

/// The content of a [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// No other slot with several sources reads the topic. This is its newest entry that the shard was
    /// told of.
    Alone(Sequence),
    /// The slot is in a list, at this place.
    Listed { list: u32, place: u32 },
}

/// The places of all sources of a slot.
#[derive(Debug)]
pub(super) enum Places {
    /// One or two stand with the slot's number, so that a delivery fetches nothing more from memory.
    One(Place),
    Two([Place; 2]),
    Many(Box<[Place]>),
}

impl Place {
    /// Set where it is in a list: sequences have 58 bits.
    const IS_LISTED: u64 = 1 << 63;

    pub(super) fn alone(through: Sequence) -> Self {
        Self(through.get())
    }

    pub(super) fn listed(list: u32, place: u32) -> Self {
        debug_assert!(list < 1 << 31, "memory ends before 2^31 lists");
        Self(Self::IS_LISTED | u64::from(list) << 32 | u64::from(place))
    }

    pub(super) fn get(self) -> Placed {
        if self.0 & Self::IS_LISTED == 0 {
            return Placed::Alone(Sequence::new(self.0).unwrap_or_default());
        }
        let list = (self.0 & !Self::IS_LISTED) >> 32;
        Placed::Listed { list: list as u32, place: self.0 as u32 }
    }
}

impl From<Box<[Place]>> for Places {
    fn from(places: Box<[Place]>) -> Self {
        match *places {
            [place] => Self::One(place),
            [first, second] => Self::Two([first, second]),
            _ => Self::Many(places),
        }
    }
}

impl Places {
    pub(super) fn as_slice(&self) -> &[Place] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Two(places) => places,
            Self::Many(places) => places,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Place] {
        match self {
            Self::One(place) => std::slice::from_mut(place),
            Self::Two(places) => places,
            Self::Many(places) => places,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_says_what_it_was_given() {
        for through in [Sequence::ZERO, Sequence::MAX] {
            assert_eq!(Place::alone(through).get(), Placed::Alone(through));
        }
        for (list, place) in [(0, 0), (0, u32::MAX), ((1 << 31) - 1, 7)] {
            assert_eq!(Place::listed(list, place).get(), Placed::Listed { list, place });
        }
    }

    #[test]
    fn places_stand_in_their_order_however_many_there_are() {
        for count in 0..5 {
            let given: Box<[Place]> = (0..count).map(|at| Place::listed(at, 0)).collect();
            let mut places = Places::from(given);
            places.as_mut_slice().iter_mut().for_each(|place| match place.get() {
                Placed::Listed { list, .. } => *place = Place::listed(list, 1),
                Placed::Alone(_) => panic!("all of them are in lists"),
            });
            let found = places.as_slice().iter().map(|place| place.get());
            assert!(found.eq((0..count).map(|list| Placed::Listed { list, place: 1 })));
        }
    }
}
