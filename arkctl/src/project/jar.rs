//! Which of the jars that a build leaves behind is the module, told as a base tells it: by what is in them.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ark_jvm::{Kind, Layout, LayoutError};

use crate::package;

/// Names of jars that never are a module: what the end says before `.jar`, as Maven and Gradle write it.
const BESIDE: [&str; 6] = ["-sources", "-javadoc", "-tests", "-test-sources", "-plain", "-stubs"];

/// An executable jar.
#[derive(Debug)]
struct Executable {
    path: PathBuf,
    rank: Rank,
    name: Option<String>,
    modified: SystemTime,
}

/// Which jar is meant where several are: the smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    ArkBiz,
    Boot,
    /// A jar with a main class and everything it needs.
    Plain,
}

/// What is in a directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The executables; none, one, or several of which nobody can say which is meant.
    pub(super) executables: Vec<PathBuf>,
    /// The jars that are none, and why.
    pub(super) others: Vec<(PathBuf, String)>,
}

/// Finds the executable jar in `directory`. A SOFAArk package goes before a Spring Boot jar, and that before a plain jar with a
/// main class. Of several versions of one application, which older builds have left, the latest file is meant.
pub(super) fn find(directory: &Path) -> Found {
    let mut paths: Vec<PathBuf> = directory.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| is_candidate(path));
    paths.sort();
    let mut found = Found::default();
    let mut executables = Vec::new();
    for path in paths {
        match package::layout(&path) {
            Ok(layout) => match rank(&layout) {
                Some(rank) => {
                    let modified = path.metadata().and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                    executables.push(Executable { path, rank, name: layout.name, modified });
                }
                None => found.others.push((path, "its libraries lie outside of it".to_owned())),
            },
            Err(error) => found.others.push((path, reason(&error))),
        }
    }
    found.executables = meant(executables);
    found
}

fn is_candidate(path: &Path) -> bool {
    let name = path.file_stem().map(OsStr::to_string_lossy).unwrap_or_default();
    let beside = BESIDE.iter().any(|end| name.ends_with(end)) || name.starts_with("original-");
    path.extension() == Some(OsStr::new("jar")) && !beside && path.is_file()
}

fn rank(layout: &Layout) -> Option<Rank> {
    match layout.kind {
        Kind::ArkBiz(_) => Some(Rank::ArkBiz),
        Kind::Boot { .. } => Some(Rank::Boot),
        Kind::Plain if layout.outside.is_empty() => Some(Rank::Plain),
        Kind::Plain => None,
    }
}

fn meant(mut executables: Vec<Executable>) -> Vec<PathBuf> {
    let Some(best) = executables.iter().map(|executable| executable.rank).min() else { return Vec::new() };
    executables.retain(|executable| executable.rank == best);
    let is_old = |executable: &Executable| {
        let same = |other: &&Executable| executable.name.is_some() && other.name == executable.name;
        executables.iter().filter(same).any(|other| other.modified > executable.modified)
    };
    let old: Vec<bool> = executables.iter().map(is_old).collect();
    executables.into_iter().zip(old).filter(|(_, old)| !old).map(|(executable, _)| executable.path).collect()
}

/// Why a jar is no module, without its name in front.
fn reason(error: &LayoutError) -> String {
    let text = error.to_string();
    text.split_once(" as a module: ").map_or(text.clone(), |(_, reason)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::jar;
    use std::time::Duration;

    const BOOT: &str = "Main-Class: org.springframework.boot.loader.launch.JarLauncher\nStart-Class: a.A\nSpring-Boot-Version: 3.5.16\n";

    /// A `target` with these jars, each a second younger than the one before.
    fn target(jars: &[(&str, &str, &[&str])]) -> (tempfile::TempDir, Found) {
        let directory = tempfile::tempdir().unwrap();
        for (at, (name, manifest, entries)) in jars.iter().enumerate() {
            let path = directory.path().join(name);
            std::fs::write(&path, jar(manifest, entries)).unwrap();
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + at as u64);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        }
        let found = find(directory.path());
        (directory, found)
    }

    fn names(found: &Found) -> Vec<String> {
        found.executables.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn the_fat_jar_is_found_among_what_a_build_leaves() {
        let fat = ["BOOT-INF/classes/a/A.class", "BOOT-INF/lib/x.jar"];
        let (_directory, found) = target(&[
            ("a-1.jar.original", "Main-Class: a.A\n", &["a/A.class"]),
            ("original-a-1.jar", "Main-Class: a.A\n", &["a/A.class"]),
            ("a-1-sources.jar", "Main-Class: a.A\n", &["a/A.java"]),
            ("a-1-javadoc.jar", "", &["index.html"]),
            ("a-1-plain.jar", "Main-Class: a.A\n", &["a/A.class"]),
            ("a-1-tests.jar", "", &["a/ATest.class"]),
            ("library.jar", "", &["b/B.class"]),
            ("thin.jar", "Main-Class: a.A\nClass-Path: lib/x.jar\n", &["a/A.class"]),
            ("tool.jar", "Main-Class: a.A\n", &["a/A.class"]),
            ("a-1.jar", BOOT, &fat),
        ]);
        assert_eq!(names(&found), ["a-1.jar"]);
        assert_eq!(found.others.len(), 2, "{:?}", found.others);
    }

    #[test]
    fn an_ark_package_goes_before_the_fat_jar_beside_it() {
        let biz = "Main-Class: a.A\nArk-Biz-Name: stock\nArk-Biz-Version: 1\n";
        let (_directory, found) = target(&[
            ("a-1-ark-biz.jar", biz, &["com/alipay/sofa/ark/biz/mark", "a/A.class", "lib/x.jar"]),
            ("a-1.jar", BOOT, &["BOOT-INF/classes/a/A.class"]),
        ]);
        assert_eq!(names(&found), ["a-1-ark-biz.jar"]);
    }

    #[test]
    fn what_an_older_version_left_behind_is_not_meant() {
        let titled = |version: u8| format!("{BOOT}Implementation-Title: a\nImplementation-Version: {version}\n");
        let (one, two) = (titled(1), titled(2));
        let (_directory, found) = target(&[("a-2.jar", &two, &["BOOT-INF/lib/"]), ("a-1.jar", &one, &["BOOT-INF/lib/"])]);
        assert_eq!(names(&found), ["a-1.jar"]);
    }

    #[test]
    fn of_several_applications_none_is_taken() {
        let (_directory, found) = target(&[("api.jar", BOOT, &["BOOT-INF/lib/"]), ("worker.jar", BOOT, &["BOOT-INF/lib/"])]);
        assert_eq!(names(&found), ["api.jar", "worker.jar"]);
    }

    #[test]
    fn a_plain_jar_with_all_it_needs_is_one_where_nothing_better_is() {
        let (_directory, found) = target(&[("library.jar", "", &["b/B.class"]), ("tool.jar", "Main-Class: a.A\n", &["a/A.class"])]);
        assert_eq!(names(&found), ["tool.jar"]);
    }

    #[test]
    fn why_a_jar_is_no_module_is_told() {
        let (_directory, found) = target(&[("library.jar", "", &["b/B.class"]), ("broken.jar", "", &[])]);
        assert!(found.executables.is_empty());
        assert!(found.others[1].1.contains("repackage"), "{:?}", found.others);
    }
}
