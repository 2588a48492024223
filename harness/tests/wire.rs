//! The commands that today's clients send: codes, texts and fields as they know them, recorded from the system before this one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    time::Duration,
};

use harness::{base::Base, samples};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Packages under the names that the recordings use.
struct Packages(TempDir);

impl Packages {
    fn new() -> Self {
        let (folder, hello) = (tempfile::tempdir().unwrap(), samples::sample("hello", 1).unwrap());
        let misbehave = samples::build("misbehave", &["probe-fails"], Some("1.0.0")).unwrap();
        for (name, version, path) in [
            ("one", "1.0.0", None),
            ("two", "1.0.0", None),
            ("pair", "1.0.0", Some("/pair1")),
            ("pair", "2.0.0", Some("/pair2")),
            ("pair", "3.0.0", Some("/pair1")),
        ] {
            samples::remade(&hello, &folder.path().join(format!("{name}-{version}.wasm")), |manifest| {
                (manifest.name, manifest.version) = (Some(name.to_owned()), Some(version.to_owned()));
                manifest.context_path = path.map(str::to_owned);
            })
            .unwrap();
        }
        samples::remade(&misbehave, &folder.path().join("boom-1.0.0.wasm"), |manifest| {
            manifest.name = Some("boom".to_owned());
            manifest.probe_path = Some("/probe".to_owned());
        })
        .unwrap();
        std::fs::write(folder.path().join("noise.wasm"), b"noise").unwrap();
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn url(&self, file: &str) -> String {
        format!("file://{}", self.path(file).display())
    }
}

/// What a client looks at: the code, the message, and the same inside `data`.
fn told(answer: &Value) -> (String, String, String, String) {
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let inner = text("/data/message");
    // The only parts that differ from run to run.
    let inner = inner.split(" success, cost: ").next().map(str::to_owned).filter(|_| inner.starts_with("Install Biz")).unwrap_or(inner);
    (text("/code"), text("/message"), text("/data/code"), inner)
}

fn check(base: &Base, command: &str, body: &Value, expected: (&str, &str, &str, &str)) -> Value {
    let answer = base.api.command(command, body).unwrap();
    let (code, message, inner_code, inner_message) = told(&answer);
    assert_eq!((code.as_str(), message.as_str(), inner_code.as_str(), inner_message.as_str()), expected, "{command} {body}");
    let is_answer_of_a_command = matches!(code.as_str(), "SUCCESS" | "FAILED");
    assert_eq!(answer["baseIdentity"].is_string(), is_answer_of_a_command, "{answer}");
    assert_eq!(answer["errorStackTrace"].is_string(), code == "CMD_PROCESS_INTERNAL_ERROR", "{answer}");
    answer
}

const INSTALL_REFUSED: &str = "install biz not success!";
const UNINSTALL_REFUSED: &str = "uninstall biz not success!";
const SWITCH_REFUSED: &str = "switch biz not success!";
const INTERNAL: &str = "CMD_PROCESS_INTERNAL_ERROR";

#[test]
fn every_command_answers_as_clients_know_it() {
    let (base, packages) = (Base::start(&["--activation", "keep"]).unwrap(), Packages::new());
    let id = |name: &str, version: &str| json!({"bizName": name, "bizVersion": version});
    let install = |name: &str, version: &str| json!({"bizName": name, "bizVersion": version, "bizUrl": packages.url(&format!("{name}-{version}.wasm"))});

    assert_eq!(base.api.command("queryAllBiz", &json!({})).unwrap()["data"], json!([]));
    let help = base.api.command("help", &json!({})).unwrap();
    let mut ids: Vec<&str> = help["data"].as_array().unwrap().iter().map(|command| command["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["batchInstallBiz", "health", "help", "installBiz", "queryAllBiz", "queryBizOps", "switchBiz", "uninstallBiz"]);

    // Install, and the same again.
    let installed = check(&base, "installBiz", &install("one", "1.0.0"), ("SUCCESS", "", "SUCCESS", "Install Biz: one:1.0.0"));
    let biz = &installed["data"]["bizInfos"][0];
    assert_eq!((&biz["bizState"], &biz["identity"], &biz["webContextPath"]), (&json!("activated"), &json!("one:1.0.0"), &json!("one")));
    assert!(biz["priority"].is_i64() && biz["declaredMode"].is_boolean() && biz["mainClass"].is_string() && biz["attributes"].is_object());
    assert!(installed["data"]["elapsedSpace"].is_i64());
    check(
        &base,
        "installBiz",
        &install("one", "1.0.0"),
        ("FAILED", INSTALL_REFUSED, "REPEAT_BIZ", "Biz: one:1.0.0 has been installed or registered."),
    );
    let listed = base.api.command("queryAllBiz", &json!({"zzz": 1})).unwrap();
    let records = listed["data"][0]["bizStateRecords"].as_array().unwrap();
    let reasons: Vec<&str> = records.iter().map(|record| record["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["Created", "Started"]);
    assert!(records.iter().all(|record| record["changeTime"].is_u64() && record["message"].is_string() && record["state"].is_string()));

    // Requests that make no sense.
    for (command, body, message) in [
        ("installBiz", json!({"bizName": "x", "bizVersion": "1"}), "bizUrl should not be blank"),
        ("installBiz", json!({"bizName": "one", "bizUrl": "file:///x"}), "bizName and bizVersion should be both blank or both not blank."),
        ("installBiz", json!({"bizUrl": "file:///x", "async": true}), "requestId should not be blank when async is true"),
        ("uninstallBiz", json!({"bizName": "one"}), "bizVersion should not be blank"),
        ("uninstallBiz", json!({"bizVersion": "1"}), "bizName should not be blank"),
        ("switchBiz", json!({"bizName": "one"}), "bizVersion should not be blank"),
        ("queryBizOps", json!({}), "requestId is blank"),
        ("queryBizOps", json!(null), "request is null"),
        ("batchInstallBiz", json!({}), "bizList is null"),
        ("health", json!({"type": "weather"}), "type: weather can not be found"),
        ("health", json!({"type": "SYSTEM"}), "type: SYSTEM can not be found"),
    ] {
        check(&base, command, &body, (INTERNAL, &format!("Internal Error: {message}"), "", ""));
    }
    // Packages that cannot be had.
    for url in ["file:///nowhere.wasm", "http://127.0.0.1:1/x.wasm", "gopher://127.0.0.1/x", "/tmp/x.wasm", &packages.url("noise.wasm")] {
        let answer = base.api.command("installBiz", &json!({"bizName": "x", "bizVersion": "1", "bizUrl": url})).unwrap();
        assert_eq!(answer["code"], INTERNAL, "{url}");
        assert!(answer["message"].as_str().unwrap().starts_with("Internal Error: "), "{url}");
    }

    // Uninstall and switch.
    check(
        &base,
        "uninstallBiz",
        &id("two", "1.0.0"),
        ("FAILED", UNINSTALL_REFUSED, "NOT_FOUND_BIZ", "Uninstall biz: two:1.0.0 not found."),
    );
    check(&base, "uninstallBiz", &id("base", "1.0.0"), ("FAILED", UNINSTALL_REFUSED, "FAILED", "Master biz must not be uninstalled."));
    check(&base, "switchBiz", &id("one", "1.0.0"), ("SUCCESS", "", "SUCCESS", "Switch biz: one:1.0.0 is activated."));
    check(&base, "switchBiz", &id("one", "7"), ("FAILED", SWITCH_REFUSED, "NOT_FOUND_BIZ", "Switch biz: one:7 not found."));
    let nameless = json!({"bizUrl": packages.url("two-1.0.0.wasm")});
    check(&base, "installBiz", &nameless, ("SUCCESS", "", "SUCCESS", "Install Biz: two:1.0.0"));
    check(&base, "installBiz", &nameless, ("FAILED", INSTALL_REFUSED, "REPEAT_BIZ", "Biz: two:1.0.0 has been installed or registered."));
    check(&base, "uninstallBiz", &id("two", "1.0.0"), ("SUCCESS", "", "SUCCESS", "Uninstall biz: two:1.0.0 success."));

    // Two versions side by side.
    check(&base, "installBiz", &install("pair", "1.0.0"), ("SUCCESS", "", "SUCCESS", "Install Biz: pair:1.0.0"));
    check(&base, "installBiz", &install("pair", "2.0.0"), ("SUCCESS", "", "SUCCESS", "Install Biz: pair:2.0.0"));
    let state = |version: &str| {
        let all = base.api.command("queryAllBiz", &json!({})).unwrap();
        let found = all["data"].as_array().unwrap().iter().find(|biz| biz["bizName"] == "pair" && biz["bizVersion"] == version).cloned();
        found.map_or_else(String::new, |biz| biz["bizState"].as_str().unwrap().to_owned())
    };
    assert_eq!((state("1.0.0"), state("2.0.0")), ("activated".to_owned(), "deactivated".to_owned()));
    check(&base, "switchBiz", &id("pair", "2.0.0"), ("SUCCESS", "", "SUCCESS", "Switch biz: pair:2.0.0 is activated."));
    assert_eq!((state("1.0.0"), state("2.0.0")), ("deactivated".to_owned(), "activated".to_owned()));
    check(&base, "uninstallBiz", &id("pair", "2.0.0"), ("SUCCESS", "", "SUCCESS", "Uninstall biz: pair:2.0.0 success."));
    assert_eq!(state("1.0.0"), "deactivated");
    check(&base, "switchBiz", &id("pair", "1.0.0"), ("SUCCESS", "", "SUCCESS", "Switch biz: pair:1.0.0 is activated."));
    let mut replacing = install("pair", "3.0.0");
    replacing["installStrategy"] = json!("uninstallThenInstall");
    check(&base, "installBiz", &replacing, ("SUCCESS", "", "SUCCESS", "Install Biz: pair:3.0.0"));
    assert_eq!((state("1.0.0"), state("3.0.0")), (String::new(), "activated".to_owned()));
    // A client that installs and then removes the old one must not fail.
    check(&base, "uninstallBiz", &id("pair", "1.0.0"), ("SUCCESS", "", "SUCCESS", "Uninstall biz: pair:1.0.0 success."));
    let mut unknown = install("pair", "3.0.0");
    unknown["installStrategy"] = json!("rolling");
    check(&base, "installBiz", &unknown, ("FAILED", INSTALL_REFUSED, "REPEAT_BIZ", "Biz: pair:3.0.0 has been installed or registered."));

    // A start that fails.
    let failed = base.api.command("installBiz", &install("boom", "1.0.0")).unwrap();
    assert_eq!(failed["code"], INTERNAL);
    check(
        &base,
        "installBiz",
        &install("boom", "1.0.0"),
        ("FAILED", INSTALL_REFUSED, "REPEAT_BIZ", "Biz: boom:1.0.0 has been installed or registered."),
    );
    check(
        &base,
        "switchBiz",
        &id("boom", "1.0.0"),
        ("FAILED", SWITCH_REFUSED, "ILLEGAL_STATE_BIZ", "Switch Biz: boom:1.0.0's state must not be broken."),
    );
    let all = base.api.command("queryAllBiz", &json!({})).unwrap();
    let broken = all["data"].as_array().unwrap().iter().find(|biz| biz["bizName"] == "boom").cloned().unwrap();
    assert_eq!(broken["bizState"], "broken");
    assert_eq!(broken["bizStateRecords"][1]["reason"], "Install Failed");
    check(&base, "uninstallBiz", &id("boom", "1.0.0"), ("SUCCESS", "", "SUCCESS", "Uninstall biz: boom:1.0.0 success."));
}

#[test]
fn health_has_what_clients_decode() {
    let (base, packages) = (Base::start(&[]).unwrap(), Packages::new());
    base.api.install_file(&packages.path("one-1.0.0.wasm")).unwrap();
    let health = |body: Value| base.api.command("health", &body).unwrap()["data"]["healthData"].clone();
    let all = health(json!({}));
    for integer in [
        "/cpu/count",
        "/jvm/loaded class count",
        "/jvm/unload class count",
        "/jvm/total class count",
        "/jvm/java used metaspace",
        "/jvm/java committed metaspace",
        "/jvm/java max metaspace",
    ] {
        assert!(all.pointer(integer).is_some_and(Value::is_u64), "{integer} in {all}");
    }
    assert_eq!(all["masterBizInfo"], json!({"bizName": "base", "bizState": "activated", "bizVersion": "1.0.0", "webContextPath": "/"}));
    assert_eq!(all["pluginListInfo"], json!([]));
    let one = json!({"bizName": "one", "bizState": "activated", "bizVersion": "1.0.0", "webContextPath": "one"});
    assert_eq!(health(json!({"type": "biz"}))["bizListInfo"], json!([one, all["masterBizInfo"]]));
    assert_eq!(health(json!({"type": "biz", "bizName": "one"}))["bizListInfo"], json!([one]));
    assert_eq!(health(json!({"type": "biz", "bizName": "one", "bizVersion": "1.0.0"}))["bizInfo"], one);
    let keys = |value: Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(health(json!({"type": "system"}))), ["cpu", "jvm"]);
    assert_eq!(keys(health(json!({"type": "system", "metrics": ["cpu"]}))), ["cpu"]);
    for (body, message) in [
        (json!({"type": "biz", "bizName": "nosuch"}), "can not find biz: nosuch"),
        (json!({"type": "biz", "bizName": "nosuch", "bizVersion": "1"}), "can not find biz"),
        (json!({"type": "plugin", "bizName": "nosuch"}), "can not find plugin"),
    ] {
        check(&base, "health", &body, ("FAILED", message, "", ""));
    }
}

/// Polls a record until it has ended.
fn ended(base: &Base, request_id: &str) -> Value {
    loop {
        let record = base.api.command("queryBizOps", &json!({"requestId": request_id})).unwrap()["data"].clone();
        if record["endTimestamp"] != 0 {
            return record;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn asynchronous_commands_leave_a_record_that_ends() {
    let (base, packages) = (Base::start(&[]).unwrap(), Packages::new());
    let mut order =
        json!({"bizName": "two", "bizVersion": "1.0.0", "bizUrl": packages.url("two-1.0.0.wasm"), "requestId": "r-1", "async": true});
    let begun = base.api.command("installBiz", &order).unwrap();
    assert_eq!((&begun["code"], &begun["data"]["requestId"]), (&json!("SUCCESS"), &json!("r-1")));
    assert_eq!(begun["data"]["arkBizMeta"]["installStrategy"], "installOnly");
    assert!(begun["data"]["startTimestamp"].is_u64() && begun["data"]["elapsedTime"].is_u64());
    let record = ended(&base, "r-1");
    assert_eq!(record["status"], "SUCCEEDED");
    assert!(record["endTime"].is_u64() && record["message"].is_null());
    check(&base, "installBiz", &order, ("FAILED", "The request corresponding to the requestId(r-1) has been executed.", "", ""));
    check(&base, "queryBizOps", &json!({"requestId": "nope"}), ("FAILED", "Not found the corresponding ops record.", "", ""));
    order["requestId"] = json!("r-2");
    base.api.command("installBiz", &order).unwrap();
    let repeated = ended(&base, "r-2");
    assert_eq!((&repeated["status"], &repeated["message"]), (&json!("FAILED"), &json!(INSTALL_REFUSED)));
    base.api.command("uninstallBiz", &json!({"bizName": "two", "bizVersion": "1.0.0", "requestId": "r-3", "async": true})).unwrap();
    assert_eq!(ended(&base, "r-3")["status"], "SUCCEEDED");
}

#[test]
fn a_batch_answers_for_each_url() {
    let (base, packages) = (Base::start(&[]).unwrap(), Packages::new());
    let biz = |name: &str| json!({"bizName": name, "bizVersion": "1.0.0", "bizUrl": packages.url(&format!("{name}-1.0.0.wasm"))});
    let both =
        check(&base, "batchInstallBiz", &json!({"bizList": [biz("one"), biz("two")]}), ("SUCCESS", "", "SUCCESS", "batch install success"));
    let responses = both["data"]["bizUrlToResponse"].as_object().unwrap();
    assert_eq!(responses.len(), 2);
    assert!(responses.values().all(|response| response["code"] == "SUCCESS" && response["bizInfos"].is_array()));
    let again =
        check(&base, "batchInstallBiz", &json!({"bizList": [biz("two")]}), ("FAILED", INSTALL_REFUSED, "FAILED", "batch install failed"));
    let response = &again["data"]["bizUrlToResponse"][packages.url("two-1.0.0.wasm")];
    assert_eq!(response, &json!({"code": "REPEAT_BIZ", "message": "Biz: two:1.0.0 has been installed or registered."}));
    check(&base, "batchInstallBiz", &json!({"bizList": []}), ("SUCCESS", "", "SUCCESS", "batch install success"));
    let missing = json!({"bizList": [{"bizName": "x", "bizVersion": "1", "bizUrl": "file:///nowhere.wasm"}, biz("pair")]});
    assert_eq!(base.api.command("batchInstallBiz", &missing).unwrap()["code"], INTERNAL);
    assert_eq!(base.api.modules().unwrap().len(), 2);
}

#[test]
fn a_second_command_on_a_busy_name_is_told_so_at_once() {
    let (base, packages) = (Base::start(&[]).unwrap(), Packages::new());
    // A server that accepts and says nothing keeps the install busy.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.wasm", silent.local_addr().unwrap());
    let order = json!({"bizName": "two", "bizVersion": "1.0.0", "bizUrl": url, "requestId": "r", "async": true});
    base.api.command("installBiz", &order).unwrap();
    let sync = json!({"bizName": "two", "bizVersion": "1.0.0", "bizUrl": packages.url("two-1.0.0.wasm")});
    check(
        &base,
        "installBiz",
        &sync,
        ("FAILED", "FAILED:two:1.0.0 installBiz conflict, exist unfinished command(installBiz) for this biz", "", ""),
    );
    check(
        &base,
        "uninstallBiz",
        &json!({"bizName": "two", "bizVersion": "1.0.0"}),
        ("FAILED", UNINSTALL_REFUSED, "NOT_FOUND_BIZ", "Uninstall biz: two:1.0.0 not found."),
    );
    assert_eq!(base.api.delete("/v1/operations/two").unwrap().0, 202);
    assert_eq!(ended(&base, "r")["status"], "FAILED");
    check(&base, "installBiz", &sync, ("SUCCESS", "", "SUCCESS", "Install Biz: two:1.0.0"));
}

/// Sends bytes and reads until the server closes or has said all that its length promises.
fn raw(base: &Base, bytes: &[u8], close: bool) -> String {
    let mut stream = TcpStream::connect(base.api.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may answer, and close, before it has taken everything.
    let _ = stream.write_all(bytes);
    if close {
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    }
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => text.extend_from_slice(&buffer[..read]),
            // As the system ends a connection that is closed with bytes unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !text.is_empty() => break,
            Err(error) => panic!("no end of the answer: {error}; so far {}", String::from_utf8_lossy(&text)),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn whatever_a_client_sends_gets_an_answer_that_ends() {
    let base = Base::start(&[]).unwrap();
    let post = |path: &str, body: &str| {
        raw(
            &base,
            format!("POST /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
            false,
        )
    };
    for body in ["{\"bizName\":", "[1,2]", "\"x\"", "{", "  ", "null", ""] {
        let answer = post("installBiz", body);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(INTERNAL), "{body:?}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("content-length: "), "{answer}");
    }
    for path in ["nosuch", "", "HELP", "help/", "a/help"] {
        assert!(post(path, "{}").ends_with("{\"code\":\"CMD_NOT_FOUND\",\"message\":\"please follow the doc\"}"), "{path}");
    }
    assert!(post("queryAllBiz?x=1", "{}").contains("\"code\":\"SUCCESS\""));
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let answer = raw(&base, format!("{method} /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(), false);
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.ends_with("POST http request only supported by arklet"), "{answer}");
    }
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1_100_000));
    assert!(post("installBiz", &large).starts_with("HTTP/1.1 413 "));
    let help = "POST /help HTTP/1.1\r\nHost: x\r\n";
    assert!(
        raw(&base, format!("{help}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n").as_bytes(), false)
            .contains("SUCCESS")
    );
    assert!(
        raw(&base, format!("{help}Connection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes(), false)
            .contains("SUCCESS")
    );
    assert!(raw(&base, b"POST /help HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}", false).contains("SUCCESS"));
    assert!(raw(&base, format!("{help}Content-Length: 2\r\n\r\n{{}}").as_bytes(), true).contains("SUCCESS"));
    let two = format!("{help}Content-Length: 2\r\n\r\n{{}}{help}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}");
    assert_eq!(raw(&base, two.as_bytes(), false).matches("HTTP/1.1 200 OK").count(), 2);
}

#[test]
fn a_heartbeat_says_what_controllers_expect() {
    let controller = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", controller.local_addr().unwrap());
    let base = Base::start(&["--heartbeat", &endpoint, "--identity", "id-1", "--name", "b", "--base-version", "2"]).unwrap();
    let (mut stream, _) = controller.accept().unwrap();
    let mut text = String::new();
    while !text.contains("\r\n\r\n") || !text.ends_with('}') {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nSUCCESS").unwrap();
    assert!(text.starts_with("POST /heartbeat HTTP/1.1\r\n"), "{text}");
    let body: Value = serde_json::from_str(text.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["baseMetadata"], json!({"clusterName": "default", "identity": "id-1", "name": "b", "version": "2"}));
    assert_eq!((&body["state"], &body["localIP"]), (&json!("activated"), &json!("127.0.0.1")));
    let port: u16 = base.api.url().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(body["port"], port);
    assert!(body["localHostName"].is_string());
}
