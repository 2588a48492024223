//! `node --import nodejslet app.js`: an application's own process is the base.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
};

use ark_model::VerdictState;
use harness::{base::Base, load::Load};

use crate::support::{body, children, eventually, get, get_at, install, is_alive, nothing_was_lost, order, order_in, order_of, project};

/// Writes down where it listens, and ends as it is told to.
pub(crate) const APP: &str = r"
const http = require('node:http');
const server = http.createServer((request, response) => {
  response.end(`own ${request.url}`, () => request.url === '/exit' && process.exit(3));
});
server.listen(0, '127.0.0.1', () => {
  require('node:fs').writeFileSync('port.new', String(server.address().port));
  require('node:fs').renameSync('port.new', 'port');
});
";

/// `node` with that one option, on the script `app` in `folder`.
fn attached(folder: &Path, app: &str) -> Command {
    attached_by(Path::new("node"), folder, app)
}

/// The same with that `node`.
pub(crate) fn attached_by(node: &Path, folder: &Path, app: &str) -> Command {
    fs::create_dir_all(folder.join("tmp")).unwrap();
    let mut node = Command::new(node);
    node.args(["--import", "nodejslet", app]).current_dir(folder).stdout(Stdio::null());
    node.env("ARKLET_DATA_DIR", folder.join("data")).env("TMPDIR", folder.join("tmp"));
    node.env("ARKLET_LISTEN", "127.0.0.1:0").env("ARKLET_GATEWAY", "127.0.0.1:0");
    node
}

fn start(folder: &Path, app: &str) -> Base {
    let base = Base::spawn(attached(folder, app), &folder.join("data")).unwrap();
    base.wait_ready().unwrap();
    base
}

/// Where the application itself listens.
fn own_address(folder: &Path) -> SocketAddr {
    let port = eventually("the application listens", || fs::read_to_string(folder.join("port")).ok());
    format!("127.0.0.1:{port}").parse().unwrap()
}

/// What the base has in its folder for temporary files.
fn left_in(folder: &Path) -> usize {
    fs::read_dir(folder.join("tmp")).unwrap().count()
}

#[test]
fn one_option_makes_an_applications_own_process_a_base() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    project(folder, &[("app.js", APP)]);
    let mut base = start(folder, "app.js");
    let own = own_address(folder);
    assert_eq!(get_at(own, "/x"), (200, "own /x".to_owned()));
    eventually("the gateway knows the application", || (get(&base, "/x").1 == "own /x").then_some(()));

    install(&base, &order("shop", "1.0.0"));
    let load = Load::new(base.gateway, "/shop/version", 4, &["v1.0.0", "v2.0.0"]).start().unwrap();
    for round in 1..=6 {
        let isolation = if round % 4 < 2 { "process" } else { "worker" };
        let installed = base.api.install(&order_in(isolation, "shop", &format!("{}.0.0", 1 + round % 2))).unwrap().unwrap();
        assert_eq!(installed.retired[0].verdict.cut_requests, 0);
    }
    nothing_was_lost(&base, &load.stop().unwrap());
    let retired = base.api.uninstall("shop", "1.0.0").unwrap().unwrap();
    assert_eq!(retired.verdict.state, VerdictState::Unloaded, "{retired:?}");
    assert_eq!(body(&base, "/shop/version"), "own /shop/version");

    // It ends as it likes to, and its modules with it.
    install(&base, &order("hello", "1.0.0"));
    let started = children(base.pid());
    assert!(!started.is_empty());
    assert_eq!(get_at(own, "/exit"), (200, "own /exit".to_owned()));
    base.wait().unwrap();
    eventually("its modules have ended", || started.iter().all(|pid| !is_alive(*pid)).then_some(()));
    assert_eq!(left_in(folder), 0);
    let base = start(folder, "app.js");
    assert_eq!(body(&base, "/hello/version"), "v1.0.0");
}

#[test]
fn what_the_process_starts_is_no_base() {
    let folder = tempfile::tempdir().unwrap();
    let app = r"
const { fork } = require('node:child_process');
const { Worker, isMainThread } = require('node:worker_threads');
const http = require('node:http');
const answers = require('nodejslet');
if (isMainThread && process.argv[2] !== 'child') {
  const started = [];
  fork(__filename, ['child']).once('message', (message) => started.push(message));
  new Worker(__filename).once('message', (message) => started.push(message));
  http.createServer((_, response) => response.end(started.sort().join())).listen(0);
} else {
  // Also one that says it ends the base ends none.
  const tell = (message) => (isMainThread ? process.send(message) : require('node:worker_threads').parentPort.postMessage(message));
  answers.end().then(() => tell(isMainThread ? 'child' : 'worker'));
}
";
    project(folder.path(), &[("app.js", app)]);
    let base = start(folder.path(), "app.js");
    eventually("both were started", || (get(&base, "/").1 == "child,worker").then_some(()));
    assert_eq!(base.log().matches(" api=").count(), 1, "{}", base.log());
    assert_eq!(left_in(folder.path()), 1);
}

#[test]
fn a_server_on_a_socket_and_one_that_follows_another_answer_at_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let app = r"
const http = require('node:http');
const first = http.createServer((request, response) => {
  response.end('first');
  if (request.url !== '/next') return;
  http.createServer((_, response) => response.end('second')).listen(0);
  first.close();
});
first.listen('app.sock');
";
    project(folder.path(), &[("app.js", app)]);
    let base = start(folder.path(), "app.js");
    eventually("the gateway knows the first", || (get(&base, "/").1 == "first").then_some(()));
    assert_eq!(body(&base, "/next"), "first");
    eventually("the gateway knows the second", || (get(&base, "/").1 == "second").then_some(()));
}

#[test]
fn without_an_address_there_is_no_base_and_the_application_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    project(folder, &[("app.js", APP)]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (value, said) in [(&*taken, &*taken), ("nowhere", "invalid value 'nowhere'")] {
        let _ = fs::remove_file(folder.join("port"));
        let complaints = fs::File::create(folder.join("stderr")).unwrap();
        let mut node = attached(folder, "app.js").env("ARKLET_LISTEN", value).stderr(complaints).spawn().unwrap();
        let own = own_address(folder);
        eventually("it is told", || {
            let told = fs::read_to_string(folder.join("stderr")).unwrap();
            (told.contains("the application goes on") && told.contains(said)).then_some(())
        });
        assert_eq!(get_at(own, "/exit").0, 200);
        assert_eq!(node.wait().unwrap().code(), Some(3));
    }
    assert_eq!(left_in(folder), 0);
}

#[test]
fn an_application_that_ends_gracefully_ends_its_base_first() {
    let folder = tempfile::tempdir().unwrap();
    let app = r"
import { createServer } from 'node:http';
import { end } from 'nodejslet';
createServer((_, response) => response.end('own')).listen(0);
process.once('SIGTERM', async () => {
  await end();
  process.exit(7);
});
";
    project(folder.path(), &[("app.mjs", app)]);
    let base = start(folder.path(), "app.mjs");
    let slow = "require('http').createServer((_, response) => setTimeout(() => response.end('slow'), 500)).listen(0)";
    install(&base, &order_of(&folder.path().join("slow"), &[("package.json", "{}"), ("app.js", slow)]));
    let gateway = base.gateway;
    let slow = std::thread::spawn(move || get_at(gateway, "/app/"));
    eventually("the request is there", || base.api.modules().unwrap().iter().any(|module| module.traffic.in_flight > 0).then_some(()));
    assert_eq!(base.end().unwrap().code(), Some(7));
    assert_eq!(slow.join().unwrap(), (200, "slow".to_owned()));
    assert_eq!(left_in(folder.path()), 0);
}

#[test]
fn killed_the_process_takes_its_modules_with_it_and_has_them_again_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    project(folder.path(), &[("app.js", APP)]);
    let mut base = start(folder.path(), "app.js");
    install(&base, &order("hello", "1.0.0"));
    install(&base, &order_in("worker", "menu", "1.0.0"));
    let started = children(base.pid());
    assert!(started.len() >= 2, "{started:?}");
    base.kill();
    eventually("its modules have ended", || started.iter().all(|pid| !is_alive(*pid)).then_some(()));
    let base = start(folder.path(), "app.js");
    assert_eq!((body(&base, "/hello/version"), left_in(folder.path())), ("v1.0.0".to_owned(), 1));
}
