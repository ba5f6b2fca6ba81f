//! How a score is shown.

/// Per cent to one decimal, half to even; 100.0 only for exactly 1.
#[must_use]
pub fn per_cent(score: f64) -> String {
    let shown = format!("{:.1}", score * 100.0);
    if shown == "100.0" && score < 1.0 {
        "99.9".to_owned()
    } else {
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::per_cent;

    #[test]
    fn a_hundred_is_shown_only_for_one() {
        assert_eq!(per_cent(1.0), "100.0");
        assert_eq!(per_cent(0.999_999), "99.9");
        assert_eq!(per_cent(0.0), "0.0");
        assert_eq!(per_cent(0.693_25), "69.3");
    }

    #[test]
    fn halves_go_to_even() {
        assert_eq!(per_cent(0.0025), "0.2");
        assert_eq!(per_cent(0.0075), "0.8");
    }
}
