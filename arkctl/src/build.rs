//! From a project to a package.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use ark_model::{Manifest, ModuleId};
use clap::ValueHint;
use serde::Serialize;

use crate::{
    error::Error,
    output::Output,
    package::{read, sha256},
    project::{Kind, Made, Project},
};

/// What to build, and as what.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// The kind of project, where the files tell of several.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) kind: Option<Kind>,
    /// Features of a crate, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "FEATURES")]
    pub(crate) features: Vec<String>,
    /// The directory of one module of a Maven or Gradle build with several, inside that of the build.
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub(crate) sub: Option<PathBuf>,
    /// The module's name, in place of the project's or for a package that has none.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The module's version, likewise.
    #[arg(long = "version", visible_alias = "package-version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Stands behind the version of a build among many, none of which is a release.
    #[arg(skip)]
    pub(crate) mark: Option<String>,
}

impl Options {
    /// The version to build, of a project that says `own`.
    pub(crate) fn version_of(&self, own: Option<&str>) -> Option<String> {
        let version = self.version.as_deref().or(own)?;
        Some(match &self.mark {
            None => version.to_owned(),
            // Build metadata, where the version has none yet.
            Some(mark) => format!("{version}{}{mark}", if version.contains('+') { '.' } else { '+' }),
        })
    }

    /// The identity of what is built, of a project that gives these parts.
    ///
    /// # Errors
    /// Parts that are missing, or no base would take; both name `path`.
    pub(crate) fn identity(&self, path: &Path, name: Option<&str>, version: Option<&str>) -> Result<ModuleId, Error> {
        let wrong = |problem: String, hint: &str| Error::Package { path: path.to_owned(), problem, hint: Some(hint.to_owned()) };
        const HOW: &str = "give it by --name and --version, or have the build write Implementation-Title and Implementation-Version";
        let name = self.name.as_deref().or(name).ok_or_else(|| wrong("it says no name".to_owned(), HOW))?;
        let version = self.version_of(version).ok_or_else(|| wrong("it says no version".to_owned(), HOW))?;
        ModuleId::new(name, version).map_err(|error| wrong(error.to_string(), "give another by --name or --version"))
    }
}

/// A package in a file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Built {
    /// The module's kind.
    pub(crate) kind: Kind,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its sha-256, in hex.
    pub(crate) sha256: String,
    /// What it says of itself.
    pub(crate) manifest: Manifest,
    /// How long it took, in milliseconds.
    pub(crate) ms: f64,
}

/// Builds the project's package.
///
/// # Errors
/// As [`Project::build`], and a package that cannot be read.
pub(crate) fn build(project: &dyn Project, options: &Options, output: Output) -> Result<Built, Error> {
    let begun = Instant::now();
    let Made { path, manifest } = project.build(options, output)?;
    let bytes = read(&path)?;
    Ok(Built {
        kind: project.kind(),
        name: manifest.name.clone().unwrap_or_default(),
        version: manifest.version.clone().unwrap_or_default(),
        size: bytes.len() as u64,
        sha256: sha256(&bytes),
        path,
        manifest,
        ms: begun.elapsed().as_secs_f64() * 1e3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(version: &str, mark: &str) -> Options {
        Options { version: Some(version.to_owned()), mark: Some(mark.to_owned()), ..Options::default() }
    }

    #[test]
    fn a_marked_version_is_one_of_a_module() {
        assert_eq!(marked("1.0.0", "dev.7").version_of(None).unwrap(), "1.0.0+dev.7");
        assert_eq!(marked("1.0.0+b", "dev.7").version_of(Some("9")).unwrap(), "1.0.0+b.dev.7");
        let mark = format!("dev.{}", u64::MAX);
        assert!(marked("1.0.0", &mark).identity(Path::new("x"), Some("a"), None).is_ok());
    }

    #[test]
    fn a_title_that_is_no_name_is_told_with_the_option_that_gives_one() {
        let options = Options::default();
        let error = options.identity(Path::new("a.jar"), Some("My Shop"), Some("1")).unwrap_err();
        assert!(error.to_string().contains("My Shop") && error.hint().unwrap().contains("--name"), "{error}");
        assert!(options.identity(Path::new("a.jar"), Some("a"), None).unwrap_err().hint().unwrap().contains("--version"));
        let named = Options { name: Some("shop".to_owned()), ..options };
        assert_eq!(named.identity(Path::new("a.jar"), Some("My Shop"), Some("1")).unwrap().to_string(), "shop:1");
    }
}
