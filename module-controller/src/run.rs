//! A controller from its options to its end.

use std::{fs, sync::Arc};

use daemon::Problem;
use tokio_util::sync::CancellationToken;

use crate::{
    api::{self, Metered, Metrics, Settings},
    engine::{self, Counts, Start},
    listen,
    options::Options,
    store::{Postgres, Sqlite, Store},
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
    let (metrics, end) = (Arc::new(Metrics::default()), CancellationToken::new());
    let store: Arc<dyn Store> = Arc::new(Metered::new(open(&options).await?, Arc::clone(&metrics)));
    let (others, acting) = engine::start(Start {
        store: Arc::clone(&store),
        counts: metrics.register(Counts::register),
        address: options.address(),
        settings: options.habits(),
        end: end.clone(),
    });
    let settings = Settings { access, audit: options.audit()?, metrics, end: end.clone(), others, ..Settings::default() };
    let serving = listen::serve(api::api(store, settings), options.listen, tls, end.clone()).await.map_err(Problem::of)?;
    let kubeconfig = options.write_kubeconfig(serving.address(), token)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, api = %serving.address(), data = %data.display(), kubeconfig = %kubeconfig.display(), "the controller is up");
    ending.cancelled().await;
    tracing::info!("ending: no new connections, and the last requests are answered");
    end.cancel();
    serving.ended().await;
    acting.await.map_err(Problem::of)?;
    Ok(())
}

async fn open(options: &Options) -> Result<Arc<dyn Store>, Problem> {
    Ok(match &options.database {
        Some(url) => Arc::new(Postgres::connect(url).await.map_err(Problem::of)?),
        None => Arc::new(Sqlite::open(&options.data_dir()).map_err(Problem::of)?),
    })
}
