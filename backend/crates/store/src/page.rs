//! Pages of lists, by keyset.

use uuid::Uuid;

/// Where a page begins: after this position in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The value that the list is ordered by.
    pub sort: i64,
    /// The row, where several have that value.
    pub id: Uuid,
}

impl Cursor {
    /// As text for a link.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{:x}.{}", self.sort, self.id.simple())
    }

    /// From such a text.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let (sort, id) = text.split_once('.')?;
        let sort = u64::from_str_radix(sort, 16).ok()?;
        Some(Self {
            sort: sort.cast_signed(),
            id: Uuid::parse_str(id).ok()?,
        })
    }
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page begins; none on the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of at most `limit` from one row more.
    pub(crate) fn cut(mut items: Vec<T>, limit: u64, at: impl Fn(&T) -> Cursor) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let next = if items.len() > limit {
            items.truncate(limit);
            items.last().map(at)
        } else {
            None
        };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_nonsense_is_refused() {
        let cursor = Cursor {
            sort: -7,
            id: Uuid::from_u128(9),
        };
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        assert_eq!(Cursor::decode("x.y"), None);
        assert_eq!(Cursor::decode(""), None);
    }
}
