//! A layer of libraries that was here before is loaded ahead of use: nobody sees that but by the clock.

use std::{fs, path::PathBuf};

use ark_model::{Reason, Step};
use harness::jvm::{JvmBase, sample};
use serde_json::json;

use crate::support::{body, eventually, install, order, remove};

const LOADER: &str = "ark.jvm.ModuleLoader";
/// Classes of the catalog's libraries that it never asks for.
const UNUSED: &str = "org.springframework.util.AutoPopulatingList";
/// One that says to implement something which is in none of its libraries.
const BROKEN: &str = "org.springframework.web.context.support.GroovyWebApplicationContext";
/// One that every application of Spring's asks for.
const CONTEXT: &str = "org.springframework.context.support.AbstractApplicationContext";
/// More classes than loading ahead leaps over at a time.
const FAR: usize = 256;

fn base(ahead: &str) -> JvmBase {
    JvmBase::start(&sample("base").unwrap(), &["share=none", ahead], &["-Xmx512m"]).unwrap()
}

fn records(base: &JvmBase) -> Vec<PathBuf> {
    let files = fs::read_dir(base.data().join("loaded")).into_iter().flatten();
    files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_none()).collect()
}

/// Whether somebody has loaded a class.
fn is_loaded(base: &JvmBase, class: &str) -> bool {
    base.jvm.jcmd(&["VM.class_hierarchy", class]).unwrap().contains(class)
}

#[test]
fn what_a_layer_had_loaded_is_loaded_ahead_when_it_comes_again_and_goes_with_it() {
    let base = base("ahead=on");
    let catalog = order("catalog", "1.0.0", "catalog-v1");
    install(&base, &catalog);
    let record = eventually("what was loaded is recorded", || records(&base).pop());
    remove(&base, "catalog", "1.0.0");
    let recorded = fs::read_to_string(&record).unwrap();
    assert!(recorded.lines().any(|line| line == "+org.springframework.context.support.AbstractApplicationContext"), "{recorded}");
    assert!(!recorded.contains("shop.catalog."), "its own classes are no matter of the layer: {recorded}");
    assert!(!recorded.contains(UNUSED) && !recorded.contains(BROKEN), "they are no good as examples");

    // As if it had: and what cannot be loaded, or is not there, or is no class at all, is passed over. So much is missing that the last is far
    // from all that the module asks for itself: what it is about to ask for is left to it.
    let missing: String = (0..FAR).map(|number| format!("-org.example.Missing{number}\n")).collect();
    fs::write(&record, format!("{recorded}+{BROKEN}\nnonsense\n{missing}+{UNUSED}\n")).unwrap();
    install(&base, &catalog);
    eventually("the last of the record is loaded", || is_loaded(&base, UNUSED).then_some(()));
    assert!(!is_loaded(&base, BROKEN));
    assert_eq!(body(&base, "/catalog/version"), "v1");
    remove(&base, "catalog", "1.0.0");
    assert!(!is_loaded(&base, UNUSED), "it goes with the module's libraries");
    assert_eq!(base.jvm.instances(LOADER).unwrap(), 0);
}

#[test]
fn a_module_that_fails_while_its_libraries_are_loaded_ahead_leaves_nothing() {
    let base = base("ahead=on");
    install(&base, &order("catalog", "1.0.0", "catalog-v1"));
    remove(&base, "catalog", "1.0.0");
    for number in 0..5 {
        let mut broken = order("catalog", &format!("2.0.{number}"), "catalog-v1");
        broken["args"] = json!(["--spring.main.web-application-type=nonsense"]);
        base.api.install(&broken).unwrap().expect_err("it cannot start");
    }
    eventually("all loaders are gone", || {
        base.jvm.collect_garbage().unwrap();
        (base.jvm.instances(LOADER).unwrap() == 0).then_some(())
    });
}

#[test]
fn what_is_prepared_has_its_libraries_loaded_for_a_module_that_comes_and_lets_go_of_them_where_none_does() {
    let base = JvmBase::start(&sample("base").unwrap(), &["keep=10"], &["-Xmx512m"]).unwrap();
    // Each loader that has it, with the interfaces that it has.
    let loaded = || base.jvm.jcmd(&["VM.class_hierarchy", CONTEXT]).unwrap().matches(CONTEXT).count();
    let catalog = order("catalog", "1.0.0", "catalog-v1");
    let before = loaded();
    let prepared = base.api.prepare(&catalog).unwrap().unwrap();
    assert_eq!((prepared.id.to_string().as_str(), prepared.kind.as_str()), ("catalog:1.0.0", "jvm"));
    assert!(loaded() > before, "its libraries are loaded");
    assert_eq!(base.api.modules().unwrap(), []);
    eventually("nobody came, and they are gone", || (base.jvm.instances(LOADER).unwrap() == 0).then_some(()));

    base.api.prepare(&catalog).unwrap().unwrap();
    let prepared = loaded();
    install(&base, &catalog);
    assert_eq!((body(&base, "/catalog/version").as_str(), base.jvm.instances(LOADER).unwrap(), loaded()), ("v1", 2, prepared));
    eventually("what it loaded is recorded all the same", || records(&base).pop());
    let broken = json!({"id": {"name": "orders", "version": "1"}, "url": "file:///is/not/there.jar"});
    let refused = base.api.prepare(&broken).unwrap().unwrap_err().error;
    assert_eq!((refused.reason, refused.step), (Reason::FetchFailed, Some(Step::Fetch)));
}

#[test]
fn nothing_is_recorded_where_nothing_is_to_be_loaded_ahead() {
    let base = base("ahead=off");
    install(&base, &order("catalog", "1.0.0", "catalog-v1"));
    remove(&base, "catalog", "1.0.0");
    assert_eq!(records(&base), Vec::<PathBuf>::new());
}
