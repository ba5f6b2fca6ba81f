//! A cursor over JSON that is held: it gives keys and values in order and builds nothing.

use super::scan::end_of_plain;
use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;

/// Why a value could not be taken. It is one byte, so that what is taken travels in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end inside it.
    End,
    /// It is nested deeper than is read.
    Deep,
    /// No object where one should be.
    Object,
    /// No key in quotes where one should be.
    Key,
    /// No colon behind a key.
    Colon,
    /// Neither a comma nor the end of the object.
    EndOfObject,
    /// No list where one should be.
    List,
    /// Neither a comma nor the end of the list.
    EndOfList,
    /// No value where one should be.
    Value,
    /// No text where one should be.
    Text,
    /// No whole number where one should be.
    Whole,
    /// No number where one should be.
    Number,
    /// A control character in a text.
    Control,
    /// An escape that JSON does not know.
    Escape,
    /// Half of a pair of escapes.
    Pair,
    /// A damaged escape.
    Hex,
    /// A text that is not UTF-8.
    Encoding,
}

impl Fault {
    /// What is wrong, for people.
    const fn what(self) -> &'static str {
        match self {
            Self::End => "the file ends inside a value",
            Self::Deep => "nested too deep",
            Self::Object => "an object should be here",
            Self::Key => "a key in quotes should be here",
            Self::Colon => "':' should be here",
            Self::EndOfObject => "',' or '}' should be here",
            Self::List => "a list should be here",
            Self::EndOfList => "',' or ']' should be here",
            Self::Value => "a value should be here",
            Self::Text => "a text should be here",
            Self::Whole => "a whole number should be here",
            Self::Control => "a control character stands in a text",
            Self::Escape => "an unknown escape stands in a text",
            Self::Pair => "half of a pair of escapes stands in a text",
            Self::Hex => "a damaged escape stands in a text",
            Self::Number => "a number should be here",
            Self::Encoding => "a text is not UTF-8",
        }
    }
}

type Taken<T> = Result<T, Fault>;

/// A place in JSON text.
pub(crate) struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
    /// Where texts with escapes are made.
    arena: &'b Bump,
    /// How many containers may still be entered.
    depth: usize,
    /// Where the key of the present value stands, quotes and all.
    key: (usize, usize),
}

impl<'b> Cursor<'b> {
    pub(crate) const fn new(bytes: &'b [u8], depth: usize, arena: &'b Bump) -> Self {
        Self {
            bytes,
            at: 0,
            arena,
            depth,
            key: (0, 0),
        }
    }

    /// How many bytes were taken.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// The bytes that were taken from there on.
    pub(crate) fn since(&self, start: usize) -> &'b [u8] {
        &self.bytes[start..self.at]
    }

    /// What is wrong and under which key, for people.
    pub(crate) fn explain(&self, fault: Fault) -> String {
        match self.bytes.get(self.key.0..self.key.1).filter(|key| !key.is_empty()) {
            Some(key) => format!("{} under {}", fault.what(), String::from_utf8_lossy(key)),
            None => fault.what().to_owned(),
        }
    }

    /// The first byte of what comes next.
    #[inline]
    pub(crate) fn peek(&mut self) -> Taken<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Fault::End),
            }
        }
    }

    /// Goes through an object: the closure is given each key, as bytes, and must take its value.
    #[inline]
    pub(crate) fn object(&mut self, mut each: impl FnMut(&mut Self, &'b [u8]) -> Taken<()>) -> Taken<()> {
        if self.peek()? != b'{' {
            return Err(Fault::Object);
        }
        self.enter()?;
        if self.peek()? == b'}' {
            return self.leave();
        }
        loop {
            if self.peek()? != b'"' {
                return Err(Fault::Key);
            }
            let start = self.at;
            let key = self.bytes_of_text()?;
            self.key = (start, self.at);
            if self.peek()? != b':' {
                return Err(Fault::Colon);
            }
            self.at += 1;
            each(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => return self.leave(),
                _ => return Err(Fault::EndOfObject),
            }
        }
    }

    /// Goes through a list: the closure must take each element.
    #[inline]
    pub(crate) fn list(&mut self, mut each: impl FnMut(&mut Self) -> Taken<()>) -> Taken<()> {
        if self.peek()? != b'[' {
            return Err(Fault::List);
        }
        self.enter()?;
        if self.peek()? == b']' {
            return self.leave();
        }
        loop {
            each(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => return self.leave(),
                _ => return Err(Fault::EndOfList),
            }
        }
    }

    /// Goes through an object, or takes `null` for an empty one.
    #[inline]
    pub(crate) fn object_or_null(&mut self, each: impl FnMut(&mut Self, &'b [u8]) -> Taken<()>) -> Taken<()> {
        if self.null()? { Ok(()) } else { self.object(each) }
    }

    /// Goes through a list, or takes `null` for an empty one.
    #[inline]
    pub(crate) fn list_or_null(&mut self, each: impl FnMut(&mut Self) -> Taken<()>) -> Taken<()> {
        if self.null()? { Ok(()) } else { self.list(each) }
    }

    fn enter(&mut self) -> Taken<()> {
        self.at += 1;
        self.depth = self.depth.checked_sub(1).ok_or(Fault::Deep)?;
        Ok(())
    }

    fn leave(&mut self) -> Taken<()> {
        self.at += 1;
        self.depth += 1;
        Ok(())
    }

    /// Takes `null`, and says whether it stood there.
    #[inline]
    pub(crate) fn null(&mut self) -> Taken<bool> {
        if self.peek()? != b'n' {
            return Ok(false);
        }
        self.literal("null").map(|()| true)
    }

    fn literal(&mut self, word: &'static str) -> Taken<()> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else if word.as_bytes().starts_with(rest) {
            Err(Fault::End)
        } else {
            Err(Fault::Value)
        }
    }

    /// Takes a truth value.
    pub(crate) fn truth(&mut self) -> Taken<bool> {
        let is_true = self.peek()? == b't';
        self.literal(if is_true { "true" } else { "false" }).map(|()| is_true)
    }

    /// Takes a text; nothing for `null`.
    #[inline]
    pub(crate) fn text(&mut self) -> Taken<Option<&'b str>> {
        match self.peek()? {
            b'"' => self.quoted().map(Some),
            b'n' => self.literal("null").map(|()| None),
            _ => Err(Fault::Text),
        }
    }

    /// Takes a whole number; nothing for `null`.
    pub(crate) fn whole(&mut self) -> Taken<Option<i64>> {
        if self.null()? {
            return Ok(None);
        }
        let number = self.number()?;
        number.parse().map(Some).map_err(|_| Fault::Whole)
    }

    /// Passes over a value, checking it, and gives it as it is written.
    pub(crate) fn raw(&mut self) -> Taken<&'b str> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        text(&self.bytes[start..self.at])
    }

    /// Takes a string. Its first quote comes next.
    #[inline]
    pub(crate) fn quoted(&mut self) -> Taken<&'b str> {
        self.bytes_of_text().and_then(text)
    }

    /// Takes a string, which need not be UTF-8.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "its answer goes through memory else, for each key and text"
    )]
    fn bytes_of_text(&mut self) -> Taken<&'b [u8]> {
        let start = self.at + 1;
        let end = end_of_plain(self.bytes, start).ok_or(Fault::End)?;
        match self.bytes[end] {
            b'"' => {
                self.at = end + 1;
                Ok(&self.bytes[start..end])
            }
            b'\\' => self.escaped(start, end).map(str::as_bytes),
            _ => Err(Fault::Control),
        }
    }

    /// A string with escapes, of which the first stands at `at`.
    #[cold]
    fn escaped(&mut self, start: usize, mut at: usize) -> Taken<&'b str> {
        let mut out = ArenaString::with_capacity_in((at - start) * 2, self.arena);
        let mut plain = start;
        loop {
            out.push_str(text(&self.bytes[plain..at])?);
            match self.bytes[at] {
                b'"' => {
                    self.at = at + 1;
                    return Ok(out.into_bump_str());
                }
                b'\\' => {
                    self.at = at;
                    out.push(self.escape()?);
                    plain = self.at;
                }
                _ => return Err(Fault::Control),
            }
            at = end_of_plain(self.bytes, plain).ok_or(Fault::End)?;
        }
    }

    /// One escape; its backslash comes next.
    fn escape(&mut self) -> Taken<char> {
        let byte = *self.bytes.get(self.at + 1).ok_or(Fault::End)?;
        self.at += 2;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(Fault::Escape),
        })
    }

    fn unicode(&mut self) -> Taken<char> {
        let first = self.hex()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(Fault::Pair);
        }
        match self.bytes.get(self.at..self.at + 2) {
            Some(b"\\u") => self.at += 2,
            Some(_) => return Err(Fault::Pair),
            None => return Err(Fault::End),
        }
        let second = self.hex()?;
        if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
            return Err(Fault::Pair);
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(Fault::Pair)
    }

    fn hex(&mut self) -> Taken<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or(Fault::End)?;
        self.at += 4;
        digits.iter().try_fold(0, |number, digit| {
            let digit = char::from(*digit).to_digit(16);
            digit.map(|digit| number * 16 + digit).ok_or(Fault::Hex)
        })
    }

    /// Takes a number as it is written.
    pub(crate) fn number(&mut self) -> Taken<&'b str> {
        let first = self.peek()?;
        if first != b'-' && !first.is_ascii_digit() {
            return Err(Fault::Value);
        }
        let is_negative = first == b'-';
        let start = self.at;
        let mut at = start + usize::from(is_negative);
        let digits = |at: &mut usize| -> Taken<usize> {
            let from = *at;
            while self.bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            // A number that reaches the end of the bytes may go on.
            if *at == self.bytes.len() {
                Err(Fault::End)
            } else {
                Ok(*at - from)
            }
        };
        let leads_with_zero = self.bytes.get(at) == Some(&b'0');
        let whole = digits(&mut at)?;
        if whole == 0 || (leads_with_zero && whole > 1) {
            return Err(Fault::Number);
        }
        if self.bytes.get(at) == Some(&b'.') {
            at += 1;
            if digits(&mut at)? == 0 {
                return Err(Fault::Number);
            }
        }
        if matches!(self.bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(self.bytes.get(at), Some(b'+' | b'-')));
            if digits(&mut at)? == 0 {
                return Err(Fault::Number);
            }
        }
        self.at = at;
        text(&self.bytes[start..at])
    }

    /// Passes over a value, checking it; bytes in its texts need not be UTF-8.
    pub(crate) fn skip(&mut self) -> Taken<()> {
        match self.peek()? {
            b'"' => self.skip_text(),
            b'{' => self.skip_object(),
            b'[' => self.list(Self::skip),
            b'n' => self.literal("null"),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            _ => self.number().map(|_| ()),
        }
    }

    fn skip_object(&mut self) -> Taken<()> {
        self.enter()?;
        if self.peek()? == b'}' {
            return self.leave();
        }
        loop {
            if self.peek()? != b'"' {
                return Err(Fault::Key);
            }
            self.skip_text()?;
            if self.peek()? != b':' {
                return Err(Fault::Colon);
            }
            self.at += 1;
            self.skip()?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => return self.leave(),
                _ => return Err(Fault::EndOfObject),
            }
        }
    }

    #[inline]
    fn skip_text(&mut self) -> Taken<()> {
        let mut at = self.at + 1;
        loop {
            at = end_of_plain(self.bytes, at).ok_or(Fault::End)?;
            match self.bytes[at] {
                b'"' => {
                    self.at = at + 1;
                    return Ok(());
                }
                b'\\' => {
                    let byte = *self.bytes.get(at + 1).ok_or(Fault::End)?;
                    if !matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') {
                        return Err(Fault::Escape);
                    }
                    at += 2;
                }
                _ => return Err(Fault::Control),
            }
        }
    }
}

/// Bytes as text.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Taken<&str> {
    std::str::from_utf8(bytes).map_err(|_| Fault::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn value(cursor: &mut Cursor<'_>) -> Taken<Value> {
        Ok(match cursor.peek()? {
            b'"' => Value::String(cursor.quoted()?.to_owned()),
            b'{' => {
                let mut map = serde_json::Map::new();
                cursor.object(|c, key| {
                    map.insert(text(key)?.to_owned(), value(c)?);
                    Ok(())
                })?;
                Value::Object(map)
            }
            b'[' => {
                let mut all = Vec::new();
                cursor.list(|c| {
                    all.push(value(c)?);
                    Ok(())
                })?;
                Value::Array(all)
            }
            b'n' if cursor.null()? => Value::Null,
            b't' | b'f' => Value::Bool(cursor.truth()?),
            _ => {
                let text = cursor.number()?;
                // The library refuses what is past its floats.
                let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
                let float = float.ok_or(Fault::Number)?;
                text.parse::<i64>().map_or_else(|_| Value::from(float), Value::from)
            }
        })
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            any::<String>().prop_map(Value::String),
            "[a-z]{0,20}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|all| Value::Object(all.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_gives_what_was_written(all in prop::collection::vec(json(), 1..4), pretty in any::<bool>()) {
            let written = if pretty { serde_json::to_vec_pretty(&all) } else { serde_json::to_vec(&all) }.unwrap_or_default();
            let arena = Bump::new();
            let mut cursor = Cursor::new(&written, 64, &arena);
            prop_assert_eq!(value(&mut cursor), Ok(Value::Array(all)));
            prop_assert_eq!(cursor.at(), written.len());
            let mut cursor = Cursor::new(&written, 64, &arena);
            prop_assert_eq!(cursor.skip(), Ok(()));
            prop_assert_eq!(cursor.at(), written.len());
            for end in 0..written.len() {
                prop_assert_eq!(Cursor::new(&written[..end], 64, &arena).skip(), Err(Fault::End));
            }
        }

        #[test]
        fn it_refuses_what_the_library_refuses(value_of in json(), edits in prop::collection::vec((0..400_usize, prop_oneof![Just(b','), Just(b'}'), Just(b']'), Just(b'"'), Just(b'0'), Just(b'.'), Just(b'\\'), Just(b'\n'), any::<u8>()]), 1..4)) {
            let mut written = serde_json::to_vec(&Value::Array(vec![value_of])).unwrap_or_default();
            for (at, byte) in edits {
                let at = at % written.len();
                written[at] = byte;
            }
            prop_assume!(std::str::from_utf8(&written).is_ok() && written.first() == Some(&b'['));
            let known = serde_json::from_slice::<Value>(&written).is_ok();
            let arena = Bump::new();
            let mut cursor = Cursor::new(&written, 64, &arena);
            let ours = value(&mut cursor).is_ok() && written[cursor.at()..].iter().all(u8::is_ascii_whitespace);
            prop_assert_eq!(ours, known);
        }
    }
}
