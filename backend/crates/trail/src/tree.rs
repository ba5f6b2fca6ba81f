//! The tree of RFC 6962 as it grows: what is needed of it to append and to know its root.

use tlog_tiles::{EMPTY_HASH, Hash, node_hash};

/// A node that became whole and is the first hash of a tile: levels are counted in tiles, eight levels of the tree each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Level of the tile in which it stands: 1 for the root of 256 leaves.
    pub level: u8,
    /// Its place at that level, from 0.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// The roots of the perfect trees of which a tree consists, from the largest: one for each bit of its size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; hands over each node that becomes whole and stands in a tile above the lowest.
    pub fn append(&mut self, leaf: Hash, whole: &mut impl FnMut(Node)) {
        let (mut hash, mut level) = (leaf, 0_u8);
        let mut rest = self.size;
        while rest & 1 == 1 {
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(left, hash);
            level += 1;
            rest >>= 1;
            if level.is_multiple_of(8) {
                whole(Node {
                    level: level / 8,
                    index: rest,
                    hash,
                });
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut from_the_right = self.hashes.iter().rev().copied();
        let Some(last) = from_the_right.next() else {
            return EMPTY_HASH;
        };
        from_the_right.fold(last, |right, left| node_hash(left, right))
    }

    /// As bytes: the size, then the hashes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        self.hashes.iter().for_each(|hash| bytes.extend(hash.0));
        bytes
    }

    /// Reads those bytes; none where they are damaged.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let size = u64::from_be_bytes(*size);
        let (hashes, odd) = rest.as_chunks::<32>();
        let fits = odd.is_empty() && hashes.len() == size.count_ones() as usize;
        fits.then(|| Self {
            size,
            hashes: hashes.iter().map(|hash| Hash(*hash)).collect(),
        })
    }
}

/// The path of a tile, as C2SP `tlog-tiles` writes it: `tile/0/x001/234` or `tile/0/000.p/7` for one of seven hashes.
#[must_use]
pub fn tile_path(level: &str, index: u64, width: u16) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    let part = if width == 256 {
        String::new()
    } else {
        format!(".p/{width}")
    };
    format!("tile/{level}/{path}{part}")
}
