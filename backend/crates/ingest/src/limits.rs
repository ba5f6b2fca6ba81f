//! What a file may cost.

/// Bounds on one file. Every one is named in the error that it gives.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes after inflating.
    pub inflated: u64,
    /// How many bytes one compressed byte may become, past the first 32 MiB.
    pub expansion: u64,
    /// Bytes of one record.
    pub record: usize,
    /// Nesting of JSON.
    pub depth: usize,
    /// Records in one file.
    pub records: u64,
    /// Records that are rejected one by one; past this the file is refused.
    pub rejected: u64,
    /// Bytes that are read at once.
    pub chunk: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inflated: 8 << 30,
            expansion: 200,
            record: 16 << 20,
            depth: 120,
            records: 20_000_000,
            rejected: 100_000,
            chunk: 256 << 10,
        }
    }
}
