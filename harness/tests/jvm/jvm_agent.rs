//! The agent as whoever starts the JVM knows it.

use std::{
    io::Cursor,
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use ark_model::{Reason, report::Room};
use harness::{
    bin_dir,
    jvm::{Jdk, Jvm, JvmBase, sample},
    load::Load,
};
use minisign::KeyPair;
use serde_json::json;

use crate::support::{Process, agent, base, body, dialled, eventually, get_at, install, order, report};

#[test]
fn it_can_be_loaded_late_and_once() {
    let application = Process::start(&sample("base").unwrap(), |command, _| {
        command.arg("-Xmx512m");
    });
    application.wait_started();
    let library = bin_dir().unwrap().join("libarklet_jvm.so").display().to_string();
    let data = application.folder.path().join("data").display().to_string();
    let jvm = Jvm::new(&Jdk::current().unwrap(), application.pid());
    let load = |options: &str| jvm.jcmd(&["JVMTI.agent_load", &library, options]).unwrap();
    let refused = load("\"colour=green\"");
    assert!(refused.contains("return code: -1"), "{refused}");
    assert!(application.err().contains("\"colour\" is no option of the agent"), "{}", application.err());
    let options = format!("\"listen=127.0.0.1:0,gateway=127.0.0.1:0,data-dir={data}\"");
    let loaded = load(&options);
    assert!(loaded.contains("return code: 0"), "{loaded}\n{}", application.err());
    let api = application.api();
    eventually("the agent is ready", || (api.get_status("/readyz").ok()? == 200).then_some(()));
    api.install(&order("catalog", "1.0.0", "catalog-v1")).unwrap().unwrap();
    assert!(load(&options).contains("return code: 0"));
    assert!(application.err().contains("the agent is there already; nothing is done a second time"), "{}", application.err());
    assert_eq!(api.modules().unwrap().len(), 1);
    assert!(!application.out().contains("arklet"), "{}", application.out());
}

#[test]
fn it_joins_a_controller_and_reports_the_room_that_the_jvm_has() {
    let controllers = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let urls = controllers.each_ref().map(|controller| format!("http://{}", controller.local_addr().unwrap()));
    let joins = format!("controller={}", urls.join(";"));
    let options = [joins.as_str(), "base-name=jvm-1", "base-deployment=shop", "base-labels=zone=a+disk=ssd;rack=7"];
    let base = JvmBase::start(&sample("base").unwrap(), &options, &["-Xmx512m", "-XX:MaxMetaspaceSize=200m"]).unwrap();
    // Whoever is dialled goes, and the next one is.
    for controller in &controllers {
        let head = dialled(controller);
        assert!(head.contains("ark-base: jvm-1") && head.contains("upgrade: ark-tunnel"), "{head}");
    }
    let report = report(&base);
    assert_eq!((report.kinds, report.deployment), (vec!["jvm".to_owned()], "shop".to_owned()));
    assert_eq!(report.labels.into_iter().map(|(key, value)| key + &value).collect::<Vec<_>>(), ["diskssd", "rack7", "zonea"]);
    let metaspace = report.room[&Room::Metaspace];
    assert!(metaspace.total == 200 << 20 && (1 << 20..metaspace.total).contains(&metaspace.used), "{metaspace:?}");
}

#[test]
fn other_content_under_the_same_version_takes_over_without_a_lost_request() {
    let base = base();
    let content = |mark: &str| {
        let mut order = order("catalog", "1.0.0", "catalog-v1");
        (order["mark"], order["replace"]) = (json!(mark), json!(true));
        order
    };
    install(&base, &content("0"));
    let text = body(&base, "/catalog/version");
    let load = Load::new(base.gateway, "/catalog/version", 4, &[&text]).start().unwrap();
    for mark in 1..=3 {
        let installed = base.api.install(&content(&mark.to_string())).unwrap().unwrap();
        assert_eq!((installed.module.mark, installed.retired[0].verdict.cut_requests), (mark.to_string(), 0));
    }
    let load = load.stop().unwrap();
    assert_eq!((load.lost, load.failures), (0, Vec::new()), "{}", base.log());
}

#[test]
fn a_wrong_option_is_told_and_the_application_goes_on_without() {
    let folder = tempfile::tempdir().unwrap();
    for (option, words) in [
        ("colour=green", "\"colour\" is no option of the agent; there are share, web, keep, ahead, data-dir, listen, gateway"),
        ("listen", "\"listen\" is no option; write key=value"),
        ("listen=nowhere", "invalid value 'nowhere' for '--listen <ADDRESS>'"),
        ("share=all", "share=\"all\" is neither module, set, nor none"),
    ] {
        let library = bin_dir().unwrap().join("libarklet_jvm.so");
        let mut command = Command::new(Jdk::current().unwrap().tool("java"));
        command.arg(format!("-agentpath:{}={option}", library.display())).arg("-version").current_dir(folder.path());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("the application goes on without") && said.contains(words), "{said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_taken_address_is_told_and_the_end_of_the_process_is_not_held_up() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("listen={}", taken.local_addr().unwrap());
    let start = |options: &[&str]| {
        let application = Process::start(&sample("base").unwrap(), |command, folder| {
            command.arg("-Xmx256m").arg(agent(folder, options));
        });
        application.wait_started();
        application
    };
    let without = start(&[&address]);
    eventually("the agent says why there is none", || without.err().contains("the agent has ended, the application goes on").then_some(()));
    assert!(without.err().contains(&taken.local_addr().unwrap().to_string()), "{}", without.err());
    let (status, plain) = without.end();
    assert_eq!(status.code(), Some(143));
    let with_agent = || {
        let with = start(&[]);
        let api = with.api();
        eventually("the agent is ready", || (api.get_status("/readyz").ok()? == 200).then_some(()));
        let (status, took) = with.end();
        assert_eq!(status.code(), Some(143));
        took
    };
    // A thread that is left inside of the VM costs 300 ms and more of waiting, each time; the rest is Spring's own end, or a busy machine.
    let took = (0..3).map(|_| with_agent()).min().unwrap();
    assert!(took < plain * 4 + Duration::from_millis(200), "{took:?} with the agent, {plain:?} without");
}

#[test]
fn its_log_is_a_file_where_one_is_asked_for_and_standard_error_has_one_line() {
    for by_environment in [false, true] {
        let application = Process::start(&sample("base").unwrap(), |command, folder| {
            if by_environment {
                command.env("ARKLET_LOG_FILE", "logs/of/agent.log").arg(agent(folder, &[]));
            } else {
                command.arg(agent(folder, &["log-file=logs/of/agent.log"]));
            }
            command.arg("-Xmx512m");
        });
        application.wait_started();
        let api = application.api();
        eventually("the agent is ready", || (api.get_status("/readyz").ok()? == 200).then_some(()));
        let log = || std::fs::read_to_string(application.folder.path().join("logs/of/agent.log")).unwrap();
        eventually("it says so", || log().contains(" ready").then_some(()));
        assert!(log().contains("the base is up version=\"") && !log().contains('\u{1b}'), "{}", log());
        let said = application.err();
        let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("WARNING: ")).collect();
        assert!(matches!(lines[..], [line] if line.starts_with("arklet ") && line.contains(" api=127.0.0.1:")), "{said}");
        assert!(lines[0].contains(" gateway=127.0.0.1:") && lines[0].ends_with(" log=logs/of/agent.log"), "{said}");
    }
}

#[test]
fn a_log_that_cannot_be_written_is_told_and_the_application_goes_on_without() {
    let application = Process::start(&sample("base").unwrap(), |command, folder| {
        std::fs::write(folder.join("taken"), "no folder").unwrap();
        command.arg("-Xmx256m").arg(agent(folder, &["log-file=taken/agent.log"]));
    });
    application.wait_started();
    let said = eventually("it is told", || Some(application.err()).filter(|said| said.contains("the application goes on without")));
    assert!(said.contains("could not log to taken/agent.log: "), "{said}");
}

#[test]
fn only_what_a_required_key_has_signed_comes_into_an_application() {
    let keys = [KeyPair::generate_unencrypted_keypair().unwrap(), KeyPair::generate_unencrypted_keypair().unwrap()];
    let required = format!("require-key={}", keys.each_ref().map(|keys| keys.pk.to_base64()).join(";"));
    let base = JvmBase::start(&sample("base").unwrap(), &[&required], &["-Xmx512m"]).unwrap();
    let mut order = order("greet", "1.0.0", "greet-a");
    let refused = base.api.install(&order).unwrap().unwrap_err().error;
    assert_eq!(refused.reason, Reason::SignatureInvalid, "{}", refused.message);
    let package = std::fs::read(sample("greet-a").unwrap()).unwrap();
    let [_, second] = keys;
    let signature = minisign::sign(Some(&second.pk), &second.sk, Cursor::new(package), None, None).unwrap();
    order["signature"] = json!(signature.into_string());
    install(&base, &order);
}

#[test]
fn a_process_that_begins_to_end_lets_nobody_in_and_answers_whom_it_has() {
    let base = base();
    // Its own server ends gracefully.
    install(&base, &order("catalog", "1.0.0", "catalog-v1"));
    let gateway = base.gateway;
    let slow = thread::spawn(move || get_at(gateway, "/catalog/slow?ms=10000"));
    eventually("it is inside", || base.jvm.jcmd(&["Thread.print"]).unwrap().contains("Controller.slow").then_some(()));
    assert!(Command::new("kill").args(["-TERM", &base.pid().to_string()]).status().unwrap().success());
    eventually("nobody is let in", || TcpStream::connect(gateway).is_err().then_some(()));
    assert!(base.api.get_status("/readyz").map_or(true, |status| status == 503));
    assert!(!slow.is_finished());
    let (status, text) = slow.join().unwrap();
    assert_eq!(status, 200, "{text}");
}
