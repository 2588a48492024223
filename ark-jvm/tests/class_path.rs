//! Class paths: one table over many jars, with the rules of the JDK's own loaders.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ark_jvm::{Archive, ClassPath, ClassPathError, Limits};
use proptest::prelude::*;
use support::{Hand, HandEntry, Keep, blob, class_path, jar};

fn text(class_path: &ClassPath, name: &str) -> Option<String> {
    class_path.find(name).map(|hit| String::from_utf8(hit.bytes().unwrap().into_owned()).unwrap())
}

fn jars_of(class_path: &ClassPath, name: &str) -> Vec<String> {
    class_path.find_all(name).map(|hit| hit.jar().origin().to_string()).collect()
}

#[test]
fn the_first_jar_that_has_a_name_wins_and_all_answer_in_order() {
    let path = class_path(
        &[
            ("a.jar", jar(Keep::Deflated, &[("x", b"of a"), ("only", b"one")])),
            ("b.jar", jar(Keep::Stored, &[("y", b""), ("x", b"of b")])),
            ("c.jar", jar(Keep::Deflated, &[("x", b"of c")])),
        ],
        17,
    );
    assert_eq!(text(&path, "x").as_deref(), Some("of a"));
    assert_eq!(jars_of(&path, "x"), ["a.jar", "b.jar", "c.jar"]);
    assert_eq!(jars_of(&path, "y"), ["b.jar"]);
    assert!(path.find("z").is_none() && path.find("").is_none() && path.find("/x").is_none());
    let hit = path.find("only").unwrap();
    assert_eq!((hit.size(), hit.jar_number(), &*hit.name_in_jar()), (3, 0, "only"));
    assert_eq!(path.entry(hit.number()).unwrap().name(), "only");
}

#[test]
fn a_class_is_found_by_either_of_its_names() {
    let path = class_path(&[("a.jar", jar(Keep::Stored, &[("org/example/A$B.class", b"")]))], 17);
    for name in ["org.example.A$B", "org/example/A$B"] {
        assert_eq!(path.find_class(name).unwrap().package(), "org/example");
    }
    assert!(path.find_class("org.example.A").is_none());
}

#[test]
fn directories_are_found_even_if_a_jar_has_no_entries_for_them() {
    let path = class_path(
        &[
            ("with.jar", jar(Keep::Stored, &[("org/", b""), ("org/example/", b""), ("org/example/A.class", b"")])),
            ("without.jar", jar(Keep::Stored, &[("org/example/deep/B.class", b""), ("org/example/C.class", b"")])),
        ],
        17,
    );
    assert_eq!(jars_of(&path, "org/example/"), ["with.jar", "without.jar"]);
    assert_eq!(jars_of(&path, "org/example"), ["with.jar", "without.jar"]);
    assert_eq!(jars_of(&path, "org/example/deep/"), ["without.jar"]);
    let hit = path.find_all("org/example/").nth(1).unwrap();
    assert_eq!((&*hit.name_in_jar(), hit.name(), hit.size(), hit.is_directory()), ("org/example/", "org/example", 0, true));
    assert!(hit.bytes().unwrap().is_empty() && hit.archived().is_none());
    assert!(path.find("org/example/A.class/").is_none(), "a file is no directory");
}

#[test]
fn a_file_and_a_directory_of_one_name_are_both_found() {
    let path = class_path(
        &[("a.jar", jar(Keep::Stored, &[("n/x", b""), ("n", b"file")])), ("b.jar", jar(Keep::Stored, &[("n", b"other"), ("n/", b"")]))],
        17,
    );
    assert_eq!(text(&path, "n").as_deref(), Some("file"));
    let kinds: Vec<_> = path.find_all("n").map(|hit| (hit.jar_number(), hit.is_directory())).collect();
    assert_eq!(kinds, [(0, false), (0, true), (1, false), (1, true)]);
    assert_eq!(path.find("n/").unwrap().jar_number(), 0);
}

fn multi_release(manifest: &str) -> Vec<u8> {
    jar(
        Keep::Deflated,
        &[
            ("META-INF/MANIFEST.MF", manifest.as_bytes()),
            ("META-INF/versions/21/a/A.class", b"21"),
            ("META-INF/versions/9/a/A.class", b"9"),
            ("a/A.class", b"base"),
            ("META-INF/versions/11/a/A.class", b"11"),
            ("META-INF/versions/11/a/New.class", b"new"),
            ("META-INF/versions/8/a/B.class", b"no such version"),
            ("META-INF/versions/11/META-INF/x", b"never versioned"),
        ],
    )
}

#[test]
fn in_a_multi_release_jar_the_highest_version_that_suits_stands_for_the_others() {
    for (feature, content) in [(8, "base"), (9, "9"), (10, "9"), (17, "11"), (21, "21"), (25, "21")] {
        let jars = [("a.jar", multi_release("Multi-Release: true\n")), ("b.jar", jar(Keep::Stored, &[("a/A.class", b"b")]))];
        let path = class_path(&jars, feature);
        assert_eq!(text(&path, "a/A.class").as_deref(), Some(content), "on Java {feature}");
        assert_eq!(path.find_all("a/A.class").count(), 2, "one of each jar");
        assert_eq!(path.find("a/New.class").is_some(), feature >= 11);
        assert!(path.find("a/B.class").is_none() && path.find("META-INF/x").is_none());
        assert!(path.find("META-INF/versions/9/a/A.class").is_some(), "the plain name still answers");
    }
    let path = class_path(&[("a.jar", multi_release("Multi-Release: true\n"))], 17);
    assert_eq!(path.find("a/A.class").unwrap().name_in_jar(), "META-INF/versions/11/a/A.class");
}

#[test]
fn versions_count_only_if_the_manifest_says_so() {
    assert_eq!(text(&class_path(&[("a.jar", multi_release("A: b\n"))], 17), "a/A.class").as_deref(), Some("base"));
}

#[test]
fn a_manifest_that_cannot_be_read_is_an_error_with_the_name_of_its_jar() {
    let bad = jar(Keep::Stored, &[("META-INF/MANIFEST.MF", b"nonsense"), ("META-INF/versions/9/A.class", b"")]);
    let archive = Archive::of(blob("bad.jar", bad), &Limits::default()).unwrap();
    let error = ClassPath::new([(archive, String::new())], 17).unwrap_err();
    assert!(matches!(&error, ClassPathError::Manifest { jar, .. } if jar.to_string() == "bad.jar"), "{error}");
    let unread = class_path(&[("a.jar", jar(Keep::Stored, &[("META-INF/MANIFEST.MF", b"nonsense")]))], 17);
    assert!(unread.jars()[0].manifest().is_err(), "without versions it is read when it is asked for");
}

#[test]
fn only_what_lies_below_the_root_of_a_jar_is_found() {
    let bytes = jar(
        Keep::Deflated,
        &[
            ("META-INF/MANIFEST.MF", b"Implementation-Title: outer\nMulti-Release: true\n"),
            ("BOOT-INF/classes/", b""),
            ("BOOT-INF/classes/org/A.class", b"a"),
            ("BOOT-INF/classes/META-INF/versions/9/org/A.class", b"not versioned"),
            ("BOOT-INF/lib/x.jar", b""),
            ("org/springframework/boot/loader/L.class", b""),
        ],
    );
    let archive = Archive::of(blob("app.jar", bytes), &Limits::default()).unwrap();
    let path = ClassPath::new([(archive, "BOOT-INF/classes/".into())], 17).unwrap();
    let names: BTreeSet<_> = path.entries().map(|hit| hit.name().to_owned()).collect();
    assert!(names.contains("org") && names.contains("org/A.class") && !names.iter().any(|name| name.contains("BOOT-INF")), "{names:?}");
    assert!(path.find("META-INF/MANIFEST.MF").is_none() && path.find("org/springframework/boot/loader/L.class").is_none());
    let hit = path.find_class("org.A").unwrap();
    assert_eq!((&*hit.name_in_jar(), &*hit.bytes().unwrap()), ("BOOT-INF/classes/org/A.class", &b"a"[..]));
    assert_eq!(path.find("org/").unwrap().name_in_jar(), "BOOT-INF/classes/org/");
    assert_eq!(hit.jar().package("org").unwrap().implementation_title, Some("outer"), "the manifest is that of the jar");
}

#[test]
fn an_entry_is_found_by_what_its_url_says() {
    let path = class_path(&[("a.jar", multi_release("Multi-Release: true\n")), ("b.jar", jar(Keep::Stored, &[("a/A.class", b"b")]))], 17);
    let content = |jar, name| path.find_in_jar(jar, name).map(|hit| hit.bytes().unwrap().into_owned());
    assert_eq!(content(0, "META-INF/versions/9/a/A.class").as_deref(), Some(&b"9"[..]));
    assert_eq!(content(0, "a/A.class").as_deref(), Some(&b"11"[..]));
    assert_eq!(content(1, "a/A.class").as_deref(), Some(&b"b"[..]));
    assert!(content(1, "a/New.class").is_none() && content(2, "a/A.class").is_none());
    for hit in path.entries() {
        let again = path.find_in_jar(hit.jar_number(), &hit.name_in_jar()).unwrap();
        assert_eq!(again.bytes().unwrap(), hit.bytes().unwrap(), "{}", hit.name_in_jar());
    }
}

#[test]
fn packages_are_those_with_classes() {
    let path = class_path(
        &[
            ("a.jar", jar(Keep::Stored, &[("a/b/C.class", b""), ("a/x.txt", b""), ("D.class", b""), ("module-info.class", b"")])),
            ("b.jar", jar(Keep::Stored, &[("a/b/E.class", b""), ("q/F.class", b""), ("META-INF/versions/9/v/G.class", b"")])),
        ],
        17,
    );
    assert_eq!(path.packages().into_iter().collect::<Vec<_>>(), ["", "a/b", "q"]);
}

#[test]
fn a_signed_jar_is_known_by_its_signature_file() {
    let signed = |name| {
        let path = class_path(&[("a.jar", jar(Keep::Stored, &[(name, b"")]))], 17);
        path.jars()[0].is_signed()
    };
    assert!(signed("META-INF/KEY.SF") && signed("META-INF/key.sf"));
    assert!(!signed("META-INF/below/KEY.SF") && !signed("KEY.SF"));
}

#[test]
fn a_clone_is_the_same_class_path_and_outlives_the_first() {
    let path = class_path(&[("a.jar", jar(Keep::Deflated, &[("x", b"content")]))], 17);
    let clone = path.clone();
    drop(path);
    assert_eq!(text(&clone, "x").as_deref(), Some("content"));
}

proptest! {
    /// Against the plain rule: go through the jars in order, and take each that has the name.
    #[test]
    fn every_name_is_found_in_the_jars_that_have_it(
        jars in proptest::collection::vec(proptest::collection::btree_map("[abc](/[abc]){0,3}(/[xy]\\.class)?", 0..9_u8, 0..12), 0..6)
    ) {
        let made: Vec<(String, Vec<u8>)> = jars.iter().enumerate().map(|(number, entries)| {
            (format!("{number}.jar"), Hand::of(entries.iter().map(|(name, content)| HandEntry::stored(name, &[*content]))).bytes())
        }).collect();
        let made: Vec<(&str, Vec<u8>)> = made.iter().map(|(name, bytes)| (&**name, bytes.clone())).collect();
        let path = class_path(&made, 17);
        let mut directories: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        let mut files: BTreeMap<String, Vec<(usize, u8)>> = BTreeMap::new();
        for (number, entries) in jars.iter().enumerate() {
            for (name, content) in entries {
                files.entry(name.clone()).or_default().push((number, *content));
                for (at, _) in name.match_indices('/') {
                    directories.entry(name[..at].to_owned()).or_default().insert(number);
                }
            }
        }
        for (name, expected) in &files {
            let found: Vec<_> = path.find_all(name).filter(|hit| !hit.is_directory()).map(|hit| (hit.jar_number(), hit.bytes().unwrap()[0])).collect();
            prop_assert_eq!(&found, expected);
        }
        for (name, expected) in &directories {
            let found: Vec<_> = path.find_all(&format!("{name}/")).map(|hit| hit.jar_number()).collect();
            prop_assert_eq!(&found, &expected.iter().copied().collect::<Vec<_>>());
        }
        let total = files.values().map(Vec::len).sum::<usize>() + directories.values().map(BTreeSet::len).sum::<usize>();
        prop_assert_eq!(path.entry_count(), total);
        for hit in path.entries() {
            prop_assert!(path.find_all(hit.name()).any(|other| other.number() == hit.number()));
        }
    }
}

#[test]
fn class_paths_and_packages_may_be_used_by_all_threads_of_a_jvm() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<ClassPath>();
    shared::<Archive>();
    shared::<ark_jvm::Package>();
    shared::<ark_jvm::share::Layers>();
    shared::<ark_jvm::PackageError>();
}
