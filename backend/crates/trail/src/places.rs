//! Places in the trail, as entries name them that tell of other entries: `3-7,9`.

/// Bits by place: a few million take a few hundred kilobytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<u64>);

impl Places {
    /// Takes a place in.
    pub(crate) fn insert(&mut self, place: u64) {
        let (word, bit) = (usize::try_from(place / 64).unwrap_or(usize::MAX), place % 64);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    /// The first place that is here and not in another set.
    pub(crate) fn first_not_in(&self, other: &Self) -> Option<u64> {
        self.0.iter().enumerate().find_map(|(word, bits)| {
            let left = bits & !other.0.get(word).copied().unwrap_or(0);
            (left != 0).then(|| word as u64 * 64 + u64::from(left.trailing_zeros()))
        })
    }
}

/// Places in order as ranges.
#[must_use]
pub fn ranges(places: &[i64]) -> String {
    let mut out: Vec<(i64, i64)> = Vec::new();
    for place in places {
        match out.last_mut() {
            Some((_, last)) if *last + 1 == *place => *last = *place,
            _ => out.push((*place, *place)),
        }
    }
    let one = |(from, until): &(i64, i64)| {
        if from == until {
            from.to_string()
        } else {
            format!("{from}-{until}")
        }
    };
    out.iter().map(one).collect::<Vec<_>>().join(",")
}

/// The places that ranges name, below a size; none where they are no ranges.
pub(crate) fn places(text: &str, below: u64) -> Option<Vec<u64>> {
    let mut out = Vec::new();
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let (from, until) = range.split_once('-').unwrap_or((range, range));
        let (from, until): (u64, u64) = (from.parse().ok()?, until.parse().ok()?);
        out.extend(from..until.saturating_add(1).min(below));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        let text = ranges(&[3, 4, 5, 6, 7, 9, 64, 65]);
        assert_eq!(text, "3-7,9,64-65");
        assert_eq!(places(&text, 1000), Some(vec![3, 4, 5, 6, 7, 9, 64, 65]));
        assert_eq!(places("0-18446744073709551615", 3), Some(vec![0, 1, 2]));
        assert_eq!(places("x", 3), None);
        assert_eq!(places("", 3), Some(vec![]));
    }

    #[test]
    fn what_no_range_names_is_found() {
        let (mut gone, mut named) = (Places::default(), Places::default());
        for place in [3, 200, 70] {
            gone.insert(place);
        }
        named.insert(3);
        assert_eq!(gone.first_not_in(&named), Some(70));
        named.insert(70);
        named.insert(200);
        assert_eq!(gone.first_not_in(&named), None);
    }
}
