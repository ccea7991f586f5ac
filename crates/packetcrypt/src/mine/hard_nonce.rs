//! Which hard nonces are worth mining with.
//!
//! The hard nonce is the miner's own, and what mining with it takes differs by much: how long its two programs run, and what
//! the first update of every attempt has to do (`docs/protocol/packetcrypt-announcements.md` 6.3), which is the same for all
//! soft nonces: up to 2000 bytes of key stream, or none. The first program is known at once. The rest follows from the root
//! of the proof table. So a miner looks at some hard nonces before it makes a proof table ([`CANDIDATES`]), and when it
//! has made that, it goes on to the next hard nonce if that promises to spare more than another proof table costs ([`Limit`]).

use crate::crypto_cycle::UpdateCost;

/// Hard nonces of which a miner makes the proof table that is made soonest. Looking at so many takes as long as a hundred
/// attempts, and the best of them saves some thousands.
pub const CANDIDATES: u32 = 8;

/// What a proof table and its tree take, the best of [`CANDIDATES`], in instructions that RandHash runs in lanes: the
/// measure of all costs here. It was measured with AVX-512, where an instruction of a table takes 0.55 ns, and is right
/// to a third on the other backends, since all parts of the work get slower together.
const PROOF_TABLE: u64 = 14_000_000;

/// What hash tables take: means of sixteenths of 20,000 seeds. Some programs run for all items instead of all windows.
const HASH_TABLES: [u64; 16] = [
    2_188_624, 3_505_319, 4_249_848, 4_823_282, 5_333_459, 5_781_543, 6_208_630, 6_666_040, 7_143_607,
    7_653_689, 8_206_041, 8_860_754, 9_733_347, 10_931_580, 13_920_264, 40_477_783,
];

/// What is still ahead of a hard nonce whose proof table is made, as far as hard nonces differ in it.
fn ahead(hash_table: u64, first_update: UpdateCost, attempts: u64) -> u64 {
    // A byte of key stream takes as long as six that are authenticated.
    let update = (6 * first_update.key_stream + first_update.authenticated) as u64;
    hash_table + attempts * update / 20
}

/// The most that may be ahead of a hard nonce for it to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    attempts: u64,
    limit: u64,
}

impl Limit {
    /// For so many attempts with a hard nonce. With less ahead than this, making one proof table after the other until
    /// one is better costs more than can be expected to be spared.
    pub fn new(attempts: u64) -> Self {
        let of_updates =
            |table| UpdateCost::of_first_updates().map(move |update| ahead(table, update, attempts));
        let mut others: Vec<u64> = HASH_TABLES.into_iter().flat_map(of_updates).collect();
        others.sort_unstable();
        // At the limit, what is spared on average by those of the others that are better equals the price.
        let price = PROOF_TABLE * others.len() as u64;
        let (mut better, mut sum) = (0, 0);
        for cost in others {
            if better * cost - sum > price {
                break;
            }
            (better, sum) = (better + 1, sum + cost);
        }
        Self { attempts, limit: (price + sum) / better.max(1) }
    }

    /// For how many attempts it was made.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Whether a hard nonce is taken whose hash table takes so many instructions and whose first updates have so much to do.
    pub(crate) fn admits(&self, hash_table: u64, first_update: UpdateCost) -> bool {
        ahead(hash_table, first_update, self.attempts) <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: UpdateCost = UpdateCost { key_stream: 0, authenticated: 512 };
    const EVERYTHING: UpdateCost = UpdateCost { key_stream: 2000, authenticated: 2000 };

    fn others(attempts: u64) -> impl Iterator<Item = u64> {
        HASH_TABLES.into_iter().flat_map(move |table| {
            UpdateCost::of_first_updates().map(move |update| ahead(table, update, attempts))
        })
    }

    #[test]
    fn at_the_limit_another_one_is_expected_to_spare_its_price() {
        for attempts in [1, 512, 1 << 15, 1 << 20, 1 << 24] {
            let limit = Limit::new(attempts).limit;
            let spared: u64 = others(attempts).map(|other| limit.saturating_sub(other)).sum();
            let expected = spared / others(attempts).count() as u64;
            assert!(expected.abs_diff(PROOF_TABLE) <= 1, "{attempts} attempts: {expected}");
        }
    }

    #[test]
    fn the_more_attempts_the_choosier() {
        let part = |attempts| {
            let limit = Limit::new(attempts).limit;
            others(attempts).filter(|other| *other <= limit).count() * 100 / others(attempts).count()
        };
        let parts = [512, 1 << 15, 1 << 17, 1 << 19, 1 << 24].map(part);
        assert!(parts.is_sorted_by(|less, more| less >= more), "{parts:?}");
        assert!(parts[0] > 90 && parts[4] < 20, "{parts:?}");
    }

    #[test]
    fn what_nobody_would_wait_for_is_left() {
        let few = Limit::new(512);
        assert!(few.admits(HASH_TABLES[7], EVERYTHING) && !few.admits(HASH_TABLES[15], NOTHING));
        let many = Limit::new(1 << 24);
        assert!(many.admits(HASH_TABLES[7], NOTHING) && !many.admits(HASH_TABLES[0], EVERYTHING));
    }
}
