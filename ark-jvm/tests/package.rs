//! Packages: what kind they are, how they are split, and what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::{path::PathBuf, thread};

use ark_jvm::{
    Apart, Archive, BaseJars, ClassPath, Extracted, Fault, Kind, Layout, LayoutError, Limits, Package, PackageError,
    declared::{self, Decision, Imports},
    why::{Place, View, why},
};
use support::{Keep, blob, class, class_path, jar, open};

const FEATURE: u16 = 17;

/// A jar from entries of any kind of bytes.
fn made(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<(&str, &[u8])> = entries.iter().map(|(name, content)| (*name, &**content)).collect();
    jar(Keep::Stored, &entries)
}

fn library(name: &str) -> Vec<u8> {
    jar(Keep::Deflated, &[(&format!("lib/{name}/A.class"), &class(17)), ("shared/Common.class", name.as_bytes())])
}

fn boot_manifest(version: &str) -> Vec<u8> {
    format!(
        "Manifest-Version: 1.0\r\nImplementation-Title: orders\r\nImplementation-Version: 1.2.3\r\n\
         Main-Class: org.springframework.boot.loader.launch.JarLauncher\r\nStart-Class: shop.App\r\n\
         Spring-Boot-Version: {version}\r\nSpring-Boot-Classes: BOOT-INF/classes/\r\nSpring-Boot-Lib: BOOT-INF/lib/\r\n\
         Spring-Boot-Classpath-Index: BOOT-INF/classpath.idx\r\n"
    )
    .into_bytes()
}

fn boot() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("META-INF/MANIFEST.MF", boot_manifest("3.5.16")),
        ("org/springframework/boot/loader/launch/JarLauncher.class", class(17)),
        ("BOOT-INF/classes/shop/App.class", class(17)),
        ("BOOT-INF/classes/application.properties", b"a=b".to_vec()),
        ("BOOT-INF/lib/one-1.0.jar", library("one")),
        ("BOOT-INF/lib/two-2.0.jar", library("two")),
        ("BOOT-INF/lib/unlisted-1.0.jar", library("unlisted")),
        (
            "BOOT-INF/classpath.idx",
            b"- \"BOOT-INF/lib/two-2.0.jar\"\n- \"BOOT-INF/lib/gone-1.0.jar\"\n- \"BOOT-INF/lib/one-1.0.jar\"\n".to_vec(),
        ),
    ]
}

fn biz() -> Vec<(&'static str, Vec<u8>)> {
    let manifest = "Main-Class: shop.Stock\nStart-Class: shop.Stock\nArk-Biz-Name: stock\nArk-Biz-Version: 2.0\npriority: 7\n\
                    web-context-path: stock/\ndeny-import-packages: org.a, org.b.*\ndeny-import-classes:\n\
                    declared-libraries: one,two\nImplementation-Title: other\n";
    vec![
        ("META-INF/MANIFEST.MF", manifest.as_bytes().to_vec()),
        ("com/alipay/sofa/ark/biz/mark", b"a mark file included in sofa-ark module.".to_vec()),
        ("shop/Stock.class", class(8)),
        ("lib/one-1.0.jar", library("one")),
        ("lib/export/two-2.0.jar", library("two")),
    ]
}

fn package(entries: &[(&str, Vec<u8>)]) -> Result<Package, PackageError> {
    Package::of(open(made(entries)).unwrap(), &Limits::default(), FEATURE)
}

fn without(mut entries: Vec<(&'static str, Vec<u8>)>, name: &str) -> Vec<(&'static str, Vec<u8>)> {
    entries.retain(|(other, _)| *other != name);
    entries
}

fn with(entries: Vec<(&'static str, Vec<u8>)>, name: &'static str, content: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut entries = without(entries, name);
    entries.insert(0, (name, content.to_vec()));
    entries
}

fn libraries(package: &Package) -> Vec<&str> {
    package.libraries().jars().iter().map(|jar| jar.origin().file_name()).collect()
}

#[test]
fn an_executable_jar_of_spring_boot_is_split_into_its_classes_and_its_libraries() {
    for version in ["2.7.18", "3.5.16", "4.0.9"] {
        let package = package(&with(boot(), "META-INF/MANIFEST.MF", &boot_manifest(version))).unwrap();
        let layout = package.layout();
        assert_eq!(layout.kind, Kind::Boot { version: Some(version.into()) });
        assert_eq!((&*layout.start_class, layout.name.as_deref(), layout.version.as_deref()), ("shop.App", Some("orders"), Some("1.2.3")));
        assert_eq!(layout.context_path(), None);
        assert!(package.own().find_class("shop.App").is_some() && package.own().find("application.properties").is_some());
        assert!(package.own().find_class("lib.one.A").is_none());
        assert!(package.libraries().class_path().unwrap().find_class("lib.one.A").is_some());
    }
}

#[test]
fn the_order_of_libraries_is_that_of_the_index_and_unlisted_ones_come_last() {
    let package = package(&boot()).unwrap();
    assert_eq!(libraries(&package), ["two-2.0.jar", "one-1.0.jar", "unlisted-1.0.jar"]);
    let first = package.libraries().class_path().unwrap();
    assert_eq!(&*first.find_class("shared.Common").unwrap().bytes().unwrap(), b"two");
    let package = self::package(&without(boot(), "BOOT-INF/classpath.idx")).unwrap();
    assert_eq!(libraries(&package), ["one-1.0.jar", "two-2.0.jar", "unlisted-1.0.jar"]);
}

#[test]
fn own_classes_come_before_libraries_in_the_whole() {
    let entries = with(boot(), "BOOT-INF/classes/shared/Common.class", b"own");
    let whole = package(&entries).unwrap().whole().unwrap();
    assert_eq!(&*whole.find_class("shared.Common").unwrap().bytes().unwrap(), b"own");
    assert_eq!(whole.find_all("shared/Common.class").count(), 4);
}

#[test]
fn a_module_of_sofa_ark_says_what_its_manifest_says() {
    let package = package(&biz()).unwrap();
    let layout = package.layout();
    assert_eq!((layout.name.as_deref(), layout.version.as_deref(), layout.context_path()), (Some("stock"), Some("2.0"), Some("/stock")));
    let Kind::ArkBiz(biz) = &layout.kind else { panic!("{layout:?}") };
    assert_eq!((biz.priority, &*biz.declared_libraries), (7, &["one".to_owned(), "two".to_owned()][..]));
    assert_eq!((&*biz.deny_import_packages, biz.deny_import_classes.len()), (&["org.a".to_owned(), "org.b.*".to_owned()][..], 0));
    assert_eq!(libraries(&package), ["one-1.0.jar", "two-2.0.jar"]);
    assert!(Imports::of(biz).is_declared_mode());
}

#[test]
fn a_module_of_sofa_ark_without_a_path_answers_at_the_root() {
    let manifest = b"Main-Class: shop.Stock\nArk-Biz-Name: stock\n";
    let package = package(&with(biz(), "META-INF/MANIFEST.MF", manifest)).unwrap();
    let Kind::ArkBiz(biz) = &package.layout().kind else { panic!() };
    assert_eq!((&*biz.context_path, biz.priority, biz.declared_libraries.len()), ("/", 100, 0));
}

#[test]
fn an_attribute_with_an_impossible_value_is_refused() {
    for (line, name) in [("priority: high", "priority"), ("web-context-path: a b", "web-context-path")] {
        let manifest = format!("Main-Class: shop.Stock\n{line}\n");
        let error = package(&with(biz(), "META-INF/MANIFEST.MF", manifest.as_bytes())).unwrap_err();
        assert!(matches!(&error, PackageError::Layout(LayoutError::Attribute { name: found, .. }) if *found == name), "{error}");
    }
    let manifest = "Start-Class: shop.App\nSpring-Boot-Classes: ../\n";
    let error = package(&with(boot(), "META-INF/MANIFEST.MF", manifest.as_bytes())).unwrap_err();
    assert!(matches!(error, PackageError::Layout(LayoutError::Attribute { name: "Spring-Boot-Classes", .. })), "{error}");
}

#[test]
fn a_plain_jar_is_its_own_class_path() {
    let manifest = b"Main-Class: tool.Main\nClass-Path: a.jar lib/b.jar\n".to_vec();
    let package = package(&[("META-INF/MANIFEST.MF", manifest), ("tool/Main.class", class(17)), ("lib/x.jar", library("x"))]).unwrap();
    assert_eq!((&package.layout().kind, libraries(&package).len()), (&Kind::Plain, 0));
    assert_eq!(package.layout().outside, ["a.jar", "lib/b.jar"]);
    assert!(package.own().find_class("tool.Main").is_some());
}

#[test]
fn what_cannot_run_as_a_module_is_refused_by_name() {
    let refusal = |entries: Vec<(&'static str, Vec<u8>)>| match package(&entries).unwrap_err() {
        PackageError::Layout(error) => error,
        other => panic!("{other}"),
    };
    assert!(matches!(refusal(without(boot(), "META-INF/MANIFEST.MF")), LayoutError::NoManifest { .. }));
    let launcher_only = b"Main-Class: org.springframework.boot.loader.JarLauncher\n";
    assert!(matches!(refusal(with(boot(), "META-INF/MANIFEST.MF", launcher_only)), LayoutError::NoMainClass { .. }));
    assert!(matches!(refusal(with(boot(), "META-INF/MANIFEST.MF", b"junk")), LayoutError::Manifest { .. }));
    let war = b"Start-Class: shop.App\nSpring-Boot-Version: 3.5.16\nSpring-Boot-Classes: WEB-INF/classes/\n";
    assert!(matches!(
        refusal(vec![("META-INF/MANIFEST.MF", war.to_vec()), ("WEB-INF/classes/shop/App.class", class(17))]),
        LayoutError::War { .. }
    ));
    let main = b"Main-Class: a.B\n".to_vec();
    assert!(matches!(refusal(vec![("META-INF/MANIFEST.MF", main.clone()), ("WEB-INF/web.xml", vec![])]), LayoutError::War { .. }));
    assert!(matches!(
        refusal(vec![("META-INF/MANIFEST.MF", main.clone()), ("com/alipay/sofa/ark/plugin/mark", vec![])]),
        LayoutError::ArkPlugin { .. }
    ));
    assert!(matches!(
        refusal(vec![("META-INF/MANIFEST.MF", main), ("SOFA-ARK/container/c.jar", vec![])]),
        LayoutError::ArkExecutable { .. }
    ));
}

#[test]
fn a_start_class_may_be_in_a_library_but_must_be_somewhere() {
    let manifest = String::from_utf8(boot_manifest("3.5.16")).unwrap();
    let named = |class: &str| with(boot(), "META-INF/MANIFEST.MF", manifest.replace("shop.App", class).as_bytes());
    assert!(package(&named("lib.one.A")).is_ok());
    let error = package(&named("shop.Missing")).unwrap_err();
    assert!(matches!(&error, PackageError::NoStartClass { class, .. } if class == "shop.Missing"), "{error}");
}

#[test]
fn a_start_class_of_a_newer_java_is_refused() {
    let error = package(&with(boot(), "BOOT-INF/classes/shop/App.class", &class(21))).unwrap_err();
    assert!(
        error.to_string().contains("class shop.App was compiled for Java 21 (class file version 65), and this JVM is Java 17"),
        "{error}"
    );
}

#[test]
fn limits_hold_over_all_jars_of_a_package() {
    let outer = || open(made(&boot())).unwrap();
    let within = |limits: Limits| Package::of(outer(), &limits, FEATURE).map(|package| package.whole());
    let entries = outer().entry_count();
    let enough = Limits { entries: entries + 6, ..Limits::default() };
    assert!(within(enough).unwrap().is_ok());
    let error = within(Limits { entries: entries + 5, ..enough }).unwrap().unwrap_err();
    assert!(error.to_string().contains("more than the 1 entries that are left"), "{error}");
    let error = within(Limits { jars: 2, ..Limits::default() }).unwrap_err();
    assert!(error.to_string().contains("more than 2 jars"), "{error}");

    let deflated: Vec<_> = boot();
    let deflated: Vec<(&str, &[u8])> = deflated.iter().map(|(name, bytes)| (*name, &**bytes)).collect();
    let archive = open(jar(Keep::Deflated, &deflated)).unwrap();
    let error = Package::of(archive.clone(), &Limits { unpacked_bytes: 600, ..Limits::default() }, FEATURE).unwrap_err();
    assert!(
        matches!(error, PackageError::Layout(LayoutError::Archive(ref error)) if matches!(error.fault, Fault::EntryTooLarge { .. })),
        "{error}"
    );
    assert!(Package::of(archive, &Limits::default(), FEATURE).unwrap().whole().unwrap().allocated() > 600);
}

#[test]
fn the_same_libraries_have_one_identity_whatever_the_package_or_their_form() {
    let set = |entries: &[(&str, Vec<u8>)]| package(entries).unwrap().libraries().set();
    let first = set(&boot());
    let upgraded = with(boot(), "BOOT-INF/classes/shop/App.class", &class(11));
    assert_eq!(set(&upgraded), first);

    let borrowed = boot();
    let borrowed: Vec<(&str, &[u8])> = borrowed.iter().map(|(name, bytes)| (*name, &**bytes)).collect();
    let deflated = Package::of(open(jar(Keep::Deflated, &borrowed)).unwrap(), &Limits::default(), FEATURE).unwrap();
    assert_eq!(deflated.libraries().set(), first);

    let two_of_boot = without(without(boot(), "BOOT-INF/lib/unlisted-1.0.jar"), "BOOT-INF/classpath.idx");
    assert_eq!(set(&two_of_boot), set(&biz()), "the folder does not count");
}

#[test]
fn other_bytes_or_names_or_another_order_of_libraries_is_another_identity() {
    let set = |entries: &[(&str, Vec<u8>)]| package(entries).unwrap().libraries().set();
    let first = set(&boot());
    assert_ne!(set(&with(boot(), "BOOT-INF/lib/one-1.0.jar", &library("oNe"))), first);
    assert_ne!(set(&without(boot(), "BOOT-INF/classpath.idx")), first);
    assert_ne!(set(&without(boot(), "BOOT-INF/lib/unlisted-1.0.jar")), first);
    let renamed = with(without(boot(), "BOOT-INF/lib/unlisted-1.0.jar"), "BOOT-INF/lib/renamed-1.0.jar", &library("unlisted"));
    assert_ne!(set(&renamed), first);
}

#[test]
fn a_damaged_library_is_an_error_with_its_name() {
    let package = package(&with(boot(), "BOOT-INF/lib/one-1.0.jar", b"not a jar at all, not a jar at all")).unwrap();
    let error = package.libraries().class_path().unwrap_err();
    assert!(error.to_string().contains("test.jar!/BOOT-INF/lib/one-1.0.jar"), "{error}");
}

#[test]
fn a_package_cut_off_anywhere_is_refused() {
    let whole = made(&boot());
    for length in 0..whole.len() {
        let cut = Archive::of(blob("cut.jar", whole[..length].to_vec()), &Limits::default());
        assert!(cut.is_err(), "{length} of {} bytes", whole.len());
    }
}

#[test]
fn a_jar_inside_becomes_a_file_once_however_many_ask() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Extracted::open(&folder.path().join("jars")).unwrap();
    let package = package(&boot()).unwrap();
    let jar = &package.libraries().jars()[0];
    let paths: Vec<PathBuf> = thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| cache.path_of(jar).unwrap())).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(paths.iter().all(|path| *path == paths[0]));
    assert_eq!(std::fs::read(&paths[0]).unwrap(), jar.bytes());
    assert!(paths[0].ends_with(format!("{}/two-2.0.jar", jar.digest())));
    let left: Vec<_> = std::fs::read_dir(folder.path().join("jars")).unwrap().collect();
    assert_eq!(left.len(), 1, "no unfinished files stay: {left:?}");

    std::fs::write(&paths[0], b"cut off").unwrap();
    assert_eq!(std::fs::read(cache.path_of(jar).unwrap()).unwrap(), jar.bytes());
}

#[test]
fn unfinished_files_of_earlier_processes_go_and_an_outer_jar_is_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("00ff.1.7.part");
    std::fs::write(&left, b"half").unwrap();
    let cache = Extracted::open(folder.path()).unwrap();
    assert!(!left.exists());
    assert_eq!(cache.path_of(&blob("/packages/app.jar", vec![1])).unwrap(), PathBuf::from("/packages/app.jar"));
    let error = Extracted::open(&folder.path().join("file/below")).and_then(|_| {
        std::fs::write(folder.path().join("plain"), b"").unwrap();
        Extracted::open(&folder.path().join("plain/below"))
    });
    assert!(error.unwrap_err().to_string().starts_with("cannot make the folder "));
}

#[test]
fn the_artifact_id_of_a_jar_comes_from_its_pom_or_its_name() {
    let id = |file: &str, entries: &[(&str, &[u8])]| {
        let path = class_path(&[(file, jar(Keep::Deflated, entries))], FEATURE);
        declared::artifact_id(&path.jars()[0]).unwrap()
    };
    let (one, two) = ("META-INF/maven/g/one/pom.properties", "META-INF/maven/g/two/pom.properties");
    assert_eq!(id("renamed.jar", &[(one, b"artifactId=one\n")]).as_deref(), Some("one"));
    assert_eq!(id("two-1.0.jar", &[(one, b"artifactId=one\n"), (two, b"artifactId=two\n")]).as_deref(), Some("two"));
    assert_eq!(id("spring-core-6.2.19.jar", &[]).as_deref(), Some("spring-core"));
    assert_eq!(id("app.jar", &[]), None);
}

struct Sight {
    own: ClassPath,
    layer: ClassPath,
    other: ClassPath,
}

impl Sight {
    fn new() -> Self {
        let package = package(&boot()).unwrap();
        let other = class_path(&[("other.jar", jar(Keep::Stored, &[("elsewhere/A.class", b"")]))], FEATURE);
        Self { own: package.own().clone(), layer: package.libraries().class_path().unwrap(), other }
    }

    fn ask(&self, class: &str) -> ark_jvm::why::Why {
        let base = |class: &str| match class {
            "base.Given" => Some(("base-1.0.jar".to_owned(), Decision::Allowed(declared::Allowed::Declared))),
            "base.Kept" => Some(("base-1.0.jar".to_owned(), Decision::Refused(declared::Refused::NotDeclared))),
            _ => None,
        };
        why(
            class,
            &View {
                jdk: &|package| package == "java.util",
                joined: &|class| class.starts_with("org.apache.catalina.").then(|| "tomcat-embed-core.jar".to_owned()),
                own: &self.own,
                layer: Some(("layer 12ab of module orders", &self.layer)),
                base: Some(&base),
                others: &[("module stock:1.0.0", &self.other)],
            },
        )
    }
}

#[test]
fn where_a_class_comes_from_is_said_with_the_rule() {
    let sight = Sight::new();
    assert_eq!(sight.ask("java.util.List").place, Place::Jdk);
    assert!(matches!(sight.ask("org.apache.catalina.Host").place, Place::Joined { jar } if jar == "tomcat-embed-core.jar"));
    assert!(matches!(sight.ask("shop.App").place, Place::Own { jar } if jar == "test.jar"));
    assert!(matches!(sight.ask("lib.one.A").place, Place::Layer { jar, .. } if jar == "test.jar!/BOOT-INF/lib/one-1.0.jar"));
    assert!(matches!(sight.ask("base.Given").place, Place::Base { .. }));
    assert!(matches!(sight.ask("base.Kept").place, Place::Refused { .. }));
}

#[test]
fn other_jars_with_the_class_are_named() {
    let answer = Sight::new().ask("shared.Common");
    assert_eq!(answer.hidden, ["test.jar!/BOOT-INF/lib/one-1.0.jar", "test.jar!/BOOT-INF/lib/unlisted-1.0.jar"]);
    assert_eq!(
        answer.to_string(),
        "shared.Common comes from test.jar!/BOOT-INF/lib/two-2.0.jar in layer 12ab of module orders\n  \
         also in test.jar!/BOOT-INF/lib/one-1.0.jar, which is not asked\n  \
         also in test.jar!/BOOT-INF/lib/unlisted-1.0.jar, which is not asked"
    );
}

#[test]
fn a_class_that_is_not_found_comes_with_its_near_misses() {
    let sight = Sight::new();
    let answer = sight.ask("elsewhere.A");
    assert_eq!(answer.place, Place::NotFound);
    assert_eq!(answer.elsewhere, [("module stock:1.0.0".to_owned(), "other.jar".to_owned())]);
    let near: Vec<_> = answer.near.iter().map(|(class, _)| &**class).collect();
    assert_eq!(near, ["lib.one.A", "lib.two.A", "lib.unlisted.A"]);
    assert!(sight.ask("nobody.has.This").near.is_empty());
}

#[test]
fn the_layout_of_a_jar_can_be_read_without_opening_its_libraries() {
    let archive = open(made(&boot())).unwrap();
    assert_eq!(Layout::read(&archive, &Limits::default()).unwrap().libraries.len(), 3);
}

/// A base with a Tomcat and two libraries, as a file.
fn base_jars(folder: &std::path::Path) -> BaseJars {
    let file = folder.join("base.jar");
    let entries = [
        ("META-INF/MANIFEST.MF", boot_manifest("3.5.16")),
        ("BOOT-INF/classes/shop/App.class", class(17)),
        ("BOOT-INF/classes/application.properties", b"of=base".to_vec()),
        ("BOOT-INF/lib/tomcat-embed-core-10.1.55.jar", library("core")),
        ("BOOT-INF/lib/tomcat-embed-el-10.1.55.jar", library("el")),
        ("BOOT-INF/lib/one-1.0.jar", library("one")),
        ("BOOT-INF/lib/other-1.0.jar", library("other")),
    ];
    std::fs::write(&file, made(&entries)).unwrap();
    // What is no jar is left out: a folder, a file that is gone, one that is damaged.
    let damaged = folder.join("damaged.jar");
    std::fs::write(&damaged, b"PK\x03\x04").unwrap();
    let class_path = format!("{}:{}:/nowhere.jar:{}", folder.display(), damaged.display(), file.display());
    BaseJars::open(&class_path, &Limits::default(), FEATURE).unwrap()
}

#[test]
fn a_module_joins_the_bases_container_where_every_jar_of_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let base = base_jars(folder.path());
    let (core, el) = (blob("tomcat-embed-core-10.1.55.jar", library("core")), blob("tomcat-embed-el-10.1.55.jar", library("el")));
    let other = blob("spring-web-6.2.19.jar", library("web"));
    let shared = base.container(&[other.clone(), core.clone(), el.clone()], false).unwrap();
    assert_eq!(shared, ["tomcat-embed-core-10.1.55.jar", "tomcat-embed-el-10.1.55.jar"]);
    // It need not have all of them.
    assert_eq!(base.container(std::slice::from_ref(&core), false).unwrap().len(), 1);

    let newer = blob("tomcat-embed-core-10.1.56.jar", library("newer"));
    let apart = base.container(&[newer, el], false).unwrap_err();
    assert_eq!(
        apart.to_string(),
        "its tomcat-embed-core-10.1.56.jar is not byte for byte the same as the base's tomcat-embed-core-10.1.55.jar"
    );
    let unknown = blob("tomcat-embed-websocket-10.1.55.jar", library("websocket"));
    assert!(base.container(&[core, unknown], false).unwrap_err().to_string().ends_with("the base's nothing"));
    assert_eq!(base.container(std::slice::from_ref(&other), false), Err(Apart::NoContainer));
    assert_eq!(base.container(&[other], true).unwrap(), [""; 0], "it takes all of it from the base");
    let none = BaseJars::open("", &Limits::default(), FEATURE).unwrap();
    assert_eq!(none.container(&[blob("tomcat-embed-core-10.1.55.jar", library("core"))], false), Err(Apart::NoneInBase));
}

#[test]
fn of_the_base_a_module_sees_what_its_rules_allow_and_never_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let base = base_jars(folder.path());
    let package = open(made(&biz())).map(|archive| Package::of(archive, &Limits::default(), FEATURE).unwrap()).unwrap();
    let Kind::ArkBiz(biz) = &package.layout().kind else { panic!("{:?}", package.layout().kind) };
    let declares = Imports::of(biz);
    let anything = Imports::default();
    for (class, declared, undeclared) in
        [("lib.one.A", true, true), ("lib.other.A", false, true), ("shop.App", false, true), ("shop.InSomeFolder", false, true)]
    {
        assert_eq!(base.class(class, &declares).is_allowed(), declared, "{class}");
        assert_eq!(base.class(class, &anything).is_allowed(), undeclared, "{class}");
    }
    let seen =
        |name: &str, rules: &Imports| base.resources(name, rules).map(|hit| hit.jar().origin().file_name().to_owned()).collect::<Vec<_>>();
    assert_eq!(seen("lib/one/A.class", &declares), ["one-1.0.jar"]);
    assert!(seen("application.properties", &declares).is_empty());
    assert!(seen("application.properties", &anything).is_empty());
    assert!(seen("lib/other/A.class", &declares).is_empty());
    assert_eq!(base.why("lib.other.A", &declares).unwrap().1, Decision::Refused(declared::Refused::NotDeclared));
    assert_eq!(base.why("lib.none.A", &declares), None);
}

#[test]
fn libraries_that_are_tied_to_the_base_are_another_set() {
    let package = open(made(&boot())).map(|archive| Package::of(archive, &Limits::default(), FEATURE).unwrap()).unwrap();
    let set = package.libraries().set();
    assert_eq!(set.tied(""), set);
    assert!(set.tied("a") != set && set.tied("a") == set.tied("a") && set.tied("a") != set.tied("b"));
}
