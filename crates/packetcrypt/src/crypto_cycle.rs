//! CryptoCycle: the 2048-byte state that an attempt carries from its nonce, through four items, to its work hash.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 6. The state is a message to itself: its first 48 bytes hold
//! the nonce, a control word and the key with which the rest is encrypted or decrypted and authenticated; the tag
//! becomes half of the next key and names the next item.
//!
//! | bytes | field |
//! |---|---|
//! | 0..12 | ChaCha20 nonce |
//! | 12..16 | control word: how to encrypt |
//! | 16..48 | ChaCha20 key; after [`State::crypt`] bytes 16..32 are the Poly1305 tag |
//! | 48.. | additional data, then the message |

mod batch;
mod batch_pair;
mod opening;

use std::ops::Range;
use std::{fmt, hint};

use curve25519_dalek::{MontgomeryPoint, Scalar, scalar::clamp_integer};

use crate::authenticator::Authenticator;
use crate::hash::{KeyStream, blake2b_256, expand_from_block};

pub use batch::{BATCH_MAX, Batch};
pub use batch_pair::{BatchPair, PAIR_MAX, Source, Start};
pub use opening::Opening;

/// Bytes of a state.
pub const STATE_SIZE: usize = 2048;

/// Bytes that an update copies into the state: an announcement, or an item of an announcement's table.
pub const ITEM_SIZE: usize = 1024;

/// Items that an attempt takes in, one after the other.
pub const UPDATES: usize = 4;

const NONCE: Range<usize> = 0..12;
const CONTROL: Range<usize> = 12..16;
const TAG: Range<usize> = 16..32;
const KEY: Range<usize> = 16..48;
const ITEM: Range<usize> = 32..32 + ITEM_SIZE;
const DATA: usize = 48;
/// What CC_SMUL writes.
pub(crate) const SHARED_SECRET: Range<usize> = 64..96;

/// Longest additional data and message together, in units of 16 bytes.
const UNITS_MAX: u32 = ((STATE_SIZE - DATA) / 16) as u32;

/// Keep the whole state: what [`State::crypt`] does.
pub const WHOLE: Range<usize> = 0..STATE_SIZE;
/// Keep only what becomes an item.
pub const ITEM_PART: Range<usize> = 0..ITEM_SIZE;
/// Keep only what the next update does not overwrite (beside the header, which is always kept).
pub const BEHIND_ITEM: Range<usize> = ITEM.end..STATE_SIZE;

/// BLAKE2b-256 of a final state: the number that must be below the target. Kept in internal order; displayed, as
/// block hashes are, in reverse.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkHash(pub [u8; 32]);

impl fmt::Display for WorkHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.0;
        bytes.reverse();
        formatter.write_str(&hex::encode(bytes))
    }
}

impl fmt::Debug for WorkHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WorkHash({self})")
    }
}

/// The control word (6.1): how the state is to be encrypted.
#[derive(Clone, Copy, Default)]
pub(crate) struct Control(u32);

impl Control {
    const DECRYPT: u32 = 1 << 12;
    const TRUNCATED: u32 = 1 << 16;
    const LENGTH: u32 = 0x7f << 17;
    const LENGTH_AT_LEAST_32: u32 = 1 << 22;
    const FAILED: u32 = 1 << 24;
    const VERSION: u32 = 0xfe00_0000;
    /// Most additional data, in bytes.
    const DATA_MAX: usize = 7 * 16;
    const FAILED_AND_VERSION: u32 = Self::FAILED | Self::VERSION;

    /// The control word in a state's bytes 12..16.
    pub(crate) fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// The control word that MAKE_FUZZABLE takes from the first word of a key.
    pub(crate) fn fuzzable(random: u32) -> Self {
        Self(random & !Self::FAILED_AND_VERSION | Self::LENGTH_AT_LEAST_32)
    }

    /// The word itself.
    pub(crate) fn word(self) -> u32 {
        self.0
    }

    /// `azc`: by how much the length of the additional data is understated.
    fn data_zero_count(self) -> u64 {
        u64::from(self.0 & 15)
    }

    /// `tzc`: by how much the length of the message is understated, and its bytes that become zero.
    pub(crate) fn tail_zero_count(self) -> usize {
        (self.0 >> 8 & 15) as usize
    }

    /// `D`.
    pub(crate) fn decrypts(self) -> bool {
        self.0 & Self::DECRYPT != 0
    }

    /// `add`, in units of 16 bytes, 0..=7.
    fn data_units(self) -> u32 {
        self.0 >> 13 & 7
    }

    /// `len`, in units of 16 bytes, 0..=127.
    fn message_units(self) -> u32 {
        (self.0 & Self::LENGTH) >> 17
    }

    /// Length of the additional data in bytes.
    pub(crate) fn data_length(self) -> usize {
        16 * self.data_units() as usize
    }

    /// Length of the message in bytes.
    pub(crate) fn message_length(self) -> usize {
        16 * self.message_units() as usize
    }

    /// Which part of the key stream must be made if of a state that decrypts only the bytes in `kept` will be looked at
    /// again: in bytes from the message's start, from the start of a block on; empty if none.
    pub(crate) fn key_stream(self, kept: &Range<usize>) -> Range<usize> {
        let (start, length) = (DATA + self.data_length(), self.message_length());
        let end = kept.end.saturating_sub(start).next_multiple_of(16).min(length);
        let first = (kept.start.saturating_sub(start) / KeyStream::BLOCK * KeyStream::BLOCK).min(end);
        // No branch, since it would be guessed wrong every other time.
        let [first, end] = hint::select_unpredictable(self.decrypts(), [first, end], [0, length]);
        first..end
    }

    /// Length of additional data and message together, in units of 16 bytes.
    pub(crate) fn units(self) -> usize {
        (self.data_units() + self.message_units()) as usize
    }

    /// The two lengths that are authenticated behind the text. Both counts are taken off in both directions, and
    /// wrap around where nothing is there to take from.
    pub(crate) fn authenticated_lengths(self) -> [u64; 2] {
        [
            (self.data_length() as u64).wrapping_sub(self.data_zero_count()),
            (self.message_length() as u64).wrapping_sub(self.tail_zero_count() as u64),
        ]
    }

    /// With `len` cut to what the state has room for, and T telling whether it was.
    pub(crate) fn truncated(self) -> Self {
        let room = UNITS_MAX - self.data_units();
        let rest = self.0 & !(Self::TRUNCATED | Self::LENGTH);
        let length = self.message_units();
        if length > room { Self(rest | Self::TRUNCATED | room << 17) } else { Self(rest | length << 17) }
    }
}

/// A CryptoCycle state.
#[derive(Clone, PartialEq, Eq)]
#[repr(align(64))]
pub struct State([u8; STATE_SIZE]);

impl Default for State {
    fn default() -> Self {
        Self([0; STATE_SIZE])
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "State({}…)", hex::encode(&self.0[..DATA]))
    }
}

impl From<[u8; STATE_SIZE]> for State {
    fn from(bytes: [u8; STATE_SIZE]) -> Self {
        Self(bytes)
    }
}

impl State {
    /// `CC_INIT`: the state of a nonce. To make many of one seed, use a [`Template`].
    pub fn init(seed: &[u8; 32], nonce: u64) -> Self {
        let mut state = Self::default();
        Template::new(seed).start(nonce, &mut state);
        state
    }

    /// All bytes.
    pub fn as_bytes(&self) -> &[u8; STATE_SIZE] {
        &self.0
    }

    /// All bytes, to be changed.
    pub fn as_bytes_mut(&mut self) -> &mut [u8; STATE_SIZE] {
        &mut self.0
    }

    /// What becomes an item (3.2): the first half.
    pub fn item_part(&self) -> &[u8; ITEM_SIZE] {
        self.bytes_at(0)
    }

    /// `ITEM_NO`: which item comes next; to be taken modulo the number of items.
    pub fn item_number(&self) -> u64 {
        u64::from_le_bytes(*self.bytes_at(TAG.start))
    }

    /// The control word, as it stands.
    pub fn control_word(&self) -> u32 {
        u32::from_le_bytes(*self.bytes_at(CONTROL.start))
    }

    /// `MAKE_FUZZABLE`: takes a control word from the key, so that [`crypt`](Self::crypt) does something long and
    /// legal.
    pub fn make_fuzzable(&mut self) {
        let random = u32::from_le_bytes(*self.bytes_at(KEY.start));
        self.set_control(Control::fuzzable(random));
    }

    /// `CRYPT`: encrypts or decrypts the message with the key and nonce and puts the tag where the key was.
    pub fn crypt(&mut self) {
        self.crypt_keeping(WHOLE);
    }

    /// [`crypt`](Self::crypt), where only the bytes in `kept` and the first 48 will be looked at again.
    ///
    /// When decrypting, the tag is of the message as it was, so plain text outside `kept` need not be made: it is
    /// left as it was, except for what shares a 64-byte block with kept bytes. When encrypting nothing can be spared.
    pub fn crypt_keeping(&mut self, kept: Range<usize>) {
        let control = Control(self.control_word());
        if control.0 & Control::FAILED_AND_VERSION != 0 {
            self.set_control(Control(control.0 | Control::FAILED));
            return;
        }
        let control = control.truncated();
        self.set_control(control);

        let message_start = DATA + control.data_length();
        let message = message_start..message_start + control.message_length();

        let mut stream = KeyStream::new(self.bytes_at(KEY.start), self.bytes_at(NONCE.start));
        let mut first_block = [0; KeyStream::BLOCK];
        stream.apply(&mut first_block);
        let one_time_key = first_block.first_chunk().expect("half a block");
        let mut authenticator = Authenticator::new(one_time_key);

        if control.decrypts() {
            // Additional data and message lie side by side and are whole 16-byte blocks.
            authenticator.update(&self.0[DATA..message.end]);
            let needed = control.key_stream(&kept);
            stream.go_to_block((1 + needed.start / KeyStream::BLOCK) as u16);
            stream.apply(&mut self.0[message.start + needed.start..message.start + needed.end]);
        } else {
            stream.apply(&mut self.0[message.clone()]);
            let tail = message.end.saturating_sub(control.tail_zero_count()).max(message.start);
            self.0[tail..message.end].fill(0);
            authenticator.update(&self.0[DATA..message.end]);
        }

        let [data_length, message_length] = control.authenticated_lengths();
        let mut lengths = [0; 16];
        lengths[..8].copy_from_slice(&data_length.to_le_bytes());
        lengths[8..].copy_from_slice(&message_length.to_le_bytes());
        authenticator.update(&lengths);
        self.0[TAG].copy_from_slice(&authenticator.finish());
    }

    /// `CC_UPDATE`: takes in an item.
    pub fn update(&mut self, item: &[u8; ITEM_SIZE]) {
        self.update_keeping(item, WHOLE);
    }

    /// [`update`](Self::update), where only the bytes in `kept` and the first 48 will be looked at again
    /// (see [`crypt_keeping`](Self::crypt_keeping)).
    pub fn update_keeping(&mut self, item: &[u8; ITEM_SIZE], kept: Range<usize>) {
        self.0[ITEM].copy_from_slice(item);
        self.make_fuzzable();
        self.crypt_keeping(kept);
    }

    /// `CC_SMUL`, between the last update and the end of a block attempt: bytes 64..96 become the X25519 shared
    /// secret of the private key in bytes 0..32 and the public key that belongs to the private key in bytes 32..64.
    ///
    /// Both private keys are known and the base point has prime order, so one multiplication of the base point by
    /// the product of the two gives the same point.
    pub fn multiply_scalars(&mut self) {
        let ours = Scalar::from_bytes_mod_order(clamp_integer(*self.bytes_at(0)));
        let theirs = Scalar::from_bytes_mod_order(clamp_integer(*self.bytes_at(32)));
        let shared = MontgomeryPoint::mul_base(&(ours * theirs));
        self.0[SHARED_SECRET].copy_from_slice(shared.as_bytes());
    }

    /// `CC_FINAL`: the work hash, which also replaces bytes 0..32 of the state.
    pub fn finish(&mut self) -> WorkHash {
        let hash = blake2b_256(&self.0);
        self.0[..32].copy_from_slice(&hash);
        WorkHash(hash)
    }

    fn set_control(&mut self, control: Control) {
        self.0[CONTROL].copy_from_slice(&control.0.to_le_bytes());
    }

    /// The `N` bytes from `offset`, both of which are constants of the layout.
    fn bytes_at<const N: usize>(&self, offset: usize) -> &[u8; N] {
        self.0[offset..].first_chunk().expect("fields lie inside the state")
    }
}

/// What an update has to do, in bytes. The order is that of the time it takes: a byte of key stream takes twice as long as
/// one that is authenticated, and more of them can be spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UpdateCost {
    /// Key stream to make.
    pub key_stream: usize,
    /// Additional data and message to authenticate.
    pub authenticated: usize,
}

impl UpdateCost {
    /// Of the first update of a state, where only what the next one does not overwrite will be looked at again.
    fn of_first(control: Control) -> Self {
        let control = control.truncated();
        Self { key_stream: control.key_stream(&BEHIND_ITEM).len(), authenticated: 16 * control.units() }
    }

    /// Of all first updates that there are, each as likely as the others.
    pub(crate) fn of_first_updates() -> impl Iterator<Item = Self> {
        let words = (0..1 << 12).map(|bits| Control(bits << 12));
        // One of those that differ in nothing that matters.
        let is_one = |control: &Control| {
            control.0 & (Control::TRUNCATED | Control::LENGTH_AT_LEAST_32) == Control::LENGTH_AT_LEAST_32
        };
        words.filter(is_one).map(Self::of_first)
    }
}

/// An expanded seed, from which the state of any nonce is made by copying.
#[derive(Clone, Debug, Default)]
pub struct Template(State);

#[cfg(test)]
impl From<State> for Template {
    fn from(state: State) -> Self {
        Self(state)
    }
}

impl Template {
    /// Expands a seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        let mut template = Self::default();
        template.reseed(seed);
        template
    }

    /// Expands another seed in place.
    pub fn reseed(&mut self, seed: &[u8; 32]) {
        expand_from_block(seed, 0, &mut self.0.0);
        self.0.make_fuzzable();
    }

    /// What the first update of each of a seed's states has to do, where only what the next one does not overwrite will
    /// be looked at again. Their keys begin alike, so it is the same for all nonces and all items.
    pub(crate) fn first_update(seed: &[u8; 32]) -> UpdateCost {
        let mut start = [0; KeyStream::BLOCK];
        expand_from_block(seed, 0, &mut start);
        let random = u32::from_le_bytes(*start[KEY.start..].first_chunk().expect("inside the first block"));
        UpdateCost::of_first(Control::fuzzable(random))
    }

    /// `ITEM_NO` of the first item, which no nonce changes.
    pub fn first_item_number(&self) -> u64 {
        self.0.item_number()
    }

    /// The state of a nonce whose 64-bit place is still to be written.
    pub(crate) fn as_bytes(&self) -> &[u8; STATE_SIZE] {
        self.0.as_bytes()
    }

    /// `CC_INIT(seed, nonce)` into `state`.
    pub fn start(&self, nonce: u64, state: &mut State) {
        state.0.copy_from_slice(&self.0.0);
        state.0[..8].copy_from_slice(&nonce.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::expand;
    use proptest::prelude::*;

    fn random_state(seed: u8, control: u32) -> State {
        let mut state = State::default();
        expand(&[seed; 32], 0, &mut state.0);
        state.set_control(Control(control));
        state
    }

    #[test]
    fn pitfall_9_truncation_stays_in_the_control_word() {
        let mut state = random_state(1, 127 << 17 | 7 << 13);
        state.crypt();
        assert_eq!(state.control_word(), Control::TRUNCATED | 118 << 17 | 7 << 13);
    }

    #[test]
    fn pitfall_10_data_zero_count_wraps_when_there_is_no_data() {
        // The same but for the count: nothing differs but the tag.
        let (mut without, mut with) = (random_state(2, 33 << 17), random_state(2, 33 << 17 | 5));
        without.crypt();
        with.crypt();
        assert_ne!(without.0[TAG], with.0[TAG]);
        assert_eq!(without.0[DATA..], with.0[DATA..]);
    }

    #[test]
    fn pitfall_11_tail_zero_count_in_decrypt_mode_changes_only_the_tag() {
        let decrypt = Control::DECRYPT | 40 << 17;
        let (mut without, mut with) = (random_state(3, decrypt), random_state(3, decrypt | 9 << 8));
        without.crypt();
        with.crypt();
        assert_ne!(without.0[TAG], with.0[TAG]);
        assert_eq!(without.0[DATA..], with.0[DATA..]);
    }

    #[test]
    fn pitfall_12_crypt_alone_honours_any_length() {
        let mut state = random_state(4, 0x0f << 8);
        let before = state.clone();
        state.crypt();
        assert_ne!(state.0[TAG], before.0[TAG], "the tag of an empty message");
        assert_eq!(state.0[DATA..], before.0[DATA..]);
    }

    #[test]
    fn pitfall_13_half_of_the_next_key_is_the_start_of_the_item() {
        let mut state = random_state(6, 0);
        let item = std::array::from_fn(|index| index as u8);
        state.update(&item);
        assert_eq!(state.0[TAG.end..KEY.end], item[..16]);
    }

    #[test]
    fn a_failed_or_foreign_control_word_changes_nothing_else() {
        for control in [Control::FAILED | 40 << 17, 1 << 25 | 40 << 17] {
            let mut state = random_state(5, control);
            let mut expected = state.clone();
            expected.set_control(Control(control | Control::FAILED));
            state.crypt();
            assert_eq!(state, expected);
        }
    }

    #[test]
    fn one_multiplication_gives_what_two_give() {
        for seed in 0..20 {
            let mut state = random_state(seed, 0);
            let (ours, theirs) = (*state.bytes_at(0), *state.bytes_at(32));
            let expected = MontgomeryPoint::mul_base_clamped(theirs).mul_clamped(ours);
            state.multiply_scalars();
            assert_eq!(&state.0[64..96], expected.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn pitfall_15_what_is_kept_does_not_depend_on_what_is_not(seed: u8, control: u32) {
            let control = control & !Control::FAILED_AND_VERSION;
            let mut whole = random_state(seed, control);
            whole.crypt();
            for kept in [ITEM_PART, BEHIND_ITEM, 0..0, 700..701] {
                let mut part = random_state(seed, control);
                part.crypt_keeping(kept.clone());
                prop_assert_eq!(&part.0[..DATA], &whole.0[..DATA]);
                prop_assert_eq!(&part.0[kept.clone()], &whole.0[kept]);
            }
        }
    }
}
