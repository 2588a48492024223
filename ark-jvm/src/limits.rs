//! Bounds of what a package may ask of the process that opens it.

/// Bounds of one package: its outer jar and, in sum, the jars inside.
///
/// The defaults stand far above what 1,052 jars of a developer's machine and fat jars of 70 MB with 37,000 entries
/// need, and far below what would hurt a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries, directories included. Each costs 20 to 40 bytes in an index. Default 500,000.
    pub entries: u32,
    /// Jars inside the outer one. Default 4,096.
    pub jars: u16,
    /// Declared size of all entries together, in bytes. Default 4 GiB. A stored jar counts twice: as an entry, and by its entries.
    pub total_bytes: u64,
    /// Declared size of one entry, in bytes. Default 512 MiB. It is at most what one call of `bytes` allocates.
    pub entry_bytes: u32,
    /// How many times larger than its compressed form an entry may be. Default 200; class files reach 5, text reaches 40,
    /// the format allows 1,032.
    pub ratio: u32,
    /// Entries up to this size, in bytes, may have any ratio: a small file of zeros is no bomb. Default 1 MiB.
    pub ratio_free_bytes: u32,
    /// Jars that are compressed inside the outer one are unpacked into memory: their sizes together, in bytes. Default 256 MiB.
    pub unpacked_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 500_000,
            jars: 4_096,
            total_bytes: 4 << 30,
            entry_bytes: 512 << 20,
            ratio: 200,
            ratio_free_bytes: 1 << 20,
            unpacked_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// What is left for the jars that follow one with `entries` entries of `bytes` bytes.
    #[must_use]
    pub(crate) fn after(self, entries: u32, bytes: u64) -> Self {
        Self { entries: self.entries.saturating_sub(entries), total_bytes: self.total_bytes.saturating_sub(bytes), ..self }
    }
}
