//! A document as it stands in a database: JSON.

use fleet::resource::{Document, Kind};
use serde::{Serialize, de::DeserializeOwned};

use super::{MAX_BYTES, StoreError};

/// A document as JSON, within the bound.
pub(super) fn write(document: &Document) -> Result<String, StoreError> {
    fn json(document: &impl Serialize) -> Result<String, StoreError> {
        serde_json::to_string(document).map_err(|error| StoreError::Failed(format!("a document cannot be written: {error}")))
    }
    let text = match document {
        Document::ModuleDeployment(document) => json(document),
        Document::ModuleReplicaSet(document) => json(document),
        Document::Module(document) => json(document),
        Document::Base(document) => json(document),
    }?;
    if text.len() > MAX_BYTES {
        let (kind, key, bytes) = (document.kind().as_str(), document.key(), text.len());
        return Err(StoreError::TooLarge(format!("{kind} {key} has {bytes} bytes; {MAX_BYTES} are the most")));
    }
    Ok(text)
}

/// The document of that kind that was written as `text`.
pub(super) fn read(kind: Kind, text: &str) -> Result<Document, StoreError> {
    fn json<T: DeserializeOwned>(kind: Kind, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| StoreError::Failed(format!("what is stored as {} is none: {error}", kind.as_str())))
    }
    Ok(match kind {
        Kind::ModuleDeployment => Document::ModuleDeployment(json(kind, text)?),
        Kind::ModuleReplicaSet => Document::ModuleReplicaSet(json(kind, text)?),
        Kind::Module => Document::Module(json(kind, text)?),
        Kind::Base => Document::Base(json(kind, text)?),
    })
}

/// The kind of that name.
pub(super) fn kind(name: &str) -> Result<Kind, StoreError> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
    kind.ok_or_else(|| StoreError::Failed(format!("there are documents of kind {name:?}, which this version does not know")))
}
