//! Takes the lead when it is free, reigns while it lasts, and gives it back.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::{Engine, Word, reign::Reigning};
use crate::store::LEASE;

/// How often the lead is asked for, and renewed.
pub(super) fn interval() -> Duration {
    LEASE / 3
}

/// Until the engine ends.
pub(super) async fn keep(engine: Engine, address: String, leading: watch::Sender<bool>, mut inbox: mpsc::Receiver<Word>) {
    let holder = format!("{address}#{:016x}", fastrand::u64(..));
    let end = engine.end.clone();
    while !end.is_cancelled() {
        match engine.store.lead(holder.clone(), address.clone()).await {
            Ok(Some(reign)) => {
                tracing::info!(epoch = reign.epoch, "this controller leads");
                engine.counts.epoch.set(i64::try_from(reign.epoch).unwrap_or(i64::MAX));
                engine.counts.leads.set(1);
                leading.send_replace(true);
                // What was said to an earlier reign does not count.
                while inbox.try_recv().is_ok() {}
                let why = Reigning::new(&engine, reign, &holder, &address).run(&mut inbox).await;
                leading.send_replace(false);
                engine.counts.leads.set(0);
                engine.links.cut();
                tracing::info!(epoch = reign.epoch, "this controller leads no longer: {why}");
                if end.is_cancelled()
                    && let Err(error) = engine.store.resign(reign).await
                {
                    tracing::warn!(%error, "the lead could not be given back; it ends by itself");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the lead could not be asked for"),
        }
        if end.run_until_cancelled(tokio::time::sleep(interval())).await.is_none() {
            break;
        }
    }
}
