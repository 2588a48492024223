//! Cargo, as far as a module needs it: which crate, which manifest, which component.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ark_model::{Manifest, ModuleId};
use serde::Deserialize;
use serde_json::Value;

use crate::{error::Error, output::Output};

const TARGET: &str = "wasm32-wasip2";

/// A crate that makes a module.
#[derive(Debug)]
pub(crate) struct Crate {
    /// Its `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target_directory: PathBuf,
    id: String,
    name: String,
    version: String,
    ark: Option<Value>,
    /// The crates beside it on which it depends.
    neighbours: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    #[serde(default)]
    metadata: Value,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    crate_types: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl Crate {
    /// The crate in `directory`; in that of a workspace without a crate of its own, its only module.
    ///
    /// # Errors
    /// No crate there, several modules, or a crate that makes no component.
    pub(crate) fn find(directory: &Path) -> Result<Self, Error> {
        let manifest_path = directory.join("Cargo.toml");
        if !manifest_path.is_file() {
            return Err(Error::Package {
                path: manifest_path,
                problem: "there is no such file".to_owned(),
                hint: Some("name the directory of a module's crate, or begin one by `arkctl new <directory>`".to_owned()),
            });
        }
        let manifest_path =
            manifest_path.canonicalize().map_err(|source| Error::File { doing: "find", path: manifest_path.clone(), source })?;
        let mut command = Command::new("cargo");
        command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(&manifest_path);
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| not_run("cargo", &error))?;
        if !output.status.success() {
            return Err(Error::Build { problem: format!("cargo cannot read {}", manifest_path.display()), hint: None });
        }
        let metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| Error::Build { problem: format!("`cargo metadata` said what cannot be read: {error}"), hint: None })?;
        Self::choose(metadata, &manifest_path)
    }

    fn choose(metadata: Metadata, manifest_path: &Path) -> Result<Self, Error> {
        let wrong =
            |path: &Path, problem: String, hint: &str| Error::Package { path: path.to_owned(), problem, hint: Some(hint.to_owned()) };
        let (mut own, others): (Vec<Package>, Vec<Package>) =
            metadata.packages.into_iter().partition(|package| package.manifest_path == manifest_path);
        let package = match own.pop() {
            Some(package) if package.is_module() => package,
            Some(_) => {
                let hint = "a component is built from a dynamic library: add `crate-type = [\"cdylib\"]` to [lib]";
                return Err(wrong(manifest_path, "the crate makes no component".to_owned(), hint));
            }
            None => {
                let mut modules: Vec<Package> = others.into_iter().filter(Package::is_module).collect();
                let names: Vec<String> = modules.iter().map(|module| module.directory().display().to_string()).collect();
                match (modules.pop(), modules.is_empty()) {
                    (Some(only), true) => only,
                    (Some(_), false) => {
                        let problem = format!("the workspace has several modules: {}", names.join(", "));
                        return Err(wrong(manifest_path, problem, "name the directory of one of them"));
                    }
                    (None, _) => {
                        return Err(wrong(
                            manifest_path,
                            "the workspace has no module".to_owned(),
                            "begin one by `arkctl new <directory>`",
                        ));
                    }
                }
            }
        };
        Ok(Self {
            neighbours: package.dependencies.iter().filter_map(|dependency| dependency.path.clone()).collect(),
            manifest_path: package.manifest_path,
            target_directory: metadata.target_directory,
            id: package.id,
            name: package.name,
            version: package.version,
            ark: package.metadata.get("ark").cloned(),
        })
    }

    /// What the package will say of itself: `[package.metadata.ark]`, with the crate's name and version where it gives none,
    /// and with `name` and `version` in place of both where they are given.
    ///
    /// # Errors
    /// A key that nobody knows, or a value that no base would take; both name the file.
    pub(crate) fn manifest(&self, name: Option<&str>, version: Option<&str>) -> Result<Manifest, Error> {
        let wrong = |problem: String| Error::Package { path: self.manifest_path.clone(), problem, hint: None };
        let told = |problem: &dyn std::fmt::Display| wrong(format!("[package.metadata.ark] cannot be used: {problem}"));
        let mut manifest: Manifest = match &self.ark {
            Some(ark) => serde_json::from_value(ark.clone()).map_err(|error| told(&error))?,
            None => Manifest::default(),
        };
        let said = |option: Option<&str>| option.map(str::to_owned);
        manifest.name = said(name).or(manifest.name).or(Some(self.name.clone()));
        manifest.version = said(version).or(manifest.version).or(Some(self.version.clone()));
        let (name, version) = (manifest.name.as_deref().unwrap_or_default(), manifest.version.as_deref().unwrap_or_default());
        ModuleId::new(name, version).map_err(|error| wrong(error.to_string()))?;
        manifest.context_path_of(name).map_err(|error| told(&error))?;
        if !manifest.grants.directories.is_empty() {
            return Err(told(&"no package can grant itself a directory; give it at the install, by --dir <host>:<guest>"));
        }
        Ok(manifest)
    }

    /// Builds the component; cargo speaks on standard error meanwhile.
    ///
    /// # Errors
    /// No target, or code that does not compile.
    pub(crate) fn build(&self, features: &[String], output: Output) -> Result<PathBuf, Error> {
        self.add_target(output)?;
        let mut command = self.command("cargo");
        command.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics", "--package", &self.id]);
        if !features.is_empty() {
            command.args(["--features", &features.join(",")]);
        }
        if output.is_quiet() {
            command.arg("--quiet");
        }
        output.detail(&format!("{command:?}"));
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| not_run("cargo", &error))?;
        let mut component = None;
        for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            let line = line.map_err(|error| Error::System { doing: "read what cargo says", problem: error.to_string() })?;
            // Whatever else stands there is for others.
            if let Ok(message) = serde_json::from_str::<Message>(&line)
                && message.reason == "compiler-artifact"
                && message.package_id == self.id
            {
                component = message.filenames.into_iter().find(|file| file.extension().is_some_and(|end| end == "wasm")).or(component);
            }
        }
        let status = child.wait().map_err(|error| not_run("cargo", &error))?;
        match component {
            Some(component) if status.success() => Ok(component),
            _ if status.success() => Err(Error::Build { problem: format!("cargo built no component of {}", self.name), hint: None }),
            _ => Err(Error::Build { problem: format!("{} does not build", self.name), hint: Some("cargo says why, above".to_owned()) }),
        }
    }

    /// The directories whose files make this crate: its own, and those of the crates beside it.
    pub(crate) fn sources(&self) -> Vec<PathBuf> {
        let own = self.directory();
        let neighbours = self.neighbours.iter().filter(|path| !path.starts_with(&own)).cloned();
        std::iter::once(own.clone()).chain(neighbours).collect()
    }

    fn directory(&self) -> PathBuf {
        self.manifest_path.parent().map(Path::to_owned).unwrap_or_default()
    }

    /// In the crate's own directory, where its toolchain file counts.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.directory()).stdin(Stdio::null());
        command
    }

    fn add_target(&self, output: Output) -> Result<(), Error> {
        let mut command = self.command("rustc");
        let libraries = command.args(["--print", "target-libdir", "--target", TARGET]).stderr(Stdio::inherit()).output();
        let libraries = libraries.map_err(|error| not_run("rustc", &error))?;
        if Path::new(String::from_utf8_lossy(&libraries.stdout).trim_end()).is_dir() {
            return Ok(());
        }
        output.note(&format!("the target {TARGET} is missing; adding it by `rustup target add {TARGET}`"));
        // Its standard output is not our result.
        let mut command = self.command("rustup");
        let added = command.args(["target", "add", TARGET]).stdout(Stdio::null()).status();
        if added.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        let hint = format!("install the standard library for {TARGET} in the way your toolchain was installed");
        Err(Error::Build { problem: format!("the target {TARGET} is missing and could not be added"), hint: Some(hint) })
    }
}

impl Package {
    fn is_module(&self) -> bool {
        self.targets.iter().any(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
    }

    fn directory(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }
}

fn not_run(program: &'static str, error: &std::io::Error) -> Error {
    let hint = Some("install Rust by https://rustup.rs, and see that it is on the PATH".to_owned());
    Error::Build { problem: format!("could not run {program}: {error}"), hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, kind: &str, ark: &Value) -> Value {
        json!({"id": format!("{name}#1"), "name": name, "version": "1.2.3", "manifest_path": format!("/w/{name}/Cargo.toml"),
               "targets": [{"crate_types": [kind]}], "metadata": {"ark": ark}, "dependencies": [{"path": "/w/shared"}, {"path": null}]})
    }

    fn chosen(packages: &[Value], at: &str) -> Result<Crate, Error> {
        let metadata = serde_json::from_value(json!({"packages": packages, "target_directory": "/w/target"})).unwrap();
        Crate::choose(metadata, Path::new(at))
    }

    fn manifest(ark: &Value) -> Result<Manifest, Error> {
        chosen(&[package("a", "cdylib", ark)], "/w/a/Cargo.toml").unwrap().manifest(None, None)
    }

    #[test]
    fn a_manifest_takes_from_the_crate_what_it_does_not_say() {
        let plain = manifest(&json!({})).unwrap();
        assert_eq!((plain.name.as_deref(), plain.version.as_deref()), (Some("a"), Some("1.2.3")));
        let own = manifest(&json!({"name": "b", "version": "9", "context-path": "/x", "limits": {"memory-bytes": 5}})).unwrap();
        assert_eq!((own.name.as_deref(), own.version.as_deref(), own.limits.memory_bytes), (Some("b"), Some("9"), Some(5)));
    }

    #[test]
    fn options_go_before_the_manifest() {
        let found = chosen(&[package("a", "cdylib", &json!({"name": "b"}))], "/w/a/Cargo.toml").unwrap();
        let manifest = found.manifest(Some("c"), Some("2")).unwrap();
        assert_eq!((manifest.name.as_deref(), manifest.version.as_deref()), (Some("c"), Some("2")));
    }

    #[test]
    fn a_key_that_nobody_knows_is_refused_with_its_name_and_file() {
        for (ark, key) in [(json!({"contxt-path": "/x"}), "contxt-path"), (json!({"limits": {"memory": 1}}), "memory")] {
            let error = manifest(&ark).unwrap_err().to_string();
            assert!(error.contains(&format!("unknown field `{key}`")) && error.starts_with("/w/a/Cargo.toml: "), "{error}");
        }
    }

    #[test]
    fn what_no_base_would_take_is_refused_before_the_build() {
        for ark in [
            json!({"name": "a b"}),
            json!({"context-path": "/a/../b"}),
            json!({"grants": {"directories": [{"host": "/", "guest": "/"}]}}),
            json!({"reuse": "many"}),
        ] {
            assert_eq!(manifest(&ark).unwrap_err().reason(), "PackageInvalid", "{ark}");
        }
    }

    #[test]
    fn in_a_workspace_its_only_module_is_meant() {
        let (a, b, library) = (package("a", "cdylib", &json!({})), package("b", "cdylib", &json!({})), package("l", "lib", &json!({})));
        let root = "/w/Cargo.toml";
        assert_eq!(chosen(&[a.clone(), library.clone()], root).unwrap().name, "a");
        assert!(chosen(&[a.clone(), b], root).unwrap_err().to_string().ends_with("several modules: /w/a, /w/b"));
        assert!(chosen(std::slice::from_ref(&library), root).is_err());
        assert!(chosen(&[a, library], "/w/l/Cargo.toml").unwrap_err().hint().unwrap().contains("cdylib"));
    }

    #[test]
    fn crates_beside_it_are_among_its_sources() {
        let found = chosen(&[package("a", "cdylib", &json!({}))], "/w/a/Cargo.toml").unwrap();
        assert_eq!(found.sources(), [Path::new("/w/a"), Path::new("/w/shared")]);
    }
}
