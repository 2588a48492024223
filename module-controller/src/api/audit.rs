//! Who changed what: one line of JSON for each request that was to change something, whether it did or not.

use std::{
    io::{self, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use daemon::Rotated;
use serde_json::json;

use super::{access::Caller, call::Call, events};

/// Where it is written.
#[derive(Debug)]
pub struct Audit {
    to: Option<Mutex<Rotated>>,
}

/// What a request came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// The name, where the request did not say it.
    pub(crate) name: Option<String>,
    /// The version that was written.
    pub(crate) resource_version: Option<String>,
}

impl Audit {
    /// To standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self { to: None }
    }

    /// To the file at `path`, after what is in it; a full one (16 MiB) is set aside, and three of those are kept.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn file(path: &Path) -> io::Result<Self> {
        Self::bounded(path, Rotated::FULL_BYTES)
    }

    fn bounded(path: &Path, full_bytes: u64) -> io::Result<Self> {
        Ok(Self { to: Some(Mutex::new(Rotated::open(path, full_bytes)?)) })
    }

    pub(crate) fn record(&self, caller: Option<&Caller>, call: &Call, path: &str, code: u16, outcome: &Outcome) {
        let line = json!({
            "time": events::now(),
            "who": caller.map(|caller| caller.name.as_str()), "role": caller.map(|caller| caller.role.as_str()),
            "verb": call.verb.as_str(), "path": path, "group": call.target.group(), "resource": call.target.plural(), "part": call.part.as_str(),
            "namespace": call.namespace, "name": call.name.as_ref().or(outcome.name.as_ref()), "dryRun": call.is_dry_run(),
            "code": code, "resourceVersion": outcome.resource_version,
        });
        self.write(&format!("{line}\n"));
    }

    fn write(&self, line: &str) {
        let written = match &self.to {
            None => io::stderr().write_all(line.as_bytes()),
            Some(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.make_room(line.as_bytes()).and_then(|()| file.append(line.as_bytes()))
            }
        };
        if let Err(error) = written {
            tracing::error!(%error, line, "the audit log could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::bounded(&path, 4).unwrap();
        for number in 1..=9 {
            audit.write(&format!("{number}\n"));
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert_eq!(["audit.log", "audit.log.1", "audit.log.2", "audit.log.3"].map(read), ["9\n", "7\n8\n", "5\n6\n", "3\n4\n"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}
