//! Makes jars for tests: sound ones with the `zip` crate, and wrong ones by hand.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{Cursor, Write};

use ark_jvm::{Archive, ArchiveError, Blob, ClassPath, Limits, Origin};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// How an entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Stored,
    Deflated,
}

/// A jar with these entries; a name that ends with `/` is a directory.
pub(crate) fn jar(keep: Keep, entries: &[(&str, &[u8])]) -> Vec<u8> {
    let method = match keep {
        Keep::Stored => CompressionMethod::Stored,
        Keep::Deflated => CompressionMethod::Deflated,
    };
    let options = SimpleFileOptions::default().compression_method(method);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

/// A class file of the given Java, as far as anyone here looks.
pub(crate) fn class(feature: u8) -> Vec<u8> {
    let mut bytes = vec![0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, feature + 44];
    bytes.extend_from_slice(&[7; 100]);
    bytes
}

pub(crate) fn blob(name: &str, bytes: Vec<u8>) -> Blob {
    Blob::owned(Origin { file: name.into(), inner: None }, bytes)
}

pub(crate) fn open(bytes: Vec<u8>) -> Result<Archive, ArchiveError> {
    open_within(bytes, &Limits::default())
}

pub(crate) fn open_within(bytes: Vec<u8>, limits: &Limits) -> Result<Archive, ArchiveError> {
    Archive::of(blob("test.jar", bytes), limits)
}

/// A class path over jars at their roots.
pub(crate) fn class_path(jars: &[(&str, Vec<u8>)], feature: u16) -> ClassPath {
    let open = |(name, bytes): &(&str, Vec<u8>)| (Archive::of(blob(name, bytes.clone()), &Limits::default()).unwrap(), String::new());
    ClassPath::new(jars.iter().map(open), feature).unwrap()
}

/// An archive made by hand, right unless something is set wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hand {
    pub(crate) prefix: Vec<u8>,
    pub(crate) entries: Vec<HandEntry>,
    pub(crate) zip64: bool,
    pub(crate) comment: Vec<u8>,
    /// Added to the number of entries in the end record.
    pub(crate) more_entries: u64,
    pub(crate) disk: u16,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct HandEntry {
    pub(crate) name: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) size: Option<u64>,
    pub(crate) crc: Option<u32>,
    /// The name in the local header, if another.
    pub(crate) local_name: Option<Vec<u8>>,
    /// Added to the offset of the local header.
    pub(crate) displaced: u64,
}

impl HandEntry {
    pub(crate) fn stored(name: impl AsRef<[u8]>, data: &[u8]) -> Self {
        Self { name: name.as_ref().to_vec(), data: data.to_vec(), ..Self::default() }
    }
}

impl Hand {
    pub(crate) fn of(entries: impl IntoIterator<Item = HandEntry>) -> Self {
        Self { entries: entries.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let mut central = Vec::new();
        for entry in &self.entries {
            let header = (out.len() - self.prefix.len()) as u64 + entry.displaced;
            let size = entry.size.unwrap_or(entry.data.len() as u64);
            let crc = entry.crc.unwrap_or_else(|| crc32fast::hash(&entry.data));
            let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
            out.extend(0x0403_4b50_u32.to_le_bytes());
            for word in [20, entry.flags, entry.method, 0, 0] {
                out.extend(word.to_le_bytes());
            }
            for long in [crc, entry.data.len() as u32, size as u32] {
                out.extend(long.to_le_bytes());
            }
            out.extend((local_name.len() as u16).to_le_bytes());
            out.extend(0_u16.to_le_bytes());
            out.extend(local_name);
            out.extend(&entry.data);

            let mut extra = Vec::new();
            if self.zip64 {
                // A field of another kind in front, which has to be passed over.
                extra.extend([0xfe, 0xca, 2, 0, 9, 9]);
                extra.extend([1, 0, 24, 0]);
                for long in [size, entry.data.len() as u64, header] {
                    extra.extend(long.to_le_bytes());
                }
            }
            let narrow = |value: u64| if self.zip64 { u32::MAX } else { value as u32 };
            central.extend(0x0201_4b50_u32.to_le_bytes());
            for word in [20, 20, entry.flags, entry.method, 0, 0] {
                central.extend(word.to_le_bytes());
            }
            for long in [crc, narrow(entry.data.len() as u64), narrow(size)] {
                central.extend(long.to_le_bytes());
            }
            for word in [entry.name.len() as u16, extra.len() as u16, 0, 0, 0, 0, 0] {
                central.extend(word.to_le_bytes());
            }
            central.extend(narrow(header).to_le_bytes());
            central.extend(&entry.name);
            central.extend(extra);
        }
        let start = (out.len() - self.prefix.len()) as u64;
        let count = self.entries.len() as u64 + self.more_entries;
        out.extend(&central);
        if self.zip64 {
            let record = out.len() as u64;
            out.extend(0x0606_4b50_u32.to_le_bytes());
            out.extend(44_u64.to_le_bytes());
            out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            for long in [count, count, central.len() as u64, start] {
                out.extend(long.to_le_bytes());
            }
            out.extend(0x0706_4b50_u32.to_le_bytes());
            out.extend(0_u32.to_le_bytes());
            out.extend((record - self.prefix.len() as u64).to_le_bytes());
            out.extend(1_u32.to_le_bytes());
        }
        out.extend(0x0605_4b50_u32.to_le_bytes());
        let count = if self.zip64 { u16::MAX } else { count as u16 };
        for word in [self.disk, self.disk, count, count] {
            out.extend(word.to_le_bytes());
        }
        for long in if self.zip64 { [u32::MAX; 2] } else { [central.len() as u32, start as u32] } {
            out.extend(long.to_le_bytes());
        }
        out.extend((self.comment.len() as u16).to_le_bytes());
        out.extend(&self.comment);
        out
    }
}
