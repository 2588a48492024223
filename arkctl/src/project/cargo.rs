//! Cargo, as far as a module needs it: which crate, which manifest, which component, and the package made of them.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ark_model::{Manifest, ModuleId, component};
use serde::Deserialize;
use serde_json::Value;

use super::{Kind, Made, Project, Sources};
use crate::{build::Options, error::Error, output::Output, package::read};

const TARGET: &str = "wasm32-wasip2";

/// A crate that makes a module.
#[derive(Debug)]
pub(super) struct Crate {
    /// Its `Cargo.toml`.
    manifest_path: PathBuf,
    /// Where cargo puts what it builds.
    target_directory: PathBuf,
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
    pub(super) fn find(directory: &Path) -> Result<Self, Error> {
        let manifest_path = directory.join("Cargo.toml");
        let manifest_path =
            manifest_path.canonicalize().map_err(|source| Error::File { doing: "find", path: manifest_path.clone(), source })?;
        let mut command = Command::new("cargo");
        command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(&manifest_path);
        let output = command.stderr(Stdio::inherit()).output().map_err(|error| not_run("cargo", &error))?;
        if !output.status.success() {
            return Err(failed(format!("cargo cannot read {}", manifest_path.display()), None));
        }
        let metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| failed(format!("`cargo metadata` said what cannot be read: {error}"), None))?;
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
    /// and with those of `options` in place of both where they give any.
    ///
    /// # Errors
    /// A key that nobody knows, or a value that no base would take; both name the file.
    fn manifest(&self, options: &Options) -> Result<Manifest, Error> {
        let wrong = |problem: String| Error::Package { path: self.manifest_path.clone(), problem, hint: None };
        let told = |problem: &dyn std::fmt::Display| wrong(format!("[package.metadata.ark] cannot be used: {problem}"));
        let mut manifest: Manifest = match &self.ark {
            Some(ark) => serde_json::from_value(ark.clone()).map_err(|error| told(&error))?,
            None => Manifest::default(),
        };
        manifest.name = options.name.clone().or(manifest.name).or(Some(self.name.clone()));
        manifest.version = options.version_of(manifest.version.as_deref().or(Some(&self.version)));
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
    fn component(&self, features: &[String], output: Output) -> Result<PathBuf, Error> {
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
            _ if status.success() => Err(failed(format!("cargo built no component of {}", self.name), None)),
            _ => Err(failed(format!("{} does not build", self.name), Some("cargo says why, above".to_owned()))),
        }
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
        Err(failed(format!("the target {TARGET} is missing and could not be added"), Some(hint)))
    }
}

impl Project for Crate {
    fn kind(&self) -> Kind {
        Kind::Wasm
    }

    /// Writes `<target directory>/ark/<name>-<version>.wasm`; a build among many, always the same file, so that the disk does not fill.
    fn build(&self, options: &Options, output: Output) -> Result<Made, Error> {
        if options.sub.is_some() {
            return Err(Error::Usage(
                "--sub names a module of a Maven or Gradle build; give the directory of the crate instead".to_owned(),
            ));
        }
        // Before the build: a wrong key should not cost a minute.
        let manifest = self.manifest(options)?;
        let component = self.component(&options.features, output)?;
        let package = packaged(&read(&component)?, &manifest).map_err(|problem| Error::Package {
            path: component,
            problem,
            hint: Some("see that the crate's dependencies are built for wasm32-wasip2, and none sets another linker".to_owned()),
        })?;
        let (name, version) = (manifest.name.clone().unwrap_or_default(), manifest.version.clone().unwrap_or_default());
        let version = if options.mark.is_some() { "dev".to_owned() } else { version };
        let path = self.target_directory.join("ark").join(format!("{name}-{version}.wasm"));
        write(&path, &package)?;
        Ok(Made { path, manifest })
    }

    /// The crate's own directory, and those of the crates beside it.
    fn sources(&self) -> Sources {
        let own = self.directory();
        let neighbours = self.neighbours.iter().filter(|path| !path.starts_with(&own)).cloned();
        let roots: Vec<PathBuf> = std::iter::once(own.clone()).chain(neighbours).collect();
        let in_root = roots.iter().flat_map(|root| [root.join("target"), root.join("Cargo.lock")]);
        let made = in_root.chain([self.target_directory.clone()]).collect();
        Sources { roots, made }
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
    failed(format!("could not run {program}: {error}"), hint)
}

/// Cargo itself has said the rest.
fn failed(problem: String, hint: Option<String>) -> Error {
    Error::Build { problem, said: Vec::new(), hint }
}

/// `component` with `manifest` in it.
fn packaged(component: &[u8], manifest: &Manifest) -> Result<Vec<u8>, String> {
    let json = serde_json::to_vec(manifest).map_err(|error| error.to_string())?;
    component::with_manifest(component, &json).map_err(|error| error.to_string())
}

/// Written beside and renamed, so that nobody reads half a package.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { doing: "write", path: path.to_owned(), source };
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(failed)?;
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::of_component;
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
        chosen(&[package("a", "cdylib", ark)], "/w/a/Cargo.toml").unwrap().manifest(&Options::default())
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
        let options = Options { name: Some("c".to_owned()), version: Some("2".to_owned()), ..Options::default() };
        let manifest = found.manifest(&options).unwrap();
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
        let sources = found.sources();
        assert_eq!(sources.roots, [Path::new("/w/a"), Path::new("/w/shared")]);
        for source in ["/w/a/src/lib.rs", "/w/a/Cargo.toml", "/w/shared/templates/x.html"] {
            assert!(sources.has(Path::new(source)), "{source}");
        }
        for made in ["/w/a/target/x", "/w/target/ark/x.wasm", "/w/a/Cargo.lock"] {
            assert!(!sources.has(Path::new(made)), "{made}");
        }
    }

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_package_has_the_manifest_it_was_given_last() {
        let named = |name: &str| Manifest { name: Some(name.to_owned()), ..Manifest::default() };
        let package = packaged(&packaged(COMPONENT, &named("a")).unwrap(), &named("b")).unwrap();
        assert_eq!(of_component(Path::new("x"), &package).unwrap(), named("b"));
        assert_eq!(of_component(Path::new("x"), COMPONENT).unwrap(), Manifest::default());
    }

    #[test]
    fn a_core_module_is_no_package_and_is_told_its_target() {
        let problem = packaged(b"\0asm\x01\0\0\0", &Manifest::default()).unwrap_err();
        assert!(problem.contains("core module") && problem.contains("wasm32-wasip2"), "{problem}");
    }
}
