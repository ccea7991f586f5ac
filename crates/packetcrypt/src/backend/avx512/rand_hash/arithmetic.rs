//! The operations of RandHash on sixteen lanes of 32 bits.
//!
//! Rules: `docs/protocol/packetcrypt-announcements.md` 5.5. Each function is its namesake of
//! `rand_hash::arithmetic` or of the plain interpreter, sixteen times.

#[allow(clippy::wildcard_imports, reason = "nearly sixty instructions, each used under its own name")]
use core::arch::x86_64::*;

/// One word of sixteen machines.
type V = __m512i;

/// Defines functions that need the features of this backend.
macro_rules! operations {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => {
        $(
            $(#[$meta])*
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi2,avx512bitalg,avx512vpopcntdq,gfni")]
            #[inline]
            pub(super) fn $name($($argument: $type),*) -> $result $body
        )*
    };
}

operations! {
    // One input.
    fn popcnt8(a: V) -> V { _mm512_popcnt_epi8(a) }
    fn popcnt16(a: V) -> V { _mm512_popcnt_epi16(a) }
    fn popcnt32(a: V) -> V { _mm512_popcnt_epi32(a) }
    fn clz8(a: V) -> V {
        // The matrix with ones on the other diagonal turns each byte round.
        let turned = _mm512_gf2p8affine_epi64_epi8::<0>(a, _mm512_set1_epi64(0x8040_2010_0804_0201_u64 as i64));
        ctz8(turned)
    }
    fn clz16(a: V) -> V {
        let stop = _mm512_set1_epi32(0x8000);
        let low = _mm512_lzcnt_epi32(_mm512_or_si512(_mm512_slli_epi32::<16>(a), stop));
        let high = _mm512_lzcnt_epi32(_mm512_or_si512(_mm512_and_si512(a, _mm512_set1_epi32(!0xffff)), stop));
        _mm512_or_si512(low, _mm512_slli_epi32::<16>(high))
    }
    fn clz32(a: V) -> V { _mm512_lzcnt_epi32(a) }
    fn ctz8(a: V) -> V { _mm512_popcnt_epi8(_mm512_andnot_si512(a, _mm512_sub_epi8(a, _mm512_set1_epi8(1)))) }
    fn ctz16(a: V) -> V { _mm512_popcnt_epi16(_mm512_andnot_si512(a, _mm512_sub_epi16(a, _mm512_set1_epi16(1)))) }
    fn ctz32(a: V) -> V { _mm512_popcnt_epi32(_mm512_andnot_si512(a, _mm512_sub_epi32(a, _mm512_set1_epi32(1)))) }
    fn bswap16(a: V) -> V {
        _mm512_or_si512(_mm512_slli_epi16::<8>(a), _mm512_srli_epi16::<8>(a))
    }
    fn bswap32(a: V) -> V {
        let order = _mm512_broadcast_i32x4(_mm_set_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203));
        _mm512_shuffle_epi8(a, order)
    }

    // Two inputs, one output.
    fn add8(a: V, b: V) -> V { _mm512_add_epi8(a, b) }
    fn add16(a: V, b: V) -> V { _mm512_add_epi16(a, b) }
    fn add32(a: V, b: V) -> V { _mm512_add_epi32(a, b) }
    fn sub8(a: V, b: V) -> V { _mm512_sub_epi8(a, b) }
    fn sub16(a: V, b: V) -> V { _mm512_sub_epi16(a, b) }
    fn sub32(a: V, b: V) -> V { _mm512_sub_epi32(a, b) }
    fn shll8(a: V, b: V) -> V {
        let low = _mm512_sllv_epi16(even(a), even_counts(b));
        let high = _mm512_sllv_epi16(odd_in_place(a), odd_counts(b));
        join_bytes(low, high)
    }
    fn shll16(a: V, b: V) -> V { _mm512_sllv_epi16(a, _mm512_and_si512(b, _mm512_set1_epi16(15))) }
    fn shll32(a: V, b: V) -> V { _mm512_sllv_epi32(a, _mm512_and_si512(b, _mm512_set1_epi32(31))) }
    fn shrl8(a: V, b: V) -> V {
        let low = _mm512_srlv_epi16(even(a), even_counts(b));
        let high = _mm512_srlv_epi16(a, odd_counts(b));
        join_bytes(low, high)
    }
    fn shrl16(a: V, b: V) -> V { _mm512_srlv_epi16(a, _mm512_and_si512(b, _mm512_set1_epi16(15))) }
    fn shrl32(a: V, b: V) -> V { _mm512_srlv_epi32(a, _mm512_and_si512(b, _mm512_set1_epi32(31))) }
    fn shra8(a: V, b: V) -> V {
        let low = _mm512_srav_epi16(even_signed(a), even_counts(b));
        let high = _mm512_srav_epi16(a, odd_counts(b));
        join_bytes(low, high)
    }
    fn shra16(a: V, b: V) -> V { _mm512_srav_epi16(a, _mm512_and_si512(b, _mm512_set1_epi16(15))) }
    fn shra32(a: V, b: V) -> V { _mm512_srav_epi32(a, _mm512_and_si512(b, _mm512_set1_epi32(31))) }
    fn rotl8(a: V, b: V) -> V {
        // A byte twice side by side, shifted left: its upper half is the byte rotated.
        let low_twice = _mm512_or_si512(even(a), _mm512_slli_epi16::<8>(a));
        let high_twice = _mm512_or_si512(odd(a), odd_in_place(a));
        let low = _mm512_srli_epi16::<8>(_mm512_sllv_epi16(low_twice, even_counts(b)));
        join_bytes(low, _mm512_sllv_epi16(high_twice, odd_counts(b)))
    }
    fn rotl16(a: V, b: V) -> V { _mm512_shldv_epi16(a, a, b) }
    fn rotl32(a: V, b: V) -> V { _mm512_rolv_epi32(a, b) }
    fn mul8(a: V, b: V) -> V {
        join_bytes(_mm512_mullo_epi16(a, b), _mm512_slli_epi16::<8>(_mm512_mullo_epi16(odd(a), odd(b))))
    }
    fn mul16(a: V, b: V) -> V { _mm512_mullo_epi16(a, b) }
    fn mul32(a: V, b: V) -> V { _mm512_mullo_epi32(a, b) }
    fn and(a: V, b: V) -> V { _mm512_and_si512(a, b) }
    fn or(a: V, b: V) -> V { _mm512_or_si512(a, b) }
    fn xor(a: V, b: V) -> V { _mm512_xor_si512(a, b) }

    // Two inputs, two outputs: low word, high word.
    fn add8c(a: V, b: V) -> [V; 2] {
        join_wide8(_mm512_add_epi16(even(a), even(b)), _mm512_add_epi16(odd(a), odd(b)))
    }
    fn add16c(a: V, b: V) -> [V; 2] {
        [_mm512_add_epi32(low16(a), low16(b)), _mm512_add_epi32(high16(a), high16(b))]
    }
    fn add32c(a: V, b: V) -> [V; 2] {
        let low = _mm512_add_epi32(a, b);
        [low, _mm512_maskz_mov_epi32(_mm512_cmplt_epu32_mask(low, a), _mm512_set1_epi32(1))]
    }
    fn sub8c(a: V, b: V) -> [V; 2] {
        join_wide8(_mm512_sub_epi16(even(a), even(b)), _mm512_sub_epi16(odd(a), odd(b)))
    }
    fn sub16c(a: V, b: V) -> [V; 2] {
        [_mm512_sub_epi32(low16(a), low16(b)), _mm512_sub_epi32(high16(a), high16(b))]
    }
    fn sub32c(a: V, b: V) -> [V; 2] {
        let borrow = _mm512_cmplt_epu32_mask(a, b);
        [_mm512_sub_epi32(a, b), _mm512_maskz_mov_epi32(borrow, _mm512_set1_epi32(-1))]
    }
    fn mul8c(a: V, b: V) -> [V; 2] {
        let low = _mm512_mullo_epi16(even_signed(a), even_signed(b));
        join_wide8(low, _mm512_mullo_epi16(odd_signed(a), odd_signed(b)))
    }
    fn mul16c(a: V, b: V) -> [V; 2] {
        let low = _mm512_mullo_epi32(low16_signed(a), low16_signed(b));
        [low, _mm512_mullo_epi32(_mm512_srai_epi32::<16>(a), _mm512_srai_epi32::<16>(b))]
    }
    fn mul32c(a: V, b: V) -> [V; 2] {
        let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
        join_wide32(_mm512_mul_epi32(a, b), odd)
    }
    fn mulsu8c(a: V, b: V) -> [V; 2] {
        join_wide8(_mm512_mullo_epi16(even_signed(a), even(b)), _mm512_mullo_epi16(odd_signed(a), odd(b)))
    }
    fn mulsu16c(a: V, b: V) -> [V; 2] {
        let low = _mm512_mullo_epi32(low16_signed(a), low16(b));
        [low, _mm512_mullo_epi32(_mm512_srai_epi32::<16>(a), high16(b))]
    }
    fn mulsu32c(a: V, b: V) -> [V; 2] {
        let [low, high] = mulu32c(a, b);
        let negative = _mm512_movepi32_mask(a);
        [low, _mm512_mask_sub_epi32(high, negative, high, b)]
    }
    fn mulu8c(a: V, b: V) -> [V; 2] {
        join_wide8(_mm512_mullo_epi16(even(a), even(b)), _mm512_mullo_epi16(odd(a), odd(b)))
    }
    fn mulu16c(a: V, b: V) -> [V; 2] {
        [_mm512_mullo_epi32(low16(a), low16(b)), _mm512_mullo_epi32(high16(a), high16(b))]
    }
    fn mulu32c(a: V, b: V) -> [V; 2] {
        let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
        join_wide32(_mm512_mul_epu32(a, b), odd)
    }

    // 64-bit numbers, eight to a register.
    fn add64(a: V, b: V) -> V { _mm512_add_epi64(a, b) }
    fn sub64(a: V, b: V) -> V { _mm512_sub_epi64(a, b) }
    fn shll64(a: V, b: V) -> V { _mm512_sllv_epi64(a, _mm512_and_si512(b, _mm512_set1_epi64(63))) }
    fn shrl64(a: V, b: V) -> V { _mm512_srlv_epi64(a, _mm512_and_si512(b, _mm512_set1_epi64(63))) }
    fn shra64(a: V, b: V) -> V { _mm512_srav_epi64(a, _mm512_and_si512(b, _mm512_set1_epi64(63))) }
    fn rotl64(a: V, b: V) -> V { _mm512_rolv_epi64(a, b) }
    fn rotr64(a: V, b: V) -> V { _mm512_rorv_epi64(a, b) }
    fn mul64(a: V, b: V) -> V { _mm512_mullo_epi64(a, b) }

    // 64-bit numbers to results of 128 bits: low half, high half.
    fn add64c(a: V, b: V) -> [V; 2] {
        let low = _mm512_add_epi64(a, b);
        [low, _mm512_maskz_mov_epi64(_mm512_cmplt_epu64_mask(low, a), _mm512_set1_epi64(1))]
    }
    fn sub64c(a: V, b: V) -> [V; 2] {
        let borrow = _mm512_cmplt_epu64_mask(a, b);
        [_mm512_sub_epi64(a, b), _mm512_maskz_mov_epi64(borrow, _mm512_set1_epi64(-1))]
    }
    fn mulu64c(a: V, b: V) -> [V; 2] {
        let (a_high, b_high) = (_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
        let low = _mm512_mul_epu32(a, b);
        let middle_1 = _mm512_mul_epu32(a_high, b);
        let middle_2 = _mm512_mul_epu32(a, b_high);
        let high = _mm512_mul_epu32(a_high, b_high);
        let mask = _mm512_set1_epi64(0xffff_ffff);
        let carry = _mm512_add_epi64(
            _mm512_add_epi64(_mm512_srli_epi64::<32>(low), _mm512_and_si512(middle_1, mask)),
            _mm512_and_si512(middle_2, mask),
        );
        let high = _mm512_add_epi64(
            _mm512_add_epi64(high, _mm512_srli_epi64::<32>(carry)),
            _mm512_add_epi64(_mm512_srli_epi64::<32>(middle_1), _mm512_srli_epi64::<32>(middle_2)),
        );
        [_mm512_mullo_epi64(a, b), high]
    }
    fn mulsu64c(a: V, b: V) -> [V; 2] {
        let [low, high] = mulu64c(a, b);
        [low, _mm512_mask_sub_epi64(high, _mm512_movepi64_mask(a), high, b)]
    }
    fn mul64c(a: V, b: V) -> [V; 2] {
        let [low, high] = mulsu64c(a, b);
        [low, _mm512_mask_sub_epi64(high, _mm512_movepi64_mask(b), high, a)]
    }

    /// Low and high words of sixteen 64-bit numbers to two registers of eight, in an order that
    /// [`words_of_pairs`] undoes.
    fn pairs_of_words(low: V, high: V) -> [V; 2] {
        [_mm512_unpacklo_epi32(low, high), _mm512_unpackhi_epi32(low, high)]
    }
    /// What [`pairs_of_words`] took: low words and high words.
    fn words_of_pairs(first: V, second: V) -> [V; 2] {
        let (first, second) = (_mm512_castsi512_ps(first), _mm512_castsi512_ps(second));
        [
            _mm512_castps_si512(_mm512_shuffle_ps::<0b10_00_10_00>(first, second)),
            _mm512_castps_si512(_mm512_shuffle_ps::<0b11_01_11_01>(first, second)),
        ]
    }

    // Parts of a word. Even bytes are 0 and 2, in 16-bit lanes.
    fn even(a: V) -> V { _mm512_and_si512(a, _mm512_set1_epi16(0xff)) }
    fn odd(a: V) -> V { _mm512_srli_epi16::<8>(a) }
    fn odd_in_place(a: V) -> V { _mm512_and_si512(a, _mm512_set1_epi16(!0xff)) }
    fn even_signed(a: V) -> V { _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(a)) }
    fn odd_signed(a: V) -> V { _mm512_srai_epi16::<8>(a) }
    fn even_counts(b: V) -> V { _mm512_and_si512(b, _mm512_set1_epi16(7)) }
    fn odd_counts(b: V) -> V { _mm512_and_si512(_mm512_srli_epi16::<8>(b), _mm512_set1_epi16(7)) }
    fn low16(a: V) -> V { _mm512_and_si512(a, _mm512_set1_epi32(0xffff)) }
    fn high16(a: V) -> V { _mm512_srli_epi32::<16>(a) }
    fn low16_signed(a: V) -> V { _mm512_srai_epi32::<16>(_mm512_slli_epi32::<16>(a)) }

    /// Even bytes of the first, odd bytes of the second.
    fn join_bytes(low: V, high: V) -> V {
        _mm512_or_si512(even(low), odd_in_place(high))
    }
    /// 16-bit results of the even bytes and of the odd bytes, put side by side in two words.
    fn join_wide8(even: V, odd: V) -> [V; 2] {
        [
            _mm512_or_si512(low16(even), _mm512_slli_epi32::<16>(odd)),
            _mm512_or_si512(high16(even), _mm512_and_si512(odd, _mm512_set1_epi32(!0xffff))),
        ]
    }
    /// 64-bit results of the even lanes and of the odd lanes, as low words and high words.
    fn join_wide32(even: V, odd: V) -> [V; 2] {
        const ODD_LANES: u16 = 0xaaaa;
        [
            _mm512_mask_blend_epi32(ODD_LANES, even, _mm512_slli_epi64::<32>(odd)),
            _mm512_mask_blend_epi32(ODD_LANES, _mm512_srli_epi64::<32>(even), odd),
        ]
    }
}
