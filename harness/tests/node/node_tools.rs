//! The command line with projects of Node.js: begun, served from save to save, looked at.

use std::{
    process::{Command, Stdio},
    sync::mpsc::Receiver,
    time::Duration,
};

use harness::node;

use crate::{
    lines::{arkctl, lines, save},
    support::body,
};

const PATIENCE: Duration = Duration::from_secs(120);

fn line_with(lines: &Receiver<String>, part: &str) -> String {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.contains(part) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("no line with {part:?} ({error}) in {seen:#?}"),
        }
    }
}

#[test]
fn dev_serves_each_save_survives_a_mistake_and_shows_the_log() {
    let base = node::base(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("greeting");
    node::run(&mut arkctl(&base, &["new", "--kind", "node", project.to_str().unwrap()])).unwrap();
    let app = |text: &str| {
        let text =
            format!("console.log('it starts');\nrequire('http').createServer((_, response) => response.end({text})).listen(3000);\n");
        save(&project.join("app.js"), &text);
    };
    app("'first'");
    let mut dev = arkctl(&base, &["dev", project.to_str().unwrap()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (logged, notes) = (lines(dev.stdout.take().unwrap()), lines(dev.stderr.take().unwrap()));
    line_with(&notes, "waiting for a save");
    line_with(&logged, "it starts");
    assert_eq!(body(&base, "/greeting/"), "first");
    app("'second'");
    line_with(&notes, "waiting for a save");
    assert_eq!(body(&base, "/greeting/"), "second");
    app("'no end");
    line_with(&notes, "did not start");
    line_with(&notes, "waiting for a save");
    assert_eq!(body(&base, "/greeting/"), "second");
    assert!(Command::new("kill").args(["-INT", &dev.id().to_string()]).status().unwrap().success());
    assert!(dev.wait().unwrap().success());
    assert!(base.api.modules().unwrap().is_empty());
}

#[test]
fn status_says_of_a_broken_module_why_and_inspect_what_it_runs_in() {
    let base = node::base(&[]).unwrap();
    let package = node::package("misbehave", "1.0.0").unwrap();
    node::run(&mut arkctl(&base, &["deploy", package.to_str().unwrap(), "--option", "isolation=worker"])).unwrap();
    let inspected = node::run(&mut arkctl(&base, &["inspect", "misbehave:1.0.0"])).unwrap();
    assert!(inspected.contains("worker") && inspected.contains("event loop held up"), "{inspected}");
    crate::support::eventually("it is given up", || {
        let _ = crate::support::get(&base, "/misbehave/exit");
        let status = node::run(&mut arkctl(&base, &["status"])).unwrap();
        (status.contains("broken") && status.contains("deploy it anew")).then_some(())
    });
}
