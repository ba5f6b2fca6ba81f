//! Log files: one record a line. Good lines are kept, bad ones reported by number.

use crate::source::{inflated, io_error};
use crate::{Limits, ReadError, Rejection, Sink, Source};
use affiant_domain::observation::Place;
use std::io::Read;

/// Gives each line that is not blank to the closure; what it refuses is rejected by number.
pub(crate) fn each_line(
    source: &dyn Source,
    limits: &Limits,
    sink: &mut dyn Sink,
    mut each: impl FnMut(&[u8], Place, &mut dyn Sink) -> Result<Result<(), String>, ReadError>,
) -> Result<(), ReadError> {
    let mut reader = inflated(source, limits)?;
    let mut buffer: Vec<u8> = Vec::new();
    let (mut start, mut line, mut base, mut rejected) = (0_usize, 0_u64, 0_u64, 0_u64);
    let mut ended = false;
    let chunk = limits.chunk.max(1);
    while !ended {
        buffer.drain(..start);
        base += start as u64;
        start = 0;
        let have = buffer.len();
        buffer.resize(have + chunk, 0);
        let mut n = 0;
        while n < chunk && !ended {
            let got = reader.read(&mut buffer[have + n..]).map_err(|e| io_error(&e))?;
            ended = got == 0;
            n += got;
        }
        buffer.truncate(have + n);
        if buffer.len() - start > limits.record && memchr::memchr(b'\n', &buffer).is_none() {
            return Err(ReadError::Limit {
                line: line + 1,
                what: format!("a line is longer than {} bytes", limits.record),
            });
        }
        loop {
            let end = memchr::memchr(b'\n', &buffer[start..]).map(|n| start + n);
            let stop = match end {
                Some(end) => end,
                None if ended && start < buffer.len() => buffer.len(),
                None => break,
            };
            line += 1;
            let text = buffer[start..stop].trim_ascii();
            let place = Place {
                offset: base + start as u64,
                length: u32::try_from(text.len()).unwrap_or(u32::MAX),
                line,
            };
            if !text.is_empty()
                && let Err(why) = each(text, place, sink)?
            {
                let last = end.is_none();
                let why = if last {
                    format!("{why} (the last line has no end: it may still be written to)")
                } else {
                    why
                };
                sink.reject(Rejection {
                    at: format!("line {line}"),
                    why,
                })?;
                rejected += 1;
                if rejected > limits.rejected {
                    return Err(ReadError::Limit {
                        line,
                        what: format!("more than {} records are rejected", limits.rejected),
                    });
                }
            }
            start = (stop + 1).min(buffer.len());
        }
    }
    Ok(())
}
