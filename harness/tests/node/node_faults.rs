//! Every fault of an application has a defined end, and its neighbours are unharmed.

use ark_model::{Reason, State};
use harness::{base::Base, node};
use serde_json::json;

use crate::support::{body, eventually, get, install, log, order};

fn with_neighbour() -> Base {
    let base = node::base(&[]).unwrap();
    install(&base, &order("hello", "1.0.0"));
    base
}

#[test]
fn an_application_whose_process_ends_is_there_again_and_its_neighbours_never_were_away() {
    let base = with_neighbour();
    for (fault, said) in
        [("/exit", "exit status: 3"), ("/throw", "thrown by nobody who catches"), ("/reject", "rejected"), ("/kill", "signal: 9")]
    {
        // Anew for each, for one that ends too often stays away.
        install(&base, &order("misbehave", "1.0.0"));
        assert_eq!(body(&base, "/misbehave/ok"), "ok");
        assert_eq!(get(&base, &format!("/misbehave{fault}")).0, 500, "{fault}");
        assert_eq!(body(&base, "/hello/version"), "v1.0.0", "{fault}");
        // Requests wait until it is there.
        eventually("it answers again", || (get(&base, "/misbehave/ok") == (200, "ok".to_owned())).then_some(()));
        let log = log(&base, "misbehave", "1.0.0");
        assert!(log.contains(said) && log.contains("it ended: "), "{fault}: {log}");
        base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    }
}

#[test]
fn an_application_that_loops_or_takes_too_much_memory_is_ended_and_there_again() {
    let base = with_neighbour();
    for (fault, said) in [("/loop", "stood still"), ("/buffers", "memory-bytes"), ("/heap", "it ended: ")] {
        install(&base, &order("misbehave", "1.0.0"));
        let (status, _) = get(&base, &format!("/misbehave{fault}"));
        assert!(status >= 500, "{fault}: {status}");
        assert_eq!(body(&base, "/hello/version"), "v1.0.0", "{fault}");
        eventually(&format!("it was ended for {fault}"), || log(&base, "misbehave", "1.0.0").contains(said).then_some(()));
        eventually("it answers again", || (get(&base, "/misbehave/ok") == (200, "ok".to_owned())).then_some(()));
        base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    }
}

#[test]
fn one_that_ends_too_often_stays_away_and_says_so() {
    let base = with_neighbour();
    install(&base, &order("misbehave", "1.0.0"));
    eventually("it is given up", || {
        let (status, _) = get(&base, "/misbehave/exit");
        assert!(status >= 500);
        log(&base, "misbehave", "1.0.0").contains("it is not started again").then_some(())
    });
    assert_eq!(get(&base, "/misbehave/ok").0, 503);
    assert_eq!(body(&base, "/hello/version"), "v1.0.0");
    base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    install(&base, &order("misbehave", "1.0.0"));
    assert_eq!(body(&base, "/misbehave/ok"), "ok");
}

#[test]
fn an_application_that_does_not_start_leaves_the_one_that_serves() {
    let base = node::base(&[]).unwrap();
    install(&base, &order("misbehave", "1.0.0"));
    for (how, reason, said) in [
        ("exit", Reason::StartFailed, "exit status: 4"),
        ("throw", Reason::StartFailed, "exit status: 1"),
        ("end", Reason::StartFailed, "without a server"),
        ("never", Reason::StartTimedOut, "misbehave:2.0.0"),
    ] {
        let mut order = order("misbehave", "2.0.0");
        order["grants"] = json!({"env": {"MISBEHAVE": how}});
        order["limits"] = json!({"start-deadline-ms": 4_000});
        let refused = base.api.install(&order).unwrap().unwrap_err().error;
        assert_eq!(refused.reason, reason, "{how}: {}", refused.message);
        assert!(refused.message.contains(said), "{how}: {}", refused.message);
        assert_eq!(body(&base, "/misbehave/ok"), "ok", "{how}");
        let broken = base.api.modules().unwrap().into_iter().find(|module| module.id.version() == "2.0.0");
        assert_eq!(broken.unwrap().state, State::Broken, "{how}");
        base.api.uninstall("misbehave", "2.0.0").unwrap().unwrap();
    }
}

#[test]
fn a_package_that_is_no_sound_archive_or_does_not_say_what_it_is_is_refused() {
    let base = with_neighbour();
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(node::package("hello", "1.0.0").unwrap()).unwrap();
    for (name, bytes) in [("cut", whole[..whole.len() / 2].to_vec()), ("bytes", [&[0x1f, 0x8b, 0x08][..], &[7; 100]].concat())] {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let order = json!({"id": {"name": "x", "version": "1"}, "url": format!("file://{}", file.display())});
        let refused = base.api.install(&order).unwrap().unwrap_err().error;
        assert_eq!(refused.reason, Reason::PackageInvalid, "{name}: {}", refused.message);
    }
    assert_eq!(body(&base, "/hello/version"), "v1.0.0");
}
