//! Where a WebAssembly component carries its manifest: a custom section named `ark`, outermost, holding the manifest as JSON.
//!
//! A component is a preamble of eight bytes and then sections: an id of one byte, a length as LEB128, so many bytes. A custom section
//! has the id 0 and begins with its name (a length as LEB128, and UTF-8). See the binary format in the component model's repository.

use std::ops::Range;

/// The name of the section.
pub const SECTION: &str = "ark";
/// The first bytes of every wasm binary.
pub const MAGIC: &[u8] = b"\0asm";
/// The longest manifest, in bytes: it is a page of text, not a payload.
pub const MAX_MANIFEST: usize = 64 << 10;

const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];
const CUSTOM: u8 = 0;

/// Bytes that are no component, or one that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAComponent {
    /// Another kind of file.
    #[error("it does not begin as a wasm binary does")]
    NotWasm,
    /// A module of the core format.
    #[error("it is a core module, not a component; build it for the target wasm32-wasip2")]
    CoreModule,
    /// A format of another time.
    #[error("its format {0:02x?} is unknown; a component has [0d, 00, 01, 00]")]
    UnknownFormat([u8; 4]),
    /// It ends in its preamble.
    #[error("it is cut off in its first 8 bytes")]
    NoPreamble,
    /// It ends in a section.
    #[error("its section at byte {at} is cut off; the file has {size} bytes")]
    CutOff {
        /// Where that section begins.
        at: usize,
        /// How long the file is.
        size: usize,
    },
    /// It was given two manifests.
    #[error("it has two manifests; build it anew with `arkctl build`")]
    TwoManifests,
    /// Its manifest is too long.
    #[error("its manifest has {0} bytes, more than 65536")]
    LongManifest(usize),
}

/// The JSON of the manifest in `component`, where it has one. Walks over the outermost sections only.
///
/// # Errors
/// [`NotAComponent`].
pub fn manifest(component: &[u8]) -> Result<Option<&[u8]>, NotAComponent> {
    let mut found = None;
    for section in Sections::of(component)? {
        let section = section?;
        if let Some(json) = section.manifest
            && found.replace(json).is_some()
        {
            return Err(NotAComponent::TwoManifests);
        }
    }
    match found {
        Some(json) if json.len() > MAX_MANIFEST => Err(NotAComponent::LongManifest(json.len())),
        found => Ok(found),
    }
}

/// `component` with `json` as its manifest, in place of the one it may have had.
///
/// # Errors
/// [`NotAComponent`].
pub fn with_manifest(component: &[u8], json: &[u8]) -> Result<Vec<u8>, NotAComponent> {
    if json.len() > MAX_MANIFEST {
        return Err(NotAComponent::LongManifest(json.len()));
    }
    let mut bytes = component.get(..8).unwrap_or_default().to_vec();
    for section in Sections::of(component)? {
        let section = section?;
        if section.manifest.is_none() {
            bytes.extend_from_slice(component.get(section.range).unwrap_or_default());
        }
    }
    let mut content = Vec::new();
    write_leb128(&mut content, SECTION.len());
    content.extend_from_slice(SECTION.as_bytes());
    content.extend_from_slice(json);
    bytes.push(CUSTOM);
    write_leb128(&mut bytes, content.len());
    bytes.extend_from_slice(&content);
    Ok(bytes)
}

struct Section<'a> {
    /// All of it, its id and length included.
    range: Range<usize>,
    /// The JSON, where this is the section of the manifest.
    manifest: Option<&'a [u8]>,
}

struct Sections<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Sections<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, NotAComponent> {
        if !bytes.starts_with(MAGIC) {
            return Err(NotAComponent::NotWasm);
        }
        match bytes.get(4..8).and_then(|format| <[u8; 4]>::try_from(format).ok()) {
            Some(COMPONENT) => Ok(Self { bytes, at: 8 }),
            Some(CORE_MODULE) => Err(NotAComponent::CoreModule),
            Some(format) => Err(NotAComponent::UnknownFormat(format)),
            None => Err(NotAComponent::NoPreamble),
        }
    }

    fn section(&self) -> Option<Section<'a>> {
        let mut rest = self.bytes.get(self.at..)?;
        let (id, length) = (take_byte(&mut rest)?, take_leb128(&mut rest)?);
        let content = rest.get(..length)?;
        let end = self.bytes.len() - rest.len() + length;
        let manifest = if id == CUSTOM { content_of_manifest(content) } else { None };
        Some(Section { range: self.at..end, manifest })
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, NotAComponent>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let section = self.section();
        let cut_off = NotAComponent::CutOff { at: self.at, size: self.bytes.len() };
        self.at = section.as_ref().map_or(self.bytes.len(), |section| section.range.end);
        Some(section.ok_or(cut_off))
    }
}

fn content_of_manifest(mut content: &[u8]) -> Option<&[u8]> {
    let length = take_leb128(&mut content)?;
    content.strip_prefix(SECTION.as_bytes()).filter(|_| length == SECTION.len())
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

/// An unsigned number of at most 32 bits.
fn take_leb128(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = take_byte(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok().map(|value| value as usize);
        }
    }
    None
}

fn write_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with one section of another kind.
    fn plain() -> Vec<u8> {
        [MAGIC, &COMPONENT, &[CUSTOM, 6, 4], b"name", b"x"].concat()
    }

    #[test]
    fn a_manifest_that_was_written_is_read_and_a_second_replaces_it() {
        let once = with_manifest(&plain(), br#"{"name":"a"}"#).unwrap();
        let twice = with_manifest(&once, &vec![b' '; 300]).unwrap();
        assert_eq!(manifest(&plain()), Ok(None));
        assert_eq!(manifest(&once), Ok(Some(&br#"{"name":"a"}"#[..])));
        assert_eq!(manifest(&twice).unwrap().unwrap().len(), 300);
        assert_eq!(with_manifest(&twice, br#"{"name":"a"}"#).unwrap(), once);
    }

    #[test]
    fn a_component_cut_off_at_any_byte_is_refused_or_ends_at_a_section() {
        let bytes = with_manifest(&plain(), b"{}").unwrap();
        let whole: Vec<usize> = (0..=bytes.len()).filter(|end| manifest(&bytes[..*end]).is_ok()).collect();
        assert_eq!(whole, [8, plain().len(), bytes.len()]);
    }

    #[test]
    fn what_is_no_component_is_told_what_it_is() {
        assert_eq!(manifest(b"PK\x03\x04"), Err(NotAComponent::NotWasm));
        assert_eq!(manifest(b"\0asm\x01\0\0\0"), Err(NotAComponent::CoreModule));
        assert_eq!(manifest(b"\0asm\x02\0\0\0"), Err(NotAComponent::UnknownFormat([2, 0, 0, 0])));
        let once = with_manifest(&plain(), b"{}").unwrap();
        let twice = [&once[..], &once[plain().len()..]].concat();
        assert_eq!(manifest(&twice), Err(NotAComponent::TwoManifests));
    }

    #[test]
    fn a_length_beyond_the_file_is_no_way_out_of_it() {
        for length in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01], &[0x80]] {
            let bytes = [MAGIC, &COMPONENT, &[CUSTOM], length].concat();
            assert_eq!(manifest(&bytes), Err(NotAComponent::CutOff { at: 8, size: bytes.len() }));
        }
    }
}
