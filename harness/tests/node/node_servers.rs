//! Wherever and however often an application listens, there is a defined answer; a folder is a package.

use std::os::unix::fs::symlink;

use ark_model::Reason;
use harness::node;
use serde_json::json;

use crate::support::{body, install, log, order_of};

const JSON: (&str, &str) = ("package.json", r#"{"name": "app", "version": "1"}"#);
const BOTH: [&str; 2] = ["process", "worker"];

#[test]
fn the_first_server_is_reached_and_of_others_the_log_tells() {
    for isolation in BOTH {
        let base = node::base(&["--isolation", isolation]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let sockets = tempfile::tempdir().unwrap();
        let own = sockets.path().join("own.sock");
        let app = "
            const http = require('http');
            const answer = (text) => http.createServer((request, response) => response.end(text));
            const zero = answer('first').listen(0, () => {
                console.log('on port', zero.address().port > 0);
                answer('second').listen(3001, () => answer('third').listen(process.env.OWN));
            });";
        let mut order = order_of(folder.path(), &[JSON, ("app.js", app)]);
        order["grants"] = json!({"env": {"OWN": own.to_str().unwrap()}});
        install(&base, &order);
        assert_eq!(body(&base, "/app/"), "first");
        crate::support::eventually("all three listen", || {
            let log = log(&base, "app", "1");
            let all = ["on port true", "it listens on port 3001 too", "stays its own"];
            all.iter().all(|said| log.contains(said)).then_some(())
        });
        assert!(std::os::unix::net::UnixStream::connect(&own).is_ok(), "its own socket is where it wants it");
    }
}

#[test]
fn one_that_listens_nowhere_or_where_nobody_reaches_it_does_not_start() {
    let base = node::base(&[]).unwrap();
    for (app, reason, said) in [
        ("require('net').createServer().listen('x.sock')", Reason::StartTimedOut, "its own"),
        ("require('https').createServer({}).listen(0)", Reason::StartFailed, "TLS"),
        ("setTimeout(() => {}, 10)", Reason::StartFailed, "without a server that listens"),
        ("require('./gone')", Reason::StartFailed, "Cannot find module './gone'"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut order = order_of(folder.path(), &[JSON, ("app.js", app)]);
        order["limits"] = json!({"start-deadline-ms": 3_000});
        let refused = base.api.install(&order).unwrap().unwrap_err().error;
        assert_eq!(refused.reason, reason, "{app}: {}", refused.message);
        let log = log(&base, "app", "1");
        assert!(refused.message.contains(said) || log.contains(said), "{app}: {}\n{log}", refused.message);
        base.api.uninstall("app", "1").unwrap().unwrap();
    }
}

#[test]
fn a_folder_with_its_dependencies_is_a_package_but_for_links_that_leave_it() {
    let base = node::base(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app");
    let order = order_of(
        &app,
        &[
            ("package.json", r#"{"name": "app", "version": "1", "dependencies": {"x": "1"}}"#),
            ("app.js", "const x = require('x'); require('http').createServer((_, response) => response.end(x)).listen(0)"),
            // As pnpm has it.
            ("node_modules/.pnpm/x@1/node_modules/x/index.js", "module.exports = 'x and ' + require('y')"),
            ("node_modules/.pnpm/x@1/node_modules/y/index.js", "module.exports = 'y'"),
        ],
    );
    symlink(".pnpm/x@1/node_modules/x", app.join("node_modules/x")).unwrap();
    install(&base, &order);
    assert_eq!(body(&base, "/app/"), "x and y");
    base.api.uninstall("app", "1").unwrap().unwrap();

    symlink("/etc", app.join("etc")).unwrap();
    let refused = base.api.install(&order).unwrap().unwrap_err().error;
    assert_eq!(refused.reason, Reason::FetchFailed);
    assert!(refused.message.contains("its link etc leads out of it"), "{}", refused.message);
}
