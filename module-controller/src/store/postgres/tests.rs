use std::sync::{Mutex, Weak};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;
use crate::store::tests::{base, create, everything, runtime, set_modules, tell, told};

/// One server for all the tests that run at a time.
static SERVER: Mutex<Weak<harness::postgres::Postgres>> = Mutex::new(Weak::new());

/// An empty database.
pub(in crate::store) struct Database {
    server: Arc<harness::postgres::Postgres>,
    name: String,
}

impl Database {
    pub(in crate::store) fn new() -> Self {
        let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(harness::postgres::Postgres::start("first").unwrap()));
        *shared = Arc::downgrade(&server);
        drop(shared);
        let name = format!("t{:016x}", fastrand::u64(..));
        server.query("first", &format!("CREATE DATABASE {name}")).unwrap();
        Self { server, name }
    }

    /// On a server of its own, whose commits are on the disk.
    pub(in crate::store) fn durable() -> Self {
        Self { server: Arc::new(harness::postgres::Postgres::durable("first").unwrap()), name: "first".to_owned() }
    }

    pub(in crate::store) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{}", self.server.port, self.name)
    }

    pub(in crate::store) fn query(&self, statement: &str) -> String {
        self.server.query(&self.name, statement).unwrap()
    }
}

/// Every schema that was released.
const RELEASED: &[&str] = &[include_str!("released/1.sql"), include_str!("released/2.sql")];

#[test]
fn controllers_that_start_together_make_the_schema_once_and_see_one_another() {
    let database = Database::new();
    runtime().block_on(async {
        let all = futures_util::future::join_all((0..4).map(|_| async { Postgres::connect(&database.url()).await.unwrap() })).await;
        assert_eq!(database.query("SELECT count(*), max(version) FROM fleet.version"), "2|2");
        let mut watch = all[3].watch(1).await.unwrap();
        for (place, store) in all.iter().enumerate() {
            let made = create(store, &format!("b{place}")).await;
            for other in &all {
                assert_eq!(other.get(Kind::Base, made.after.key()).await.unwrap(), Some(made.after.clone()), "read after it was answered");
            }
            assert_eq!(watch.recv().await.unwrap()[0].after, made.after);
        }
    });
}

#[test]
fn controllers_that_write_at_the_same_time_lose_no_update_and_tell_it_in_order() {
    let database = Database::new();
    runtime().block_on(async {
        let stores = [Postgres::connect(&database.url()).await.unwrap(), Postgres::connect(&database.url()).await.unwrap()];
        let stores = stores.map(Arc::new);
        let mut watches = [stores[0].watch(1).await.unwrap(), stores[1].watch(1).await.unwrap()];
        create(&*stores[0], "a").await;
        let writers: Vec<_> = (0..8).map(|writer| tokio::spawn(count_up(stores[writer % 2].clone(), 20))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(modules(&stores[0]).await, 160);
        for watch in &mut watches {
            for revision in 2..=162 {
                assert_eq!(watch.recv().await.unwrap()[0].revision, revision);
            }
        }
    });
}

/// Adds so many to the modules of base `a`, one by one.
async fn count_up(store: Arc<Postgres>, times: u32) {
    for _ in 0..times {
        loop {
            let seen = store.get(Kind::Base, Key::new("ns", "a")).await.unwrap().unwrap();
            match store.commit(vec![set_modules(&seen, |modules| modules + 1)], None).await {
                Ok(_) => break,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn modules(store: &Postgres) -> u32 {
    match &*store.get(Kind::Base, Key::new("ns", "a")).await.unwrap().unwrap() {
        fleet::resource::Document::Base(base) => base.status.modules,
        _ => panic!(),
    }
}

#[test]
fn connections_that_break_lose_no_write_and_do_none_twice() {
    let database = Database::new();
    runtime().block_on(async {
        let store = Arc::new(Postgres::connect(&database.url()).await.unwrap());
        let mut watch = store.watch(1).await.unwrap();
        let writer = tokio::spawn({
            let store = store.clone();
            async move {
                for number in 0..300 {
                    // One that was done and tried again would be refused as being there already.
                    store.commit(vec![Write::Create(base(&format!("b{number}"), 0))], None).await.unwrap();
                }
            }
        });
        for number in 0..300 {
            assert_eq!(watch.recv().await.unwrap()[0].after.meta().name, format!("b{number}"));
            if number % 30 == 0 {
                database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'module-controller' AND datname = current_database()");
            }
        }
        writer.await.unwrap();
        assert_eq!(everything(&*store).await.documents.len(), 300);
    });
}

#[test]
fn who_was_away_for_longer_than_changes_are_kept_ends_its_watchers_and_has_all() {
    let database = Database::new();
    runtime().block_on(async {
        let (store, other) = (Postgres::connect(&database.url()).await.unwrap(), Postgres::connect(&database.url()).await.unwrap());
        let mut watch = store.watch(1).await.unwrap();
        // As if all of it had happened in between: the other one's changes are gone before we hear of them.
        database.query("CREATE FUNCTION forget() RETURNS trigger AS 'BEGIN DELETE FROM fleet.changes; NEW.compacted = NEW.revision; RETURN NEW; END' LANGUAGE plpgsql");
        database.query("CREATE TRIGGER forget BEFORE UPDATE ON fleet.state FOR EACH ROW EXECUTE FUNCTION forget()");
        let made = create(&other, "a").await;
        assert!(watch.recv().await.is_none());
        let listing = everything(&store).await;
        assert_eq!((listing.documents, listing.revision), (vec![made.after], made.revision));
        assert!(matches!(store.watch(1).await, Err(StoreError::Compacted { .. })));
    });
}

#[test]
fn a_database_of_every_released_version_is_brought_forward_and_none_of_a_later_one_touched() {
    for released in RELEASED {
        let database = Database::new();
        database.query(released);
        runtime().block_on(async {
            let store = Postgres::connect(&database.url()).await.unwrap();
            let listing = everything(&store).await;
            assert_eq!((listing.documents.len(), listing.revision), (1, 4));
            let mut watch = store.watch(2).await.unwrap();
            let changes: Vec<_> =
                std::iter::from_fn(|| watch.try_recv().ok()).map(|changes| (changes[0].revision, changes[0].removed)).collect();
            assert_eq!(changes, [(3, false), (4, true)]);
            assert_eq!(store.lead("a".into(), String::new()).await.unwrap(), Some(Reign { epoch: 8 }));
            create(&store, "another").await;
            tell(&store, &["it runs"]).await;
            assert!(told(&store).await.contains(&("it runs".to_owned(), 1)));
        });
        database.query("INSERT INTO fleet.version VALUES (1000)");
        let refused = runtime().block_on(Postgres::connect(&database.url())).err().unwrap().to_string();
        assert!(refused.contains("version 1000"), "{refused}");
    }
}

#[test]
fn what_one_controller_tells_every_other_tells_too_with_the_same_numbers() {
    let database = Database::new();
    runtime().block_on(async {
        let (store, other) = (Postgres::connect(&database.url()).await.unwrap(), Postgres::connect(&database.url()).await.unwrap());
        let mut later = other.telling().await.unwrap().later;
        tell(&store, &["it runs"]).await;
        assert_eq!(later.recv().await.unwrap().event.count, 1);
        tell(&other, &["it runs"]).await;
        assert_eq!((told(&store).await, told(&other).await), (vec![("it runs".to_owned(), 2)], vec![("it runs".to_owned(), 2)]));
        let third = Postgres::connect(&database.url()).await.unwrap();
        let of = |telling: Telling| (telling.revision, telling.events);
        assert_eq!(of(third.telling().await.unwrap()), of(store.telling().await.unwrap()));
    });
}

#[test]
fn a_database_that_is_not_there_is_said_to_be_and_its_password_is_not() {
    for url in ["postgres://user:secret@127.0.0.1:1/none", "postgres://user:secret@127.0.0.1:port/none"] {
        let refused = runtime().block_on(Postgres::connect(url)).err().unwrap().to_string();
        assert!(refused.contains("database") && !refused.contains("secret"), "{refused}");
    }
}

/// Lets a server be reached through a socket in `folder` too.
async fn through_a_socket(folder: &std::path::Path, port: u16) {
    let socket = tokio::net::UnixListener::bind(folder.join(format!(".s.PGSQL.{port}"))).unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = socket.accept().await {
            let mut far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
}

#[test]
fn a_database_is_reached_where_its_host_has_no_name() {
    let database = Database::new();
    let (port, name, folder) = (database.server.port, &database.name, tempfile::tempdir().unwrap());
    runtime().block_on(async {
        through_a_socket(folder.path(), port).await;
        let folder = folder.path().display().to_string();
        for url in [
            format!("postgres:///{name}?user=postgres&host={folder}&port={port}"),
            format!("postgres://postgres@{}:{port}/{name}", folder.replace('/', "%2F")),
            format!("postgres:///{name}?user=postgres&hostaddr=127.0.0.1&port={port}"),
        ] {
            Postgres::connect(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        }
    });
}

/// An authority, and what it has signed for 127.0.0.1: certificate and key.
fn authority() -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let signed = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    (certificate, signed.pem(), key.serialize_pem())
}

#[test]
fn a_database_is_reached_over_tls_as_far_as_it_is_to_be_believed() {
    let (right, certificate, key) = authority();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (right, wrong) = (file("right.pem", &right), file("wrong.pem", &authority().0));
    let server = harness::postgres::Postgres::encrypted("first", &certificate, &key).unwrap();
    let connect = |host: &str, query: &str| {
        let url = format!("postgres://postgres@{host}:{}/first?{query}", server.port);
        runtime().block_on(async {
            let store = Postgres::connect(&url).await.map_err(|error| error.to_string())?;
            create(&store, &format!("b{:016x}", fastrand::u64(..))).await;
            // The sessions of stores that ended may be there for a moment.
            let ours = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'module-controller' ORDER BY backend_start DESC LIMIT 1";
            Ok::<_, String>(server.query("first", ours).unwrap())
        })
    };
    let verified = format!("sslmode=verify-full&sslrootcert={right}");
    assert_eq!(connect("127.0.0.1", &verified).as_deref(), Ok("t"));
    assert_eq!(connect("127.0.0.1", "sslmode=require").as_deref(), Ok("t"));
    assert_eq!(connect("127.0.0.1", "sslmode=disable").as_deref(), Ok("f"));
    for (host, query) in [
        ("127.0.0.1", &*format!("sslmode=verify-full&sslrootcert={wrong}")),
        ("127.0.0.1", "sslmode=verify-full"),
        ("localhost", &*verified),
    ] {
        let refused = connect(host, query).unwrap_err();
        assert!(refused.contains(&format!("the certificate of {host} is not believed")) && refused.contains("sslrootcert"), "{refused}");
    }
    let refused = connect("127.0.0.1", "sslmode=verify-full&sslrootcert=/none.pem").unwrap_err();
    assert!(refused.contains("/none.pem"), "{refused}");
}

#[test]
fn a_database_without_tls_is_refused_where_tls_is_required() {
    let database = Database::new();
    for mode in ["require", "verify-full"] {
        let refused = runtime().block_on(Postgres::connect(&format!("{}?sslmode={mode}", database.url()))).err().unwrap().to_string();
        assert!(refused.contains("server does not support TLS"), "{refused}");
    }
}
