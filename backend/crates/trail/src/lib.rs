//! The trail: a transparency log of everything that happened. Pure: canonical entries, hashes, proofs, checkpoints and verification;
//! where entries are kept is somebody else's.
//!
//! - [`Entry`] is the skeleton that a leaf commits to, canonical by RFC 8785;
//! - [`Frontier`] appends leaves to a tree of RFC 6962 and knows its root; [`proof`] gives proofs of inclusion and consistency;
//! - [`SigningKey`] signs a [`Head`] as a checkpoint (C2SP `signed-note` and `tlog-checkpoint`); [`PublicKey`] checks it;
//! - [`Witness`] checks what others signed of a checkpoint (C2SP `tlog-cosignature`);
//! - [`Told`] is who is told a trail whole, in order: [`Writer`] writes a file of it, [`Verifier`] checks it. [`verify()`] checks such a file
//!   in flat memory, without anything else at hand.
//!
//! `docs/TRAIL.md` describes the format for who writes a verifier of their own.

mod beside;
mod checkpoint;
mod entry;
mod export;
mod payload;
mod places;
pub mod proof;
mod tree;
mod verify;
mod witness;

pub use beside::{Beside, Named, micros};
pub use checkpoint::{Head, PublicKey, SigningKey, note, signed_by};
pub use entry::{Entry, LONGEST, Malformed, ROTATED, leaf_hash};
pub use export::{Shown, Told, Writer};
pub use payload::{Payload, open, seal};
pub use places::ranges;
pub use tlog_tiles::Hash;
pub use tree::{Frontier, Node, tile_path};
pub use verify::{Fault, Trusted, Verified, Verifier, verify};
pub use witness::{Witness, question};
