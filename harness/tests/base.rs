//! A base as those who run it know it: it survives, starts with modules, lets in whom it should, and speaks what its clients speak.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use ark_model::State;
use harness::{api::Api, base::Base, bin_dir, load::Load, samples};
use serde_json::{Value, json};

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

fn body(base: &Base, path: &str) -> String {
    ureq::get(format!("http://{}{path}", base.gateway)).call().unwrap().body_mut().read_to_string().unwrap()
}

fn standing(base: &Base) -> Vec<String> {
    base.api.modules().unwrap().into_iter().map(|module| format!("{} {}", module.id, module.state)).collect()
}

#[test]
fn after_kill_9_everything_that_was_accepted_is_there_again() {
    let data = tempfile::tempdir().unwrap();
    let mut base = Base::start_in(data.path(), &[]).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    base.api.install_file(&samples::sample("inventory", 1).unwrap()).unwrap();
    let kept = json!({"url": url(&samples::sample("hello", 2).unwrap()), "activation": "keep"});
    base.api.install(&kept).unwrap().unwrap();
    base.api.uninstall("inventory", "1.0.0").unwrap().unwrap();
    let before = standing(&base);
    let load = Load::new(base.gateway, "/hello/", 4, &["hello from v1\n"]).start().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    base.kill();
    load.stop().unwrap();
    drop(base);
    let base = Base::start_in(data.path(), &[]).unwrap();
    assert_eq!(standing(&base), before);
    assert_eq!(body(&base, "/hello/"), "hello from v1\n");
    // A second base may not use the same data.
    let other = Base::launch(data.path(), &[]).err().unwrap().to_string();
    assert!(other.contains("another base uses"), "{other}");
}

#[test]
fn an_order_that_was_accepted_and_not_finished_is_finished_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let mut base = Base::start_in(data.path(), &[]).unwrap();
    let package = samples::sample("hello", 1).unwrap();
    // A server that says nothing holds the install up, until the base is dead.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let order =
        json!({"bizName": "hello", "bizVersion": "1.0.0", "bizUrl": format!("http://{address}/x.wasm"), "async": true, "requestId": "r"});
    assert_eq!(base.api.command("installBiz", &order).unwrap()["code"], "SUCCESS");
    base.kill();
    let bytes = std::fs::read(package).unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        // The first is of the dead base.
        for mut stream in silent.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
            let _ = stream.write_all(&bytes);
        }
    });
    let base = Base::start_in(data.path(), &[]).unwrap();
    assert_eq!(body(&base, "/hello/"), "hello from v1\n");
}

#[test]
fn a_base_starts_with_the_modules_in_its_folder_or_says_why_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(samples::sample("hello", 1).unwrap(), folder.path().join("hello.wasm")).unwrap();
    std::fs::copy(samples::sample("misbehave", 1).unwrap(), folder.path().join("misbehave.wasm")).unwrap();
    std::fs::write(folder.path().join("modules.toml"), "[[module]]\nfile = \"misbehave.wasm\"\nenv = { COLOUR = \"green\" }\n").unwrap();
    let arguments = ["--modules-dir", folder.path().to_str().unwrap()];
    let base = Base::start(&arguments).unwrap();
    assert_eq!(body(&base, "/hello/"), "hello from v1\n");
    assert!(body(&base, "/misbehave/env").contains("green"));
    drop(base);
    std::fs::write(folder.path().join("broken.wasm"), b"\0asm").unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(bin_dir().unwrap().join("arklet"));
    command.arg("--data-dir").arg(data.path()).args(["--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0"]).args(arguments);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.wasm did not come up"));
    let base = Base::start(&[arguments[0], arguments[1], "--keep-going"]).unwrap();
    assert_eq!(body(&base, "/hello/"), "hello from v1\n");
}

#[test]
fn a_base_ends_gracefully_and_loses_no_request_that_it_has() {
    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::sample("misbehave", 1).unwrap()).unwrap();
    let target = format!("http://{}/misbehave/slow?ms=1000", base.gateway);
    let slow = std::thread::spawn(move || ureq::get(target).call().unwrap().status().as_u16());
    let began = Instant::now();
    while base.api.modules().unwrap()[0].traffic.in_flight == 0 {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(base.end().unwrap().success());
    assert_eq!(slow.join().unwrap(), 200);
}

#[test]
fn only_who_shows_the_token_gets_in() {
    let outside = Command::new(bin_dir().unwrap().join("arklet")).args(["--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(outside.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&outside.stderr).contains("set a token"));
    let base = Base::start(&["--token", "secret", "--read-token", "look"]).unwrap();
    let ask = |method: &str, path: &str, token: Option<&str>| {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", base.api.url()));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        ureq::Agent::from(config).run(request.body("{}").unwrap()).unwrap().status().as_u16()
    };
    assert_eq!(ask("GET", "/v1/modules", None), 401);
    assert_eq!(ask("POST", "/queryAllBiz", Some("wrong")), 401);
    assert_eq!(ask("POST", "/queryAllBiz", Some("look")), 200);
    assert_eq!(ask("POST", "/installBiz", Some("look")), 401);
    assert_eq!(ask("POST", "/installBiz", Some("secret")), 200);
    assert_eq!(ask("GET", "/metrics", Some("look")), 200);
    assert_eq!(ask("GET", "/readyz", None), 200);
}

#[test]
fn tls_and_http_2_reach_the_same_modules() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate_path, key_path) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let base = Base::start(&["--gateway-cert", certificate_path, "--gateway-key", key_path]).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    let root = ureq::tls::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build();
    let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
    let answer =
        agent.get(format!("https://localhost:{}/hello/", base.gateway.port())).call().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(answer, "hello from v1\n");

    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use http_body_util::{BodyExt, Empty};
        let stream = tokio::net::TcpStream::connect(base.gateway).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..20 {
            let request = hyper::Request::get(format!("http://{}/hello/", base.gateway)).body(Empty::<hyper::body::Bytes>::new()).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, hyper::Version::HTTP_2));
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello from v1\n");
        }
    });
}

#[test]
fn modules_of_wasi_0_3_wait_side_by_side() {
    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::build("sleeper", &[], None).unwrap()).unwrap();
    body(&base, "/sleeper/0");
    let began = Instant::now();
    let sleepers: Vec<_> = (0..20)
        .map(|_| {
            let target = format!("http://{}/sleeper/500", base.gateway);
            std::thread::spawn(move || ureq::get(target).call().unwrap().body_mut().read_to_string().unwrap())
        })
        .collect();
    assert!(sleepers.into_iter().all(|sleeper| sleeper.join().unwrap().starts_with("slept 500 ms")));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn metrics_and_the_description_are_there_for_tools() {
    let base = Base::start(&[]).unwrap();
    base.api.install_file(&samples::sample("hello", 1).unwrap()).unwrap();
    body(&base, "/hello/");
    assert_eq!(
        ureq::get(format!("http://{}/nowhere", base.gateway)).config().http_status_as_error(false).build().call().unwrap().status(),
        404
    );
    let metrics = base.api.get("/metrics").unwrap().1;
    for line in [
        "ark_requests_total{module=\"hello\",version=\"1.0.0\",class=\"2xx\"} 1",
        "ark_request_duration_seconds_count{module=\"hello\",version=\"1.0.0\"} 1",
        "ark_modules{state=\"activated\"} 1",
        "ark_installs_total{outcome=\"ok\"} 1",
        "ark_request_duration_seconds_bucket{le=\"+Inf\",module=\"hello\",version=\"1.0.0\"} 1",
        "ark_requests_unrouted_total 1",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let description: Value = serde_json::from_str(&base.api.get("/openapi.json").unwrap().1).unwrap();
    assert!(description["paths"]["/v1/modules"]["post"].is_object());
}

fn arkctl(base: &Api, arguments: &[&str]) -> Output {
    let mut command = Command::new(bin_dir().unwrap().join("arkctl"));
    command.args(["--base", base.url(), "--output", "json"]).args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

fn json_of(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_command_line_takes_a_module_from_nothing_to_a_base_and_away() {
    let base = Base::start(&[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let project: PathBuf = folder.path().join("greeting");
    let project = project.to_str().unwrap();
    json_of(&arkctl(&base.api, &["new", project]));
    let deployed = json_of(&arkctl(&base.api, &["deploy", project]));
    assert_eq!(deployed["module"]["state"], "activated");
    assert!(body(&base, "/greeting/").contains("greeting"));

    // A version that cannot start: the reason and a hint, exit code 1, and the old version serves.
    let broken = folder.path().join("broken.wasm");
    samples::remade(&samples::build("misbehave", &["probe-fails"], Some("1.0.0")).unwrap(), &broken, |manifest| {
        (manifest.name, manifest.version) = (Some("greeting".to_owned()), Some("9.9.9".to_owned()));
        manifest.probe_path = Some("/probe".to_owned());
    })
    .unwrap();
    let failed = arkctl(&base.api, &["deploy", broken.to_str().unwrap()]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("ProbeFailed"), "{}", String::from_utf8_lossy(&failed.stderr));
    assert!(body(&base, "/greeting/").contains("greeting"));

    let status = json_of(&arkctl(&base.api, &["status"]));
    assert_eq!(status["modules"].as_array().unwrap().len(), 2);
    assert!(json_of(&arkctl(&base.api, &["inspect", "greeting:9.9.9"]))["failure"]["reason"] == "ProbeFailed");
    assert!(json_of(&arkctl(&base.api, &["routes"]))["routes"].is_array());
    assert!(json_of(&arkctl(&base.api, &["health"])).is_object());
    let gone = json_of(&arkctl(&base.api, &["undeploy", "greeting:0.1.0"]));
    assert_eq!(gone["verdict"]["state"], "unloaded");
    assert_eq!(arkctl(&base.api, &["undeploy", "greeting:0.1.0"]).status.code(), Some(1));
    assert_eq!(arkctl(&Api::new("http://127.0.0.1:9"), &["status"]).status.code(), Some(3));
    assert!(base.api.modules().unwrap().iter().all(|module| module.state == State::Broken));
}

#[test]
fn its_log_is_a_file_where_one_is_asked_for_and_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("logs/arklet.log"));
    let path = log.display().to_string();
    for starts in 1..=2 {
        let base = Base::start_in(&data, &["--log-file", &path]).unwrap();
        let said = base.log();
        assert!(said.lines().count() == 1 && said.ends_with(&format!(" log={path}")), "{said}");
        assert!(base.end().unwrap().success());
        let said = std::fs::read_to_string(&log).unwrap();
        assert_eq!((said.matches("the base is up").count(), said.matches("ending: ").count()), (starts, starts), "{said}");
    }
}
