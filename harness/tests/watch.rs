//! What people watch: a module's log, wherever its lines come from and until it is gone; the table of `top`; `dev` from save to save.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "common/lines.rs"]
mod lines;

use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::Receiver,
    thread,
    time::{Duration, Instant},
};

use harness::{base::Base, bin_dir, load::Load, samples};
use lines::{arkctl, lines, save};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(300);

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// The next line with `part` in it.
fn line_with(lines: &Receiver<String>, part: &str) -> String {
    let end = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("no line with {part:?} ({error}) in {seen:#?}"),
        }
    }
}

/// Whether the stream has ended; what still comes before does not matter.
fn end_of(lines: &Receiver<String>) {
    let end = Instant::now() + PATIENCE;
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(_) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it does not end"),
        }
    }
}

fn ended(child: &mut Child) -> std::process::ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What a module says of each line of its log.
fn log(base: &Base, module: &str) -> Vec<Value> {
    let (status, text) = base.api.get(&format!("/v1/modules/{module}/logs")).unwrap();
    assert_eq!(status, 200, "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Has a version of the sample log a line, for the request `id`.
fn say(base: &Base, query: &str, id: &str) {
    let target = format!("http://{}/misbehave/log?{query}", base.gateway);
    let answer = ureq::get(target).header("x-request-id", id).call().unwrap();
    assert_eq!(answer.status(), 200);
}

#[test]
fn a_line_by_wasi_logging_has_its_level_its_context_its_request_and_its_module() {
    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::sample("misbehave", 1).unwrap()).unwrap();
    for level in ["trace", "debug", "info", "warn", "error", "critical"] {
        say(&base, &format!("level={level}&context=cart&text=plain+{level}"), &format!("plain-{level}"));
        say(&base, &format!("level={level}&text=draft+{level}&draft"), &format!("draft-{level}"));
    }
    let lines = log(&base, "misbehave/1.0.0");
    assert_eq!(lines.len(), 12, "{lines:#?}");
    for level in ["trace", "debug", "info", "warn", "error", "critical"] {
        for (id, text) in [(format!("plain-{level}"), format!("cart: plain {level}")), (format!("draft-{level}"), format!("draft {level}"))]
        {
            let line = lines.iter().find(|line| line["requestId"] == id.as_str()).unwrap();
            assert_eq!((&line["stream"], &line["text"]), (&json!(level), &json!(text)));
            assert!(line["at"].as_u64().unwrap() > 1_700_000_000_000);
        }
    }
    // A second version beside it has a log of its own.
    let second = samples::sample("misbehave", 2).unwrap();
    base.api.install(&json!({"url": url(&second), "activation": "keep"})).unwrap().unwrap();
    assert_eq!(base.api.post("/v1/modules/misbehave/2.0.0/activate", "").unwrap().0, 200);
    say(&base, "level=warn&text=from+the+second", "second");
    assert_eq!(log(&base, "misbehave/1.0.0").len(), 12);
    let of_second = log(&base, "misbehave/2.0.0");
    assert_eq!((of_second.len(), &of_second[0]["requestId"], &of_second[0]["stream"]), (1, &json!("second"), &json!("warn")));
    // What it writes by wasi:logging cannot make two lines of one, nor break the stream of JSON.
    say(&base, "level=info&text=a%0A%7B%22b%22%7D%1B%5B2J", "evil");
    assert_eq!(log(&base, "misbehave/2.0.0").last().unwrap()["text"], "a\n{\"b\"}\u{1b}[2J");
}

#[test]
fn a_followed_log_ends_when_its_module_is_removed_and_not_before() {
    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::sample("misbehave", 1).unwrap()).unwrap();
    let target = format!("{}/v1/modules/misbehave/1.0.0/logs?follow=true", base.api.url());
    let followed = lines(ureq::get(target).call().unwrap().into_body().into_reader());
    say(&base, "text=first", "a");
    line_with(&followed, "first");
    say(&base, "text=last", "b");
    base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    line_with(&followed, "last");
    end_of(&followed);
    assert_eq!(base.api.get("/v1/modules/misbehave/1.0.0/logs?follow=true").unwrap().0, 404);
}

#[test]
fn the_log_of_a_broken_module_ends_when_a_new_attempt_replaces_it() {
    let base = Base::start(&[]).unwrap();
    let broken = samples::build("misbehave", &["unknown-import"], Some("1.0.0-broken")).unwrap();
    assert!(base.api.install(&json!({"url": url(&broken)})).unwrap().is_err());
    let target = format!("{}/v1/modules/misbehave/1.0.0-broken/logs?follow=true", base.api.url());
    let followed = lines(ureq::get(target).call().unwrap().into_body().into_reader());
    assert!(base.api.install(&json!({"url": url(&broken)})).unwrap().is_err());
    end_of(&followed);
}

#[test]
fn logs_of_a_name_go_on_with_the_version_that_takes_over_and_end_with_the_last() {
    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::sample("misbehave", 1).unwrap()).unwrap();
    let follow = |module: &str| {
        let mut child = arkctl(&base, &["logs", module, "--follow"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        (child, out, err)
    };
    let (mut by_name, said, notes) = follow("misbehave");
    let (mut by_version, said_of_first, _notes) = follow("misbehave:1.0.0");
    say(&base, "text=from+the+first", "a");
    line_with(&said, "from the first");
    line_with(&said_of_first, "from the first");
    base.api.install_file(&samples::sample("misbehave", 2).unwrap()).unwrap();
    assert_eq!(line_with(&notes, "goes on"), "misbehave:1.0.0 is gone; misbehave:2.0.0 goes on");
    say(&base, "text=from+the+second", "b");
    line_with(&said, "from the second");
    assert!(ended(&mut by_version).success());
    end_of(&said_of_first);
    base.api.uninstall("misbehave", "2.0.0").unwrap().unwrap();
    assert_eq!(line_with(&notes, "is gone"), "misbehave:2.0.0 is gone");
    assert!(ended(&mut by_name).success());
}

#[test]
fn top_on_a_terminal_shows_the_module_and_its_requests_again_and_again() {
    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    let load = Load::new(base.gateway, "/hello/", 2, &["hello from v1\n"]).start().unwrap();
    // `script` gives the program a terminal, and copies what it draws there.
    let program = bin_dir().unwrap().join("arkctl");
    let line = format!("{} --base {} top", program.display(), base.api.url());
    let mut terminal =
        Command::new("script").args(["-qefc", &line, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut drawn, mut stdout, mut buffer) = (String::new(), terminal.stdout.take().unwrap(), [0; 4_096]);
    let began = Instant::now();
    // Two whole frames: each begins by clearing what was there.
    while drawn.matches("\u{1b}[H\u{1b}[2J").count() < 3 {
        assert!(began.elapsed() < PATIENCE, "{drawn:?}");
        let read = stdout.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended: {drawn:?}");
        drawn.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    let _ = terminal.kill();
    let _ = terminal.wait();
    load.stop().unwrap();
    for frame in drawn.split("\u{1b}[H\u{1b}[2J").skip(1).take(2) {
        assert!(frame.contains("REQUESTS/S") && frame.contains("hello:1.0.0") && frame.contains("activated"), "{frame:?}");
        let row = frame.lines().find(|line| line.contains("hello:1.0.0")).unwrap();
        let figure = row.split_whitespace().nth(2).unwrap();
        let rate: u64 = figure.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
        assert!(rate > 0, "{row:?}");
    }
    // Off a terminal it is one sample.
    let sample = arkctl(&base, &["top", "--output", "json"]).output().unwrap();
    let sample: Value = serde_json::from_slice(&sample.stdout).unwrap();
    assert_eq!(sample["modules"][0]["name"], "hello");
}

#[test]
fn dev_serves_each_save_survives_a_mistake_and_removes_its_module_at_the_end() {
    let base = Base::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("greeting");
    assert!(arkctl(&base, &["new", project.to_str().unwrap()]).output().unwrap().status.success());
    // In a target folder of its own: whoever else builds here holds the lock of the shared one.
    let mut command = arkctl(&base, &["dev", project.to_str().unwrap()]);
    let mut dev = command.env_remove("CARGO_TARGET_DIR").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (logged, notes) = (lines(dev.stdout.take().unwrap()), lines(dev.stderr.take().unwrap()));
    let body = || {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent: ureq::Agent = config.into();
        agent.get(format!("http://{}/greeting/x", base.gateway)).call().unwrap().body_mut().read_to_string().unwrap()
    };
    line_with(&notes, "waiting for a save");
    assert_eq!(body(), "hello from greeting at /x\n");
    line_with(&logged, "asked for /x");

    let source = project.join("src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    save(&source, &text.replace("hello from", "welcome to"));
    line_with(&notes, "waiting for a save");
    assert_eq!(body(), "welcome to greeting at /x\n");
    line_with(&logged, "asked for /x");

    // A mistake leaves what serves; the next save mends it.
    save(&source, "this is no Rust");
    line_with(&notes, "error:");
    line_with(&notes, "waiting for a save");
    assert_eq!(body(), "welcome to greeting at /x\n");
    save(&source, &text.replace("hello from", "mended:"));
    line_with(&notes, "waiting for a save");
    assert_eq!(body(), "mended: greeting at /x\n");
    let versions = base.api.modules().unwrap();
    assert_eq!(versions.len(), 1, "old versions stayed");
    assert!(versions[0].id.version().contains("+dev."));

    assert!(Command::new("kill").args(["-INT", &dev.id().to_string()]).status().unwrap().success());
    assert!(ended(&mut dev).success());
    assert!(base.api.modules().unwrap().is_empty());
}
