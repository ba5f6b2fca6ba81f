//! The report as a document that an auditor hands on.

mod chart;
mod layout;
mod sections;

use crate::{RenderError, Report};
use layout::Layout;
use printpdf::PdfSaveOptions;

pub(crate) fn render(report: &Report) -> Result<Vec<u8>, RenderError> {
    let title = format!("{} period report: {}", report.framework_title, report.subject);
    let footer = format!("{title} · {} to {}", day(report.reporting_period.start), day(report.reporting_period.end));
    let mut layout = Layout::new(&title, &footer).ok_or(RenderError::Font)?;
    sections::cover(&mut layout, report);
    sections::summary(&mut layout, report);
    sections::requirements(&mut layout, report);
    sections::changes(&mut layout, report);
    sections::findings(&mut layout, report);
    sections::events(&mut layout, report);
    sections::method(&mut layout, report);
    Ok(layout.finish(report.generated_at, &PdfSaveOptions { subset_fonts: false, ..PdfSaveOptions::default() }))
}

fn day(at: affiant_domain::Instant) -> String {
    at.format("%Y-%m-%d").to_string()
}
