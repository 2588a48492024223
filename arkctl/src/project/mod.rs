//! Projects: a directory that a build tool makes a package of.
//!
//! A kind of project is told by its files alone. A further kind takes a [`Kind`] with its marks, a [`Project`], and a reader of its
//! packages in [`crate::package`]; the commands stay as they are.

mod cargo;
mod jar;
mod java;
mod node;
pub(crate) mod tool;

use std::path::{Path, PathBuf};

use ark_model::{Manifest, api::BaseView};
use clap::ValueEnum;
use serde::Serialize;

use crate::{build::Options, error::Error, output::Output};

/// A kind of module, and of the projects that make one. The names are those of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A Rust crate, which becomes a WebAssembly component.
    Wasm,
    /// A Maven or Gradle project, which becomes an executable jar.
    Jvm,
    /// A project with a package.json, which becomes a package of npm.
    Node,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Wasm, Self::Jvm, Self::Node];

    /// Its name, on the command line and at a base.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Jvm => "jvm",
            Self::Node => "node",
        }
    }

    /// The files that tell its projects; one of them is enough.
    fn marks(self) -> &'static [&'static str] {
        match self {
            Self::Wasm => &["Cargo.toml"],
            Self::Jvm => java::MARKS,
            Self::Node => node::MARKS,
        }
    }

    /// The kind of a package, by the end of its file's name.
    pub(crate) fn of_package(path: &Path) -> Option<Self> {
        let end = path.extension()?;
        [("wasm", Self::Wasm), ("jar", Self::Jvm), ("tgz", Self::Node)]
            .into_iter()
            .find(|(of, _)| end.eq_ignore_ascii_case(of))
            .map(|(_, kind)| kind)
    }

    /// Makes sure that `base` runs modules of this kind, before somebody waits for a build.
    ///
    /// # Errors
    /// [`Error::WrongKind`].
    pub(crate) fn runs_on(self, base: &BaseView) -> Result<(), Error> {
        if base.kinds.iter().any(|kind| kind == self.name()) {
            return Ok(());
        }
        Err(Error::WrongKind { base: base.name.clone(), runs: base.kinds.clone(), kind: self })
    }
}

/// A project that was found.
pub(crate) trait Project {
    /// Its kind.
    fn kind(&self) -> Kind;

    /// Builds its package, without its tests.
    ///
    /// # Errors
    /// A project that does not build, options that it cannot have, a build that makes no package or several.
    fn build(&self, options: &Options, output: Output) -> Result<Made, Error>;

    /// The files that say what its package will be.
    fn sources(&self) -> Sources;
}

/// What a build made.
pub(crate) struct Made {
    /// The package.
    pub(crate) path: PathBuf,
    /// What it says of itself, name and version among it, as the options want them.
    pub(crate) manifest: Manifest,
}

/// The files of a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    /// The directories they are in.
    pub(crate) roots: Vec<PathBuf>,
    /// What below them the build tool writes.
    pub(crate) made: Vec<PathBuf>,
}

impl Sources {
    /// Whether a file says what the module is: none that a build writes, that is hidden, or that an editor keeps beside.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let inner = self.roots.iter().filter_map(|root| path.strip_prefix(root).ok()).min_by_key(|inner| inner.as_os_str().len());
        let plain = |part: std::path::Component<'_>| {
            let part = part.as_os_str().to_string_lossy();
            !part.starts_with(['.', '#']) && !part.ends_with('~')
        };
        !self.made.iter().any(|made| path.starts_with(made)) && inner.unwrap_or(path).components().all(plain)
    }
}

/// The project in `directory`, of the kind that `options` ask for or that its files tell.
///
/// # Errors
/// A directory without a project, or with one of each of several kinds.
pub(crate) fn find(directory: &Path, options: &Options) -> Result<Box<dyn Project>, Error> {
    let kind = recognise(directory, options.kind, |file| directory.join(file).is_file())?;
    Ok(match kind {
        Kind::Wasm => Box::new(cargo::Crate::find(directory)?),
        Kind::Jvm => Box::new(java::Java::find(directory, options.sub.as_deref())?),
        Kind::Node => Box::new(node::Node::find(directory)?),
    })
}

/// The kind of the project in `directory`, which has the files that `has` says.
fn recognise(directory: &Path, asked: Option<Kind>, has: impl Fn(&str) -> bool) -> Result<Kind, Error> {
    let marks = |kind: Kind| kind.marks().iter().copied().find(|mark| has(mark));
    let kinds = Kind::ALL.into_iter().filter(|kind| asked.is_none_or(|asked| asked == *kind));
    let found: Vec<(Kind, &str)> = kinds.filter_map(|kind| Some((kind, marks(kind)?))).collect();
    match *found {
        [(kind, _)] => Ok(kind),
        [] => {
            let sought = Kind::ALL.into_iter().filter(|kind| asked.is_none_or(|asked| asked == *kind)).flat_map(Kind::marks);
            let sought: Vec<&str> = sought.copied().collect();
            Err(Error::Package {
                path: directory.to_owned(),
                problem: format!("there is no project: none of {}", sought.join(", ")),
                hint: Some(
                    "name the directory of a project, or a .wasm, .jar or .tgz file; `arkctl new <directory>` begins a project".to_owned(),
                ),
            })
        }
        _ => {
            let files: Vec<&str> = found.iter().map(|(_, mark)| *mark).collect();
            let names: Vec<&str> = found.iter().map(|(kind, _)| kind.name()).collect();
            let files = files.join(" and ");
            Err(Error::Usage(format!("{} has {files}; say which is meant by --kind {}", directory.display(), names.join(" or --kind "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(files: &[&str], asked: Option<Kind>) -> Result<Kind, Error> {
        recognise(Path::new("/w"), asked, |file| files.contains(&file))
    }

    #[test]
    fn a_project_is_recognised_by_its_files() {
        assert_eq!(kind(&["Cargo.toml"], None).unwrap(), Kind::Wasm);
        for mark in ["pom.xml", "build.gradle", "build.gradle.kts", "settings.gradle.kts"] {
            assert_eq!(kind(&[mark, "README.md"], None).unwrap(), Kind::Jvm, "{mark}");
        }
    }

    #[test]
    fn where_two_kinds_are_somebody_has_to_say_which() {
        let both = ["Cargo.toml", "pom.xml"];
        let error = kind(&both, None).unwrap_err();
        assert_eq!(error.to_string(), "/w has Cargo.toml and pom.xml; say which is meant by --kind wasm or --kind jvm");
        assert_eq!(error.exit_code(), 2);
        assert_eq!(kind(&both, Some(Kind::Jvm)).unwrap(), Kind::Jvm);
        assert!(kind(&["Cargo.toml"], Some(Kind::Jvm)).unwrap_err().to_string().contains("none of pom.xml, build.gradle"));
    }

    #[test]
    fn where_no_project_is_it_is_said_what_was_looked_for() {
        let error = kind(&["main.go"], None).unwrap_err();
        assert!(error.to_string().contains("none of Cargo.toml, pom.xml"), "{error}");
        assert!(error.hint().unwrap().contains("arkctl new"));
    }

    #[test]
    fn a_package_is_recognised_by_the_end_of_its_name() {
        let of = |path: &str| Kind::of_package(Path::new(path));
        assert_eq!((of("a/b.wasm"), of("b.JAR"), of("a.jar/b"), of(".")), (Some(Kind::Wasm), Some(Kind::Jvm), None, None));
    }

    #[test]
    fn what_a_build_writes_is_no_source() {
        let path = |text: &str| PathBuf::from(text);
        let sources = Sources { roots: vec![path("/w"), path("/w/a")], made: vec![path("/w/target"), path("/w/a/target"), path("/x")] };
        for source in ["/w/pom.xml", "/w/a/src/main/java/shop/target/X.java", "/w/a", "/w/src/build/y"] {
            assert!(sources.has(Path::new(source)), "{source}");
        }
        for other in ["/w/target/x.jar", "/w/a/target", "/x/y", "/w/.git/HEAD", "/w/a/src/.X.java.swp", "/w/src/X.java~", "/w/#X#"] {
            assert!(!sources.has(Path::new(other)), "{other}");
        }
    }

    #[test]
    fn a_hidden_directory_above_a_project_hides_nothing() {
        let sources = Sources { roots: vec!["/home/.x/a".into()], made: Vec::new() };
        assert!(sources.has(Path::new("/home/.x/a/src/lib.rs")));
    }
}
