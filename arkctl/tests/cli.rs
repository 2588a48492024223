//! The program as its users run it: words, streams, exit codes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by a panic")]

mod support;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use support::{Answer, FakeBase, base_json, installed_json, module_json, retired_json};

/// The program, with nothing of this machine's settings.
fn arkctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arkctl"));
    command.args(arguments).stdin(Stdio::null());
    for variable in ["ARKCTL_BASE", "ARKCTL_TOKEN", "NO_COLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

fn run(arguments: &[&str]) -> Output {
    arkctl(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", stdout(output), stderr(output)))
}

/// A base with one module, `orders:1.0.0`.
fn base() -> FakeBase {
    FakeBase::start(|request| match request.line() {
        "GET /readyz" => Answer::json(200, "ready"),
        "GET /v1/base" => Answer::json(200, &base_json()),
        "GET /v1/modules" => Answer::json(200, &format!(r#"{{"modules":[{}]}}"#, module_json("1.0.0", "activated"))),
        "GET /v1/modules/orders/1.0.0" | "POST /v1/modules/orders/1.0.0/activate" => Answer::json(200, &module_json("1.0.0", "activated")),
        "DELETE /v1/modules/orders/1.0.0" => Answer::json(200, &retired_json("1.0.0")),
        "DELETE /v1/operations/orders" => Answer::json(202, ""),
        "GET /v1/modules/orders/1.0.0/logs?tail=2" => {
            Answer::json(200, "{\"at\":1,\"stream\":\"stdout\",\"text\":\"a\"}\n{\"at\":2,\"stream\":\"stdout\",\"text\":\"b\"}\n")
        }
        "GET /v1/routes" => {
            Answer::json(200, r#"{"routes":[{"contextPath":"/orders","targets":[{"name":"orders","version":"1.0.0","weight":100}]}]}"#)
        }
        "GET /v1/verdicts" => Answer::json(200, &format!(r#"{{"verdicts":[{}]}}"#, retired_json("0.9.0"))),
        "GET /v1/verdicts/orders/0.9.0/holders" => Answer::json(200, r#"{"heapBytes":1048576,"objects":20000,"stoppedMs":20.0}"#),
        "POST /v1/verdicts/orders/0.9.0/holders?objects=30000" => {
            Answer::json(200, r#"{"name":"orders","version":"0.9.0","paths":[],"objects":1,"references":1,"stoppedMs":1.0,"totalMs":1.0}"#)
        }
        "POST /health" => Answer::json(200, r#"{"code":"SUCCESS","data":{"healthData":{"cpu":{"count":2}}}}"#),
        "POST /v1/modules" => {
            let done = format!("{{\"event\":\"done\",{}", installed_json("1.0.0").strip_prefix('{').unwrap());
            Answer::events(&[r#"{"event":"begun","step":"fetch"}"#, &done])
        }
        _ => Answer::json(404, r#"{"error":{"reason":"NotInstalled","message":"it is not installed here"}}"#),
    })
}

#[test]
fn every_command_of_a_base_prints_one_json_value_and_nothing_else_on_standard_output() {
    let base = base();
    for (arguments, pointer) in [
        (&["status"][..], "/modules/0/name"),
        (&["ls"], "/modules/0/state"),
        (&["inspect", "orders"], "/history/0/reason"),
        (&["switch", "orders:1.0.0"], "/state"),
        (&["undeploy", "orders"], "/verdict/state"),
        (&["cancel", "orders"], "/cancelled"),
        (&["routes"], "/routes/0/targets/0/version"),
        (&["verdicts"], "/verdicts/0/at"),
        (&["leaks", "orders:0.9.0", "--cost"], "/stoppedMs"),
        (&["leaks", "orders:0.9.0", "--objects", "30000"], "/paths"),
        (&["health"], "/healthData/cpu/count"),
        (&["top", "--once"], "/modules/0/requestsPerSecond"),
        (&["version"], "/base/name"),
        (&["deploy", "http://host/orders.wasm"], "/module/contextPath"),
    ] {
        let output = run(&[arguments, &["--output", "json", "--base", &base.url()]].concat());
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        assert!(json(&output).pointer(pointer).is_some(), "{arguments:?}: {}", stdout(&output));
        assert_eq!(stdout(&output).lines().count(), 1, "{arguments:?}");
    }
}

#[test]
fn a_log_is_one_json_value_a_line() {
    let output = run(&["logs", "orders", "--tail", "2", "-o", "json", "--base", &base().url()]);
    let texts: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone()).collect();
    assert_eq!(texts, ["a", "b"]);
}

#[test]
fn a_refused_operation_ends_with_1_and_says_reason_and_hint() {
    let output = run(&["inspect", "orders:9", "--base", &base().url()]);
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    insta::assert_snapshot!(stderr(&output), @"
    error: it is not installed here
      NotInstalled
    hint: `arkctl status` lists what is installed
    ");
    let output = run(&["inspect", "orders:9", "--output", "json", "--base", &base().url()]);
    assert_eq!((code(&output), json(&output)["error"]["reason"].as_str()), (1, Some("NotInstalled")));
}

#[test]
fn a_failed_deploy_ends_with_1_and_shows_the_log_of_its_module() {
    let base = FakeBase::start(|request| match request.line() {
        "GET /v1/base" => Answer::json(200, &base_json()),
        "PUT /v1/packages" => Answer::json(200, r#"{"sha256":"ab","size":8}"#),
        "POST /v1/modules" => {
            Answer::events(&[r#"{"event":"failed","error":{"reason":"ProbeFailed","message":"/health answered 503","step":"probe"}}"#])
        }
        "GET /v1/modules/orders/2.0.0/logs?tail=20" => Answer::json(200, "{\"at\":0,\"stream\":\"stderr\",\"text\":\"no database\"}\n"),
        _ => Answer::json(404, r#"{"error":{"reason":"NotInstalled","message":"no"}}"#),
    });
    let directory = tempfile::tempdir().unwrap();
    let package = directory.path().join("x.wasm");
    std::fs::write(&package, b"\0asm\x0d\0\x01\0").unwrap();
    let output = run(&["deploy", package.to_str().unwrap(), "--name", "orders", "--version", "2.0.0", "--base", &base.url()]);
    assert_eq!((code(&output), stdout(&output).as_str()), (1, ""));
    insta::assert_snapshot!(stderr(&output), @"
    error: /health answered 503
      ProbeFailed in probe

    the last it wrote:
      00:00:00.000 stderr no database
    hint: `arkctl logs orders:2.0.0` shows what it wrote, `arkctl inspect orders:2.0.0` how far it came
    ");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let base = base();
    for arguments in [
        &["deploi"][..],
        &[],
        &["status", "--quiet", "--verbose"],
        &["switch", "orders"],
        &["status", "--base", "staging"],
        &["deploy", "http://h/x.wasm", "--limit", "memory=1"],
        &["deploy", "http://h/x.wasm", "--name", "orders", "--base", &base.url()],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn where_no_base_is_there_it_ends_with_3_and_says_how_to_start_one() {
    // A port that the system gives to nobody by itself.
    let gone = "http://127.0.0.1:9";
    for command in ["status", "deploy", "top", "health"] {
        let output = run(&[command, "--base", gone]);
        assert_eq!(code(&output), 3, "{command}: {}", stderr(&output));
        assert!(stderr(&output).contains("hint: start a base there by `arklet`"), "{}", stderr(&output));
    }
    let output = run(&["version", "--base", gone, "--output", "json"]);
    assert_eq!((code(&output), &json(&output)["base"]), (0, &Value::Null));
}

#[test]
fn a_base_that_is_not_ready_is_shown_and_ends_with_1() {
    let base = FakeBase::start(|request| match request.line() {
        "GET /readyz" => Answer::json(503, "not ready"),
        "GET /v1/base" => Answer::json(200, &base_json()),
        _ => Answer::json(200, r#"{"data":{"healthData":{}}}"#),
    });
    let output = run(&["health", "--output", "json", "--base", &base.url()]);
    assert_eq!((code(&output), &json(&output)["ready"]), (1, &Value::Bool(false)));
}

#[test]
fn the_option_goes_before_the_variable_and_the_variable_before_the_file() {
    let named = |name: &'static str| FakeBase::start(move |_| Answer::json(200, &base_json().replace("demo", name)));
    let (option, variable, file) = (named("option"), named("variable"), named("file"));
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("arkctl")).unwrap();
    let text = format!("default = 'it'\n[bases.it]\nurl = '{}'\ntoken = 'secret'\n", file.url());
    std::fs::write(home.path().join("arkctl/config.toml"), text).unwrap();
    let asked = |command: &mut Command| {
        let output = command.env("XDG_CONFIG_HOME", home.path()).output().unwrap();
        json(&output)["base"]["name"].as_str().unwrap().to_owned()
    };
    let line = ["version", "--output", "json"];
    assert_eq!(asked(&mut arkctl(&line)), "file");
    assert_eq!(asked(arkctl(&line).env("ARKCTL_BASE", variable.url())), "variable");
    assert_eq!(asked(arkctl(&[&line[..], &["--base", &option.url()]].concat()).env("ARKCTL_BASE", variable.url())), "option");
    assert_eq!(asked(arkctl(&line).env("ARKCTL_BASE", "")), "file");
}

#[test]
fn colours_come_only_when_they_are_asked_for_off_a_terminal() {
    let base = base();
    let coloured = |arguments: &[&str]| stdout(&run(&[arguments, &["status", "--base", &base.url()]].concat())).contains('\u{1b}');
    assert!(!coloured(&[]));
    assert!(coloured(&["--color", "always"]));
    assert!(!coloured(&["--color", "never"]));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut child = arkctl(&["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
}

#[test]
fn a_crate_that_is_not_there_is_told_how_to_begin_one() {
    let output = run(&["build", "/nonexistent"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("arkctl new"), "{}", stderr(&output));
}

/// Cargo for a component, with the settings that this test's own cargo has not to pass on.
fn in_crate(arguments: &[&str], directory: &Path) -> Command {
    let mut command = arkctl(arguments);
    command.current_dir(directory).env_remove("CARGO_TARGET_DIR");
    command
}

#[test]
fn a_new_module_builds_and_says_its_own_name() {
    let parent = tempfile::tempdir().unwrap();
    let output = in_crate(&["new", "hello", "--output", "json"], parent.path()).output().unwrap();
    assert_eq!(json(&output)["name"], "hello", "{}", stderr(&output));
    let again = in_crate(&["new", "hello"], parent.path()).output().unwrap();
    assert_eq!(code(&again), 1);

    let output = in_crate(&["build", "hello", "--output", "json", "--version", "0.1.0+a.1"], parent.path()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let built = json(&output);
    let package = std::fs::read(built["path"].as_str().unwrap()).unwrap();
    let manifest: Value = serde_json::from_slice(ark_model::component::manifest(&package).unwrap().unwrap()).unwrap();
    assert_eq!(
        (&manifest["name"], &manifest["version"], &manifest["context-path"]),
        (&"hello".into(), &"0.1.0+a.1".into(), &"/hello".into())
    );
    assert_eq!(built["size"], package.len());
    assert!(built["path"].as_str().unwrap().ends_with("hello/target/ark/hello-0.1.0+a.1.wasm"), "{built}");

    let cargo_toml = parent.path().join("hello/Cargo.toml");
    let text = std::fs::read_to_string(&cargo_toml).unwrap();
    std::fs::write(&cargo_toml, text.replace("context-path =", "contxt-path =")).unwrap();
    let output = in_crate(&["build"], &parent.path().join("hello")).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("unknown field `contxt-path`") && stderr(&output).contains("Cargo.toml"), "{}", stderr(&output));
}
