//! The ways to bases.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ark_model::{Fence, report::BaseReport};
use fleet::{Command, Outcome, resource::Key};

use super::{stock, tunnel};

/// A way to one base.
#[derive(Clone)]
pub(super) enum Link {
    /// The base dialled, and is asked on its own connection.
    Tunnel(tunnel::Tunnel),
    /// A stock arklet, which is called.
    Stock(stock::Arklet),
}

impl Link {
    /// Orders, and waits for what comes of it.
    pub(super) async fn order(&self, command: &Command, fence: Fence) -> Outcome {
        match self {
            Self::Tunnel(tunnel) => tunnel.order(command, fence).await,
            Self::Stock(arklet) => arklet.order(command).await,
        }
    }

    /// Asks how the base stands now.
    pub(super) async fn report(&self) -> Option<Arc<BaseReport>> {
        match self {
            Self::Tunnel(tunnel) => tunnel.report().await,
            Self::Stock(arklet) => arklet.report().await,
        }
    }

    /// Where the base is asked, empty for a tunnel.
    pub(super) fn api(&self) -> String {
        match self {
            Self::Tunnel(_) => String::new(),
            Self::Stock(arklet) => arklet.api(),
        }
    }
}

/// All ways, by base. Clones are the same ways.
#[derive(Clone, Default)]
pub(super) struct Links {
    ways: Arc<Mutex<HashMap<Key, (u64, Link)>>>,
    next: Arc<AtomicU64>,
}

impl Links {
    fn ways(&self) -> MutexGuard<'_, HashMap<Key, (u64, Link)>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to a base.
    pub(super) fn get(&self, base: &Key) -> Option<Link> {
        self.ways().get(base).map(|(_, link)| link.clone())
    }

    /// Takes `link` as the way to `base`, in place of one before. Its number is for [`Links::remove`].
    pub(super) fn put(&self, base: Key, link: Link) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.ways().insert(base, (number, link));
        number
    }

    /// Forgets the way with this number; one that took its place stays.
    pub(super) fn remove(&self, base: &Key, number: u64) {
        let mut ways = self.ways();
        if ways.get(base).is_some_and(|(way, _)| *way == number) {
            ways.remove(base);
        }
    }

    /// Whether this is still the way to `base`.
    pub(super) fn is_current(&self, base: &Key, number: u64) -> bool {
        self.ways().get(base).is_some_and(|(way, _)| *way == number)
    }

    /// Forgets all ways: bases dial whoever leads.
    pub(super) fn cut(&self) {
        self.ways().clear();
    }
}
