//! The life of a payout, and what each turn of it means for the book (`docs/protocol/nimiq-pool.md` 4.4, "Ours").
//!
//! ```text
//!             send             seen in a block            deep enough
//!   Prepared ──────▶ Broadcast ───────────────▶ Mined ───────────────▶ Confirmed
//!       │                │  ▲                     │                       │
//!       │ can no longer  │  └─────────────────────┴───────────────────────┘
//!       │ be mined       ▼            removed by a reorganisation
//!       └───────────▶ Expired ─────▶ Review, if it is seen in a block after all
//! ```

use nimiq::Height;
use nimiq::transaction::VALIDITY_BLOCKS;

/// Where a payout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayoutState {
    /// Its debit and its signed bytes are stored; a node may or may not have them.
    Prepared,
    /// A node was given the bytes at least once.
    Broadcast,
    /// In a block of the main chain.
    Mined {
        /// Of that block.
        height: Height,
    },
    /// In a block that is deep enough.
    Confirmed {
        /// Of that block.
        height: Height,
    },
    /// Can no longer be mined; its debit is back in the balance.
    Expired,
    /// Was taken for expired, and is in a block after all: only a person can settle that.
    Review,
}

/// What happens to a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutTurn {
    /// Its bytes are given to a node.
    Send,
    /// It is in a block of the main chain.
    Mine {
        /// Of that block.
        height: Height,
    },
    /// Its block is deep enough below `head`.
    Confirm {
        /// Height of the newest block.
        head: Height,
    },
    /// Its block left the main chain, and no other one holds it.
    Remove,
    /// It is not on the main chain and can no longer get there.
    Expire {
        /// Height of the newest block.
        head: Height,
    },
}

/// What must be booked with a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayoutBooking {
    /// Nothing.
    None,
    /// From "outgoing" to "paid".
    Confirmation,
    /// The counter-entry of the confirmation.
    ReverseConfirmation,
    /// The counter-entry of the debit.
    ReverseDebit,
}

/// A turn that cannot happen in this state or at this height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a payout that is {} cannot take the turn {turn:?}", state.name())]
pub struct ImpossiblePayoutTurn {
    /// Where the payout stands.
    pub state: PayoutState,
    /// What was to happen.
    pub turn: PayoutTurn,
}

/// What decides about time in the life of a payout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayoutTerms {
    /// Height from which on its transaction is valid.
    pub validity_start: Height,
    /// Blocks on top that make a block deep enough.
    pub confirmations: u32,
}

impl PayoutTerms {
    /// Whether the transaction can be in the block after `head`.
    pub fn can_be_mined_after(self, head: Height) -> bool {
        head.0.saturating_add(1) < self.validity_start.0.saturating_add(VALIDITY_BLOCKS)
    }

    /// Whether its bytes are still given to nodes while `head` is the newest block.
    pub fn is_to_be_sent(self, head: Height) -> bool {
        head.0 < self.validity_start.0.saturating_add(VALIDITY_BLOCKS)
    }

    /// Whether it can never be in a block of this chain, if none up to `head` holds it.
    pub fn is_expired(self, head: Height) -> bool {
        let end =
            u64::from(self.validity_start.0) + u64::from(VALIDITY_BLOCKS) + u64::from(self.confirmations);
        u64::from(head.0) >= end
    }
}

impl PayoutState {
    /// Its name in the store and in figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Broadcast => "broadcast",
            Self::Mined { .. } => "mined",
            Self::Confirmed { .. } => "confirmed",
            Self::Expired => "expired",
            Self::Review => "review",
        }
    }

    /// The names of all states.
    pub const NAMES: [&'static str; 6] = ["prepared", "broadcast", "mined", "confirmed", "expired", "review"];

    /// The state of that name; `height` is that of its block, where it has one.
    pub fn from_name(name: &str, height: Option<Height>) -> Option<Self> {
        match (name, height) {
            ("prepared", None) => Some(Self::Prepared),
            ("broadcast", None) => Some(Self::Broadcast),
            ("mined", Some(height)) => Some(Self::Mined { height }),
            ("confirmed", Some(height)) => Some(Self::Confirmed { height }),
            ("expired", None) => Some(Self::Expired),
            ("review", None) => Some(Self::Review),
            _ => None,
        }
    }

    /// Height of the block that it is in.
    pub const fn height(self) -> Option<Height> {
        match self {
            Self::Mined { height } | Self::Confirmed { height } => Some(height),
            _ => None,
        }
    }

    /// The turn that brings the state towards what the chain shows: `seen` is the height of the block of the main chain
    /// that holds the transaction, `head` that of the newest block. `None`: they agree; a transaction that is not mined
    /// is still to be sent.
    pub fn turn_towards(self, seen: Option<Height>, head: Height, terms: PayoutTerms) -> Option<PayoutTurn> {
        match (self, seen) {
            (Self::Prepared | Self::Broadcast | Self::Expired, Some(height)) => {
                Some(PayoutTurn::Mine { height })
            }
            (Self::Prepared | Self::Broadcast, None) => {
                terms.is_expired(head).then_some(PayoutTurn::Expire { head })
            }
            (Self::Mined { height: known }, Some(height)) if known != height => {
                Some(PayoutTurn::Mine { height })
            }
            (Self::Mined { height }, Some(_)) => {
                let deep = head.0.checked_sub(terms.confirmations).is_some_and(|deep| deep >= height.0);
                deep.then_some(PayoutTurn::Confirm { head })
            }
            (Self::Mined { .. } | Self::Confirmed { .. }, None) => Some(PayoutTurn::Remove),
            (Self::Confirmed { height: known }, Some(height)) => {
                (known != height).then_some(PayoutTurn::Remove)
            }
            (Self::Expired, None) | (Self::Review, _) => None,
        }
    }

    /// The next state, and what is booked on the way.
    pub fn turn(
        self,
        turn: PayoutTurn,
        terms: PayoutTerms,
    ) -> Result<(Self, PayoutBooking), ImpossiblePayoutTurn> {
        match (self, turn) {
            (Self::Prepared | Self::Broadcast, PayoutTurn::Send)
            | (Self::Mined { .. }, PayoutTurn::Remove) => Ok((Self::Broadcast, PayoutBooking::None)),
            (Self::Prepared | Self::Broadcast | Self::Mined { .. }, PayoutTurn::Mine { height }) => {
                Ok((Self::Mined { height }, PayoutBooking::None))
            }
            (Self::Expired, PayoutTurn::Mine { .. }) => Ok((Self::Review, PayoutBooking::None)),
            (Self::Mined { height }, PayoutTurn::Confirm { head })
                if head.0.saturating_sub(terms.confirmations) >= height.0 =>
            {
                Ok((Self::Confirmed { height }, PayoutBooking::Confirmation))
            }
            (Self::Confirmed { .. }, PayoutTurn::Remove) => {
                Ok((Self::Broadcast, PayoutBooking::ReverseConfirmation))
            }
            (Self::Prepared | Self::Broadcast, PayoutTurn::Expire { head }) if terms.is_expired(head) => {
                Ok((Self::Expired, PayoutBooking::ReverseDebit))
            }
            (state, turn) => Err(ImpossiblePayoutTurn { state, turn }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: PayoutTerms = PayoutTerms { validity_start: Height(1000), confirmations: 10 };

    fn turn(state: PayoutState, turn: PayoutTurn) -> Option<(PayoutState, PayoutBooking)> {
        state.turn(turn, TERMS).ok()
    }

    #[test]
    fn a_payout_is_confirmed_only_when_its_block_is_deep() {
        let mined = PayoutState::Mined { height: Height(1005) };
        assert_eq!(turn(mined, PayoutTurn::Confirm { head: Height(1014) }), None);
        assert_eq!(
            turn(mined, PayoutTurn::Confirm { head: Height(1015) }),
            Some((PayoutState::Confirmed { height: Height(1005) }, PayoutBooking::Confirmation))
        );
    }

    #[test]
    fn a_debit_returns_only_when_the_transaction_can_never_be_mined() {
        for state in [PayoutState::Prepared, PayoutState::Broadcast] {
            assert_eq!(turn(state, PayoutTurn::Expire { head: Height(1129) }), None);
            assert_eq!(
                turn(state, PayoutTurn::Expire { head: Height(1130) }),
                Some((PayoutState::Expired, PayoutBooking::ReverseDebit))
            );
        }
        let mined = PayoutState::Mined { height: Height(1005) };
        assert_eq!(turn(mined, PayoutTurn::Expire { head: Height(9999) }), None);
        assert!(TERMS.is_to_be_sent(Height(1119)) && !TERMS.is_to_be_sent(Height(1120)));
        assert!(TERMS.can_be_mined_after(Height(1118)) && !TERMS.can_be_mined_after(Height(1119)));
    }

    #[test]
    fn a_reorganisation_sends_the_same_bytes_again() {
        let confirmed = PayoutState::Confirmed { height: Height(1005) };
        assert_eq!(
            turn(confirmed, PayoutTurn::Remove),
            Some((PayoutState::Broadcast, PayoutBooking::ReverseConfirmation))
        );
        assert_eq!(turn(confirmed, PayoutTurn::Send), None);
        assert_eq!(
            turn(PayoutState::Expired, PayoutTurn::Mine { height: Height(1119) }),
            Some((PayoutState::Review, PayoutBooking::None))
        );
        assert_eq!(turn(PayoutState::Expired, PayoutTurn::Send), None);
    }

    #[test]
    fn whatever_the_chain_shows_is_reached_in_a_few_turns_and_then_nothing_is_left_to_do() {
        let states = [
            PayoutState::Prepared,
            PayoutState::Broadcast,
            PayoutState::Mined { height: Height(1005) },
            PayoutState::Confirmed { height: Height(1005) },
            PayoutState::Expired,
            PayoutState::Review,
        ];
        for (head, first) in (1000..1200).flat_map(|head| states.map(|state| (Height(head), state))) {
            for seen in std::iter::once(None).chain((1000..=head.0).map(|height| Some(Height(height)))) {
                let mut state = first;
                let mut turns = 0;
                while let Some(turn) = state.turn_towards(seen, head, TERMS) {
                    (state, _) = state.turn(turn, TERMS).unwrap();
                    turns += 1;
                    assert!(turns <= 3, "{first:?} {seen:?} {head:?}");
                }
                let deep = |height: Height| height.0 + TERMS.confirmations <= head.0;
                match (first, seen) {
                    (PayoutState::Review, _) | (PayoutState::Expired, Some(_)) => {
                        assert_eq!(state, PayoutState::Review);
                    }
                    (PayoutState::Expired, None) => assert_eq!(state, PayoutState::Expired),
                    (PayoutState::Confirmed { height }, Some(same)) if height == same => {
                        assert_eq!(state, first);
                    }
                    (_, Some(height)) if deep(height) => {
                        assert_eq!(state, PayoutState::Confirmed { height });
                    }
                    (_, Some(height)) => assert_eq!(state, PayoutState::Mined { height }),
                    (_, None) if TERMS.is_expired(head) => assert_eq!(state, PayoutState::Expired),
                    (PayoutState::Prepared, None) => assert_eq!(state, PayoutState::Prepared),
                    (_, None) => assert_eq!(state, PayoutState::Broadcast),
                }
            }
        }
    }

    #[test]
    fn states_are_known_by_name() {
        let height = Some(Height(5));
        for (name, height) in [
            ("prepared", None),
            ("broadcast", None),
            ("mined", height),
            ("confirmed", height),
            ("expired", None),
            ("review", None),
        ] {
            assert!(PayoutState::NAMES.contains(&name));
            assert_eq!(PayoutState::from_name(name, height).map(PayoutState::name), Some(name));
        }
        assert_eq!(PayoutState::from_name("mined", None), None);
    }
}
