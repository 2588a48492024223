//! What a component says of itself: a custom section named `ark` with a manifest as JSON.

use ark_model::{Failure, Manifest, Reason};
use wasmparser::BinaryReader;

/// The name of the custom section.
pub const SECTION: &str = "ark";
/// The first bytes of every wasm binary.
pub(crate) const MAGIC: &[u8] = b"\0asm";

const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];
const CUSTOM: u8 = 0;
/// A manifest is a page of text, not a payload.
const MAX_MANIFEST: usize = 64 << 10;

/// Reads the manifest of a component; an empty one where it has none. Walks over the outermost sections only.
///
/// # Errors
/// [`Reason::PackageInvalid`] for what is no component, is cut off, or has a manifest that cannot be read.
pub fn manifest(bytes: &[u8]) -> Result<Manifest, Failure> {
    match bytes.get(4..8) {
        _ if !bytes.starts_with(MAGIC) => return Err(invalid("it does not begin as a wasm binary does")),
        None => return Err(invalid("it is cut off in its first 8 bytes")),
        Some(version) if version == COMPONENT => {}
        Some(version) if version == CORE_MODULE => {
            return Err(invalid("it is a core module, not a component; build it for the target wasm32-wasip2"));
        }
        Some(version) => return Err(invalid(&format!("its format {version:02x?} is unknown; a component has {COMPONENT:02x?}"))),
    }
    let mut reader = BinaryReader::new(bytes.get(8..).unwrap_or_default(), 8);
    let mut found = None;
    while !reader.eof() {
        let (id, content) = section(&mut reader, bytes.len())?;
        if id == CUSTOM {
            let mut content = BinaryReader::new(content, 0);
            let name = content.read_string().map_err(|error| invalid(&format!("a custom section has no name: {error}")))?;
            if name == SECTION && found.replace(content.read_bytes(content.bytes_remaining()).unwrap_or_default()).is_some() {
                return Err(invalid("it has two manifests; build it anew with `arkctl build`"));
            }
        }
    }
    let Some(json) = found else { return Ok(Manifest::default()) };
    if json.len() > MAX_MANIFEST {
        return Err(invalid(&format!("its manifest has {} bytes, more than {MAX_MANIFEST}", json.len())));
    }
    serde_json::from_slice(json)
        .map_err(|error| invalid(&format!("its manifest cannot be read: {error}; build it anew with `arkctl build`")))
}

fn section<'a>(reader: &mut BinaryReader<'a>, size: usize) -> Result<(u8, &'a [u8]), Failure> {
    let at = reader.original_position();
    let mut read = || {
        let id = reader.read_u8()?;
        let length = reader.read_var_u32()?;
        Ok::<_, wasmparser::BinaryReaderError>((id, reader.read_bytes(length as usize)?))
    };
    read().map_err(|_| invalid(&format!("its section at byte {at} is cut off; the file has {size} bytes")))
}

fn invalid(problem: &str) -> Failure {
    Failure::new(Reason::PackageInvalid, format!("the package is no component that can be used: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = [MAGIC, &COMPONENT].concat();
        for (name, data) in sections {
            bytes.push(CUSTOM);
            bytes.push(u8::try_from(name.len() + data.len() + 1).unwrap());
            bytes.push(u8::try_from(name.len()).unwrap());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(data);
        }
        bytes
    }

    #[test]
    fn a_plain_component_has_an_empty_manifest() {
        assert_eq!(manifest(&component(&[("producers", b"x")])).unwrap(), Manifest::default());
    }

    #[test]
    fn a_manifest_is_read_from_its_section() {
        let bytes = component(&[("name", b"x"), (SECTION, br#"{"name":"orders","context-path":"/o"}"#)]);
        let manifest = manifest(&bytes).unwrap();
        assert_eq!((manifest.name.as_deref(), manifest.context_path.as_deref()), (Some("orders"), Some("/o")));
    }

    #[test]
    fn a_component_cut_off_at_any_byte_is_refused_or_ends_at_a_section() {
        let bytes = component(&[("name", b"x"), (SECTION, br#"{"name":"orders"}"#)]);
        let whole: Vec<usize> = (0..=bytes.len()).filter(|end| manifest(&bytes[..*end]).is_ok()).collect();
        assert_eq!(whole, [8, 8 + 8, bytes.len()]);
    }

    #[test]
    fn what_is_no_component_is_told_what_it_is() {
        let told = |bytes: &[u8]| manifest(bytes).unwrap_err().message;
        assert!(told(b"PK\x03\x04").contains("does not begin as a wasm binary"));
        assert!(told(b"\0asm\x01\0\0\0").contains("core module"));
        assert!(told(&component(&[(SECTION, b"{}"), (SECTION, b"{}")])).contains("two manifests"));
        assert!(told(&component(&[(SECTION, br#"{"nmae":"x"}"#)])).contains("nmae"));
    }
}
