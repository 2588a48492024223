//! The central directory of a zip archive, checked once and then read in place.
//!
//! The format is APPNOTE.TXT 6.3.10 of PKWARE: sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.14 and
//! 4.3.15 (zip64), 4.3.16 (end of central directory), 4.5.3 (sizes beyond 32 bits).

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::{Limits, error::Fault};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
const LOCAL_LENGTH: usize = 30;
const CENTRAL_LENGTH: usize = 46;
const END_LENGTH: usize = 22;
const END_64_LENGTH: usize = 56;
const LOCATOR_64_LENGTH: usize = 20;
/// Flags 0 (encrypted), 6 (strong encryption) and 13 (masked headers), section 4.4.4.
const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;

/// Where the central directory of an archive lies, and what it adds up to. Every record in it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Directory {
    /// The first record, in bytes from the begin of the file.
    start: usize,
    /// Behind the last record.
    end: usize,
    /// The length of what stands in front of the zip data: a shell script, for a jar that is an executable file.
    prefix: usize,
    pub(crate) entries: u32,
    pub(crate) total_bytes: u64,
}

/// How an entry's bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Stored,
    Deflated,
}

/// One checked record of the central directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// Where the record begins, from the start of the directory. It finds the record again: see [`Directory::at`].
    pub(crate) at: u32,
    pub(crate) name: &'a str,
    pub(crate) method: Method,
    pub(crate) size: u32,
    pub(crate) compressed: u32,
    pub(crate) crc: u32,
    header: u64,
}

impl Directory {
    /// Finds and checks the central directory of the archive `bytes`. Reads no entry's data, so that a cold file costs
    /// the pages of its directory only.
    ///
    /// # Errors
    ///
    /// Every [`Fault`] but those of a local header and of damaged data, which show when an entry is read.
    pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Self, Fault> {
        let mut directory = locate(bytes, limits)?;
        let declared = directory.entries;
        let region = directory.region(bytes);
        // Names are looked up by their hash alone first, and the duplicates of one jar are what is asked for, nothing else.
        let hasher = DefaultHashBuilder::default();
        let mut seen: HashTable<(u64, u32)> = HashTable::with_capacity(declared as usize);
        let (mut at, mut entries) = (0_usize, 0_u32);
        while at < region.len() {
            let (record, next) = parse(region, at, limits)?;
            entries += 1;
            if entries > declared {
                return Err(Fault::Directory { what: "it has more entries than it declares" });
            }
            let data_end = (directory.prefix as u64)
                .saturating_add(record.header)
                .saturating_add((LOCAL_LENGTH + record.name.len()) as u64)
                .saturating_add(u64::from(record.compressed));
            if data_end > directory.start as u64 {
                return Err(Fault::OutsideOfFile { entry: record.name.to_owned() });
            }
            directory.total_bytes = directory.total_bytes.saturating_add(u64::from(record.size));
            if directory.total_bytes > limits.total_bytes {
                return Err(Fault::TotalTooLarge { limit: limits.total_bytes });
            }
            let hash = hasher.hash_one(record.name);
            let same = |&(other, at): &(u64, u32)| other == hash && name_at(region, at as usize) == Some(record.name.as_bytes());
            if seen.find(hash, same).is_some() {
                return Err(Fault::Duplicate { entry: record.name.to_owned() });
            }
            seen.insert_unique(hash, (hash, record.at), |&(hash, _)| hash);
            at = next;
        }
        if entries != declared {
            return Err(Fault::Directory { what: "it has fewer entries than it declares" });
        }
        Ok(directory)
    }

    /// All records, in the order of the directory. `bytes` must be those the directory was read from.
    pub(crate) fn records<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let region = self.region(bytes);
        let mut at = 0;
        std::iter::from_fn(move || {
            let (record, next) = parse_checked(region, at)?;
            at = next;
            Some(record)
        })
    }

    /// The record that begins `at` bytes into the directory.
    pub(crate) fn at<'a>(&self, bytes: &'a [u8], at: u32) -> Option<Record<'a>> {
        Some(parse_checked(self.region(bytes), at as usize)?.0)
    }

    /// `length` bytes of the name in the record `at` bytes into the directory, from its `skip`th byte on; nothing else of the
    /// record is looked at.
    pub(crate) fn name_part<'a>(&self, bytes: &'a [u8], at: u32, skip: u16, length: u16) -> &'a [u8] {
        let start = self.start + at as usize + CENTRAL_LENGTH + usize::from(skip);
        bytes.get(start..start + usize::from(length)).unwrap_or_default()
    }

    /// The bytes of `record` as the archive keeps them, and where they begin.
    ///
    /// # Errors
    ///
    /// When the local header does not match the record, or the data runs into the directory.
    pub(crate) fn data<'a>(&self, bytes: &'a [u8], record: &Record<'_>) -> Result<(usize, &'a [u8]), Fault> {
        let outside = || Fault::OutsideOfFile { entry: record.name.to_owned() };
        let mismatch = || Fault::LocalHeader { entry: record.name.to_owned() };
        let header = usize::try_from(record.header).ok().and_then(|header| header.checked_add(self.prefix)).ok_or_else(outside)?;
        if u32_at(bytes, header) != Some(LOCAL) {
            return Err(mismatch());
        }
        let (Some(method), Some(name), Some(extra)) = (u16_at(bytes, header + 8), u16_at(bytes, header + 26), u16_at(bytes, header + 28))
        else {
            return Err(outside());
        };
        let name_start = header + LOCAL_LENGTH;
        let name_end = name_start + usize::from(name);
        if method != record.method.number() || bytes.get(name_start..name_end) != Some(record.name.as_bytes()) {
            return Err(mismatch());
        }
        let start = name_end + usize::from(extra);
        let end = start.saturating_add(record.compressed as usize);
        if end > self.start {
            return Err(outside());
        }
        bytes.get(start..end).map(|data| (start, data)).ok_or_else(outside)
    }

    fn region<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

impl Method {
    fn of(number: u16) -> Option<Self> {
        match number {
            0 => Some(Self::Stored),
            8 => Some(Self::Deflated),
            _ => None,
        }
    }

    fn number(self) -> u16 {
        match self {
            Self::Stored => 0,
            Self::Deflated => 8,
        }
    }
}

/// Finds the directory from the end of the file.
fn locate(bytes: &[u8], limits: &Limits) -> Result<Directory, Fault> {
    let Some(end) = find_end(bytes) else {
        let length = bytes.len() as u64;
        // A prefixed jar begins like a script; whether a truncated one was a jar shows its first local header.
        let begun = u32_at(bytes, 0) == Some(LOCAL) || bytes.starts_with(b"#!") && contains_local_header(bytes);
        return Err(if begun { Fault::Truncated { bytes: length } } else { Fault::NotAnArchive { bytes: length } });
    };
    let damaged = |what| Fault::Directory { what };
    let short = || damaged("its end record is too short");
    let disks = (u16_at(bytes, end + 4).ok_or_else(short)?, u16_at(bytes, end + 6).ok_or_else(short)?);
    let here = u16_at(bytes, end + 8).ok_or_else(short)?;
    let entries = u16_at(bytes, end + 10).ok_or_else(short)?;
    let size = u32_at(bytes, end + 12).ok_or_else(short)?;
    let offset = u32_at(bytes, end + 16).ok_or_else(short)?;
    let locator = end.checked_sub(LOCATOR_64_LENGTH).filter(|&at| u32_at(bytes, at) == Some(LOCATOR_64));
    let (directory_end, entries, size, offset) = match locator {
        Some(locator) => {
            let record = find_end_64(bytes, locator).ok_or_else(|| damaged("its zip64 locator leads nowhere"))?;
            let field = |at: usize| u64_at(bytes, record + at).ok_or_else(|| damaged("its zip64 end record is too short"));
            if u32_at(bytes, record + 16) != Some(0) || u32_at(bytes, record + 20) != Some(0) || field(24)? != field(32)? {
                return Err(Fault::SeveralDisks);
            }
            (record, field(32)?, field(40)?, field(48)?)
        }
        None if disks != (0, 0) || here != entries => return Err(Fault::SeveralDisks),
        None => (end, u64::from(entries), u64::from(size), u64::from(offset)),
    };
    let entries =
        u32::try_from(entries).ok().filter(|&entries| entries <= limits.entries).ok_or(Fault::TooManyEntries { limit: limits.entries })?;
    let size = usize::try_from(size).ok().filter(|&size| u32::try_from(size).is_ok());
    let size = size.ok_or_else(|| damaged("it is larger than 4 GiB"))?;
    let start = directory_end.checked_sub(size).ok_or_else(|| damaged("it would begin before the file"))?;
    let prefix = usize::try_from(offset)
        .ok()
        .and_then(|offset| start.checked_sub(offset))
        .ok_or_else(|| damaged("it is not where its end record says"))?;
    // A fat jar that is cut off right behind a stored jar inside it ends with the directory of that jar, and all in front of
    // it looks like a prefix. But a start script has no entries.
    if contains_local_header(bytes.get(..prefix).unwrap_or_default()) {
        return Err(Fault::Truncated { bytes: bytes.len() as u64 });
    }
    if u64::from(entries) * CENTRAL_LENGTH as u64 > size as u64 {
        return Err(damaged("it is too small for the entries that it declares"));
    }
    Ok(Directory { start, end: directory_end, prefix, entries, total_bytes: 0 })
}

/// The last end record whose comment ends where the file ends.
fn find_end(bytes: &[u8]) -> Option<usize> {
    let last = bytes.len().checked_sub(END_LENGTH)?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    (first..=last).rev().find(|&at| {
        u32_at(bytes, at) == Some(END)
            && u16_at(bytes, at + 20).is_some_and(|comment| at + END_LENGTH + usize::from(comment) == bytes.len())
    })
}

/// The zip64 end record: where its locator says or, in a prefixed jar, in front of the locator.
fn find_end_64(bytes: &[u8], locator: usize) -> Option<usize> {
    let said = u64_at(bytes, locator + 8).and_then(|at| usize::try_from(at).ok());
    let before = locator.checked_sub(END_64_LENGTH);
    [said, before].into_iter().flatten().find(|&at| at < locator && u32_at(bytes, at) == Some(END_64))
}

fn contains_local_header(bytes: &[u8]) -> bool {
    let signature = LOCAL.to_le_bytes();
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == &b'P') {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(&signature) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

/// Reads and checks the record at `at`; says where the next one begins.
fn parse<'a>(region: &'a [u8], at: usize, limits: &Limits) -> Result<(Record<'a>, usize), Fault> {
    if u32_at(region, at) != Some(CENTRAL) {
        return Err(Fault::Directory { what: "a record of it does not begin like one" });
    }
    let cut = || Fault::Directory { what: "its last record is cut off" };
    let raw = name_at(region, at).ok_or_else(cut)?;
    let name = str::from_utf8(raw).map_err(|_| Fault::NameNotUtf8 { entry: String::from_utf8_lossy(raw).into_owned() })?;
    check_name(name)?;
    let entry = || name.to_owned();
    if u16_at(region, at + 8).ok_or_else(cut)? & ENCRYPTED != 0 {
        return Err(Fault::Encrypted { entry: entry() });
    }
    let number = u16_at(region, at + 10).ok_or_else(cut)?;
    let method = Method::of(number).ok_or_else(|| Fault::Method { entry: entry(), method: number })?;
    let sizes = sizes(region, at).ok_or_else(cut)?;
    let (size, compressed, _) = sizes;
    if size > u64::from(limits.entry_bytes) || u32::try_from(compressed).is_err() {
        return Err(Fault::EntryTooLarge { entry: entry(), bytes: size.max(compressed), limit: limits.entry_bytes.into() });
    }
    if method == Method::Stored && size != compressed {
        return Err(Fault::Directory { what: "a stored entry has two sizes" });
    }
    if size > u64::from(limits.ratio_free_bytes) && size > compressed.saturating_mul(limits.ratio.into()) {
        return Err(Fault::Ratio { entry: entry(), bytes: size, compressed, limit: limits.ratio });
    }
    record(region, at, name, method, sizes).ok_or_else(cut)
}

/// Reads a record that [`parse`] has accepted before, or would accept.
fn parse_checked(region: &[u8], at: usize) -> Option<(Record<'_>, usize)> {
    let name = str::from_utf8(name_at(region, at)?).ok()?;
    record(region, at, name, Method::of(u16_at(region, at + 10)?)?, sizes(region, at)?)
}

fn record<'a>(
    region: &'a [u8],
    at: usize,
    name: &'a str,
    method: Method,
    (size, compressed, header): (u64, u64, u64),
) -> Option<(Record<'a>, usize)> {
    let next = at + CENTRAL_LENGTH + name.len() + usize::from(u16_at(region, at + 30)?) + usize::from(u16_at(region, at + 32)?);
    if next > region.len() {
        return None;
    }
    let record = Record {
        at: u32::try_from(at).ok()?,
        name,
        method,
        size: u32::try_from(size).ok()?,
        compressed: u32::try_from(compressed).ok()?,
        crc: u32_at(region, at + 16)?,
        header,
    };
    Some((record, next))
}

fn name_at(region: &[u8], at: usize) -> Option<&[u8]> {
    let start = at + CENTRAL_LENGTH;
    region.get(start..start + usize::from(u16_at(region, at + 28)?))
}

/// Size, compressed size and header offset: from the record or, where that says "look there", from its zip64 field.
fn sizes(region: &[u8], at: usize) -> Option<(u64, u64, u64)> {
    let (compressed, size, header) = (u32_at(region, at + 20)?, u32_at(region, at + 24)?, u32_at(region, at + 42)?);
    if size != u32::MAX && compressed != u32::MAX && header != u32::MAX {
        return Some((size.into(), compressed.into(), header.into()));
    }
    let start = at + CENTRAL_LENGTH + usize::from(u16_at(region, at + 28)?);
    let mut extra = region.get(start..start + usize::from(u16_at(region, at + 30)?))?;
    loop {
        let (tag, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let field = extra.get(4..4 + length)?;
        if tag != 1 {
            extra = extra.get(4 + length..)?;
            continue;
        }
        // Only the values that do not fit stand in the field, in this order.
        let mut used = 0;
        let mut wide = |narrow: u32| {
            if narrow != u32::MAX {
                return Some(u64::from(narrow));
            }
            used += 8;
            u64_at(field, used - 8)
        };
        let size = wide(size)?;
        let compressed = wide(compressed)?;
        return Some((size, compressed, wide(header)?));
    }
}

fn check_name(name: &str) -> Result<(), Fault> {
    let unsafe_name = |what| Err(Fault::UnsafeName { entry: name.to_owned(), what });
    if name.is_empty() {
        return unsafe_name("it is empty");
    }
    if name.starts_with('/') {
        return unsafe_name("it is absolute");
    }
    if name.bytes().any(|byte| byte == b'\\' || byte == 0) {
        return unsafe_name("it has a backslash or a NUL");
    }
    if name.as_bytes().get(1) == Some(&b':') && name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return unsafe_name("it begins with a drive");
    }
    if name.contains("..") && name.split('/').any(|part| part == "..") {
        return unsafe_name("it has `..` as a part");
    }
    Ok(())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}
