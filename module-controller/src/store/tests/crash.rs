//! `kill -9` of a process that commits: nothing that was answered is lost, and nothing is half there.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::*;
use crate::store::Sqlite;

/// Says where the store of the process to be killed is.
const PLACE: &str = "STORE_TO_CRASH";

/// Not a test of its own: it is the process that is killed. Each commit makes two documents; their number is said once it is answered.
#[test]
fn commits_until_it_is_killed() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let store = Arc::new(Sqlite::open(std::path::Path::new(&place)).unwrap());
    runtime().block_on(async {
        let writers = (0..8).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let process = std::process::id();
                for number in 0_u64.. {
                    let name = |half| format!("{process}-{writer}-{number}-{half}");
                    let both = ["a", "b"].map(|half| Write::Create(base(&name(half), 200))).to_vec();
                    let changes = store.commit(both, None).await.unwrap();
                    println!("answered {} {process}-{writer}-{number}", changes[0].revision);
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

fn child(place: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::tests::crash::commits_until_it_is_killed", "--nocapture"]);
    command.env(PLACE, place).stdout(Stdio::piped()).spawn().unwrap()
}

/// What a process was answered before it was killed, after that many answers.
fn killed_after(place: &str, answers: usize) -> Vec<(u64, String)> {
    let mut child = child(place);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = |line: String| {
        let mut words = line.strip_prefix("answered ")?.split(' ');
        Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
    };
    let mut answered: Vec<_> = lines.by_ref().filter_map(|line| read(line.unwrap())).take(answers).collect();
    child.kill().unwrap();
    // It may have said more, the last of it half.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    answered.extend(rest.iter().rev().skip(1).cloned().filter_map(read));
    child.wait().unwrap();
    answered
}

/// Every answered commit is there, at its revision, and every commit is there with both its documents or with none.
async fn nothing_is_lost(store: &dyn Store, answered: &[(u64, String)]) {
    let listing = everything(store).await;
    let there: std::collections::BTreeMap<_, _> =
        listing.documents.iter().map(|document| (document.meta().name.clone(), document.meta().resource_version.clone())).collect();
    for (revision, name) in answered {
        for half in ["a", "b"] {
            assert_eq!(there.get(&format!("{name}-{half}")), Some(&revision.to_string()), "{name} was answered");
        }
    }
    for (name, revision) in &there {
        let (stem, half) = name.rsplit_once('-').unwrap();
        let other = format!("{stem}-{}", if half == "a" { "b" } else { "a" });
        assert_eq!(there.get(&other), Some(revision), "{name} is there");
    }
}

#[test]
fn a_kill_loses_nothing_that_sqlite_answered() {
    let data = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..20 {
        answered.extend(killed_after(data.path().to_str().unwrap(), 5 + round * 17));
        let store = Sqlite::open(data.path()).unwrap();
        runtime().block_on(nothing_is_lost(&store, &answered));
    }
    assert!(answered.len() > 3000);
}
