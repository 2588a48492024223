use std::os::unix::fs::FileExt;

use fleet::resource::{Kind, Time};
use rusqlite::Connection;

use super::*;
use crate::store::{
    Severity,
    tests::{base, commits, create, everything, runtime, tell, told},
};

/// A store whose leases go by a clock of one's own.
pub(in crate::store) fn timed(data: &Path, age: impl Fn() -> Duration + Send + 'static) -> Sqlite {
    Sqlite::start(Disk::open(data).unwrap(), age).unwrap()
}

/// Every schema that was released.
const RELEASED: &[&str] = &[include_str!("released/1.sql"), include_str!("released/2.sql")];

fn open(data: &Path) -> Result<Sqlite, String> {
    Sqlite::open(data).map_err(|error| error.to_string())
}

/// A store of `count` commits, closed.
fn written(data: &Path, count: usize) {
    let store = open(data).unwrap();
    runtime().block_on(async {
        for index in 0..count {
            create(&store, &format!("b{index}")).await;
        }
    });
}

/// The store as it was at some instant, with what was not yet moved from the journal.
fn copy(data: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for file in ["fleet.db", "fleet.db-wal"] {
        let _ = std::fs::copy(data.join(file), to.path().join(file));
    }
    to
}

#[test]
fn a_second_process_is_told_which_folder_is_taken() {
    let data = tempfile::tempdir().unwrap();
    let first = open(data.path()).unwrap();
    let refused = open(data.path()).err().unwrap();
    assert!(refused.contains(data.path().join("lock").to_str().unwrap()), "{refused}");
    assert!(refused.contains("another controller"), "{refused}");
    drop(first);
    open(data.path()).unwrap();
}

#[test]
fn what_was_stored_is_there_after_a_restart_and_watched_on() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let (before, changes) = runtime().block_on(async {
        let changes = commits(&store, 50).await;
        (everything(&store).await, changes)
    });
    drop(store);
    let store = open(data.path()).unwrap();
    runtime().block_on(async {
        let after = everything(&store).await;
        assert_eq!((before.revision, before.documents), (after.revision, after.documents));
        let mut watch = store.watch(changes[9][0].revision).await.unwrap();
        for expected in &changes[10..] {
            let told = watch.recv().await.unwrap();
            assert_eq!(format!("{told:?}"), format!("{expected:?}"));
        }
    });
}

#[test]
fn an_epoch_rises_with_each_start() {
    let data = tempfile::tempdir().unwrap();
    for epoch in 1..4 {
        let store = open(data.path()).unwrap();
        let reign = runtime().block_on(store.lead("a".into(), String::new())).unwrap();
        assert_eq!(reign, Some(Reign { epoch }));
    }
}

#[test]
fn a_full_disk_refuses_what_comes_and_keeps_what_was_accepted() {
    let data = tempfile::tempdir().unwrap();
    written(data.path(), 10);
    let disk = Disk::open(data.path()).unwrap();
    let pages: u32 = disk.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    disk.connection.pragma_update_and_check(None, "max_page_count", pages + 8, |_| Ok(())).unwrap();
    let store = Sqlite::start(disk, || Duration::ZERO).unwrap();
    runtime().block_on(async {
        let mut accepted = 10;
        let refused = loop {
            match store.commit(vec![Write::Create(base(&format!("more{accepted}"), 3000))], None).await {
                Ok(_) => accepted += 1,
                Err(error) => break error.to_string(),
            }
        };
        assert!(refused.contains("the disk is full") && refused.contains("fleet.db"), "{refused}");
        assert_eq!(everything(&store).await.documents.len(), accepted);
        drop(store);
        assert_eq!(everything(&open(data.path()).unwrap()).await.documents.len(), accepted);
    });
}

#[test]
fn a_damaged_file_is_named_and_left_as_it_is() {
    let data = tempfile::tempdir().unwrap();
    written(data.path(), 200);
    let file = data.path().join("fleet.db");
    let whole = std::fs::read(&file).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 20, "the journal is moved into the file when the store is closed");
    let mut damages: Vec<(&str, Vec<u8>)> = vec![("cut", whole[..whole.len() / 2].to_vec()), ("other", b"no database at all".repeat(1000))];
    for page in 1..pages {
        let mut torn = whole.clone();
        torn[page * 4096..(page + 1) * 4096].fill(0xa5);
        damages.push(("page", torn));
    }
    for (damage, bytes) in damages {
        std::fs::write(&file, &bytes).unwrap();
        let refused = open(data.path()).err().unwrap_or_else(|| panic!("opened in spite of: {damage}"));
        assert!(refused.contains("fleet.db is damaged"), "{damage}: {refused}");
        assert!(std::fs::read(&file).unwrap() == bytes, "{damage}: it was written to");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(runtime().block_on(everything(&open(data.path()).unwrap())).documents.len(), 200);
}

#[test]
fn a_torn_journal_opens_as_some_earlier_moment_and_never_as_none_that_was() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let runtime = runtime();
    runtime.block_on(commits(&store, 40));
    let whole = copy(data.path());
    let history = runtime.block_on(async {
        let mut watch = store.watch(0).await.unwrap();
        std::iter::from_fn(move || watch.try_recv().ok()).collect::<Vec<_>>()
    });
    let journal = std::fs::metadata(whole.path().join("fleet.db-wal")).unwrap().len();
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        let torn = copy(whole.path());
        let file = std::fs::File::options().write(true).open(torn.path().join("fleet.db-wal")).unwrap();
        let place = fastrand::u64(..journal);
        if fastrand::bool() {
            file.set_len(place).unwrap();
        } else {
            file.write_at(&[fastrand::u8(..), fastrand::u8(..), fastrand::u8(..)], place).unwrap();
        }
        // A journal torn at its head has not even the tables.
        let store = open(torn.path()).unwrap();
        let listing = runtime.block_on(everything(&store));
        let mut model = State::default();
        let then = history.iter().take_while(|changes| changes[0].revision <= listing.revision);
        model.apply(then.map(|changes| crate::store::state::Commit { at: now(), changes: changes.clone() }));
        assert_eq!(listing.documents, model.list(&Kind::ALL.into(), None).documents);
        seen.insert(listing.revision);
    }
    assert!(seen.len() > 5, "{seen:?}");
}

#[test]
fn a_file_of_a_later_version_is_not_touched() {
    let data = tempfile::tempdir().unwrap();
    written(data.path(), 1);
    let connection = Connection::open(data.path().join("fleet.db")).unwrap();
    connection.pragma_update(None, "user_version", 1000).unwrap();
    drop(connection);
    let refused = open(data.path()).err().unwrap();
    assert!(refused.contains("fleet.db has version 1000"), "{refused}");
}

#[test]
fn a_file_of_every_released_version_is_brought_forward() {
    for released in RELEASED {
        let data = tempfile::tempdir().unwrap();
        let connection = Connection::open(data.path().join("fleet.db")).unwrap();
        connection.execute_batch(released).unwrap();
        drop(connection);
        let store = open(data.path()).unwrap();
        runtime().block_on(async {
            let listing = everything(&store).await;
            assert_eq!((listing.documents.len(), listing.revision), (1, 4));
            assert_eq!(listing.documents[0].meta().uid, "1f0c9b3e-8a55-4d1c-9d3e-0d7a52b1c001");
            let mut watch = store.watch(2).await.unwrap();
            let changes: Vec<_> =
                std::iter::from_fn(|| watch.try_recv().ok()).map(|changes| (changes[0].revision, changes[0].removed)).collect();
            assert_eq!(changes, [(3, false), (4, true)]);
            assert_eq!(store.lead("a".into(), String::new()).await.unwrap(), Some(Reign { epoch: 8 }));
            create(&store, "another").await;
            tell(&store, &["it runs"]).await;
            assert!(told(&store).await.contains(&("it runs".to_owned(), 1)));
        });
    }
}

#[test]
fn what_happened_is_told_after_a_restart_and_counted_on() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let before = runtime().block_on(async {
        tell(&store, &["it runs", "it stopped"]).await;
        store.telling().await.unwrap().revision
    });
    drop(store);
    let store = open(data.path()).unwrap();
    runtime().block_on(async {
        assert_eq!(store.telling().await.unwrap().revision, before, "who watched before may watch on");
        tell(&store, &["it runs"]).await;
        let mut told = told(&store).await;
        told.sort_unstable();
        assert_eq!(told, [("it runs".to_owned(), 2), ("it stopped".to_owned(), 1)]);
    });
}

#[test]
fn events_that_are_too_old_leave_the_file() {
    let data = tempfile::tempdir().unwrap();
    let store = open(data.path()).unwrap();
    let old = Event::new(&base("a", 0), Severity::Normal, "Said", "old", Time(1));
    runtime().block_on(async {
        store.tell(vec![old]).await.unwrap();
        assert!(told(&store).await.is_empty());
        tell(&store, &["young"]).await;
        tell(&store, &["younger"]).await;
    });
    drop(store);
    let connection = Connection::open(data.path().join("fleet.db")).unwrap();
    let kept: usize = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2);
}

#[test]
fn changes_that_are_not_kept_any_more_leave_the_file() {
    let data = tempfile::tempdir().unwrap();
    let thousand = |commit: usize| (0..1000).map(|index| Write::Create(base(&format!("b{commit}-{index}"), 0))).collect();
    let store = open(data.path()).unwrap();
    runtime().block_on(async {
        for commit in 0..12 {
            store.commit(thousand(commit), None).await.unwrap();
        }
    });
    drop(store);
    let connection = Connection::open(data.path().join("fleet.db")).unwrap();
    connection.execute("UPDATE changes SET at = 0", []).unwrap();
    drop(connection);

    let store = open(data.path()).unwrap();
    runtime().block_on(async {
        create(&store, "the-clock-is-read").await;
        create(&store, "what-is-old-goes").await;
        assert!(matches!(store.watch(3).await, Err(StoreError::Compacted { oldest: 4, .. })));
        assert!(store.watch(4).await.is_ok());
    });
    drop(store);
    let connection = Connection::open(data.path().join("fleet.db")).unwrap();
    let kept: (usize, usize) =
        connection.query_row("SELECT count(*), min(revision) FROM changes", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(kept, (9002, 5));
    drop(connection);
    assert!(matches!(runtime().block_on(open(data.path()).unwrap().watch(3)), Err(StoreError::Compacted { oldest: 4, .. })));
}
