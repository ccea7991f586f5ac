//! The operations of RandHash on eight lanes of 32 bits.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 5.5. Each function is its namesake of
//! `rand_hash::arithmetic` or of the plain interpreter, eight times. AVX2 has no shifts of bytes and halfwords by
//! amounts that differ from lane to lane, no counts of bits and no products of 64 bits; they are made of what there is.

#[allow(clippy::wildcard_imports, reason = "nearly sixty instructions, each used under its own name")]
use core::arch::x86_64::*;

/// One word of eight machines.
type V = __m256i;

/// Defines functions that need the features of this backend.
macro_rules! operations {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $(
            $(#[$meta])*
            #[target_feature(enable = "avx2")]
            #[inline]
            pub(super) fn $name($($argument: $type),*) -> $result $body
        )*
    };
}

operations! {
    // One input.
    fn popcnt8(a: V) -> V {
        let counts = table([0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4]);
        _mm256_add_epi8(_mm256_shuffle_epi8(counts, low_nibbles(a)), _mm256_shuffle_epi8(counts, high_nibbles(a)))
    }
    fn popcnt16(a: V) -> V { _mm256_maddubs_epi16(popcnt8(a), _mm256_set1_epi8(1)) }
    fn popcnt32(a: V) -> V { _mm256_madd_epi16(popcnt16(a), _mm256_set1_epi16(1)) }
    fn clz8(a: V) -> V {
        // Of the upper nibble, or 8 if it is 0; of the lower, plus 4.
        let upper = table([8, 3, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let lower = table([8, 7, 6, 6, 5, 5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 4]);
        _mm256_min_epu8(_mm256_shuffle_epi8(upper, high_nibbles(a)), _mm256_shuffle_epi8(lower, low_nibbles(a)))
    }
    fn clz16(a: V) -> V {
        let bytes = clz8(a);
        let upper = odd(bytes);
        let upper_is_zero = _mm256_cmpeq_epi16(upper, _mm256_set1_epi16(8));
        _mm256_add_epi16(upper, _mm256_and_si256(even(bytes), upper_is_zero))
    }
    fn clz32(a: V) -> V {
        let halves = clz16(a);
        let upper = high16(halves);
        let upper_is_zero = _mm256_cmpeq_epi32(upper, _mm256_set1_epi32(16));
        _mm256_add_epi32(upper, _mm256_and_si256(low16(halves), upper_is_zero))
    }
    fn ctz8(a: V) -> V { popcnt8(_mm256_andnot_si256(a, _mm256_sub_epi8(a, _mm256_set1_epi8(1)))) }
    fn ctz16(a: V) -> V { popcnt16(_mm256_andnot_si256(a, _mm256_sub_epi16(a, _mm256_set1_epi16(1)))) }
    fn ctz32(a: V) -> V { popcnt32(_mm256_andnot_si256(a, _mm256_sub_epi32(a, _mm256_set1_epi32(1)))) }
    fn bswap16(a: V) -> V {
        _mm256_shuffle_epi8(a, table([1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14]))
    }
    fn bswap32(a: V) -> V {
        _mm256_shuffle_epi8(a, table([3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]))
    }

    // Two inputs, one output.
    fn add8(a: V, b: V) -> V { _mm256_add_epi8(a, b) }
    fn add16(a: V, b: V) -> V { _mm256_add_epi16(a, b) }
    fn add32(a: V, b: V) -> V { _mm256_add_epi32(a, b) }
    fn sub8(a: V, b: V) -> V { _mm256_sub_epi8(a, b) }
    fn sub16(a: V, b: V) -> V { _mm256_sub_epi16(a, b) }
    fn sub32(a: V, b: V) -> V { _mm256_sub_epi32(a, b) }
    fn shll8(a: V, b: V) -> V { mul8(a, powers8(b)) }
    fn shll16(a: V, b: V) -> V {
        let low = _mm256_sllv_epi32(a, low_counts(b));
        join16(low, _mm256_sllv_epi32(high16_in_place(a), high_counts(b)))
    }
    fn shll32(a: V, b: V) -> V { _mm256_sllv_epi32(a, counts32(b)) }
    fn shrl8(a: V, b: V) -> V {
        // To the right by b is to the left by 7 - b, then to the right by 7.
        let powers = falling_powers8(b);
        let low = _mm256_mullo_epi16(even(a), even(powers));
        let high = _mm256_mullo_epi16(odd(a), odd(powers));
        join_bytes(_mm256_srli_epi16::<7>(low), _mm256_slli_epi16::<1>(high))
    }
    fn shrl16(a: V, b: V) -> V {
        join16(_mm256_srlv_epi32(low16(a), low_counts(b)), _mm256_srlv_epi32(a, high_counts(b)))
    }
    fn shrl32(a: V, b: V) -> V { _mm256_srlv_epi32(a, counts32(b)) }
    fn shra8(a: V, b: V) -> V {
        let powers = falling_powers8(b);
        let low = _mm256_mullo_epi16(even_signed(a), even(powers));
        let high = _mm256_mullo_epi16(odd_signed(a), odd(powers));
        join_bytes(_mm256_srli_epi16::<7>(low), _mm256_slli_epi16::<1>(high))
    }
    fn shra16(a: V, b: V) -> V {
        join16(_mm256_srav_epi32(low16_signed(a), low_counts(b)), _mm256_srav_epi32(a, high_counts(b)))
    }
    fn shra32(a: V, b: V) -> V { _mm256_srav_epi32(a, counts32(b)) }
    fn rotl8(a: V, b: V) -> V {
        // What a product with a power of two pushes out of a byte is what comes in again from below.
        let powers = powers8(b);
        let low = _mm256_mullo_epi16(even(a), even(powers));
        let high = _mm256_mullo_epi16(odd(a), odd(powers));
        join_bytes(
            _mm256_or_si256(low, _mm256_srli_epi16::<8>(low)),
            _mm256_or_si256(high, _mm256_slli_epi16::<8>(high)),
        )
    }
    fn rotl16(a: V, b: V) -> V {
        // A halfword twice side by side, shifted left: its upper half is the halfword rotated.
        let low_twice = _mm256_or_si256(low16(a), _mm256_slli_epi32::<16>(a));
        let high_twice = _mm256_or_si256(high16(a), high16_in_place(a));
        let low = _mm256_srli_epi32::<16>(_mm256_sllv_epi32(low_twice, low_counts(b)));
        join16(low, _mm256_sllv_epi32(high_twice, high_counts(b)))
    }
    fn rotl32(a: V, b: V) -> V {
        // A shift by 32 leaves nothing.
        let count = counts32(b);
        let right = _mm256_srlv_epi32(a, _mm256_sub_epi32(_mm256_set1_epi32(32), count));
        _mm256_or_si256(_mm256_sllv_epi32(a, count), right)
    }
    fn mul8(a: V, b: V) -> V {
        join_bytes(_mm256_mullo_epi16(a, b), _mm256_slli_epi16::<8>(_mm256_mullo_epi16(odd(a), odd(b))))
    }
    fn mul16(a: V, b: V) -> V { _mm256_mullo_epi16(a, b) }
    fn mul32(a: V, b: V) -> V { _mm256_mullo_epi32(a, b) }
    fn and(a: V, b: V) -> V { _mm256_and_si256(a, b) }
    fn or(a: V, b: V) -> V { _mm256_or_si256(a, b) }
    fn xor(a: V, b: V) -> V { _mm256_xor_si256(a, b) }

    // Two inputs, two outputs: low word, high word.
    fn add8c(a: V, b: V) -> [V; 2] {
        join_wide8(_mm256_add_epi16(even(a), even(b)), _mm256_add_epi16(odd(a), odd(b)))
    }
    fn add16c(a: V, b: V) -> [V; 2] {
        [_mm256_add_epi32(low16(a), low16(b)), _mm256_add_epi32(high16(a), high16(b))]
    }
    fn add32c(a: V, b: V) -> [V; 2] {
        let low = _mm256_add_epi32(a, b);
        [low, _mm256_sub_epi32(_mm256_setzero_si256(), is_below32(low, a))]
    }
    fn sub8c(a: V, b: V) -> [V; 2] {
        join_wide8(_mm256_sub_epi16(even(a), even(b)), _mm256_sub_epi16(odd(a), odd(b)))
    }
    fn sub16c(a: V, b: V) -> [V; 2] {
        [_mm256_sub_epi32(low16(a), low16(b)), _mm256_sub_epi32(high16(a), high16(b))]
    }
    fn sub32c(a: V, b: V) -> [V; 2] { [_mm256_sub_epi32(a, b), is_below32(a, b)] }
    fn mul8c(a: V, b: V) -> [V; 2] {
        let low = _mm256_mullo_epi16(even_signed(a), even_signed(b));
        join_wide8(low, _mm256_mullo_epi16(odd_signed(a), odd_signed(b)))
    }
    fn mul16c(a: V, b: V) -> [V; 2] {
        let low = _mm256_mullo_epi32(low16_signed(a), low16_signed(b));
        [low, _mm256_mullo_epi32(_mm256_srai_epi32::<16>(a), _mm256_srai_epi32::<16>(b))]
    }
    fn mul32c(a: V, b: V) -> [V; 2] {
        let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
        join_wide32(_mm256_mul_epi32(a, b), odd)
    }
    fn mulsu8c(a: V, b: V) -> [V; 2] {
        join_wide8(_mm256_mullo_epi16(even_signed(a), even(b)), _mm256_mullo_epi16(odd_signed(a), odd(b)))
    }
    fn mulsu16c(a: V, b: V) -> [V; 2] {
        let low = _mm256_mullo_epi32(low16_signed(a), low16(b));
        [low, _mm256_mullo_epi32(_mm256_srai_epi32::<16>(a), high16(b))]
    }
    fn mulsu32c(a: V, b: V) -> [V; 2] {
        let [low, high] = mulu32c(a, b);
        [low, _mm256_sub_epi32(high, _mm256_and_si256(_mm256_srai_epi32::<31>(a), b))]
    }
    fn mulu8c(a: V, b: V) -> [V; 2] {
        join_wide8(_mm256_mullo_epi16(even(a), even(b)), _mm256_mullo_epi16(odd(a), odd(b)))
    }
    fn mulu16c(a: V, b: V) -> [V; 2] {
        let (low, high) = (_mm256_mullo_epi16(a, b), _mm256_mulhi_epu16(a, b));
        [
            _mm256_blend_epi16::<0xaa>(low, _mm256_slli_epi32::<16>(high)),
            _mm256_blend_epi16::<0xaa>(high16(low), high),
        ]
    }
    fn mulu32c(a: V, b: V) -> [V; 2] {
        let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
        join_wide32(_mm256_mul_epu32(a, b), odd)
    }

    // 64-bit numbers, four to a register.
    fn add64(a: V, b: V) -> V { _mm256_add_epi64(a, b) }
    fn sub64(a: V, b: V) -> V { _mm256_sub_epi64(a, b) }
    fn shll64(a: V, b: V) -> V { _mm256_sllv_epi64(a, counts64(b)) }
    fn shrl64(a: V, b: V) -> V { _mm256_srlv_epi64(a, counts64(b)) }
    fn shra64(a: V, b: V) -> V {
        // Of a negative number the complement is shifted, so that what comes in is ones.
        let sign = is_negative64(a);
        _mm256_xor_si256(_mm256_srlv_epi64(_mm256_xor_si256(a, sign), counts64(b)), sign)
    }
    fn rotl64(a: V, b: V) -> V {
        // A shift by 64 leaves nothing.
        let count = counts64(b);
        let right = _mm256_srlv_epi64(a, _mm256_sub_epi64(_mm256_set1_epi64x(64), count));
        _mm256_or_si256(_mm256_sllv_epi64(a, count), right)
    }
    fn rotr64(a: V, b: V) -> V {
        let count = counts64(b);
        let left = _mm256_sllv_epi64(a, _mm256_sub_epi64(_mm256_set1_epi64x(64), count));
        _mm256_or_si256(_mm256_srlv_epi64(a, count), left)
    }
    fn mul64(a: V, b: V) -> V {
        let crossed = _mm256_mullo_epi32(a, _mm256_shuffle_epi32::<0b10_11_00_01>(b));
        let middle = _mm256_add_epi32(crossed, _mm256_srli_epi64::<32>(crossed));
        _mm256_add_epi64(_mm256_mul_epu32(a, b), _mm256_slli_epi64::<32>(middle))
    }

    // 64-bit numbers to results of 128 bits: low half, high half.
    fn add64c(a: V, b: V) -> [V; 2] {
        let low = _mm256_add_epi64(a, b);
        [low, _mm256_sub_epi64(_mm256_setzero_si256(), is_below64(low, a))]
    }
    fn sub64c(a: V, b: V) -> [V; 2] { [_mm256_sub_epi64(a, b), is_below64(a, b)] }
    fn mulu64c(a: V, b: V) -> [V; 2] {
        let (a_high, b_high) = (_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
        let low = _mm256_mul_epu32(a, b);
        let middle_1 = _mm256_mul_epu32(a_high, b);
        let middle_2 = _mm256_mul_epu32(a, b_high);
        let high = _mm256_mul_epu32(a_high, b_high);
        let mask = _mm256_set1_epi64x(0xffff_ffff);
        let carry = _mm256_add_epi64(
            _mm256_add_epi64(_mm256_srli_epi64::<32>(low), _mm256_and_si256(middle_1, mask)),
            _mm256_and_si256(middle_2, mask),
        );
        let high = _mm256_add_epi64(
            _mm256_add_epi64(high, _mm256_srli_epi64::<32>(carry)),
            _mm256_add_epi64(_mm256_srli_epi64::<32>(middle_1), _mm256_srli_epi64::<32>(middle_2)),
        );
        [_mm256_blend_epi32::<ODD_LANES>(low, _mm256_slli_epi64::<32>(carry)), high]
    }
    fn mulsu64c(a: V, b: V) -> [V; 2] {
        let [low, high] = mulu64c(a, b);
        [low, _mm256_sub_epi64(high, _mm256_and_si256(is_negative64(a), b))]
    }
    fn mul64c(a: V, b: V) -> [V; 2] {
        let [low, high] = mulsu64c(a, b);
        [low, _mm256_sub_epi64(high, _mm256_and_si256(is_negative64(b), a))]
    }

    /// Low and high words of eight 64-bit numbers to two registers of four, in an order that
    /// [`words_of_pairs`] undoes.
    fn pairs_of_words(low: V, high: V) -> [V; 2] {
        [_mm256_unpacklo_epi32(low, high), _mm256_unpackhi_epi32(low, high)]
    }
    /// What [`pairs_of_words`] took: low words and high words.
    fn words_of_pairs(first: V, second: V) -> [V; 2] {
        let (first, second) = (_mm256_castsi256_ps(first), _mm256_castsi256_ps(second));
        [
            _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(first, second)),
            _mm256_castps_si256(_mm256_shuffle_ps::<0b11_01_11_01>(first, second)),
        ]
    }

    // Comparisons of unsigned numbers: all ones where they hold.
    fn is_below32(a: V, b: V) -> V {
        let not_below = _mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a);
        _mm256_xor_si256(not_below, _mm256_set1_epi32(-1))
    }
    fn is_below64(a: V, b: V) -> V {
        let sign = _mm256_set1_epi64x(i64::MIN);
        _mm256_cmpgt_epi64(_mm256_xor_si256(b, sign), _mm256_xor_si256(a, sign))
    }
    fn is_negative64(a: V) -> V { _mm256_cmpgt_epi64(_mm256_setzero_si256(), a) }

    // Parts of a word. Even bytes are 0 and 2, in 16-bit lanes.
    fn even(a: V) -> V { _mm256_and_si256(a, _mm256_set1_epi16(0xff)) }
    fn odd(a: V) -> V { _mm256_srli_epi16::<8>(a) }
    fn odd_in_place(a: V) -> V { _mm256_and_si256(a, _mm256_set1_epi16(!0xff)) }
    fn even_signed(a: V) -> V { _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(a)) }
    fn odd_signed(a: V) -> V { _mm256_srai_epi16::<8>(a) }
    fn low16(a: V) -> V { _mm256_and_si256(a, _mm256_set1_epi32(0xffff)) }
    fn high16(a: V) -> V { _mm256_srli_epi32::<16>(a) }
    fn high16_in_place(a: V) -> V { _mm256_and_si256(a, _mm256_set1_epi32(!0xffff)) }
    fn low16_signed(a: V) -> V { _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(a)) }
    fn low_nibbles(a: V) -> V { _mm256_and_si256(a, _mm256_set1_epi8(15)) }
    fn high_nibbles(a: V) -> V { _mm256_and_si256(_mm256_srli_epi16::<4>(a), _mm256_set1_epi8(15)) }

    // By how much to shift.
    fn low_counts(b: V) -> V { _mm256_and_si256(b, _mm256_set1_epi32(15)) }
    fn high_counts(b: V) -> V { _mm256_and_si256(high16(b), _mm256_set1_epi32(15)) }
    fn counts32(b: V) -> V { _mm256_and_si256(b, _mm256_set1_epi32(31)) }
    fn counts64(b: V) -> V { _mm256_and_si256(b, _mm256_set1_epi64x(63)) }
    /// For each byte, 2 to the power of its lowest three bits.
    fn powers8(b: V) -> V {
        let powers = table([1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128]);
        _mm256_shuffle_epi8(powers, low_nibbles(b))
    }
    /// For each byte, 2 to the power of 7 less its lowest three bits.
    fn falling_powers8(b: V) -> V {
        let powers = table([-128, 64, 32, 16, 8, 4, 2, 1, -128, 64, 32, 16, 8, 4, 2, 1]);
        _mm256_shuffle_epi8(powers, low_nibbles(b))
    }

    /// A table of sixteen bytes that a shuffle of bytes looks up.
    fn table(bytes: [i8; 16]) -> V {
        let [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15] = bytes;
        _mm256_broadcastsi128_si256(_mm_setr_epi8(b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, b10, b11, b12, b13, b14, b15))
    }

    /// Even bytes of the first, odd bytes of the second.
    fn join_bytes(low: V, high: V) -> V {
        _mm256_or_si256(even(low), odd_in_place(high))
    }
    /// Low halves of the words of the first, high halves of those of the second.
    fn join16(low: V, high: V) -> V { _mm256_blend_epi16::<0xaa>(low, high) }
    /// 16-bit results of the even bytes and of the odd bytes, put side by side in two words.
    fn join_wide8(even: V, odd: V) -> [V; 2] {
        [join16(even, _mm256_slli_epi32::<16>(odd)), join16(high16(even), odd)]
    }
    /// 64-bit results of the even lanes and of the odd lanes, as low words and high words.
    fn join_wide32(even: V, odd: V) -> [V; 2] {
        [
            _mm256_blend_epi32::<ODD_LANES>(even, _mm256_slli_epi64::<32>(odd)),
            _mm256_blend_epi32::<ODD_LANES>(_mm256_srli_epi64::<32>(even), odd),
        ]
    }
}

/// Every second of eight lanes.
const ODD_LANES: i32 = 0xaa;
