//! The life of a block that the pool found, and what each turn of it means for the book.
//!
//! ```text
//!            settle              mature
//!   Found ───────────▶ Immature ────────▶ Mature
//!     │                 ▲   │                │
//!     │          return │   │ leave          │ leave
//!     ▼                 │   ▼                ▼
//!   Orphaned ◀──────────┴─ Orphaned ◀────────┘
//! ```
//! A block that returns before it was settled is `Found` again; one that was settled is booked again as it was.

/// Where a found block stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundState {
    /// On the main chain; nothing is booked, since shares before it may still be on their way.
    Found,
    /// Booked; its credits can vanish with it, so they cannot be paid out.
    Immature,
    /// Deep enough: its credits can be paid out.
    Mature,
    /// Not on the main chain; whatever was booked has been reversed.
    Orphaned,
}

/// What happens to a found block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FoundTurn {
    /// Its window is cut.
    Settle,
    /// It is `payoutConfirmations` deep.
    Mature,
    /// It left the main chain.
    Leave,
    /// It is back on the main chain; `settled`: its window had been cut.
    Return {
        /// Whether there is a stored window to book again.
        settled: bool,
    },
}

/// What must be booked with a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booking {
    /// Nothing.
    None,
    /// The reward, by the window just cut.
    Reward,
    /// The reward, by the stored window.
    RewardAgain,
    /// From immature to mature.
    Maturity,
    /// The counter-entry of the reward.
    ReverseReward,
    /// The counter-entries of maturity and of the reward, in this order.
    ReverseMaturityAndReward,
}

/// A turn that cannot happen in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block that is {} cannot {turn:?}", state.name())]
pub struct ImpossibleTurn {
    /// Where the block stands.
    pub state: FoundState,
    /// What was to happen.
    pub turn: FoundTurn,
}

impl FoundState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Found, Self::Immature, Self::Mature, Self::Orphaned];

    /// Its name in the store and in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Immature => "immature",
            Self::Mature => "mature",
            Self::Orphaned => "orphaned",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The next state, and what is booked on the way.
    pub fn turn(self, turn: FoundTurn) -> Result<(Self, Booking), ImpossibleTurn> {
        match (self, turn) {
            (Self::Found, FoundTurn::Settle) => Ok((Self::Immature, Booking::Reward)),
            (Self::Immature, FoundTurn::Mature) => Ok((Self::Mature, Booking::Maturity)),
            (Self::Found, FoundTurn::Leave) => Ok((Self::Orphaned, Booking::None)),
            (Self::Immature, FoundTurn::Leave) => Ok((Self::Orphaned, Booking::ReverseReward)),
            (Self::Mature, FoundTurn::Leave) => Ok((Self::Orphaned, Booking::ReverseMaturityAndReward)),
            (Self::Orphaned, FoundTurn::Return { settled: true }) => {
                Ok((Self::Immature, Booking::RewardAgain))
            }
            (Self::Orphaned, FoundTurn::Return { settled: false }) => Ok((Self::Found, Booking::None)),
            (state, turn) => Err(ImpossibleTurn { state, turn }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_booked_is_reversed_when_the_block_leaves() {
        let settled = FoundState::Found.turn(FoundTurn::Settle).unwrap();
        assert_eq!(settled, (FoundState::Immature, Booking::Reward));
        let left = settled.0.turn(FoundTurn::Leave).unwrap();
        assert_eq!(left, (FoundState::Orphaned, Booking::ReverseReward));
        let back = left.0.turn(FoundTurn::Return { settled: true }).unwrap();
        assert_eq!(back, (FoundState::Immature, Booking::RewardAgain));
        let deep = back.0.turn(FoundTurn::Mature).unwrap().0.turn(FoundTurn::Leave).unwrap();
        assert_eq!(deep, (FoundState::Orphaned, Booking::ReverseMaturityAndReward));
    }

    #[test]
    fn nothing_is_settled_or_reversed_twice() {
        for (state, turn) in [
            (FoundState::Immature, FoundTurn::Settle),
            (FoundState::Mature, FoundTurn::Mature),
            (FoundState::Orphaned, FoundTurn::Leave),
            (FoundState::Found, FoundTurn::Mature),
            (FoundState::Mature, FoundTurn::Return { settled: true }),
        ] {
            assert!(state.turn(turn).is_err(), "{state:?} {turn:?}");
        }
    }

    #[test]
    fn states_are_known_by_name() {
        for state in FoundState::ALL {
            assert_eq!(FoundState::from_name(state.name()), Some(state));
        }
    }
}
