//! One [`Report`] value, rendered as JSON, CSV and PDF. Pure: no clock, no file, no database.
//!
//! A new format is a file here and a row in [`FORMATS`]; routes, command line and API description follow from the row.

mod csv;
mod model;
mod pdf;

pub use csv::{TABLES, table};
pub use model::{
    Change, CoverageLost, EventLine, EventSection, FindingLine, FindingSection, Incident, Metric, Metrics, ProjectLine,
    Recommendation, Report, ReportingPeriod, RequirementLine, TrendPoint,
};

/// Why a report cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// JSON.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// CSV.
    #[error("CSV: {0}")]
    Csv(#[from] ::csv::Error),
    /// The embedded font.
    #[error("the embedded font cannot be read")]
    Font,
    /// A table that does not exist.
    #[error("unknown table \"{0}\"; known are {known}", known = TABLES.join(", "))]
    Table(String),
}

/// A way to render a report.
#[derive(Debug)]
pub struct Format {
    /// Name in addresses and on the command line.
    pub name: &'static str,
    /// Media type.
    pub media_type: &'static str,
    /// Renders; the second argument names the table of formats that hold one.
    pub render: fn(&Report, &str) -> Result<Vec<u8>, RenderError>,
}

/// Every format.
pub static FORMATS: [Format; 3] = [
    Format {
        name: "json",
        media_type: "application/json",
        render: |report, _| Ok(serde_json::to_vec_pretty(report)?),
    },
    Format {
        name: "csv",
        media_type: "text/csv; charset=utf-8",
        render: csv::render,
    },
    Format {
        name: "pdf",
        media_type: "application/pdf",
        render: |report, _| pdf::render(report),
    },
];

/// The format of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}
