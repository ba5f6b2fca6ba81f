//! SARIF 2.1.0 (OASIS standard of that name): results of static analysers, and of most other scanners on request.

mod head;
mod result;

use crate::json::{Cursor, Direct, Fault, Walker};
use crate::record::{cut, one};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::observation::Place;
use bumpalo::Bump;
use head::Head;
use result::SarifResult;

pub(in crate::formats) fn recognise(sniff: &Sniff<'_>) -> bool {
    let Some(json) = sniff.json.as_ref().and_then(serde_json::Value::as_object) else {
        return false;
    };
    let schema = json
        .get("$schema")
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default();
    json.contains_key("runs") || schema.contains("sarif")
}

pub(in crate::formats) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut walker = Walker::open(source, limits)?;
    let mut reader = Reader {
        limits,
        rejected: 0,
        heads: None,
    };
    let (mut version, mut has_runs) = (None, false);
    walker.object(|w, key| match key {
        "version" => {
            let text = w.text()?.unwrap_or_default();
            if !text.starts_with("2.1") {
                return Err(w.broken(format!(
                    "SARIF version \"{}\" is not supported; 2.1.0 is",
                    cut(&text, 40)
                )));
            }
            sink.version(&text);
            version = Some(text);
            Ok(())
        }
        "runs" => {
            has_runs = true;
            w.array_or_null("runs", |w, at| reader.run(w, source, at, sink))
        }
        _ => w.skip(),
    })?;
    if version.is_none() {
        return Err(walker.broken("there is no SARIF version; 2.1.0 is supported"));
    }
    if !has_runs {
        return Err(walker.broken("there is no \"runs\""));
    }
    walker.finish()
}

/// A run whose results are null or not there, where a tool that looked and found nothing gives an empty list (3.14.23).
const UNLOOKED: &str = "a run of the file has no results: the tool did not look";

struct Reader<'l> {
    limits: &'l Limits,
    rejected: u64,
    /// What stands outside the results, of all runs: read only where a run's results come before its tool.
    heads: Option<Vec<Head>>,
}

impl Reader<'_> {
    fn run(
        &mut self,
        walker: &mut Walker<'_>,
        source: &dyn Source,
        at: usize,
        sink: &mut dyn Sink,
    ) -> Result<(), ReadError> {
        let mut head = Head::default();
        let mut announced = false;
        walker.object(|w, key| {
            if key != "results" {
                return head.take(w, key);
            }
            if !head.has_tool {
                head = self.head(source, at)?;
            }
            head.announce(sink);
            announced = true;
            if w.is_null()? {
                sink.partial(UNLOOKED.to_owned());
            }
            w.array_or_null("results", |w, _| {
                let taken = w.direct(&mut |bytes, arena, place| {
                    let mut cursor = Cursor::new(bytes, self.limits.depth, arena);
                    match SarifResult::take(&mut cursor) {
                        Ok(result) => {
                            let used = cursor.at();
                            let length = u32::try_from(used).unwrap_or(u32::MAX);
                            head.give(&result, Place { length, ..place }, sink)?;
                            Ok(Direct::Used(used))
                        }
                        Err(Fault::End) => Ok(Direct::More),
                        Err(_) => Ok(Direct::Unlike),
                    }
                })?;
                if taken {
                    return Ok(());
                }
                one(w, self.limits, sink, &mut self.rejected, &mut |bytes, place, sink| {
                    if bytes == b"null" {
                        return Ok(Ok(()));
                    }
                    let arena = Bump::new();
                    let mut cursor = Cursor::new(bytes, self.limits.depth, &arena);
                    match SarifResult::take(&mut cursor) {
                        Ok(result) => head.give(&result, place, sink).map(Ok),
                        Err(fault) => Ok(Err(format!("not a SARIF result: {}", cursor.explain(fault)))),
                    }
                })
            })
        })?;
        if !announced {
            head.announce(sink);
            sink.partial(UNLOOKED.to_owned());
        }
        if head.failed {
            sink.partial("the tool says that a run did not end well".to_owned());
        }
        Ok(())
    }

    fn head(&mut self, source: &dyn Source, at: usize) -> Result<Head, ReadError> {
        if self.heads.is_none() {
            self.heads = Some(heads(source, self.limits)?);
        }
        Ok(self
            .heads
            .as_mut()
            .and_then(|all| all.get_mut(at))
            .map(std::mem::take)
            .unwrap_or_default())
    }
}

fn heads(source: &dyn Source, limits: &Limits) -> Result<Vec<Head>, ReadError> {
    let mut walker = Walker::open(source, limits)?;
    let mut heads = Vec::new();
    walker.object(|w, key| {
        if key != "runs" {
            return w.skip();
        }
        w.array_or_null("runs", |w, _| {
            let mut head = Head::default();
            w.object(|w, key| head.take(w, key))?;
            heads.push(head);
            Ok(())
        })
    })?;
    Ok(heads)
}
