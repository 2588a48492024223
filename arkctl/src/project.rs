//! A module's crate: found, built, and made a package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ark_model::{Manifest, component};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{error::Error, output};

const TARGET: &str = "wasm32-wasip2";

/// What to build, and how.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct BuildOptions {
    /// Features of the crate to switch on, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "FEATURES")]
    pub(crate) features: Vec<String>,
    /// Another version than Cargo.toml says, e.g. for a feature that makes one
    #[arg(long = "package-version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
}

/// A package that was built.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Package {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) manifest: Manifest,
}

/// Builds the crate in `folder`.
pub(crate) fn build(folder: &Path, options: &BuildOptions) -> Result<Package, Error> {
    let crate_ = Crate::find(folder)?;
    let manifest = crate_.manifest(options)?;
    ensure_target()?;
    let component_path = crate_.compile(options)?;
    let bytes = fs::read(&component_path).map_err(Error::io("read", &component_path))?;
    let json = serde_json::to_vec(&manifest).map_err(|error| Error::Project(error.to_string()))?;
    let package = component::with_manifest(&bytes, &json)
        .map_err(|error| Error::Project(format!("{} is no component that can be packaged: {error}", component_path.display())))?;
    let (name, version) = (manifest.name.as_deref().unwrap_or_default(), manifest.version.as_deref().unwrap_or_default());
    let out = crate_.target_folder.join("ark");
    fs::create_dir_all(&out).map_err(Error::io("make", &out))?;
    let path = out.join(format!("{name}-{version}.wasm"));
    fs::write(&path, &package).map_err(Error::io("write", &path))?;
    let sha256 = Sha256::digest(&package).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Package { path, size: package.len() as u64, sha256, manifest })
}

/// What the package of the crate in `folder` would say of itself.
pub(crate) fn manifest(folder: &Path, options: &BuildOptions) -> Result<Manifest, Error> {
    Crate::find(folder)?.manifest(options)
}

struct Crate {
    name: String,
    version: String,
    cargo_toml: PathBuf,
    target_folder: PathBuf,
    metadata: Value,
}

impl Crate {
    fn find(folder: &Path) -> Result<Self, Error> {
        let cargo_toml = folder.join("Cargo.toml");
        if !cargo_toml.is_file() {
            return Err(Error::Project(format!(
                "there is no {}; name a crate's folder, or begin one with `arkctl new`",
                cargo_toml.display()
            )));
        }
        let cargo_toml = fs::canonicalize(&cargo_toml).map_err(Error::io("find", &cargo_toml))?;
        let mut command = Command::new("cargo");
        command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(&cargo_toml);
        let output = command.stderr(Stdio::inherit()).output().map_err(Error::io("run", "cargo"))?;
        if !output.status.success() {
            return Err(Error::Project(format!("cargo cannot read {}", cargo_toml.display())));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| Error::Project(error.to_string()))?;
        let packages = metadata.get("packages").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_this = |package: &&Value| package.get("manifest_path").and_then(Value::as_str).map(Path::new) == Some(&cargo_toml);
        let package = packages.iter().find(is_this);
        let package = package
            .ok_or_else(|| Error::Project(format!("{} is a workspace; name the folder of one of its crates", cargo_toml.display())))?;
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self {
            name: text(package, "name"),
            version: text(package, "version"),
            target_folder: text(&metadata, "target_directory").into(),
            metadata: package.pointer("/metadata/ark").cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new())),
            cargo_toml,
        })
    }

    /// What `[package.metadata.ark]` says, with the crate's own name and version where it says none.
    fn manifest(&self, options: &BuildOptions) -> Result<Manifest, Error> {
        let mut manifest: Manifest = serde_json::from_value(self.metadata.clone())
            .map_err(|error| Error::Project(format!("[package.metadata.ark] in {} cannot be used: {error}", self.cargo_toml.display())))?;
        manifest.name.get_or_insert_with(|| self.name.clone());
        if let Some(version) = &options.version {
            manifest.version = Some(version.clone());
        }
        manifest.version.get_or_insert_with(|| self.version.clone());
        ark_model::ModuleId::new(manifest.name.clone().unwrap_or_default(), manifest.version.clone().unwrap_or_default())
            .map_err(|invalid| Error::Project(invalid.to_string()))?;
        manifest.context_path_of(&self.name).map_err(|invalid| Error::Project(invalid.to_string()))?;
        Ok(manifest)
    }

    /// Where the compiled component is.
    fn compile(&self, options: &BuildOptions) -> Result<PathBuf, Error> {
        let mut command = Command::new("cargo");
        command.args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics", "--manifest-path"]);
        command.arg(&self.cargo_toml);
        if !options.features.is_empty() {
            command.arg("--features").arg(options.features.join(","));
        }
        let output = command.stderr(Stdio::inherit()).output().map_err(Error::io("run", "cargo"))?;
        if !output.status.success() {
            return Err(Error::Project(format!("{} does not compile; see above", self.name)));
        }
        let artifact = |line: &str| {
            let message: Value = serde_json::from_str(line).ok()?;
            let of_this = message.get("manifest_path").and_then(Value::as_str).map(Path::new) == Some(self.cargo_toml.as_path());
            let files = message.get("filenames")?.as_array()?;
            let wasm = files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm"));
            wasm.filter(|_| of_this).map(PathBuf::from)
        };
        let built = String::from_utf8_lossy(&output.stdout).lines().filter_map(artifact).next_back();
        built.ok_or_else(|| Error::Project(format!("{} makes no component; give it `crate-type = [\"cdylib\"]`", self.name)))
    }
}

/// Adds the target to the toolchain where it is missing.
fn ensure_target() -> Result<(), Error> {
    let installed = Command::new("rustup").args(["target", "list", "--installed"]).output();
    let Ok(installed) = installed else {
        // Without rustup the toolchain came from elsewhere; cargo says what is missing.
        return Ok(());
    };
    if String::from_utf8_lossy(&installed.stdout).lines().any(|line| line.trim() == TARGET) {
        return Ok(());
    }
    output::note(&format!("adding the target {TARGET} to the toolchain"));
    let added =
        Command::new("rustup").args(["target", "add", TARGET]).stdout(Stdio::null()).status().map_err(Error::io("run", "rustup"))?;
    if added.success() { Ok(()) } else { Err(Error::Project(format!("`rustup target add {TARGET}` failed; see above"))) }
}
