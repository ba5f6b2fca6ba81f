//! A declarative format made of any text, read over any bytes: it is refused, or it reads without a panic.
#![no_main]

use affiant_ingest::{Bytes, Counter, Declared, Format, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, Vec<u8>)| {
    let (spec, bytes) = input;
    if let Ok(declared) = Declared::parse(&spec) {
        let mut counter = Counter::new();
        let _ = Format::from(declared).read(&Bytes(&bytes), &Limits::default(), &mut counter);
    }
});
