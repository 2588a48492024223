//! What `package.json` says of a module.

use std::collections::BTreeMap;

use ark_model::{LimitOverrides, Manifest};
use serde::Deserialize;
use serde_json::Value;

/// What a process of Node.js may take, unless the package or the order says otherwise: its heap, its buffers, and some 40 MiB of Node.js
/// itself, most of which all processes share.
pub const MEMORY_BYTES: u64 = 512 << 20;
/// The same, for how long it may take from the begin of start to its first answer.
const START_DEADLINE_MS: u64 = 30_000;
/// Where an application begins if nothing says so.
const USUAL: [&str; 3] = ["index.js", "server.js", "app.js"];

/// The part of `package.json` that concerns a base.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PackageJson {
    name: Option<String>,
    version: Option<String>,
    main: Option<String>,
    scripts: BTreeMap<String, String>,
    dependencies: BTreeMap<String, Value>,
    ark: Ark,
}

/// `"ark"` in `package.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Ark {
    main: Option<String>,
    context_path: Option<String>,
    hosts: Vec<String>,
    priority: Option<i32>,
    probe: Option<String>,
    isolation: Option<Isolation>,
    package: Option<String>,
    keep_prefix: bool,
    limits: BTreeMap<String, u64>,
}

/// What a module runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// A process of its own.
    Process,
    /// A thread with a JavaScript engine of its own, in a process that it shares with others.
    Worker,
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Process => "process",
            Self::Worker => "worker",
        })
    }
}

impl std::str::FromStr for Isolation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Process, Self::Worker].into_iter().find(|isolation| isolation.to_string() == text);
        known.ok_or_else(|| format!("{text:?} is no isolation; it is process or worker"))
    }
}

/// What is wrong with a `package.json`.
#[derive(Debug, thiserror::Error)]
pub enum PackageJsonError {
    /// It is no JSON, or not of this form.
    #[error("its package.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// A limit that there is not.
    #[error("its package.json names a limit that there is not: {0}")]
    Limit(String),
    /// Nothing says what to run.
    #[error("it says nowhere what to run: package.json has neither \"ark\".\"main\" nor \"main\" nor a \"start\" like `node app.js`, and there is none of {}", USUAL.join(", "))]
    NoMain,
}

impl PackageJson {
    /// Reads it.
    ///
    /// # Errors
    /// Where it is no JSON, or `"ark"` has a key that there is not.
    pub fn parse(text: &[u8]) -> Result<Self, PackageJsonError> {
        Ok(serde_json::from_slice(text)?)
    }

    /// Whether it needs packages that have to be there when it runs.
    #[must_use]
    pub fn has_dependencies(&self) -> bool {
        !self.dependencies.is_empty()
    }

    /// The folder that its `build` makes the package in, with all that it needs to run, where that is another than its own.
    #[must_use]
    pub fn package(&self) -> Option<&str> {
        self.ark.package.as_deref()
    }

    /// Whether it knows its context path, and wants it left in the paths of requests.
    #[must_use]
    pub fn keeps_prefix(&self) -> bool {
        self.ark.keep_prefix
    }

    /// What it asks to run in.
    #[must_use]
    pub fn isolation(&self) -> Option<Isolation> {
        self.ark.isolation
    }

    /// Its name as npm knows it, and its version.
    #[must_use]
    pub fn id(&self) -> (Option<&str>, Option<&str>) {
        (self.name.as_deref(), self.version.as_deref())
    }

    /// Whether it has a script of this name, as `build`.
    #[must_use]
    pub fn has_script(&self, name: &str) -> bool {
        self.scripts.contains_key(name)
    }

    /// What the base needs to know. Of a scoped name the part behind the slash is the module's.
    ///
    /// # Errors
    /// Where it names a limit that there is not.
    pub fn manifest(&self) -> Result<Manifest, PackageJsonError> {
        let name = self.name.as_deref().map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
        let mut limits: BTreeMap<String, u64> = BTreeMap::new();
        for (key, value) in &self.ark.limits {
            let kebab: String =
                key.chars().flat_map(|c| if c.is_ascii_uppercase() { vec!['-', c.to_ascii_lowercase()] } else { vec![c] }).collect();
            limits.insert(kebab, *value);
        }
        let unknown = |error: serde_json::Error| PackageJsonError::Limit(error.to_string());
        let mut limits: LimitOverrides = serde_json::from_value(serde_json::to_value(limits)?).map_err(unknown)?;
        limits.memory_bytes.get_or_insert(MEMORY_BYTES);
        limits.start_deadline_ms.get_or_insert(START_DEADLINE_MS);
        Ok(Manifest {
            name,
            version: self.version.clone(),
            context_path: self.ark.context_path.clone(),
            hosts: self.ark.hosts.clone(),
            priority: self.ark.priority,
            probe_path: self.ark.probe.clone(),
            limits,
            ..Manifest::default()
        })
    }

    /// The file to run, relative to the package; `has` says which files there are.
    ///
    /// # Errors
    /// Where nothing says what to run.
    pub fn main(&self, has: impl Fn(&str) -> bool) -> Result<String, PackageJsonError> {
        let started = self.scripts.get("start").and_then(|script| match *script.split_whitespace().collect::<Vec<_>>() {
            ["node", file] if !file.starts_with('-') => Some(file.to_owned()),
            _ => None,
        });
        // A `main` that is not there is that of a library, or what a build would have made.
        let named = [self.ark.main.clone(), started, self.main.clone()].into_iter().flatten();
        let found = named.flat_map(|name| [name.clone(), format!("{name}.js"), format!("{name}/index.js")]).find(|name| has(name));
        found.or_else(|| USUAL.into_iter().find(|name| has(name)).map(str::to_owned)).ok_or(PackageJsonError::NoMain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> PackageJson {
        PackageJson::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn name_version_and_what_ark_says_become_the_manifest() {
        let manifest = parsed(
            r#"{"name": "@shop/orders", "version": "1.2.3", "ark": {"contextPath": "/o", "hosts": ["a"], "probe": "/up", "limits": {"memoryBytes": 7, "requestDeadlineMs": 9}}}"#,
        )
        .manifest()
        .unwrap();
        assert_eq!((manifest.name.as_deref(), manifest.version.as_deref()), (Some("orders"), Some("1.2.3")));
        assert_eq!((manifest.context_path.as_deref(), manifest.probe_path.as_deref()), (Some("/o"), Some("/up")));
        assert_eq!((manifest.limits.memory_bytes, manifest.limits.request_deadline_ms), (Some(7), Some(9)));
        assert_eq!(parsed("{}").manifest().unwrap().limits.memory_bytes, Some(MEMORY_BYTES));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(PackageJson::parse(br#"{"ark": {"contextpath": "/"}}"#).is_err());
        assert!(PackageJson::parse(br#"{"ark": {"isolation": "thread"}}"#).is_err());
        assert_eq!(parsed(r#"{"ark": {"isolation": "worker"}}"#).isolation(), Some(Isolation::Worker));
        assert!(parsed(r#"{"ark": {"limits": {"memory": 1}}}"#).manifest().unwrap_err().to_string().contains("memory"));
    }

    #[test]
    fn what_runs_is_what_starts_the_application_on_its_own() {
        let main = |text: &str, files: &[&str]| parsed(text).main(|file| files.contains(&file)).ok();
        assert_eq!(main(r#"{"ark": {"main": "a.mjs"}, "main": "b.js"}"#, &["a.mjs", "b.js"]).as_deref(), Some("a.mjs"));
        assert_eq!(main(r#"{"scripts": {"start": "node c.js"}, "main": "b.js"}"#, &["b.js", "c.js"]).as_deref(), Some("c.js"));
        assert_eq!(main(r#"{"scripts": {"start": "next start"}, "main": "lib"}"#, &["lib/index.js"]).as_deref(), Some("lib/index.js"));
        assert_eq!(main("{}", &["server.js"]).as_deref(), Some("server.js"));
        assert_eq!(main(r#"{"main": "gone.js"}"#, &["x"]), None);
    }
}
