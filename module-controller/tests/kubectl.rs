//! A stock `kubectl` works against the controller.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    thread,
};

use fleet::resource::{Document, Kind};
use module_controller::store::Severity;
use support::{Fleet, SHOP};

/// Ages are another at each run.
fn without_ages(text: &str) -> String {
    let age =
        |word: &str| word.strip_suffix('s').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    text.lines()
        .map(|line| line.split_whitespace().map(|word| if age(word) { "AGE" } else { word }).collect::<Vec<_>>().join(" ") + "\n")
        .collect()
}

#[test]
fn a_document_is_applied_and_shown_in_every_form() {
    let fleet = Fleet::open();
    assert_eq!(fleet.apply(SHOP), "moduledeployment.serverless.alipay.com/shop created\n");
    assert_eq!(fleet.apply(SHOP), "moduledeployment.serverless.alipay.com/shop unchanged\n");
    assert_eq!(fleet.apply(&SHOP.replace("replicas: 2", "replicas: 3")), "moduledeployment.serverless.alipay.com/shop configured\n");
    assert_eq!(fleet.done(&["get", "mddeploy", "-o", "name"]), "moduledeployment.serverless.alipay.com/shop\n");
    assert_eq!(fleet.done(&["get", "mddeploy", "shop", "-o", "jsonpath={.spec.replicas}"]), "3");
    let columns =
        fleet.done(&["get", "moduledeployments", "-A", "-o", "custom-columns=N:.metadata.name,V:.spec.template.spec.module.version"]);
    assert_eq!(without_ages(&columns), "N V\nshop 1.0.0\n");
    let json: serde_json::Value = serde_json::from_str(&fleet.done(&["get", "mddeploy", "-o", "json"])).unwrap();
    assert_eq!(json["items"][0]["metadata"]["generation"], 2);
    assert!(fleet.done(&["get", "mddeploy", "shop", "-o", "yaml"]).contains("baseDeploymentName: default"));
    assert!(fleet.done(&["describe", "mddeploy", "shop"]).contains("Base Deployment Name:  default"));
}

#[test]
fn tables_have_the_columns_that_people_look_for() {
    let fleet = Fleet::open();
    fleet.apply(SHOP);
    fleet.join("base-a");
    fleet.instance("shop-1", "base-a");
    fleet.act(Kind::Base, "base-a", |document| {
        let Document::Base(base) = document else { panic!() };
        base.spec.unschedulable = true;
    });
    let tables: Vec<String> = ["mddeploy", "md", "bs", "ns"].map(|kind| without_ages(&fleet.done(&["get", kind, "-o", "wide"]))).into();
    insta::assert_snapshot!(tables.join("\n"), @r"
    NAME MODULE VERSION READY UPDATED AVAILABLE PHASE BATCH AGE STRATEGY BASES URL
    shop shop 1.0.0 0/2 0 0 Init AGE install_then_uninstall,scatter default http://packages/shop.wasm

    NAME MODULE VERSION BASE STATUS REASON AGE DEPLOYMENT MESSAGE
    shop-1 shop 1.0.0 base-a Available AGE

    NAME DEPLOYMENT KINDS MODULES READY VERSION AGE GATEWAY ARKLET
    base-a default wasm 0 True,Cordoned 1.0.0 AGE

    NAME STATUS
    default Active
    ");
}

#[test]
fn what_is_wrong_is_said_by_field() {
    let fleet = Fleet::open();
    let wrong = fleet.file("wrong.yaml", &SHOP.replace("replicas: 2", "replicas: -2").replace("http://packages", "ftp://packages"));
    let said = fleet.kubectl(&["apply", "-f", &wrong]);
    assert!(!said.ok && said.err.contains("* spec.replicas: Invalid value: -2 is not between -1"), "{said:?}");
    assert!(said.err.contains("* spec.template.spec.module.url: Invalid value:"), "{said:?}");
    let typed = fleet.file("typed.yaml", &SHOP.replace("replicas: 2", "replicas: many"));
    let said = fleet.kubectl(&["apply", "-f", &typed]);
    assert!(!said.ok && said.err.contains("spec.replicas: Invalid value"), "{said:?}");
    let unknown = fleet.file("unknown.yaml", &SHOP.replace("replicas: 2", "replica: 2"));
    let said = fleet.kubectl(&["apply", "-f", &unknown]);
    assert!(!said.ok && said.err.contains("unknown field") && said.err.contains("spec.replica"), "{said:?}");
    let said = fleet.kubectl(&["apply", "--validate=warn", "-f", &unknown]);
    assert!(said.ok && said.err.contains("Warning: unknown field 'spec.replica'"), "{said:?}");
    let other = fleet.file("other.yaml", &SHOP.replace("name: shop, version", "name: cart, version"));
    let said = fleet.kubectl(&["apply", "-f", &other]);
    assert!(!said.ok && said.err.contains("the module's name stays"), "{said:?}");
}

#[test]
fn server_side_apply_knows_whose_fields_are_whose() {
    let fleet = Fleet::open();
    let file = fleet.file("shop.yaml", SHOP);
    assert!(fleet.done(&["apply", "--server-side", "-f", &file]).contains("serverside-applied"));
    let other = fleet.file("other.yaml", &SHOP.replace("replicas: 2", "replicas: 4"));
    let said = fleet.kubectl(&["apply", "--server-side", "--field-manager=other", "-f", &other]);
    assert!(!said.ok && said.err.contains("conflict with \"kubectl\"") && said.err.contains(".spec.replicas"), "{said:?}");
    fleet.done(&["apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", &other]);
    assert_eq!(fleet.done(&["get", "mddeploy", "shop", "-o", "jsonpath={.spec.replicas}"]), "4");
    // From one way of applying to the other, and back.
    fleet.done(&["apply", "-f", &other]);
    fleet.done(&["apply", "--server-side", "--force-conflicts", "-f", &file]);
    assert_eq!(fleet.done(&["get", "mddeploy", "shop", "-o", "jsonpath={.spec.replicas}"]), "2");
    assert!(fleet.done(&["get", "mddeploy", "shop", "-o", "yaml", "--show-managed-fields"]).contains("operation: Apply"));
}

/// A patch changes what it names and drops nothing beside: <https://github.com/openkruise/kruise-tools/issues/48>
#[test]
fn a_document_is_edited_patched_labelled_and_replaced() {
    let fleet = Fleet::open();
    fleet.apply(SHOP);
    let Document::ModuleDeployment(applied) = Document::clone(&fleet.get(Kind::ModuleDeployment, "shop")) else { panic!() };
    let edited = fleet.command(&["edit", "mddeploy", "shop"]).env("KUBE_EDITOR", "sed -i s/1.0.0/2.0.0/").output().unwrap();
    assert!(edited.status.success(), "{edited:?}");
    assert_eq!(fleet.done(&["get", "mddeploy", "shop", "-o", "jsonpath={.spec.template.spec.module.version}"]), "2.0.0");
    fleet.done(&["patch", "mddeploy", "shop", "--type=merge", "-p", r#"{"spec":{"paused":true}}"#]);
    fleet.done(&["patch", "mddeploy", "shop", "--type=json", "-p", r#"[{"op":"replace","path":"/spec/replicas","value":7}]"#]);
    let Document::ModuleDeployment(deployment) = Document::clone(&fleet.get(Kind::ModuleDeployment, "shop")) else { panic!() };
    assert_eq!((deployment.spec.paused, deployment.spec.replicas), (true, 7));
    let mut beside = deployment.spec;
    (beside.paused, beside.replicas) = (applied.spec.paused, applied.spec.replicas);
    beside.template.spec.module.version.clone_from(&applied.spec.template.spec.module.version);
    assert_eq!(beside, applied.spec);
    let said = fleet.kubectl(&["patch", "mddeploy", "shop", "-p", r#"{"spec":{"paused":false}}"#]);
    assert!(!said.ok, "a strategic merge patch is for built-in kinds alone: {said:?}");
    let said = fleet.kubectl(&["patch", "mddeploy", "shop", "--type=json", "-p", r#"[{"op":"test","path":"/spec/replicas","value":1}]"#]);
    assert!(!said.ok, "{said:?}");
    fleet.done(&[
        "patch",
        "mddeploy",
        "shop",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"replicas":5},"spec":{"replicas":1}}"#,
    ]);
    let Document::ModuleDeployment(deployment) = Document::clone(&fleet.get(Kind::ModuleDeployment, "shop")) else { panic!() };
    assert_eq!((deployment.status.replicas, deployment.spec.replicas), (5, 7));
    fleet.done(&["label", "mddeploy", "shop", "tier=web"]);
    fleet.done(&["annotate", "mddeploy", "shop", "note=it"]);
    for (selector, found) in [("tier=web", true), ("tier in (web,db),app", true), ("tier!=web", false), ("!tier", false)] {
        assert_eq!(fleet.done(&["get", "mddeploy", "-o", "name", "-l", selector]).contains("shop"), found, "{selector}");
    }
    assert!(fleet.done(&["get", "mddeploy", "-o", "name", "--field-selector", "spec.baseDeploymentName=default"]).contains("shop"));
    assert!(!fleet.kubectl(&["get", "mddeploy", "--field-selector", "spec.replicas=7"]).ok);
    let whole = fleet.done(&["get", "mddeploy", "shop", "-o", "yaml"]);
    let file = fleet.file("whole.yaml", &whole.replace("replicas: 7", "replicas: 8"));
    fleet.done(&["replace", "-f", &file]);
    assert!(!fleet.kubectl(&["replace", "-f", &file]).ok, "the second time it has changed since it was read");
}

#[test]
fn what_would_be_done_is_shown_and_not_done() {
    let fleet = Fleet::open();
    fleet.apply(SHOP);
    let file = fleet.file("two.yaml", &SHOP.replace("replicas: 2", "replicas: 9"));
    let said = fleet.kubectl(&["diff", "-f", &file]);
    assert!(said.out.contains("+  replicas: 9"), "{said:?}");
    fleet.done(&["apply", "--dry-run=server", "-f", &file]);
    fleet.done(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", &file]);
    fleet.done(&["delete", "mddeploy", "shop", "--dry-run=server"]);
    assert_eq!(fleet.done(&["get", "mddeploy", "shop", "-o", "jsonpath={.spec.replicas} {.metadata.generation}"]), "2 1");
    let third = fleet.file("third.yaml", &SHOP.replace("name: shop\n", "name: third\n"));
    fleet.done(&["create", "--dry-run=server", "-f", &third]);
    assert!(!fleet.kubectl(&["get", "mddeploy", "third"]).ok);
}

/// <https://github.com/spinframework/spin-operator/issues/24>, <https://github.com/spinframework/spin-operator/issues/86>
#[test]
fn it_scales() {
    let fleet = Fleet::open();
    fleet.apply(SHOP);
    fleet.done(&["scale", "mddeploy", "shop", "--replicas=5"]);
    fleet.done(&["scale", "mddeploy", "shop", "--current-replicas=5", "--replicas=6"]);
    assert!(!fleet.kubectl(&["scale", "mddeploy", "shop", "--current-replicas=5", "--replicas=7"]).ok);
    assert_eq!(fleet.done(&["get", "mddeploy", "shop", "--subresource=scale", "-o", "jsonpath={.spec.replicas}"]), "6");
}

#[test]
fn what_is_waited_for_comes() {
    let fleet = Fleet::open();
    fleet.apply(SHOP);
    let wait = |condition: &str| fleet.command(&["wait", "mddeploy/shop", condition, "--timeout=30s"]).spawn().unwrap();
    let waiting = [wait("--for=condition=Available"), wait("--for=jsonpath={.status.readyReplicas}=2")];
    fleet.available("shop");
    for waiting in waiting {
        let said = waiting.wait_with_output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }
    fleet.act(Kind::ModuleDeployment, "shop", |document| document.meta_mut().finalizers.push("a/b".to_owned()));
    let gone = wait("--for=delete");
    fleet.done(&["delete", "mddeploy", "shop", "--wait=false"]);
    assert!(fleet.get(Kind::ModuleDeployment, "shop").meta().is_going());
    fleet.act(Kind::ModuleDeployment, "shop", |document| document.meta_mut().finalizers.clear());
    let said = gone.wait_with_output().unwrap();
    assert!(said.status.success(), "{said:?}");
}

#[test]
fn a_watch_tells_what_changes() {
    let fleet = Fleet::open();
    fleet.apply(SHOP);
    let mut watching = fleet.command(&["get", "mddeploy", "-w", "--no-headers"]).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("0/2"));
    fleet.done(&["scale", "mddeploy", "shop", "--replicas=3"]);
    assert!(lines.next().unwrap().contains("0/3"));
    fleet.available("shop");
    assert!(lines.next().unwrap().contains("2/3"));
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn a_long_list_comes_in_pages() {
    let fleet = Fleet::open();
    for number in 0..7 {
        fleet.join(&format!("base-{number}"));
    }
    let names = fleet.done(&["get", "bases", "-o", "name", "--chunk-size=3"]);
    assert_eq!(names.lines().count(), 7, "{names}");
    assert_eq!(fleet.done(&["get", "bases", "--chunk-size=3"]).lines().count(), 8);
    let page = fleet.done(&["get", "--raw", "/apis/koupleless.io/v1alpha1/bases?limit=3"]);
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["metadata"]["remainingItemCount"]), (3, &4.into()));
    // The rest is as it was when the list was begun.
    fleet.join("base-9");
    let token = page["metadata"]["continue"].as_str().unwrap();
    let rest = fleet.done(&["get", "--raw", &format!("/apis/koupleless.io/v1alpha1/bases?limit=30&continue={token}")]);
    let rest: serde_json::Value = serde_json::from_str(&rest).unwrap();
    assert_eq!(rest["items"].as_array().unwrap().len(), 4);
    assert!(!fleet.kubectl(&["get", "--raw", "/apis/koupleless.io/v1alpha1/bases?limit=3&continue=1.3"]).ok);
}

#[test]
fn it_explains_itself_under_both_groups() {
    let fleet = Fleet::open();
    let said = fleet.done(&["explain", "moduledeployment.spec.operationStrategy.batchCount"]);
    assert!(said.contains("In how many batches") && said.contains("integer"), "{said}");
    assert!(fleet.done(&["explain", "md.spec", "--api-version=koupleless.io/v1alpha1"]).contains("baseName"));
    assert!(fleet.done(&["explain", "bs", "--recursive"]).contains("unschedulable"));
    let resources = fleet.done(&["api-resources", "--no-headers"]);
    for resource in ["mddeploy", "koupleless.io/v1alpha1", "selfsubjectaccessreviews"] {
        assert!(resources.contains(resource), "{resources}");
    }
    let renamed = SHOP.replace("serverless.alipay.com", "koupleless.io");
    assert_eq!(fleet.apply(&renamed), "moduledeployment.koupleless.io/shop created\n");
    assert_eq!(fleet.apply(&renamed), "moduledeployment.koupleless.io/shop unchanged\n");
    assert_eq!(fleet.done(&["get", "moduledeployments.koupleless.io", "shop", "-o", "jsonpath={.apiVersion}"]), "koupleless.io/v1alpha1");
    assert_eq!(fleet.done(&["get", "mddeploy", "shop", "-o", "jsonpath={.apiVersion}"]), "serverless.alipay.com/v1alpha1");
}

#[test]
fn instances_and_bases_are_the_controllers_to_make_and_the_users_to_send_away() {
    let fleet = Fleet::open();
    fleet.join("base-a");
    fleet.instance("shop-1", "base-a");
    let said = fleet.kubectl(&["patch", "md", "shop-1", "--type=merge", "-p", r#"{"spec":{"weight":5}}"#]);
    assert!(!said.ok && said.err.contains("instances are made by their ModuleDeployment"), "{said:?}");
    let made = fleet.done(&["get", "md", "shop-1", "-o", "yaml"]).replace("name: shop-1", "name: shop-2");
    let file = fleet.file(
        "made.yaml",
        &made
            .lines()
            .filter(|line| !line.contains("resourceVersion") && !line.contains("uid"))
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    assert!(fleet.kubectl(&["create", "-f", &file]).err.contains("instances are made by their ModuleDeployment"));
    fleet.done(&["label", "md", "shop-1", "looked=at"]);
    fleet.done(&["delete", "md", "shop-1"]);
    fleet.done(&["patch", "bs", "base-a", "--type=merge", "-p", r#"{"spec":{"drain":true}}"#]);
    fleet.done(&["label", "bs", "base-a", "zone=a"]);
    let said = fleet.kubectl(&["patch", "bs", "base-a", "--subresource=status", "--type=merge", "-p", r#"{"status":{"modules":9}}"#]);
    assert!(!said.ok && said.err.contains("said by the base itself"), "{said:?}");
    fleet.join("base-b");
    fleet.done(&["delete", "bs", "--all"]);
    assert_eq!(fleet.done(&["get", "bs", "-o", "name"]), "");
}

#[test]
fn each_token_may_do_what_its_role_says() {
    let fleet = Fleet::over_tls("root,admin,root\nlook,read,viewer\nship,deploy,ci\n");
    fleet.apply(SHOP);
    let as_role = |token: &str, args: &[&str]| {
        let path = fleet.kubeconfig(token, Some(token.to_owned()));
        let said: support::Said = fleet.command(args).env("KUBECONFIG", path).output().unwrap().into();
        said
    };
    assert!(as_role("look", &["get", "mddeploy"]).ok);
    let said = as_role("look", &["scale", "mddeploy", "shop", "--replicas=1"]);
    assert!(!said.ok && said.err.contains("role \"read\", which does not allow to patch"), "{said:?}");
    assert!(as_role("ship", &["scale", "mddeploy", "shop", "--replicas=1"]).ok);
    assert!(!as_role("nobody", &["get", "mddeploy"]).ok);
    for (token, args, answer) in [
        ("look", ["create", "moduledeployments"], "no"),
        ("ship", ["create", "moduledeployments"], "yes"),
        ("ship", ["patch", "bases"], "no"),
        ("root", ["patch", "bases"], "yes"),
    ] {
        let said = as_role(token, &["auth", "can-i", args[0], args[1]]);
        assert_eq!(said.out.split_whitespace().next(), Some(answer), "{token} {args:?}: {said:?}");
    }
    assert!(as_role("ship", &["auth", "whoami"]).out.contains("ci"));
    assert!(as_role("ship", &["auth", "can-i", "--list"]).out.contains("moduledeployments"));
    let audit = fs::read_to_string(fleet.path().join("audit.log")).unwrap();
    let lines: Vec<serde_json::Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |who: &str, code: u16| lines.iter().any(|line| line["who"] == who && line["code"] == code && line["part"] == "scale");
    assert!(said("viewer", 403) && said("ci", 200), "{audit}");
}

#[test]
fn what_happened_is_told() {
    let fleet = Fleet::open();
    fleet.apply(SHOP);
    let shop = fleet.get(Kind::ModuleDeployment, "shop");
    fleet.tell(&shop, Severity::Warning, "StartFailed", "it did not start on base-a");
    fleet.tell(&shop, Severity::Warning, "StartFailed", "it did not start on base-a");
    assert!(fleet.done(&["describe", "mddeploy", "shop"]).contains("it did not start on base-a"));
    assert!(fleet.done(&["get", "events"]).contains("moduledeployment/shop"));
    assert!(fleet.done(&["events", "--for", "moduledeployment/shop"]).contains("StartFailed"));
    assert!(fleet.done(&["get", "events", "--field-selector", "type=Normal", "-o", "name"]).is_empty());
}

#[test]
fn namespaces_are_those_that_something_is_in() {
    let fleet = Fleet::open();
    fleet.done(&["create", "namespace", "team-a"]);
    assert!(!fleet.kubectl(&["create", "namespace", "team-a"]).ok);
    let file = fleet.file("b.yaml", &SHOP.replace("  labels:", "  namespace: team-b\n  labels:"));
    fleet.done(&["apply", "-f", &file]);
    let names = fleet.done(&["get", "ns", "-o", "name"]);
    assert_eq!(names, "namespace/default\nnamespace/team-a\nnamespace/team-b\n");
    assert!(
        fleet.done(&["get", "mddeploy", "-A", "-o", "name"]).contains("shop") && fleet.done(&["get", "mddeploy", "-o", "name"]).is_empty()
    );
    let namespace = fleet.file("ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: team-c}\n");
    fleet.done(&["create", "-f", &namespace]);
}

#[test]
fn many_who_change_the_same_document_all_do() {
    let fleet = Fleet::open();
    fleet.apply(SHOP);
    thread::scope(|scope| {
        for number in 0..6 {
            let fleet = &fleet;
            scope.spawn(move || fleet.done(&["label", "mddeploy", "shop", &format!("by-{number}=done")]));
        }
    });
    assert_eq!(fleet.get(Kind::ModuleDeployment, "shop").meta().labels.len(), 7);
}
