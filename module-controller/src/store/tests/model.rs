//! Random commits, against the simplest thing that could be right.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone, Copy)]
enum Act {
    Create { held: bool },
    Want,
    Say,
    Release,
    Delete,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    name: usize,
    act: Act,
    /// Whether it is decided on the version before the one there is.
    stale: bool,
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let act = prop_oneof![
        any::<bool>().prop_map(|held| Act::Create { held }),
        Just(Act::Want),
        Just(Act::Say),
        Just(Act::Release),
        Just(Act::Delete)
    ];
    let step = (0..NAMES.len(), act, prop::bool::weighted(0.1)).prop_map(|(name, act, stale)| Step { name, act, stale });
    vec(vec(step, 1..4), 1..40)
}

/// What there is of one name.
#[derive(Debug, Clone, PartialEq)]
struct Thing {
    held: bool,
    going: bool,
    generation: i64,
    wanted: bool,
    said: u32,
    version: String,
}

fn thing(document: &Document) -> Thing {
    let Document::Base(base) = document else { panic!() };
    let meta = &base.metadata;
    Thing {
        held: !meta.finalizers.is_empty(),
        going: meta.is_going(),
        generation: meta.generation,
        wanted: base.spec.drain,
        said: base.status.modules,
        version: meta.resource_version.clone(),
    }
}

/// What a commit does to all there is; none where it is refused.
fn expected(mut things: BTreeMap<usize, Thing>, commit: &[Step]) -> Option<BTreeMap<usize, Thing>> {
    let mut touched = BTreeSet::new();
    for Step { name, act, stale } in commit {
        if let Act::Create { held } = *act {
            let new = Thing { held, going: false, generation: 1, wanted: false, said: 0, version: "new".into() };
            if things.insert(*name, new).is_some() {
                return None;
            }
            touched.insert(*name);
            continue;
        }
        // Whoever decided before the commit did not see what an earlier step of it made.
        let thing = things.get_mut(name).filter(|_| !stale && !touched.contains(name))?;
        touched.insert(*name);
        match act {
            Act::Create { .. } => {}
            Act::Want => (thing.wanted, thing.generation) = (!thing.wanted, thing.generation + 1),
            Act::Say => thing.said += 1,
            Act::Release => thing.held = false,
            Act::Delete => {
                thing.generation += i64::from(thing.held && !thing.going);
                thing.going = true;
            }
        }
        thing.version = "new".into();
        if thing.going && !thing.held {
            things.remove(name);
        }
    }
    Some(things)
}

async fn run(store: &dyn Store, namespace: &str, commits: Vec<Vec<Step>>) {
    let list = || async { store.list(BTreeSet::from([Kind::Base]), Some(namespace.to_owned())).await.unwrap().documents };
    let start = everything(store).await.revision;
    let mut told = Vec::new();
    for commit in commits {
        let seen: BTreeMap<usize, _> =
            list().await.into_iter().map(|seen| (NAMES.iter().position(|name| *name == seen.meta().name).unwrap(), seen)).collect();
        let writes = commit.iter().map(|step| {
            let mut none = base(NAMES[step.name], 0);
            none.meta_mut().namespace = namespace.into();
            let mut document = seen.get(&step.name).map_or_else(|| none.clone(), |seen| Document::clone(seen));
            if step.stale {
                document.meta_mut().resource_version = "1".into();
            }
            match step.act {
                Act::Create { held } => {
                    none.meta_mut().finalizers.extend(held.then(|| "held".to_owned()));
                    Write::Create(none)
                }
                Act::Want => update(&document, |base| base.spec.drain = !base.spec.drain),
                Act::Say => update(&document, |base| base.status.modules += 1),
                Act::Release => update(&document, |base| base.metadata.finalizers.clear()),
                Act::Delete => delete(&document),
            }
        });
        let things: BTreeMap<_, _> = seen.iter().map(|(name, document)| (*name, thing(document))).collect();
        let outcome = store.commit(writes.collect(), None).await;
        let expects = expected(things.clone(), &commit);
        assert_eq!(outcome.is_ok(), expects.is_some(), "{commit:?} on {things:?}: {outcome:?}");
        let revision = outcome.as_ref().map_or_else(|_| String::new(), |changes| changes[0].revision.to_string());
        let mut expects = expects.unwrap_or(things);
        expects.values_mut().filter(|thing| thing.version == "new").for_each(|thing| thing.version.clone_from(&revision));
        let things: Vec<_> = list().await.iter().map(|document| thing(document)).collect();
        assert_eq!(things, expects.into_values().collect::<Vec<_>>(), "after {commit:?}");
        told.extend(outcome.ok());
    }
    let mut watch = store.watch(start).await.unwrap();
    let mut replayed = BTreeMap::new();
    for expected in told {
        let changes = watch.recv().await.unwrap();
        assert_eq!(format!("{changes:?}"), format!("{expected:?}"));
        for change in changes.iter() {
            let was = if change.removed {
                replayed.remove(&change.after.key())
            } else {
                replayed.insert(change.after.key(), change.after.clone())
            };
            assert_eq!(was, change.before);
        }
    }
    assert!(watch.try_recv().is_err());
    assert_eq!(replayed.into_values().collect::<Vec<_>>(), list().await);
}

fn random_commits_come_to_what_they_should(place: &Place, cases: u32) {
    let (runtime, case) = (runtime(), AtomicU64::new(0));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let tried = TestRunner::new(config).run(&steps(), |commits| {
        let namespace = format!("case{}", case.fetch_add(1, Ordering::SeqCst));
        runtime.block_on(run(&*place.store, &namespace, commits));
        Ok(())
    });
    tried.unwrap();
}

#[test]
fn random_commits_come_to_what_they_should_in_memory() {
    random_commits_come_to_what_they_should(&memory(), 500);
}

#[test]
fn random_commits_come_to_what_they_should_in_sqlite() {
    random_commits_come_to_what_they_should(&sqlite(), 40);
}
