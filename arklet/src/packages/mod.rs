//! Packages: brought here, held against digest and signature, kept by content.

mod fetch;
mod signature;
mod store;

use std::{sync::Arc, time::Duration};

use ark::{Package, Packages};
use ark_model::{Failure, InstallOrder, Reason};
use futures_util::future::BoxFuture;
pub use signature::Keys;
pub use store::{Incoming, Store};
use tokio_util::sync::CancellationToken;

/// Bounds on what is fetched and kept.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The largest package, in bytes. Default 256 MiB.
    pub package_bytes: u64,
    /// The longest time one package may take to come, over all attempts. Default 2 min.
    pub time: Duration,
    /// The longest pause in a transfer. Default 10 s.
    pub pause: Duration,
    /// Attempts; each goes on where the one before broke off, if the server allows. Default 3.
    pub attempts: u32,
    /// How long a package stays that no module uses: an upload comes before its install. Default 1 h.
    pub unused_for: Duration,
    /// The most that packages which no module uses may have together, in bytes; the oldest go first, but none that came or was
    /// looked at in the last minute. Default 1 GiB.
    pub unused_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            package_bytes: 256 << 20,
            time: Duration::from_secs(120),
            pause: Duration::from_secs(10),
            attempts: 3,
            unused_for: Duration::from_secs(3_600),
            unused_bytes: 1 << 30,
        }
    }
}

/// Where a package comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    File(std::path::PathBuf),
    Http(String),
    Stored(String),
}

impl Source {
    pub(crate) fn of(url: &str) -> Result<Self, Failure> {
        if let Some(path) = url.strip_prefix("file://").or_else(|| url.strip_prefix("file:")) {
            // `file://localhost/x` is `/x`; any other host is not this machine.
            let path = path.strip_prefix("localhost").unwrap_or(path);
            return if path.starts_with('/') {
                Ok(Self::File(percent_decoded(path).into()))
            } else {
                Err(invalid(url, "a file URL is `file:///` and an absolute path"))
            };
        }
        if let Some(hex) = url.strip_prefix("sha256:") {
            return store::digest(hex).map(Self::Stored);
        }
        if url.starts_with("http://") || url.starts_with("https://") {
            return Ok(Self::Http(url.to_owned()));
        }
        Err(invalid(url, "this base knows file://, http://, https:// and sha256:<hex> of an uploaded package"))
    }
}

fn invalid(url: &str, problem: &str) -> Failure {
    let url: String = url.chars().take(200).collect();
    Failure::new(Reason::InvalidRequest, format!("package URL {url:?} cannot be used: {problem}"))
}

fn percent_decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| after.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes a package of a folder: the same bytes for the same content.
pub type Pack = fn(&std::path::Path, &mut dyn std::io::Write) -> std::io::Result<()>;

/// Brings packages into a [`Store`].
pub struct Fetcher {
    store: Arc<Store>,
    keys: Keys,
    http: fetch::Http,
    pack: Option<Pack>,
}

impl Fetcher {
    /// Fetches into `store`, within `bounds`, and requires a signature of one of `keys` where there are any. A folder becomes a package by
    /// `pack`; without that it is refused.
    #[must_use]
    pub fn new(store: Arc<Store>, bounds: Bounds, keys: Keys, pack: Option<Pack>) -> Self {
        Self { store, keys, http: fetch::Http::new(bounds), pack }
    }
}

impl Packages for Fetcher {
    fn fetch<'a>(&'a self, order: &'a InstallOrder) -> BoxFuture<'a, Result<Package, Failure>> {
        Box::pin(async move {
            let wanted = order.sha256.as_deref().map(store::digest).transpose()?;
            let source = Source::of(&order.url)?;
            let (store, http, pack) = (Arc::clone(&self.store), self.http.clone(), self.pack);
            let given_up = CancellationToken::new();
            // When nobody waits any more, the transfer ends at its next read.
            let _guard = given_up.clone().drop_guard();
            let work = tokio::task::spawn_blocking(move || {
                if let Some(package) = wanted.map(|sha256| store.find(&sha256)).transpose()?.flatten() {
                    return Ok(package);
                }
                match source {
                    Source::File(path) => match pack.filter(|_| path.is_dir()) {
                        Some(pack) => store.take_in_folder(&path, pack),
                        None => store.take_in(&path),
                    },
                    Source::Http(url) => http.fetch(&store, &url, &given_up),
                    Source::Stored(sha256) => store.find(&sha256)?.ok_or_else(|| {
                        let message = format!("there is no package sha256:{sha256} on this base; upload it first, with PUT /v1/packages");
                        Failure::new(Reason::FetchFailed, message)
                    }),
                }
            });
            work.await.map_err(|error| Failure::new(Reason::Internal, format!("fetching broke off: {error}")))?
        })
    }

    fn verify<'a>(&'a self, order: &'a InstallOrder, package: &'a Package) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            if let Some(expected) = order.sha256.as_deref().map(store::digest).transpose()?
                && *expected != *package.sha256
            {
                let message = format!("the order says sha-256 {expected}, and what came from {} has {}", order.url, package.sha256);
                return Err(Failure::new(Reason::DigestMismatch, message));
            }
            self.keys.verify(order.signature.as_deref(), package).await
        })
    }
}
