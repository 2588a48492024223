//! Prepare: what an install does before it starts anything, ahead of it.

use ark_model::{Failure, InstallOrder, Step, api};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    base::Shared,
    install::{self, Read},
    operation::Steps,
};

/// Does for `order` all that can be done before its module starts. Dropping it gives it up.
pub(crate) async fn prepare<E: 'static>(shared: &Shared<E>, order: &InstallOrder) -> Result<api::Prepared, Failure> {
    let _permit = shared.permit()?;
    let (events, _) = mpsc::unbounded_channel();
    let deadline = Instant::now() + shared.time_for(order);
    let mut steps = Steps { events, cancel: CancellationToken::new(), deadline, timings: Vec::new() };
    let Read { package, runtime, manifest, id } = install::read(&mut steps, shared, order).await?;
    let spec = install::spec(shared, order, &id, package, &manifest)?;
    steps.run(Step::Prepare, async { runtime.prepare(&spec).await?.keep().await }).await?;
    Ok(api::Prepared {
        id: (*id).clone(),
        kind: runtime.kind().to_owned(),
        sha256: spec.package.sha256.to_string(),
        package_bytes: spec.package.size,
        timings: steps.timings,
    })
}
