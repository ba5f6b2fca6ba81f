//! How numbers are shown.

use affiant_domain::score::per_cent;

/// Something that may be a share of one.
pub(crate) trait Share {
    fn share(&self) -> Option<f64>;
}

impl Share for f64 {
    fn share(&self) -> Option<f64> {
        Some(*self)
    }
}

impl<T: Share> Share for Option<T> {
    fn share(&self) -> Option<f64> {
        self.as_ref().and_then(Share::share)
    }
}

impl<T: Share + ?Sized> Share for &T {
    fn share(&self) -> Option<f64> {
        (**self).share()
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{} %", per_cent(value)))
}

/// `83.1 %`, or a dash.
#[askama::filter_fn]
pub(crate) fn percent<T: Share>(value: T, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(shown(value.share()))
}

/// `83.1 %`.
#[askama::filter_fn]
pub(crate) fn share<T: Share>(value: T, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(shown(value.share()))
}

/// Percentage points with a sign.
#[askama::filter_fn]
pub(crate) fn signed<T: Share>(value: T, _: &dyn askama::Values) -> askama::Result<String> {
    let value = value.share().unwrap_or(0.0);
    Ok(format!(
        "{}{:.1} points",
        if value < 0.0 { "−" } else { "+" },
        (value * 100.0).abs()
    ))
}

/// A gain in percentage points, with two decimals.
#[askama::filter_fn]
pub(crate) fn gain<T: Share>(value: T, _: &dyn askama::Values) -> askama::Result<String> {
    Ok(format!("+{:.2}", value.share().unwrap_or(0.0) * 100.0))
}

/// A share as a length.
#[askama::filter_fn]
pub(crate) fn scale<T: Share>(value: T, _: &dyn askama::Values, width: i32) -> askama::Result<String> {
    Ok(format!("{:.1}", value.share().unwrap_or(0.0) * f64::from(width)))
}

/// A share as the left edge of a mark three wide.
#[askama::filter_fn]
pub(crate) fn mark<T: Share>(value: T, _: &dyn askama::Values, width: i32) -> askama::Result<String> {
    Ok(format!(
        "{:.1}",
        (value.share().unwrap_or(0.0) * f64::from(width) - 1.5).clamp(0.0, f64::from(width) - 3.0)
    ))
}
