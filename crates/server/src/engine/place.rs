//! The place of a slot among those that read one of its sources.

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
}
