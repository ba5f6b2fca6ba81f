//! Looks for where strings end, eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte that is zero; behind the first such byte others may be set by mistake.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// The high bit of each byte that ends plain text in a string: a quote, a backslash, or a control character.
const fn ends(word: u64) -> u64 {
    let quote = zeros(word ^ (ONES * b'"' as u64));
    let backslash = zeros(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    quote | backslash | control
}

/// The first byte from `at` on that ends plain text in a string; none where the bytes end before.
#[inline]
pub(super) fn end_of_plain(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(eight) = bytes.get(at..at + 8).and_then(|eight| <[u8; 8]>::try_from(eight).ok()) {
        let found = ends(u64::from_le_bytes(eight));
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    Some(at + found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(0x7f), Just(0x80), Just(0x1f)], 0..40), at in 0..45_usize) {
            let plain = (at..bytes.len()).find(|n| matches!(bytes[*n], b'"' | b'\\' | ..0x20));
            prop_assert_eq!(end_of_plain(&bytes, at), plain);
        }
    }
}
