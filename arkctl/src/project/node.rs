//! npm, as far as a module needs it: what goes into the package, and the packages that the application needs when it runs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use ark_node::{MODULES, PackageJson, copy_for_npm, has_lock, pack, pack_files};
use serde::Deserialize;

use super::{Kind, Made, Project, Sources, tool};
use crate::{build::Options, error::Error, output::Output, package};

/// The files that tell a project of Node.js.
pub(super) const MARKS: &[&str] = &["package.json"];
/// Where the package is put: no tool takes it for a source.
const MADE: &str = "node_modules/.cache/ark";
/// How many lines of what npm says are shown where it fails.
const SHOWN_LINES: usize = 30;

/// A project with a `package.json`.
#[derive(Debug)]
pub(super) struct Node {
    directory: PathBuf,
}

/// What `npm pack --json` answers, for each package.
#[derive(Deserialize)]
struct Packed {
    files: Vec<PackedFile>,
}

#[derive(Deserialize)]
struct PackedFile {
    path: PathBuf,
}

impl Node {
    /// The project in `directory`.
    ///
    /// # Errors
    /// Where that is not there.
    pub(super) fn find(directory: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { doing: "find", path: directory.to_owned(), source };
        Ok(Self { directory: directory.canonicalize().map_err(failed)? })
    }

    fn wrong(&self, problem: String) -> Error {
        Error::Package { path: self.directory.join("package.json"), problem, hint: None }
    }

    fn npm(&self, arguments: &[&str], directory: &Path, output: Output) -> Result<Vec<String>, Error> {
        let Some(npm) = tool::on_path("npm") else {
            let hint = Some("install Node.js, which brings it (https://nodejs.org)".to_owned());
            return Err(Error::Build { problem: "there is no npm on the PATH".to_owned(), said: Vec::new(), hint });
        };
        let mut command = Command::new(npm);
        command.args(arguments).current_dir(directory);
        let (status, mut said) = tool::run(command, "npm", output)?;
        if status.success() {
            return Ok(said);
        }
        let said = said.split_off(said.len().saturating_sub(SHOWN_LINES));
        let problem = format!("{} does not build: npm {} ended with {status}", self.directory.display(), arguments.join(" "));
        Err(Error::Build { problem, said, hint: Some("the same command with --verbose shows all that npm says".to_owned()) })
    }

    /// The files that npm would publish.
    fn files(&self, output: Output) -> Result<Vec<PathBuf>, Error> {
        // npm tells of its progress on the other stream, which has no brackets at the begin of a line.
        let said = self.npm(&["pack", "--dry-run", "--json", "--ignore-scripts", "--loglevel=silent"], &self.directory, output)?;
        let from = said.iter().position(|line| line.starts_with('[')).unwrap_or(0);
        let json = said.get(from..).unwrap_or_default().join("\n");
        let packed: Vec<Packed> =
            serde_json::from_str(&json).map_err(|error| self.wrong(format!("`npm pack` said what cannot be read: {error}")))?;
        Ok(packed.into_iter().flat_map(|packed| packed.files).map(|file| file.path).collect())
    }

    /// Installs what the application needs when it runs into a folder of its own, so that what only its developers need stays out.
    fn dependencies(&self, output: Output) -> Result<tempfile::TempDir, Error> {
        let failed = |(path, source)| Error::File { doing: "write", path, source };
        let aside = tempfile::tempdir().map_err(|error| failed(("a temporary folder".into(), error)))?;
        copy_for_npm(&self.directory, aside.path()).map_err(failed)?;
        let how = if has_lock(&self.directory) { "ci" } else { "install" };
        self.npm(&[how, "--omit=dev", "--no-audit", "--no-fund"], aside.path(), output)?;
        Ok(aside)
    }

    /// The package at `to`, which `write` writes.
    fn write(to: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Error> {
        let written = fs::create_dir_all(to.parent().unwrap_or(to)).and_then(|()| write(&mut File::create(to)?));
        written.map_err(|source| Error::File { doing: "write", path: to.to_owned(), source })
    }
}

impl Project for Node {
    fn kind(&self) -> Kind {
        Kind::Node
    }

    /// Runs the project's `build` script, where it has one, and packs the folder which that made, or what npm would publish with what that
    /// needs to run.
    fn build(&self, options: &Options, output: Output) -> Result<Made, Error> {
        if !options.features.is_empty() {
            return Err(Error::Usage("--features are those of a crate; a project of Node.js has none".to_owned()));
        }
        let file = self.directory.join("package.json");
        let json = PackageJson::parse(&package::read(&file)?).map_err(|error| self.wrong(error.to_string()))?;
        let mut manifest = json.manifest().map_err(|error| self.wrong(error.to_string()))?;
        let version = options.version_of(manifest.version.as_deref());
        let id = options.identity(&file, manifest.name.as_deref(), version.as_deref())?;
        if json.has_script("build") {
            self.npm(&["run", "build"], &self.directory, output)?;
        }
        let path = self.directory.join(MADE).join(format!("{}-{}.tgz", id.name(), id.version()));
        manifest.name = Some(id.name().to_owned());
        manifest.version = Some(id.version().to_owned());
        if let Some(folder) = json.package() {
            let folder = self.directory.join(folder);
            let made = PackageJson::of(&folder).map_err(|error| self.wrong(format!("{}: {error}", folder.display())))?;
            made.main(|name| folder.join(name).is_file()).map_err(|error| self.wrong(error.to_string()))?;
            Self::write(&path, |to| pack(&folder, to))?;
            return Ok(Made { path, manifest });
        }
        let files = self.files(output)?;
        json.main(|name| files.iter().any(|file| file == Path::new(name.trim_start_matches("./"))))
            .map_err(|error| self.wrong(error.to_string()))?;
        let needed = if json.has_dependencies() { Some(self.dependencies(output)?) } else { None };
        let modules = needed.as_ref().map(|aside| aside.path().join(MODULES));
        let modules = modules.as_deref().filter(|modules| modules.is_dir());
        Self::write(&path, |to| pack_files(&self.directory, &files, modules, to))?;
        Ok(Made { path, manifest })
    }

    fn sources(&self) -> Sources {
        let json = PackageJson::of(&self.directory).unwrap_or_default();
        let built: &[&str] = if json.has_script("build") { &["dist", "build"] } else { &[] };
        let made = built.iter().chain(&[MODULES]).map(|made| self.directory.join(made)).collect();
        Sources { roots: vec![self.directory.clone()], made }
    }
}
