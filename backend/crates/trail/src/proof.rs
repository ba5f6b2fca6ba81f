//! Proofs of inclusion and consistency, RFC 6962 sections 2.1.1 and 2.1.2. The mathematics is the library's; this asks first which hashes
//! are needed, so that a database can be read for them at once.

use std::cell::RefCell;
use std::collections::HashMap;
use tlog_tiles::tlog::{
    Error, HashReader, check_record, check_tree, prove_record, prove_tree, split_stored_hash_index, stored_hash_index,
};
use tlog_tiles::{Hash, node_hash};

/// A node of the tree: its level, 0 for leaves, and its place at that level.
pub type At = (u8, u64);

/// Which proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// That a tree of `size` leaves holds leaf `index`.
    Inclusion {
        /// Leaves of the tree.
        size: u64,
        /// The leaf.
        index: u64,
    },
    /// That a tree of `size` leaves begins with one of `old` leaves.
    Consistency {
        /// Leaves of the newer tree.
        size: u64,
        /// Leaves of the older one.
        old: u64,
    },
}

struct Wishes(RefCell<Vec<At>>);

impl HashReader for Wishes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        self.0
            .borrow_mut()
            .extend(indexes.iter().map(|index| split_stored_hash_index(*index)));
        Ok(vec![Hash::default(); indexes.len()])
    }
}

struct Known<'k>(&'k HashMap<At, Hash>);

impl HashReader for Known<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        let of = |index: &u64| self.0.get(&split_stored_hash_index(*index)).copied();
        let all: Option<Vec<Hash>> = indexes.iter().map(of).collect();
        all.ok_or_else(|| Error::InvalidInput("a hash is missing".to_owned()))
    }
}

impl Claim {
    fn prove(self, reader: &impl HashReader) -> Option<Vec<Hash>> {
        match self {
            Self::Inclusion { size, index } => prove_record(size, index, reader).ok(),
            Self::Consistency { size, old } => prove_tree(size, old, reader).ok(),
        }
    }

    /// The nodes that its proof is made of; none where there can be no such proof.
    #[must_use]
    pub fn needs(self) -> Option<Vec<At>> {
        let wishes = Wishes(RefCell::default());
        self.prove(&wishes)?;
        Some(wishes.0.into_inner())
    }

    /// The proof, from the nodes that it needs.
    #[must_use]
    pub fn proof(self, nodes: &HashMap<At, Hash>) -> Option<Vec<Hash>> {
        self.prove(&Known(nodes))
    }

    /// Whether a proof shows it: `root` is the root of the tree, `other` the leaf's hash or the older root.
    #[must_use]
    pub fn holds(self, proof: &[Hash], root: Hash, other: Hash) -> bool {
        let proof = proof.to_vec();
        match self {
            Self::Inclusion { size, index } => check_record(&proof, size, root, index, other).is_ok(),
            Self::Consistency { size, old } => check_tree(&proof, size, root, old, other).is_ok(),
        }
    }
}

/// The root of a perfect tree over hashes of one level; there are as many as a power of two.
#[must_use]
pub fn fold(mut hashes: Vec<Hash>) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    while hashes.len() > 1 {
        hashes = hashes.chunks_exact(2).map(|pair| node_hash(pair[0], pair[1])).collect();
    }
    hashes.pop()
}

/// The place of a node in a list of all of them, as the library counts.
#[must_use]
pub fn position((level, index): At) -> u64 {
    stored_hash_index(level, index)
}
