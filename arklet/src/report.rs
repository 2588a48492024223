//! What the base tells a controller of itself: at once, at every change, and every ten seconds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ark::Sign;
use ark_model::report::{BaseReport, Room, Share};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{Agent, system};

/// Without a change.
const PERIOD: Duration = Duration::from_secs(10);
/// Changes that come closer than this are told together.
const TOGETHER: Duration = Duration::from_millis(50);

/// The reports of one base, each made when it is asked for: whoever is slow misses those in between, and never the last.
pub(crate) struct Reports {
    agent: Arc<Agent>,
    changes: watch::Receiver<()>,
    readiness: watch::Receiver<bool>,
    /// When the report before was made.
    told: Option<Instant>,
}

impl Reports {
    pub(crate) fn of(agent: Arc<Agent>) -> Self {
        Self { changes: agent.base.changes(), readiness: agent.readiness(), agent, told: None }
    }

    /// The next report: the first at once, each further one when it is due.
    pub(crate) async fn next(&mut self) -> BaseReport {
        if let Some(told) = self.told {
            // Neither sender goes before the agent, which is held here.
            tokio::select! {
                _ = self.changes.changed() => {}
                _ = self.readiness.changed() => {}
                () = sleep_until(told + PERIOD) => {}
            }
            sleep_until(told + TOGETHER).await;
        }
        // Before the look: what changes during it is told by the next report.
        self.changes.mark_unchanged();
        self.readiness.mark_unchanged();
        self.told = Some(Instant::now());
        self.agent.report().await
    }
}

impl Agent {
    /// The base as it stands.
    pub async fn report(&self) -> BaseReport {
        let room = self.room().await;
        let base = self.view();
        let mut modules = self.base.reports();
        for module in &mut modules {
            if let Some(traffic) = self.gateway.traffic(&module.id) {
                (module.requests, module.failures) = (traffic.requests, traffic.failures);
                (module.in_flight, module.p99_ms) = (traffic.in_flight, traffic.p99_ms);
            }
        }
        BaseReport {
            identity: base.identity,
            name: base.name,
            version: base.version,
            cluster: base.cluster,
            deployment: self.identity.deployment.clone(),
            labels: self.identity.labels.clone(),
            kinds: base.kinds,
            gateway: base.gateway,
            arklet_version: base.arklet_version,
            ready: base.ready,
            started_at: self.started_at(),
            room,
            modules,
        }
    }

    async fn room(&self) -> BTreeMap<Room, Share> {
        let modules = Share { total: self.base.settings().max_modules as u64, used: self.base.count() as u64 };
        let signs = self.base.signs().await;
        let bytes = |wanted: &str| {
            signs.iter().find_map(|(name, sign)| match sign {
                Sign::Count(count) if name == wanted => u64::try_from(*count).ok(),
                _ => None,
            })
        };
        // A JVM whose metaspace has no bound says -1.
        let metaspace = bytes("java max metaspace").zip(bytes("java committed metaspace")).map(|(total, used)| Share { total, used });
        let rooms = [(Room::Modules, Some(modules)), (Room::Memory, system::bounded_memory()), (Room::Metaspace, metaspace)];
        rooms.into_iter().filter_map(|(room, share)| Some((room, share?))).collect()
    }
}
