//! Bases and modules of three generations of Spring Boot.

use harness::jvm::{JvmBase, sample};

use crate::support::{body, get, install, order, remove};

const MODULES: [(&str, &str, &str); 3] = [
    ("old-module", "/old-module/version", "v1 on Spring Boot 2.7"),
    ("catalog", "/catalog/version", "v1"),
    ("new-module", "/new-module/version", "v1 on Spring Boot 4"),
];

fn hosts_all(base: &str) {
    let base = JvmBase::start(&sample(base).unwrap(), &[], &["-Xmx768m"]).unwrap();
    let own = body(&base, "/");
    for (name, ..) in MODULES {
        install(&base, &order(name, "1.0.0", if name == "catalog" { "catalog-v1" } else { name }));
    }
    // All of them at the same time.
    for (_, path, answer) in MODULES {
        let said = body(&base, path);
        assert!(said.starts_with(answer), "{said}");
    }
    for (name, path, _) in MODULES {
        remove(&base, name, "1.0.0");
        assert_eq!(get(&base, path).0, 404);
    }
    assert_eq!(body(&base, "/"), own);
    let said = base.own_log().unwrap();
    assert!(!said.contains("Module") && !said.contains("Catalog"), "{said}");
}

#[test]
fn a_base_on_spring_boot_2_hosts_modules_on_2_3_and_4() {
    hosts_all("old-base");
}

#[test]
fn a_base_on_spring_boot_3_hosts_modules_on_2_3_and_4() {
    hosts_all("base");
}

#[test]
fn a_base_on_spring_boot_4_hosts_modules_on_2_3_and_4() {
    hosts_all("new-base");
}
