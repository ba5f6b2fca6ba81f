//! Looks for where strings end, sixteen bytes at a time.

use wide::u8x16;

/// The first byte from `at` on that ends plain text in a string: a quote, a backslash, or a control character; none where the bytes end
/// before.
#[inline]
pub(super) fn end_of_plain(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut rest = bytes.get(at..)?;
    while let Some((block, behind)) = rest.split_first_chunk() {
        let block = u8x16::new(*block);
        let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
        let ends = block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\')) | control;
        let found = ends.to_bitmask();
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += 16;
        rest = behind;
    }
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
