//! A base from its options to its end: what every shell around the agent does.

use std::{sync::Arc, time::Duration};

use daemon::Problem;
use tokio_util::sync::CancellationToken;

use crate::{
    Builder, heartbeat,
    http::{self, Access},
    modules_dir,
    options::Options,
    tunnel,
};

/// What requests that still run get, when the base ends.
const GOODBYE: Duration = Duration::from_secs(30);

/// How a base hears of its end.
#[derive(Debug, Clone)]
pub struct End {
    /// Nobody is let in any more, and who is in gets an answer.
    pub begins: CancellationToken,
    /// And then its modules are stopped.
    pub comes: CancellationToken,
}

impl End {
    /// One that begins and comes at once.
    #[must_use]
    pub fn at_once(token: CancellationToken) -> Self {
        Self { begins: token.clone(), comes: token }
    }
}

/// Runs a base as `options` say, with the kinds of module that `kinds` adds, until `ending` comes.
///
/// # Errors
/// Where the options do not fit together, the data directory or an address cannot be had, or a module of the modules folder does not come up.
pub async fn run(options: Options, kinds: impl FnOnce(Builder) -> Builder, ending: End) -> Result<(), Problem> {
    let access = options.access()?;
    let tls = options.tls()?;
    let files = options.modules_dir.as_deref().map(modules_dir::orders).transpose().map_err(Problem::of)?.unwrap_or_default();
    let agent = kinds(options.builder()?).build().map_err(Problem::of)?;
    let tunnel = options.tunnel(&agent.view().identity)?;
    let end = CancellationToken::new();
    let gateway = agent.gateway.serve(options.gateway, options.threads(), tls.gateway.as_ref()).map_err(Problem::of)?;
    agent.set_gateway_address(gateway.local_addr());
    let api = http::serve(http::router(Arc::clone(&agent), access), options.listen, tls.api, end.clone()).await.map_err(Problem::of)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, %api, gateway = %gateway.local_addr(), data = %options.data_dir().display(), "the base is up");
    if let Some(path) = &options.log_file {
        // Whoever started it looks for its addresses here, and for all else there.
        eprintln!("arklet {version}: api={api} gateway={} log={}", gateway.local_addr(), path.display());
    }
    // The base chose its controller: nothing is asked of what comes down the tunnel. It is open to the very end.
    let trusted = Access { certified: true, ..Access::default() };
    let tunnel = tunnel.map(|tunnel| tokio::spawn(tunnel::keep_open(tunnel, http::router(Arc::clone(&agent), trusted))));
    let not_up = tokio::select! {
        not_up = agent.bring_up(files) => not_up,
        () = ending.begins.cancelled() => Vec::new(),
    };
    for module in &not_up {
        tracing::error!(module = module.what, reason = %module.failure.reason, "did not come up: {}", module.failure);
    }
    if let Some(module) = not_up.iter().find(|module| module.is_static && !options.keep_going) {
        agent.shut_down().await;
        return Err(format!("{} did not come up: {}; start with --keep-going to run without it", module.what, module.failure).into());
    }
    if let Some(endpoint) = &options.heartbeat {
        heartbeat::start(Arc::clone(&agent), endpoint, api, end.clone());
    }
    tracing::info!("ready");
    ending.begins.cancelled().await;
    tracing::info!("ending: no new connections, and the last requests are answered");
    agent.leave();
    end.cancel();
    gateway.shutdown(GOODBYE).await;
    ending.comes.cancelled().await;
    agent.shut_down().await;
    if let Some(tunnel) = tunnel {
        tunnel.abort();
    }
    Ok(())
}
