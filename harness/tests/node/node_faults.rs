//! Every fault of an application has a defined end, and its neighbours are unharmed.

use std::{
    fs,
    time::{Duration, Instant},
};

use ark_model::{Reason, State};
use harness::{base::Base, node};
use serde_json::{Value, json};

use crate::support::{body, children, eventually, get, install, log, order, order_in};

const BOTH: [&str; 2] = ["process", "worker"];

/// A base with a module that is always well, of the same isolation.
fn with_neighbour(isolation: &str) -> Base {
    let base = node::base(&["--isolation", isolation]).unwrap();
    install(&base, &order("hello", "1.0.0"));
    base
}

fn is_back(base: &Base) {
    eventually("it answers again", || (get(base, "/misbehave/ok") == (200, "ok".to_owned())).then_some(()));
}

/// Has a fresh module fail in this way, sees that its log says so, that it comes back, and that its neighbour never was away.
fn fails(base: &Base, fault: &str, said: &str) {
    // Anew for each, for one that ends too often stays away.
    install(base, &order("misbehave", "1.0.0"));
    assert_eq!(body(base, "/misbehave/ok"), "ok");
    let (status, _) = get(base, &format!("/misbehave{fault}"));
    assert!(status >= 500, "{fault}: {status}");
    assert_eq!(body(base, "/hello/version"), "v1.0.0", "{fault}");
    eventually(&format!("its log says {said:?} after {fault}"), || log(base, "misbehave", "1.0.0").contains(said).then_some(()));
    is_back(base);
    base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
}

#[test]
fn an_application_that_ends_is_there_again_and_its_neighbours_never_were_away() {
    let base = with_neighbour("process");
    for (fault, said) in [
        ("/exit", "it ended: exit status: 3"),
        ("/throw", "thrown by nobody who catches"),
        ("/reject", "rejected"),
        ("/abort", "signal: 6"),
        ("/kill", "signal: 9"),
    ] {
        fails(&base, fault, said);
    }
    let base = with_neighbour("worker");
    for (fault, said) in [
        ("/exit", "it ended: exit code 3"),
        ("/throw", "thrown by nobody who catches"),
        ("/reject", "rejected"),
        ("/abort", "process.abort() is not supported in workers"),
    ] {
        fails(&base, fault, said);
    }
}

#[test]
fn an_application_that_loops_or_takes_too_much_memory_is_ended_and_there_again() {
    for isolation in BOTH {
        let base = with_neighbour(isolation);
        for (fault, said) in [("/loop", "stood still"), ("/buffers", "memory-bytes"), ("/heap", "it ended: ")] {
            fails(&base, fault, said);
        }
    }
}

#[test]
fn a_process_gets_no_more_memory_than_it_may_have_however_fast_it_takes_it() {
    let base = with_neighbour("process");
    install(&base, &order("misbehave", "1.0.0"));
    let kept_by_the_system = |pid: &u32| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        limits.lines().any(|line| line.starts_with("Max data size") && line.contains("335544320"))
    };
    assert!(children(base.pid()).iter().any(kept_by_the_system), "160 MiB that it may have, and as much for all else");
    base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
    // Its allocation fails, or somebody looks before that.
    fails(&base, "/flood", "ended");
}

#[test]
fn an_event_loop_that_was_held_up_is_told_of() {
    for isolation in BOTH {
        let base = with_neighbour(isolation);
        install(&base, &order("misbehave", "1.0.0"));
        let held_up_ms = || {
            let module: Value = serde_json::from_str(&base.api.get("/v1/modules/misbehave/1.0.0").unwrap().1).unwrap();
            let note = module["inspection"]["notes"]["event loop held up"].as_str().unwrap_or_default().to_owned();
            note.split(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or_default()
        };
        eventually("it is known for how long", || {
            // It does not answer there; whoever asks has gone by then.
            let asked = ureq::get(format!("http://{}/misbehave/stall", base.gateway));
            let _ = asked.config().timeout_global(Some(Duration::from_millis(500))).build().call();
            (held_up_ms() >= 300.0).then_some(())
        });
        assert_eq!(body(&base, "/misbehave/ok"), "ok");
    }
}

#[test]
fn all_workers_are_back_after_their_process_has_ended() {
    let base = with_neighbour("worker");
    install(&base, &order("misbehave", "1.0.0"));
    install(&base, &order_in("process", "shop", "1.0.0"));
    assert!(get(&base, "/misbehave/kill").0 >= 500);
    assert_eq!(body(&base, "/shop/version"), "v1.0.0");
    is_back(&base);
    eventually("the other worker is back", || (get(&base, "/hello/version") == (200, "v1.0.0".to_owned())).then_some(()));
    assert!(log(&base, "hello", "1.0.0").contains("the process of all workers ended: signal: 9"));
}

#[test]
fn requests_wait_while_it_is_started_again_and_are_refused_after_a_while() {
    let base = with_neighbour("process");
    let folder = tempfile::tempdir().unwrap();
    let down = folder.path().join("down");
    let mut order = order("misbehave", "1.0.0");
    order["grants"] = json!({"env": {"MISBEHAVE": down.to_str().unwrap()}});
    order["limits"] = json!({"start-deadline-ms": 4_000, "request-deadline-ms": 20_000});
    install(&base, &order);
    fs::write(&down, "").unwrap();
    assert!(get(&base, "/misbehave/exit").0 >= 500);
    // Whoever is faster than the news of its end has what it had.
    let (status, retry_after, waited) = eventually("it is known that it has ended", || {
        let began = Instant::now();
        let (status, retry_after) = refused(&base, "/misbehave/ok");
        (status != 500).then(|| (status, retry_after, began.elapsed()))
    });
    assert_eq!((status, retry_after.is_some()), (503, true));
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(20), "not for all of its deadline: {waited:?}");
    fs::remove_file(&down).unwrap();
    is_back(&base);
}

/// Status and `Retry-After`.
fn refused(base: &Base, path: &str) -> (u16, Option<String>) {
    let asked = ureq::get(format!("http://{}{path}", base.gateway)).config().http_status_as_error(false).build();
    let response = asked.call().unwrap();
    let retry_after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), retry_after)
}

#[test]
fn one_that_ends_too_often_is_broken_with_the_last_of_its_log_until_it_is_deployed_anew() {
    for isolation in BOTH {
        let base = with_neighbour(isolation);
        install(&base, &order("misbehave", "1.0.0"));
        let module = || base.api.modules().unwrap().into_iter().find(|module| module.id.name() == "misbehave").unwrap();
        let broken = eventually("it is given up", || {
            assert!(get(&base, "/misbehave/throw").0 >= 500);
            Some(module()).filter(|module| module.state == State::Broken)
        });
        let failure = broken.failure.unwrap();
        assert_eq!(failure.reason, Reason::ModuleFailed);
        assert!(failure.message.contains("deploy it anew") && failure.message.contains("thrown by nobody"), "{}", failure.message);
        let (status, retry_after) = refused(&base, "/misbehave/ok");
        assert_eq!((status, retry_after.is_some()), (503, true));
        assert_eq!(body(&base, "/hello/version"), "v1.0.0");
        install(&base, &order("misbehave", "1.0.0"));
        assert_eq!(body(&base, "/misbehave/ok"), "ok");
        base.api.uninstall("misbehave", "1.0.0").unwrap().unwrap();
        assert_eq!(get(&base, "/misbehave/ok").0, 404);
    }
}

#[test]
fn an_application_that_does_not_start_leaves_the_one_that_serves() {
    for isolation in BOTH {
        let base = node::base(&["--isolation", isolation]).unwrap();
        install(&base, &order("misbehave", "1.0.0"));
        let exit = if isolation == "process" { "exit status" } else { "exit code" };
        let (exit_4, exit_1) = (if isolation == "process" { "exit status: 4" } else { "exit code 4" }, exit);
        for (how, reason, said) in [
            ("exit", Reason::StartFailed, exit_4),
            ("throw", Reason::StartFailed, exit_1),
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
}

#[test]
fn a_package_that_is_no_sound_archive_or_does_not_say_what_it_is_is_refused() {
    let base = with_neighbour("process");
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(node::package("hello", "1.0.0").unwrap()).unwrap();
    for (name, bytes) in [("cut", whole[..whole.len() / 2].to_vec()), ("bytes", [&[0x1f, 0x8b, 0x08][..], &[7; 100]].concat())] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        let order = json!({"id": {"name": "x", "version": "1"}, "url": format!("file://{}", file.display())});
        let refused = base.api.install(&order).unwrap().unwrap_err().error;
        assert_eq!(refused.reason, Reason::PackageInvalid, "{name}: {}", refused.message);
    }
    let refused = base.api.install(&order_in("thread", "menu", "1.0.0")).unwrap().unwrap_err().error;
    assert_eq!(refused.reason, Reason::InvalidRequest);
    assert!(refused.message.contains("process or worker"), "{}", refused.message);
    assert_eq!(body(&base, "/hello/version"), "v1.0.0");
}
