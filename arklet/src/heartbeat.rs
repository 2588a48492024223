//! Tells a controller that the base lives: `POST <endpoint>/heartbeat`, at once and then every twelve seconds.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{agent::Agent, identity};

/// What controllers expect.
const PERIOD: Duration = Duration::from_secs(12);
const CONNECT: Duration = Duration::from_secs(30);
const ANSWER: Duration = Duration::from_secs(10);

/// Beats until `end`. A beat that fails is logged, and the next one comes in its time.
pub fn start(agent: Arc<Agent>, endpoint: &str, api: SocketAddr, end: CancellationToken) {
    let url = format!("{}/heartbeat", endpoint.trim_end_matches('/'));
    let config = ureq::Agent::config_builder().timeout_connect(Some(CONNECT)).timeout_global(Some(CONNECT + ANSWER)).build();
    let client: ureq::Agent = config.into();
    tokio::spawn(end.run_until_cancelled_owned(async move {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (client, url, body) = (client.clone(), url.clone(), body(&agent, api).to_string());
            let sent = tokio::task::spawn_blocking(move || client.post(&url).content_type("application/json").send(body));
            match sent.await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the controller did not take the heartbeat"),
                Err(error) => tracing::warn!(%error, "a heartbeat broke off"),
            }
        }
    }));
}

fn body(agent: &Agent, api: SocketAddr) -> Value {
    let base = agent.view();
    let address = if api.ip().is_unspecified() { identity::local_address() } else { api.ip() };
    json!({
        "baseMetadata": {"clusterName": base.cluster, "identity": base.identity, "name": base.name, "version": base.version},
        "localHostName": identity::host_name(),
        "localIP": address.to_string(),
        "port": api.port(),
        "state": if base.ready { "activated" } else { "resolved" },
    })
}
