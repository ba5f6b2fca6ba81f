//! Goes over a container to its end, sixty-four bytes at a time, without looking at what is in it: only its brackets are counted.

use wide::u8x16;

/// Goes over one container, whose first bracket comes first.
pub(super) struct Leap {
    /// Brackets that are open.
    depth: usize,
    /// How many may be.
    most: usize,
    /// All ones where the bytes before ended inside a text.
    in_text: u64,
    /// The bytes before ended with a backslash that takes the next byte's meaning.
    escaped: bool,
}

/// How far it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leapt {
    /// The container ends before this byte.
    Over(usize),
    /// So many bytes were taken, and it goes on.
    On(usize),
    /// It is nested too deep.
    Deep,
}

/// Where brackets stand in a block, a bit for each byte.
struct Brackets {
    open: u64,
    close: u64,
}

impl Leap {
    /// Nested so deep at most.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            depth: 0,
            most,
            in_text: 0,
            escaped: false,
        }
    }

    /// Goes on over these bytes; a rest of less than a block is left alone where others may follow.
    pub(super) fn over(&mut self, bytes: &[u8], is_last: bool) -> Leapt {
        let mut at = 0;
        while let Some(block) = bytes[at..].first_chunk() {
            match self.block(block) {
                Leapt::Over(n) => return Leapt::Over(at + n),
                Leapt::On(n) => at += n,
                Leapt::Deep => return Leapt::Deep,
            }
        }
        if !is_last || at == bytes.len() {
            return Leapt::On(at);
        }
        let mut block = [b' '; 64];
        block[..bytes.len() - at].copy_from_slice(&bytes[at..]);
        match self.block(&block) {
            Leapt::Over(n) => Leapt::Over(at + n),
            Leapt::On(_) => Leapt::On(bytes.len()),
            Leapt::Deep => Leapt::Deep,
        }
    }

    fn block(&mut self, block: &[u8; 64]) -> Leapt {
        let Brackets { open, close } = self.brackets(block);
        let (opened, closed) = (open.count_ones() as usize, close.count_ones() as usize);
        if self.depth > closed && self.depth + opened <= self.most {
            self.depth = self.depth + opened - closed;
            return Leapt::On(64);
        }
        // It may end here, or grow too deep: one bracket after the other.
        let mut brackets = open | close;
        while brackets != 0 {
            let at = brackets.trailing_zeros();
            brackets &= brackets - 1;
            if open >> at & 1 == 1 {
                self.depth += 1;
                if self.depth > self.most {
                    return Leapt::Deep;
                }
            } else {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    return Leapt::Over(at as usize + 1);
                }
            }
        }
        Leapt::On(64)
    }

    /// The brackets that do not stand in a text.
    fn brackets(&mut self, block: &[u8; 64]) -> Brackets {
        let (mut quotes, mut backslashes) = (0, 0);
        let (mut open, mut close) = (0, 0);
        for (n, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u8x16::new(*bytes);
            // With this bit the two kinds of brackets are one.
            let either = bytes | u8x16::splat(0x20);
            let bits = |of: u8x16, byte: u8| u64::from(of.simd_eq(u8x16::splat(byte)).to_bitmask()) << (16 * n);
            quotes |= bits(bytes, b'"');
            backslashes |= bits(bytes, b'\\');
            open |= bits(either, b'{');
            close |= bits(either, b'}');
        }
        quotes &= !self.escapes(backslashes);
        // Each bit becomes the parity of the quotes up to it: one inside a text.
        let mut in_text = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            in_text ^= in_text << shift;
        }
        in_text ^= self.in_text;
        self.in_text = if in_text >> 63 == 1 { u64::MAX } else { 0 };
        Brackets {
            open: open & !in_text,
            close: close & !in_text,
        }
    }

    /// The bytes whose meaning a backslash before them takes.
    fn escapes(&mut self, mut backslashes: u64) -> u64 {
        let mut escaped = u64::from(std::mem::take(&mut self.escaped));
        backslashes &= !escaped;
        while backslashes != 0 {
            let at = backslashes.trailing_zeros();
            if at == 63 {
                self.escaped = true;
                break;
            }
            escaped |= 2 << at;
            backslashes &= !(3 << at);
        }
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte after byte.
    fn plain(bytes: &[u8], most: usize) -> Leapt {
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        for (at, byte) in bytes.iter().enumerate() {
            if std::mem::take(&mut escaped) && matches!(byte, b'"' | b'\\') {
                continue;
            }
            match byte {
                b'\\' => escaped = true,
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => {
                    depth += 1;
                    if depth > most {
                        return Leapt::Deep;
                    }
                }
                b'}' | b']' if !in_text => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Leapt::Over(at + 1);
                    }
                }
                _ => {}
            }
        }
        Leapt::On(bytes.len())
    }

    proptest! {
        #[test]
        fn it_goes_where_a_plain_walk_goes(
            bytes in prop::collection::vec(prop_oneof![
                4 => Just(b'a'), 2 => Just(b'"'), 1 => Just(b'\\'), 1 => Just(b'{'), 1 => Just(b'}'), 1 => Just(b'['), 1 => Just(b']'), 1 => any::<u8>(),
            ], 0..400),
            most in 1..12_usize,
            cut in 0..400_usize,
        ) {
            let bytes = [b"{".as_slice(), &bytes].concat();
            prop_assert_eq!(Leap::new(most).over(&bytes, true), plain(&bytes, most));
            // In two goes, of which the first may leave a rest.
            let cut = cut.min(bytes.len());
            let mut leap = Leap::new(most);
            let twice = match leap.over(&bytes[..cut], false) {
                Leapt::On(n) => match leap.over(&bytes[n..], true) {
                    Leapt::Over(more) => Leapt::Over(n + more),
                    Leapt::On(more) => Leapt::On(n + more),
                    Leapt::Deep => Leapt::Deep,
                },
                ended => ended,
            };
            prop_assert_eq!(twice, plain(&bytes, most));
        }
    }
}
