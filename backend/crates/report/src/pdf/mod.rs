//! The report as a document that an auditor hands on.

mod chart;
mod layout;
mod sections;

use crate::{RenderError, Report};
use layout::Layout;
use printpdf::PdfSaveOptions;

pub(crate) fn render(report: &Report) -> Result<Vec<u8>, RenderError> {
    let title = format!("{} period report: {}", report.framework_title, report.subject);
    let footer = format!(
        "{} · {} to {} · {}",
        report.subject,
        day(report.reporting_period.start),
        day(report.reporting_period.end),
        report.framework_title
    );
    let mut layout = Layout::new(&title, &footer).ok_or(RenderError::Font)?;
    sections::cover(&mut layout, report);
    sections::summary(&mut layout, report);
    sections::requirements(&mut layout, report);
    sections::changes(&mut layout, report);
    sections::findings(&mut layout, report);
    sections::events(&mut layout, report);
    sections::method(&mut layout, report);
    let options = PdfSaveOptions {
        subset_fonts: false,
        ..PdfSaveOptions::default()
    };
    let mut bytes = layout.finish(report.generated_at, &options);
    identify(&mut bytes, &report.evidence_digest);
    Ok(bytes)
}

/// Writes the digest of the evidence where the library draws two identifiers at random: equal reports are equal files.
fn identify(bytes: &mut [u8], digest: &str) {
    const LENGTH: usize = 32;
    let head = b"/ID[(";
    let Some(at) = bytes.windows(head.len()).rposition(|window| window == head) else {
        return;
    };
    let first = at + head.len();
    for (start, part) in [first, first + LENGTH + 2]
        .into_iter()
        .zip(digest.as_bytes().chunks_exact(LENGTH))
    {
        if let Some(place) = bytes.get_mut(start..start + LENGTH) {
            place.copy_from_slice(part);
        }
    }
}

fn day(at: affiant_domain::Instant) -> String {
    at.format("%Y-%m-%d").to_string()
}
