//! A controller from its options to its end.

use std::{fmt, fs, sync::Arc};

use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, Events, Metered, Metrics, Settings},
    listen,
    options::{Options, Problem},
    store::{Sqlite, Store},
};

/// Runs a controller as `options` say, until `ending` is cancelled.
///
/// # Errors
/// Where the options do not fit together, or the data directory, the database or the address cannot be had.
pub async fn run(options: Options, ending: CancellationToken) -> Result<(), Problem> {
    let (access, token) = options.access()?;
    let tls = options.tls()?;
    let data = options.data_dir();
    fs::create_dir_all(&data).map_err(|error| format!("could not have the data directory {}: {error}", data.display()))?;
    let (metrics, events, end) = (Arc::new(Metrics::default()), Events::default(), CancellationToken::new());
    let store: Arc<dyn Store> = Arc::new(Metered::new(open(&options)?, Arc::clone(&metrics)));
    let others = engine(&store, &events, &metrics, &end);
    let settings = Settings { access, audit: options.audit()?, events, metrics, end: end.clone(), others, ..Settings::default() };
    let serving = listen::serve(api::api(store, settings), options.listen, tls, end.clone()).await.map_err(problem)?;
    let kubeconfig = options.write_kubeconfig(serving.address(), token)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, api = %serving.address(), data = %data.display(), kubeconfig = %kubeconfig.display(), "the controller is up");
    ending.cancelled().await;
    tracing::info!("ending: no new connections, and the last requests are answered");
    end.cancel();
    serving.ended().await;
    Ok(())
}

fn open(options: &Options) -> Result<Arc<dyn Store>, Problem> {
    if options.database.is_some() {
        return Err("--database is not supported yet: leave it out, and the controller keeps its data in the data directory"
            .to_owned()
            .into());
    }
    Ok(Arc::new(Sqlite::open(&options.data_dir()).map_err(problem)?))
}

/// Starts what acts on the resources, and gives the paths by which bases and people reach it: `/tunnel`, `/heartbeat`, `/queryBaseline`,
/// `/explain`. Who may call them is decided in front of them.
fn engine(_store: &Arc<dyn Store>, _events: &Events, _metrics: &Arc<Metrics>, _end: &CancellationToken) -> Router {
    Router::new()
}

fn problem(error: impl fmt::Display) -> Problem {
    error.to_string().into()
}

/// Cancelled when somebody asks the process to end, by `SIGINT` or `SIGTERM`; asked twice, it ends at once.
///
/// # Errors
/// Where signals cannot be listened for.
pub fn ending() -> Result<CancellationToken, Problem> {
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
