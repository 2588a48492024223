//! A connection, and what is said on it.

use std::{
    collections::BTreeMap,
    error::Error as _,
    future::poll_fn,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use fleet::resource::{Key, Time};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client, Error};

use super::tls::Address;

use crate::store::{
    Event, Revision, StoreError, events,
    group::{Clock, Group, Written},
    lease::Lease,
    load::{self, Counters, Known, Row},
    state::{Oldest, State},
};

/// How long a database may take to let us in.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may be silent on an open connection.
const SILENT: Duration = Duration::from_secs(10);
/// Ends what is stuck, above all a transaction whose controller hangs while it has the lock that all writers need.
const LIMITS: &str = "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '10s'; SET synchronous_commit = on";
/// Held by the one controller that brings the schema forward.
const MIGRATING: &str = "SELECT pg_advisory_xact_lock(7331160271155)";
/// About how many bytes go in one statement.
const STATEMENT: usize = 32 << 20;

/// What brings a schema of each version, from 0, to the next.
const MIGRATIONS: [&str; 2] = [include_str!("1.sql"), include_str!("2.sql")];

const COLUMNS: &str = "kind, revision, at, namespace, name, previous, before, after, removed";

/// Why it did not work.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection is gone, or may be: to be tried again on another one.
    Lost(String),
    /// Trying again does not help.
    Refused(StoreError),
}

impl Trouble {
    pub(super) fn into_store(self) -> StoreError {
        match self {
            Self::Lost(why) => StoreError::Failed(why),
            Self::Refused(error) => error,
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            return Self::Lost(format!("the database cannot be reached: {error}{cause}"));
        };
        let (code, message) = (said.code().code(), said.message());
        match code.get(..2) {
            // Connections that break, deadlocks, servers that stop or start, and transactions that took too long.
            Some("08" | "25" | "40" | "57") => Self::Lost(format!("the database says: {message} ({code})")),
            _ => Self::Refused(StoreError::Failed(format!("the database says: {message} ({code})"))),
        }
    }
}

/// The one row that every writer locks.
pub(super) struct Head {
    pub(super) revision: Revision,
    pub(super) compacted: Revision,
    pub(super) told: Revision,
    pub(super) lease: Lease,
    pub(super) clock: Clock,
}

/// A connection.
pub(super) struct Session {
    client: Client,
}

impl Session {
    /// Connects; `woken` is notified of what other sessions say, once this one listens.
    pub(super) async fn connect(address: &Address, woken: Arc<Notify>) -> Result<Self, Trouble> {
        let Address { mut config, tls } = address.clone();
        config.application_name("module-controller").connect_timeout(CONNECT).tcp_user_timeout(SILENT);
        config.keepalives_idle(SILENT).keepalives_interval(SILENT / 5).keepalives_retries(3);
        let connecting = tokio::time::timeout(CONNECT, config.connect(tls)).await;
        let (client, mut connection) = connecting.map_err(|_| Trouble::Lost("the database does not answer".to_owned()))??;
        // Ends with the client.
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(_) = message {
                    woken.notify_one();
                }
            }
        });
        client.batch_execute(LIMITS).await?;
        Ok(Self { client })
    }

    pub(super) async fn say(&self, statement: &str) -> Result<(), Trouble> {
        Ok(self.client.batch_execute(statement).await?)
    }

    /// Brings the schema to the version of this program; of several controllers one does.
    pub(super) async fn migrate(&self) -> Result<(), Trouble> {
        self.say("BEGIN").await?;
        self.say(MIGRATING).await?;
        self.say("CREATE SCHEMA IF NOT EXISTS fleet; CREATE TABLE IF NOT EXISTS fleet.version (version INT NOT NULL)").await?;
        let row = self.client.query_one("SELECT coalesce(max(version), 0) FROM fleet.version", &[]).await?;
        let version: i32 = row.try_get(0)?;
        let Some(steps) = usize::try_from(version).ok().and_then(|version| MIGRATIONS.get(version..)) else {
            let known = MIGRATIONS.len();
            let why = format!("the database has version {version}, this controller knows those up to {known}: use a later one");
            return Err(StoreError::Failed(why).into());
        };
        for (step, version) in steps.iter().zip(version + 1..) {
            self.say(step).await?;
            self.client.execute("INSERT INTO fleet.version VALUES ($1)", &[&version]).await?;
        }
        self.say("COMMIT").await
    }

    /// The latest revision, and the latest telling.
    pub(super) async fn latest(&self) -> Result<(Revision, Revision), Trouble> {
        let row = self.client.query_one("SELECT revision, told FROM fleet.state", &[]).await?;
        Ok((natural(row.try_get(0)?), natural(row.try_get(1)?)))
    }

    /// The one row, locked until the transaction ends where `lock` says so.
    pub(super) async fn head(&self, lock: bool) -> Result<Head, Trouble> {
        let lock = if lock { "FOR UPDATE" } else { "" };
        let query = format!(
            "SELECT revision, compacted, epoch, holder, address, until, (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT, told
             FROM fleet.state {lock}"
        );
        let row = self.client.query_one(query.as_str(), &[]).await?;
        let now = row.try_get(6)?;
        Ok(Head {
            revision: natural(row.try_get(0)?),
            compacted: natural(row.try_get(1)?),
            told: natural(row.try_get(7)?),
            lease: Lease { epoch: natural(row.try_get(2)?), holder: row.try_get(3)?, address: row.try_get(4)?, until: row.try_get(5)? },
            clock: Clock { now: Time(natural(now)), lease: now },
        })
    }

    /// Takes into `state` what was committed and told up to `head`, within a transaction that sees no more than that.
    pub(super) async fn catch_up(&self, state: &RwLock<State>, head: &Head) -> Result<(), Trouble> {
        let heard = state.read().unwrap_or_else(PoisonError::into_inner).events().revision();
        if head.told > heard {
            let told = self.events(heard).await?;
            let told = told.iter().map(|(revision, text)| events::read(*revision, text)).collect::<Result<Vec<_>, _>>()?;
            state.write().unwrap_or_else(PoisonError::into_inner).tell(told, head.clock.now);
        }
        let known = state.read().unwrap_or_else(PoisonError::into_inner).revision();
        if known >= head.revision {
            return Ok(());
        }
        if known >= head.compacted {
            let rows = self.changes(known, head.revision).await?;
            let commits = Known::default().commits(rows)?;
            if commits.len() as u64 == head.revision - known {
                state.write().unwrap_or_else(PoisonError::into_inner).apply(commits);
                return Ok(());
            }
        }
        let new = self.load(head).await?;
        let mut state = state.write().unwrap_or_else(PoisonError::into_inner);
        if new.revision() > state.revision() {
            // Whoever watched the old one is ended thereby.
            *state = new;
        }
        Ok(())
    }

    /// All that there is at `head`.
    pub(super) async fn load(&self, head: &Head) -> Result<State, Trouble> {
        let rows = self.client.query("SELECT kind, document FROM fleet.documents", &[]).await?;
        let documents = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<Vec<_>, Error>>()?;
        let changes = self.changes(head.compacted, head.revision).await?;
        let counters = Counters { revision: head.revision, oldest: head.compacted, told: head.told };
        Ok(load::state(counters, documents, changes, self.events(0).await?)?)
    }

    /// What was told after that, in order.
    async fn events(&self, after: Revision) -> Result<Vec<(Revision, String)>, Trouble> {
        let query = "SELECT revision, event FROM fleet.events WHERE revision > $1 ORDER BY revision";
        let rows = self.client.query(query, &[&integer(after)]).await?;
        Ok(rows.iter().map(|row| Ok((natural(row.try_get(0)?), row.try_get(1)?))).collect::<Result<_, Error>>()?)
    }

    async fn changes(&self, after: Revision, up_to: Revision) -> Result<Vec<Row>, Trouble> {
        let query = format!("SELECT {COLUMNS} FROM fleet.changes WHERE revision > $1 AND revision <= $2 ORDER BY revision, position");
        let rows = self.client.query(query.as_str(), &[&integer(after), &integer(up_to)]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok::<_, Error>(Row {
                kind: row.try_get(0)?,
                revision: natural(row.try_get(1)?),
                at: natural(row.try_get(2)?),
                key: Key::new(row.try_get::<_, String>(3)?, row.try_get::<_, String>(4)?),
                previous: row.try_get::<_, Option<i64>>(5)?.map(natural),
                before: row.try_get(6)?,
                after: row.try_get(7)?,
                removed: row.try_get(8)?,
            })
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Whether the commit was made by whom `token` stands for.
    pub(super) async fn was_made(&self, revision: Revision, token: i64) -> Result<bool, Trouble> {
        let query = "SELECT 1 FROM fleet.changes WHERE revision = $1 AND token = $2 LIMIT 1";
        Ok(self.client.query_opt(query, &[&integer(revision), &token]).await?.is_some())
    }

    /// Writes what a group comes to, and forgets what is not kept in `state` any more.
    pub(super) async fn write(&self, group: &Group, token: i64, head: &Head, oldest: Oldest) -> Result<(), Trouble> {
        self.tell(&group.told, oldest.event).await?;
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        for written in &group.commits {
            chunk.push(written);
            bytes += written.texts.iter().map(String::len).sum::<usize>();
            if bytes >= STATEMENT {
                self.put(&chunk, token).await?;
                chunk.clear();
                bytes = 0;
            }
        }
        self.put(&chunk, token).await?;
        if oldest.change > head.compacted {
            self.client.execute("DELETE FROM fleet.changes WHERE revision <= $1", &[&integer(oldest.change)]).await?;
        }
        let revision = group.commits.last().map_or(head.revision, |written| written.commit.revision());
        let told = group.told.last().map_or(head.told, |event| event.revision);
        let (compacted, lease) = (oldest.change.max(head.compacted), &group.lease);
        let (revision, compacted, told, epoch) = (integer(revision), integer(compacted), integer(told), integer(lease.epoch));
        self.client
            .execute(
                "UPDATE fleet.state SET revision = $1, compacted = $2, epoch = $3, holder = $4, address = $5, until = $6, told = $7",
                &[&revision, &compacted, &epoch, &lease.holder, &lease.address, &lease.until, &told],
            )
            .await?;
        self.say("NOTIFY fleet").await
    }

    async fn tell(&self, told: &[Arc<Event>], oldest: Revision) -> Result<(), Trouble> {
        if told.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = told.iter().map(|event| event.name.as_str()).collect();
        let revisions: Vec<i64> = told.iter().map(|event| integer(event.revision)).collect();
        let texts = told.iter().map(|event| events::write(event)).collect::<Result<Vec<_>, _>>()?;
        let put = "INSERT INTO fleet.events (name, revision, event) SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::TEXT[])
            ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, event = excluded.event";
        self.client.execute(put, &[&names, &revisions, &texts]).await?;
        self.client.execute("DELETE FROM fleet.events WHERE revision <= $1", &[&integer(oldest)]).await?;
        Ok(())
    }

    async fn put(&self, commits: &[&Written], token: i64) -> Result<(), Trouble> {
        let mut columns = Columns::default();
        let mut last: BTreeMap<_, usize> = BTreeMap::new();
        for written in commits {
            for (position, (change, text)) in (0_i32..).zip(written.commit.changes.iter().zip(&written.texts)) {
                let (kind, meta) = (change.after.kind().as_str(), change.after.meta());
                last.insert((kind, meta.namespace.as_str(), meta.name.as_str()), columns.revision.len());
                columns.revision.push(integer(change.revision));
                columns.position.push(position);
                columns.at.push(integer(written.commit.at.0));
                columns.kind.push(kind);
                columns.namespace.push(&meta.namespace);
                columns.name.push(&meta.name);
                columns.uid.push(&meta.uid);
                columns.previous.push(load::previous(change).map(integer));
                columns.after.push(text);
                columns.removed.push(change.removed);
            }
        }
        if columns.revision.is_empty() {
            return Ok(());
        }
        let mut is_last = vec![false; columns.revision.len()];
        for place in last.into_values() {
            if let Some(is_last) = is_last.get_mut(place) {
                *is_last = true;
            }
        }
        // What was before is taken from where it stands already: an earlier change of the same statement, or the table.
        let log = "INSERT INTO fleet.changes (token, revision, position, at, kind, namespace, name, previous, before, after, removed)
            SELECT $1::BIGINT, n.revision, n.position, n.at, n.kind, n.namespace, n.name, n.previous,
                CASE WHEN n.previous IS NOT NULL THEN coalesce(
                    lag(n.after) OVER (PARTITION BY n.kind, n.namespace, n.name ORDER BY n.revision, n.position), d.document
                ) END,
                n.after, n.removed
            FROM unnest($2::BIGINT[], $3::INT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::BIGINT[], $9::TEXT[], $10::BOOLEAN[])
                AS n (revision, position, at, kind, namespace, name, previous, after, removed)
            LEFT JOIN fleet.documents d ON d.kind = n.kind AND d.namespace = n.namespace AND d.name = n.name";
        let Columns { revision, position, at, kind, namespace, name, uid, previous, after, removed } = &columns;
        self.client.execute(log, &[&token, revision, position, at, kind, namespace, name, previous, after, removed]).await?;
        let put = "INSERT INTO fleet.documents (kind, namespace, name, revision, uid, document)
            SELECT n.kind, n.namespace, n.name, n.revision, n.uid, n.document
            FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::BOOLEAN[], $8::BOOLEAN[])
                AS n (kind, namespace, name, revision, uid, document, removed, is_last)
            WHERE n.is_last AND NOT n.removed
            ON CONFLICT (kind, namespace, name)
            DO UPDATE SET revision = excluded.revision, uid = excluded.uid, document = excluded.document";
        self.client.execute(put, &[kind, namespace, name, revision, uid, after, removed, &is_last]).await?;
        if removed.contains(&true) {
            let remove = "DELETE FROM fleet.documents d
                USING unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BOOLEAN[], $5::BOOLEAN[])
                    AS n (kind, namespace, name, removed, is_last)
                WHERE n.is_last AND n.removed AND d.kind = n.kind AND d.namespace = n.namespace AND d.name = n.name";
            self.client.execute(remove, &[kind, namespace, name, removed, &is_last]).await?;
        }
        Ok(())
    }
}

/// Changes, a column at a time.
#[derive(Default)]
struct Columns<'a> {
    revision: Vec<i64>,
    position: Vec<i32>,
    at: Vec<i64>,
    kind: Vec<&'a str>,
    namespace: Vec<&'a str>,
    name: Vec<&'a str>,
    uid: Vec<&'a str>,
    previous: Vec<Option<i64>>,
    after: Vec<&'a str>,
    removed: Vec<bool>,
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
