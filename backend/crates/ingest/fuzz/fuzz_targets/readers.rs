//! Every reader over any bytes: the first byte picks the reader, the second the size of chunks. The reader must answer; what it counts must
//! not depend on the chunks.
#![no_main]

use affiant_ingest::{Bytes, Counter, Formats, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [reader, chunk, bytes @ ..] = input else { return };
    let formats = Formats::built_in();
    let all = formats.iter().count();
    let Some(format) = formats.iter().nth(usize::from(*reader) % all) else { return };
    let read = |chunk: usize| {
        let limits = Limits { chunk, ..Limits::default() };
        let mut counter = Counter::new();
        let outcome = format.read(&Bytes(bytes), &limits, &mut counter);
        (outcome.is_ok(), counter.findings, counter.open, counter.passed, counter.events, counter.rejected.len())
    };
    let whole = read(1 << 18);
    if whole.0 {
        assert_eq!(read(usize::from(*chunk) + 1), whole, "{}", format.name);
    }
});
