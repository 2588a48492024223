//! What every store promises, in sentences, asked of each.

mod crash;
mod model;
mod speed;

use std::{
    any::Any,
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fleet::resource::{Base, Document, Key, Kind, Meta, Time, Write};

use tokio::runtime::Runtime;

use super::{Change, Event, LEASE, Listing, MAX_BYTES, MAX_WRITES, Memory, Postgres, Reign, Severity, Store, StoreError, postgres, sqlite};

/// An empty store to be asked.
struct Place {
    store: Arc<dyn Store>,
    /// Lets so much time pass for leases.
    pass: Box<dyn Fn(Duration)>,
    _holds: Box<dyn Any>,
}

fn clock() -> (Arc<AtomicU64>, Box<dyn Fn(Duration)>) {
    let millis = Arc::new(AtomicU64::new(0));
    let passing = millis.clone();
    (millis, Box::new(move |time| _ = passing.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst)))
}

fn memory(_: &Runtime) -> Place {
    let (millis, pass) = clock();
    let store = Arc::new(Memory::simulated(1, move || Time(1_000 + millis.load(Ordering::SeqCst))));
    Place { store, pass, _holds: Box::new(()) }
}

fn sqlite(_: &Runtime) -> Place {
    let (millis, pass) = clock();
    let data = tempfile::tempdir().unwrap();
    let store = Arc::new(sqlite::tests::timed(data.path(), move || Duration::from_millis(millis.load(Ordering::SeqCst))));
    Place { store, pass, _holds: Box::new(data) }
}

fn postgres(runtime: &Runtime) -> Place {
    let database = Arc::new(postgres::tests::Database::new());
    let store = Arc::new(runtime.block_on(Postgres::connect(&database.url())).unwrap());
    let passing = database.clone();
    let pass = Box::new(move |time: Duration| _ = passing.query(&format!("UPDATE fleet.state SET until = until - {}", time.as_millis())));
    Place { store, pass, _holds: Box::new(database) }
}

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A base of that name, with an annotation of so many bytes.
pub(super) fn base(name: &str, bytes: usize) -> Document {
    let mut metadata = Meta { name: name.into(), namespace: "ns".into(), ..Meta::default() };
    if bytes > 0 {
        metadata.annotations.insert("a".into(), "x".repeat(bytes));
    }
    Document::Base(Base { metadata, ..Base::default() })
}

pub(super) async fn create(store: &dyn Store, name: &str) -> Change {
    store.commit(vec![Write::Create(base(name, 0))], None).await.unwrap().remove(0)
}

pub(super) async fn everything(store: &dyn Store) -> Listing {
    store.list(BTreeSet::from(Kind::ALL), None).await.unwrap()
}

fn update(seen: &Document, change: impl FnOnce(&mut Base)) -> Write {
    let mut document = seen.clone();
    if let Document::Base(base) = &mut document {
        change(base);
    }
    Write::Update(document)
}

pub(super) fn set_modules(seen: &Document, modules: impl FnOnce(u32) -> u32) -> Write {
    update(seen, |base| base.status.modules = modules(base.status.modules))
}

/// Tells `messages` of base `a`, as of now.
pub(super) async fn tell(store: &dyn Store, messages: &[&str]) {
    let now = super::memory::now();
    let said = messages.iter().map(|message| Event::new(&base("a", 0), Severity::Normal, "Said", message, now)).collect();
    store.tell(said).await.unwrap();
}

/// What is told, and how often it was said.
pub(super) async fn told(store: &dyn Store) -> Vec<(String, u64)> {
    let telling = store.telling().await.unwrap();
    telling.events.iter().map(|event| (event.message.clone(), event.count)).collect()
}

fn delete(seen: &Document) -> Write {
    Write::Delete { kind: seen.kind(), key: seen.key(), resource_version: seen.meta().resource_version.clone() }
}

/// At least so many commits of all sorts: documents come, change, change again, and go.
pub(super) async fn commits(store: &dyn Store, count: usize) -> Vec<Vec<Change>> {
    let mut made = Vec::new();
    while made.len() < count {
        let name = format!("b{}", made.len());
        made.push(store.commit(vec![Write::Create(base(&name, 500)), Write::Create(base(&format!("{name}-too"), 0))], None).await.unwrap());
        let first = made.last().unwrap()[0].after.clone();
        made.push(store.commit(vec![update(&first, |base| base.spec.drain = true)], None).await.unwrap());
        let second = made.last().unwrap()[0].after.clone();
        made.push(store.commit(vec![update(&second, |base| base.status.modules = 1)], None).await.unwrap());
        let third = made.last().unwrap()[0].after.clone();
        made.push(store.commit(vec![delete(&third)], None).await.unwrap());
    }
    made
}

/// Asks each of these sentences of every store.
macro_rules! promises {
    ($($store:ident),*: $sentences:tt) => { $(mod $store { promises!(@ $store $sentences); })* };
    (@ $store:ident { $($sentence:ident)* }) => { $(
        #[test]
        fn $sentence() {
            let runtime = super::super::runtime();
            let place = super::super::$store(&runtime);
            runtime.block_on(super::$sentence(&place));
        }
    )* };
}

mod promises {
    use super::*;

    promises!(memory, sqlite, postgres: {
        what_is_created_is_read_back_as_it_was_stamped
        nothing_is_created_twice
        a_change_decided_on_an_old_version_is_refused
        a_commit_is_whole_or_nothing
        writes_of_one_commit_see_one_another
        what_has_finalizers_stays_until_they_are_gone
        who_comes_again_under_the_same_name_is_another
        a_list_is_of_one_revision_and_in_order
        a_list_may_be_of_one_namespace
        writers_at_the_same_time_lose_no_update
        of_many_who_create_the_same_one_does
        a_watch_tells_every_change_once_and_in_order
        a_slow_watcher_is_ended_and_lists_and_goes_on
        a_watch_from_a_revision_not_yet_there_is_refused
        a_document_or_commit_beyond_the_bounds_is_refused_and_nothing_of_it_kept
        a_commit_of_nothing_is_no_commit
        one_leads_until_its_lease_lapses
        a_reign_that_ended_writes_nothing_any_more
        who_resigns_makes_way_at_once
        a_write_is_done_even_if_nobody_waits_for_it
        kinds_do_not_mix
        what_happened_is_told_once_and_counted
    });

    async fn what_is_created_is_read_back_as_it_was_stamped(place: &Place) {
        let made = create(&*place.store, "a").await;
        let meta = made.after.meta();
        assert_eq!((meta.generation, meta.resource_version.parse().ok(), meta.uid.len()), (1, Some(made.revision), 36));
        assert!(meta.creation_timestamp.is_some());
        let read = place.store.get(Kind::Base, Key::new("ns", "a")).await.unwrap().unwrap();
        assert_eq!(read, made.after);
        assert!(place.store.get(Kind::Base, Key::new("other", "a")).await.unwrap().is_none());
    }

    async fn nothing_is_created_twice(place: &Place) {
        create(&*place.store, "a").await;
        let again = place.store.commit(vec![Write::Create(base("a", 0))], None).await;
        assert!(matches!(again, Err(StoreError::Exists { kind: Kind::Base, key }) if key.name == "a"));
    }

    async fn a_change_decided_on_an_old_version_is_refused(place: &Place) {
        let old = create(&*place.store, "a").await.after;
        let new = place.store.commit(vec![update(&old, |base| base.spec.drain = true)], None).await.unwrap().remove(0);
        assert_eq!((new.before.as_ref(), new.after.meta().generation), (Some(&old), 2));
        for stale in [update(&old, |_| {}), delete(&old)] {
            assert!(matches!(place.store.commit(vec![stale], None).await, Err(StoreError::Conflict { .. })));
        }
        assert_eq!(everything(&*place.store).await.documents, [new.after]);
    }

    async fn a_commit_is_whole_or_nothing(place: &Place) {
        let a = create(&*place.store, "a").await.after;
        let before = everything(&*place.store).await;
        for last in [Write::Create(base("a", 0)), update(&base("none", 0), |_| {})] {
            let writes = vec![Write::Create(base("b", 0)), update(&a, |base| base.spec.drain = true), last];
            assert!(place.store.commit(writes, None).await.is_err());
        }
        let after = everything(&*place.store).await;
        assert_eq!((before.documents, before.revision), (after.documents, after.revision));
    }

    async fn writes_of_one_commit_see_one_another(place: &Place) {
        let a = create(&*place.store, "a").await.after;
        let changes = place.store.commit(vec![delete(&a), Write::Create(base("a", 0))], None).await.unwrap();
        assert!(changes[0].removed && !changes[1].removed && changes[1].before.is_none());
        assert_ne!(changes[0].after.meta().uid, changes[1].after.meta().uid);
        let a = &changes[1].after;
        let twice = vec![update(a, |base| base.spec.drain = true), update(a, |base| base.spec.drain = false)];
        assert!(matches!(place.store.commit(twice, None).await, Err(StoreError::Conflict { .. })));
        assert_eq!(everything(&*place.store).await.documents, std::slice::from_ref(a));
    }

    async fn what_has_finalizers_stays_until_they_are_gone(place: &Place) {
        let mut held = base("a", 0);
        held.meta_mut().finalizers = vec!["held".into()];
        let held = place.store.commit(vec![Write::Create(held)], None).await.unwrap().remove(0).after;
        let marked = place.store.commit(vec![delete(&held)], None).await.unwrap().remove(0);
        assert!(!marked.removed && marked.after.meta().is_going() && marked.after.meta().generation == 2);
        assert_eq!(everything(&*place.store).await.documents, std::slice::from_ref(&marked.after));
        let gone = place.store.commit(vec![update(&marked.after, |base| base.metadata.finalizers.clear())], None).await.unwrap().remove(0);
        assert!(gone.removed && gone.after.meta().resource_version == gone.revision.to_string());
        assert!(everything(&*place.store).await.documents.is_empty());
    }

    async fn who_comes_again_under_the_same_name_is_another(place: &Place) {
        let first = create(&*place.store, "a").await.after;
        place.store.commit(vec![delete(&first)], None).await.unwrap();
        let second = create(&*place.store, "a").await.after;
        assert_ne!(first.meta().uid, second.meta().uid);
        assert!(matches!(place.store.commit(vec![update(&first, |_| {})], None).await, Err(StoreError::Conflict { .. })));
    }

    async fn a_list_is_of_one_revision_and_in_order(place: &Place) {
        let mut last = 0;
        for name in ["c", "a", "b"] {
            last = create(&*place.store, name).await.revision;
        }
        let listing = everything(&*place.store).await;
        let names: Vec<_> = listing.documents.iter().map(|document| document.meta().name.as_str()).collect();
        assert_eq!((names.join(""), listing.revision), ("abc".to_owned(), last));
    }

    async fn a_list_may_be_of_one_namespace(place: &Place) {
        for namespace in ["a", "b", "b-b", "c"] {
            let mut document = base("x", 0);
            document.meta_mut().namespace = namespace.into();
            place.store.commit(vec![Write::Create(document)], None).await.unwrap();
        }
        let listing = place.store.list(BTreeSet::from([Kind::Base]), Some("b".into())).await.unwrap();
        assert_eq!((listing.documents.len(), listing.documents[0].meta().namespace.as_str()), (1, "b"));
    }

    async fn kinds_do_not_mix(place: &Place) {
        create(&*place.store, "a").await;
        let module = fleet::resource::Module { metadata: base("a", 0).meta().clone(), ..Default::default() };
        place.store.commit(vec![Write::Create(Document::Module(module))], None).await.unwrap();
        for kind in [Kind::Base, Kind::Module] {
            let listing = place.store.list(BTreeSet::from([kind]), None).await.unwrap();
            assert!(listing.documents.len() == 1 && listing.documents[0].kind() == kind);
        }
        assert_eq!(everything(&*place.store).await.documents.len(), 2);
    }

    async fn writers_at_the_same_time_lose_no_update(place: &Place) {
        create(&*place.store, "a").await;
        let writers = (0..8).map(|_| {
            let store = place.store.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    loop {
                        let seen = store.get(Kind::Base, Key::new("ns", "a")).await.unwrap().unwrap();
                        match store.commit(vec![update(&seen, |base| base.status.modules += 1)], None).await {
                            Ok(_) => break,
                            Err(StoreError::Conflict { .. }) => tokio::task::yield_now().await,
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let Document::Base(base) = &*everything(&*place.store).await.documents[0] else { panic!() };
        assert_eq!(base.status.modules, 160);
    }

    async fn of_many_who_create_the_same_one_does(place: &Place) {
        let made = futures_util::future::join_all((0..50).map(|_| place.store.commit(vec![Write::Create(base("a", 0))], None))).await;
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
        assert!(made.iter().all(|made| matches!(made, Ok(_) | Err(StoreError::Exists { .. }))));
    }

    async fn a_watch_tells_every_change_once_and_in_order(place: &Place) {
        let start = everything(&*place.store).await.revision;
        let mut made = commits(&*place.store, 10).await;
        let mut from_the_start = place.store.watch(start).await.unwrap();
        let mut from_the_fifth = place.store.watch(made[4][0].revision).await.unwrap();
        let more = futures_util::future::join_all((0..40).map(|index| {
            let name = format!("more{index}");
            async move { create(&*place.store, &name).await }
        }));
        let mut more = more.await;
        more.sort_by_key(|change| change.revision);
        made.extend(more.into_iter().map(|change| vec![change]));
        for (place, expected) in made.iter().enumerate() {
            assert_eq!(format!("{:?}", from_the_start.recv().await.unwrap()), format!("{expected:?}"));
            if place > 4 {
                assert_eq!(format!("{:?}", from_the_fifth.recv().await.unwrap()), format!("{expected:?}"));
            }
        }
        assert!(from_the_start.try_recv().is_err() && from_the_fifth.try_recv().is_err());
    }

    async fn a_slow_watcher_is_ended_and_lists_and_goes_on(place: &Place) {
        let mut watch = place.store.watch(everything(&*place.store).await.revision).await.unwrap();
        let mut seen = 0;
        for round in 0..40 {
            let many = (0..50).map(|index| {
                let name = format!("b{round}-{index}");
                async move { create(&*place.store, &name).await }
            });
            futures_util::future::join_all(many).await;
        }
        while watch.recv().await.is_some() {
            seen += 1;
        }
        assert!((1000..2000).contains(&seen), "{seen}");
        let listing = everything(&*place.store).await;
        assert_eq!(listing.documents.len(), 2000);
        let mut watch = place.store.watch(listing.revision).await.unwrap();
        let next = create(&*place.store, "next").await;
        assert_eq!(watch.recv().await.unwrap()[0].after, next.after);
    }

    async fn a_watch_from_a_revision_not_yet_there_is_refused(place: &Place) {
        let revision = everything(&*place.store).await.revision;
        assert!(place.store.watch(revision).await.is_ok());
        assert!(matches!(place.store.watch(revision + 1).await, Err(StoreError::Compacted { .. })));
    }

    async fn a_document_or_commit_beyond_the_bounds_is_refused_and_nothing_of_it_kept(place: &Place) {
        let writes = vec![Write::Create(base("a", 0)), Write::Create(base("b", MAX_BYTES))];
        assert!(matches!(place.store.commit(writes, None).await, Err(StoreError::TooLarge(why)) if why.contains("Base ns/b")));
        let many = (0..=MAX_WRITES).map(|index| Write::Create(base(&index.to_string(), 0))).collect();
        assert!(matches!(place.store.commit(many, None).await, Err(StoreError::TooLarge(_))));
        assert!(everything(&*place.store).await.documents.is_empty());
        place.store.commit(vec![Write::Create(base("b", MAX_BYTES - 1000))], None).await.unwrap();
    }

    async fn a_commit_of_nothing_is_no_commit(place: &Place) {
        let before = everything(&*place.store).await.revision;
        assert!(place.store.commit(vec![], None).await.unwrap().is_empty());
        assert_eq!(everything(&*place.store).await.revision, before);
    }

    async fn one_leads_until_its_lease_lapses(place: &Place) {
        let lead = |holder: &str| place.store.lead(holder.into(), format!("at-{holder}"));
        assert_eq!(place.store.leader().await.unwrap(), None);
        let first = lead("a").await.unwrap().unwrap();
        assert_eq!((lead("b").await.unwrap(), place.store.leader().await.unwrap().as_deref()), (None, Some("at-a")));
        (place.pass)(LEASE / 2);
        assert_eq!((lead("a").await.unwrap(), lead("b").await.unwrap()), (Some(first), None));
        (place.pass)(LEASE);
        assert_eq!(place.store.leader().await.unwrap(), None);
        let second = lead("b").await.unwrap().unwrap();
        assert!(second.epoch > first.epoch);
        assert_eq!((lead("a").await.unwrap(), place.store.leader().await.unwrap().as_deref()), (None, Some("at-b")));
    }

    async fn a_reign_that_ended_writes_nothing_any_more(place: &Place) {
        let order = |name: &str, reign: Reign| place.store.commit(vec![Write::Create(base(name, 0))], Some(reign));
        let first = place.store.lead("a".into(), String::new()).await.unwrap().unwrap();
        order("in-time", first).await.unwrap();
        (place.pass)(LEASE);
        assert!(matches!(order("lapsed", first).await, Err(StoreError::NotLeading)));
        let second = place.store.lead("b".into(), String::new()).await.unwrap().unwrap();
        assert!(matches!(order("deposed", first).await, Err(StoreError::NotLeading)));
        assert!(matches!(order("yet-to-come", Reign { epoch: second.epoch + 1 }).await, Err(StoreError::NotLeading)));
        order("successor", second).await.unwrap();
        create(&*place.store, "anyone").await;
        let names: Vec<_> = everything(&*place.store).await.documents.iter().map(|document| document.meta().name.clone()).collect();
        assert_eq!(names, ["anyone", "in-time", "successor"]);
    }

    async fn who_resigns_makes_way_at_once(place: &Place) {
        let first = place.store.lead("a".into(), String::new()).await.unwrap().unwrap();
        place.store.resign(first).await.unwrap();
        assert_eq!(place.store.leader().await.unwrap(), None);
        let second = place.store.lead("b".into(), String::new()).await.unwrap().unwrap();
        assert!(second.epoch > first.epoch);
        place.store.resign(first).await.unwrap();
        assert!(place.store.leader().await.unwrap().is_some(), "who does not lead cannot resign for another");
    }

    async fn what_happened_is_told_once_and_counted(place: &Place) {
        let before = place.store.telling().await.unwrap();
        let mut later = before.later;
        assert!(before.events.is_empty() && before.revision > 0);
        tell(&*place.store, &["it runs", "it runs", "it \0 stopped"]).await;
        tell(&*place.store, &["it runs"]).await;
        let telling = place.store.telling().await.unwrap();
        let mut kept: Vec<_> = telling.events.iter().map(|event| (event.message.as_str(), event.count)).collect();
        kept.sort_unstable();
        assert_eq!(kept, [("it \0 stopped", 1), ("it runs", 3)]);
        let heard: Vec<_> = std::iter::from_fn(|| later.try_recv().ok()).map(|told| told.event).collect();
        assert_eq!(heard.iter().map(|event| event.revision).collect::<Vec<_>>(), (1..=3).map(|n| before.revision + n).collect::<Vec<_>>());
        assert_eq!(heard.last().map(|event| (event.count, event.revision)), Some((3, telling.revision)));
        assert_eq!(everything(&*place.store).await.revision, 1, "no document has changed");
    }

    async fn a_write_is_done_even_if_nobody_waits_for_it(place: &Place) {
        let mut watch = place.store.watch(everything(&*place.store).await.revision).await.unwrap();
        let mut given = place.store.commit(vec![Write::Create(base("a", 0))], None);
        // Polled once, it is given; then nobody waits any more.
        std::future::poll_fn(|context| {
            let _ = given.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        drop(given);
        assert_eq!(watch.recv().await.unwrap()[0].after.meta().name, "a");
    }
}
