//! The base as a binary: `arklet`, and it runs.

#![forbid(unsafe_code)]

mod options;

use std::{process::ExitCode, sync::Arc, time::Duration};

use arklet::{heartbeat, http, modules_dir};
use clap::Parser;
use tokio_util::sync::CancellationToken;

use crate::options::{Options, Problem};

/// How the threads of the API rank against those that serve requests, from 0 (the same) to 19.
const MANAGEMENT_NICE: i32 = 5;

/// What requests that still run get, when the base ends.
const GOODBYE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let options = Options::parse();
    options.start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("arklet")
        .worker_threads(2)
        .on_thread_start(rank_below_traffic)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return options::complain(&Problem::from(format!("could not start: {error}"))),
    };
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => options::complain(&problem),
    }
}

/// Whoever manages the base can wait a little; requests should not.
fn rank_below_traffic() {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), MANAGEMENT_NICE) {
        tracing::warn!(%error, "the threads of the API keep the rank of those that serve");
    }
}

async fn run(options: Options) -> Result<(), Problem> {
    let access = options.access()?;
    let tls = options.tls()?;
    let files = options.modules_dir.as_deref().map(modules_dir::orders).transpose()?.unwrap_or_default();
    let agent = options.builder()?.build()?;
    let end = CancellationToken::new();
    let gateway = agent.gateway.serve(options.gateway, options.threads(), tls.gateway.as_ref())?;
    agent.set_gateway_address(gateway.local_addr());
    let api = http::serve(http::router(Arc::clone(&agent), access), options.listen, tls.api, end.clone()).await?;
    tracing::info!(%api, gateway = %gateway.local_addr(), data = %options.data_dir().display(), "the base is up");
    let ending = ending()?;
    let not_up = tokio::select! {
        not_up = agent.bring_up(files) => not_up,
        () = ending.cancelled() => Vec::new(),
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
    ending.cancelled().await;
    tracing::info!("ending: no new connections, and the last requests are answered");
    end.cancel();
    gateway.shutdown(GOODBYE).await;
    agent.shut_down().await;
    Ok(())
}

/// Cancelled when somebody asks the process to end; asked twice, it ends at once.
fn ending() -> Result<CancellationToken, Problem> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| Problem::from(format!("could not listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let ending = CancellationToken::new();
    let asked = ending.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked.is_cancelled() {
                std::process::exit(130);
            }
            asked.cancel();
        }
    });
    Ok(ending)
}
