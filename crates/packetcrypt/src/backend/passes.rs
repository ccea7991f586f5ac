//! CRYPT of a whole batch: the step between two items, on 64 states in lock step.
//!
//! The order is that of `docs/performance.md`, "A pass": control words; Poly1305 keys; tags of the states that
//! decrypt (they authenticate the message as it was); key stream for all; tags of the states that encrypt.

#![allow(clippy::inline_always, reason = "only inside of a backend are they compiled with its instructions")]

use core::ops::Range;

use super::ahead::Ahead;
use super::blocks::{Blocks, Inputs, SingleBlocks};
use super::kernels::{Kernels, Message, Tags, Tails};
use super::states::{BATCH, DATA, ITEM, States, Texts};
use crate::crypto_cycle::Control;

/// Byte offsets of a state's fields.
const CONTROL: usize = 12;
const KEY: usize = 16;

/// Buffers of a pass, reused.
pub(crate) struct Passes {
    inputs: Box<Inputs>,
    blocks: Blocks,
    /// Block 0 of the key streams; the first half is a Poly1305 key.
    first_blocks: Box<SingleBlocks>,
    controls: [Control; BATCH],
    tails: Box<Tails>,
    tags: Tags,
}

impl Passes {
    pub(crate) fn new() -> Self {
        Self {
            inputs: Inputs::new(),
            blocks: Blocks::new(),
            first_blocks: Box::new([[0; BATCH]; 16]),
            controls: [Control::default(); BATCH],
            tails: Tails::new(),
            tags: [[0; BATCH]; 2],
        }
    }

    /// CRYPT of the first `count` states, whose control words are legal (made by MAKE_FUZZABLE), and whose texts are
    /// where `texts` says. Of what is decrypted, only the bytes in `kept` will be looked at again.
    #[inline(always)]
    pub(crate) fn crypt(
        &mut self,
        kernels: impl Kernels,
        states: &mut States,
        count: usize,
        texts: Texts<'_>,
        kept: &Range<usize>,
        ahead: &mut Ahead<'_>,
    ) {
        if let Texts::InItems(items) = texts {
            for (m, item) in items.iter().enumerate().take(count) {
                states.take_in(m, item);
            }
        }
        self.read_headers(kernels, states, count);
        kernels.blocks(&self.inputs, count, &mut self.first_blocks);
        let (decrypting, encrypting) = self.by_length(count);
        self.authenticate(kernels, states, &decrypting, texts, ahead);
        for m in 0..count {
            let control = self.controls[m];
            let (message, length) = (DATA + control.data_length(), control.message_length());
            if let Texts::InItems(items) = texts
                && kept.start < ITEM.end
            {
                states.take_in_from(message + length, m, items[m]);
            }
            self.blocks.push(m, message, control.key_stream(kept), texts.end());
        }
        kernels.apply(&mut self.blocks, &self.inputs, states, texts, ahead);
        for &m in encrypting.as_slice() {
            let control = self.controls[usize::from(m)];
            let end = DATA + control.data_length() + control.message_length();
            if let Some(last) = states.state_mut(m.into())[..end].last_chunk_mut() {
                *last =
                    (u128::from_le_bytes(*last) & u128::MAX >> (8 * control.tail_zero_count())).to_le_bytes();
            }
        }
        self.authenticate(kernels, states, &encrypting, Texts::InPlace, ahead);
        ahead.fetch_rest();
    }

    /// Takes nonces, keys and control words out of the states, and puts the normalised control words back.
    #[inline(always)]
    fn read_headers(&mut self, kernels: impl Kernels, states: &mut States, count: usize) {
        let words = kernels.read_headers(states, count, &mut self.inputs);
        self.controls = words.map(|word| Control::from_word(word).truncated());
        for (m, control) in self.controls[..count].iter().enumerate() {
            states.state_mut(m)[CONTROL..CONTROL + 4].copy_from_slice(&control.word().to_le_bytes());
        }
    }

    /// The states that decrypt and those that encrypt, each in order of the length of what is authenticated, so
    /// that the lanes of a Poly1305 run have nearly equal lengths. The longest come first: the last run, which may have
    /// lanes without a message, is the shortest.
    #[inline(always)]
    fn by_length(&self, count: usize) -> (Order, Order) {
        let by_descending = |control: Control| 127 - control.units();
        let mut starts = [[0u8; 128]; 2];
        for &control in &self.controls[..count] {
            starts[usize::from(!control.decrypts())][by_descending(control)] += 1;
        }
        let mut orders = [Order::default(), Order::default()];
        for (order, starts) in orders.iter_mut().zip(&mut starts) {
            order.count = replace_by_sums(starts).into();
        }
        for (m, control) in self.controls[..count].iter().enumerate() {
            let mode = usize::from(!control.decrypts());
            let place = &mut starts[mode][by_descending(*control)];
            orders[mode].messages[usize::from(*place)] = m as u8;
            *place += 1;
        }
        let [decrypting, encrypting] = orders;
        (decrypting, encrypting)
    }

    /// Puts the tags of the listed states where their keys were.
    #[inline(always)]
    fn authenticate(
        &mut self,
        kernels: impl Kernels,
        states: &mut States,
        order: &Order,
        texts: Texts<'_>,
        ahead: &mut Ahead<'_>,
    ) {
        let order = order.as_slice();
        let Some(&first) = order.first() else { return };
        for (place, &m) in order.iter().enumerate() {
            self.set_tail(place, m.into());
        }
        if let Texts::Same(text) = texts {
            let text = &text[DATA..DATA + 16 * self.controls[usize::from(first)].units()];
            kernels.tags_of_same(text, order.len(), &self.tails, ahead, &mut self.tags);
        } else {
            let mut messages = [Message { state: 0, blocks: 0, item: None }; BATCH];
            for (message, &m) in messages.iter_mut().zip(order) {
                let m = usize::from(m);
                let item = if let Texts::InItems(items) = texts { Some(items[m]) } else { None };
                *message = Message { state: m, blocks: self.controls[m].units(), item };
            }
            kernels.tags(states, &messages[..order.len()], &self.tails, ahead, &mut self.tags);
        }
        for (place, &m) in order.iter().enumerate() {
            let state = states.state_mut(m.into());
            state[KEY..KEY + 8].copy_from_slice(&self.tags[0][place].to_le_bytes());
            state[KEY + 8..KEY + 16].copy_from_slice(&self.tags[1][place].to_le_bytes());
        }
    }

    /// Puts one-time key and lengths of a message to a place of an order.
    #[inline(always)]
    fn set_tail(&mut self, place: usize, message: usize) {
        let blocks = &self.first_blocks;
        let key = |k: usize| u64::from(blocks[k][message]) | u64::from(blocks[k + 1][message]) << 32;
        let lengths = self.controls[message].authenticated_lengths();
        for (half, length) in lengths.into_iter().enumerate() {
            self.tails.r[half][place] = key(2 * half);
            self.tails.s[half][place] = key(4 + 2 * half);
            self.tails.lengths[half][place] = length;
        }
    }
}

/// Puts in the place of each number the sum of those before it, and gives the sum of all. They add up to less than 256.
#[inline(always)]
fn replace_by_sums(numbers: &mut [u8; 128]) -> u8 {
    /// A number times this is eight bytes, each the sum of the number's bytes up to there.
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut sum = 0;
    for bytes in numbers.as_chunks_mut().0 {
        let number = u64::from_le_bytes(*bytes);
        let sums = number.wrapping_mul(EACH) + u64::from(sum) * EACH;
        *bytes = (sums << 8 | u64::from(sum)).to_le_bytes();
        sum = (sums >> 56) as u8;
    }
    sum
}

/// Some messages of a batch, in an order.
struct Order {
    messages: [u8; BATCH],
    count: usize,
}

impl Default for Order {
    fn default() -> Self {
        Self { messages: [0; BATCH], count: 0 }
    }
}

impl Order {
    fn as_slice(&self) -> &[u8] {
        &self.messages[..self.count]
    }
}
