//! `arkctl deploy`: build, upload, install, wait until it serves.

use std::{path::Path, time::Duration};

use ark_model::{
    InstallOrder, Step,
    api::{Installed, Progress},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    cli::InstallOptions,
    client::Client,
    error::Error,
    output::{self, Format},
    project::{self, BuildOptions},
    render,
};

/// How much of its log a module shows that did not start.
const LOG_TAIL: usize = 20;

pub(super) fn deploy(format: Format, client: &Client, what: &str, build: &BuildOptions, install: &InstallOptions) -> Result<(), Error> {
    let order = order(client, what, build, install)?;
    let installed = run(client, &order)?;
    output::data(format, &installed, || shown(client, &installed));
    Ok(())
}

/// The order for what the command line names, with its package on the base where it is not one that the base fetches itself.
fn order(client: &Client, what: &str, build: &BuildOptions, install: &InstallOptions) -> Result<InstallOrder, Error> {
    if what.contains("://") || what.starts_with("sha256:") {
        return install.order(what.to_owned());
    }
    let path = Path::new(what);
    if path.is_file() {
        return uploaded(client, path, install);
    }
    let package = project::build(path, build)?;
    uploaded(client, &package.path, install)
}

/// The order for the package in the file `path`, once the base has it.
pub(super) fn uploaded(client: &Client, path: &Path, install: &InstallOptions) -> Result<InstallOrder, Error> {
    let package = client.upload(path)?;
    let mut order = install.order(format!("sha256:{}", package.sha256))?;
    order.sha256.get_or_insert(package.sha256);
    Ok(order)
}

/// Installs, with each step shown as it goes.
pub(super) fn run(client: &Client, order: &InstallOrder) -> Result<Installed, Error> {
    let bar = bar();
    let mut served = false;
    let last = client.install(order, |event| match event {
        Progress::Begun { step } => {
            bar.set_position(Step::ALL.iter().position(|other| other == step).unwrap_or_default() as u64);
            bar.set_message(step.as_str());
        }
        Progress::Serving { module } => {
            served = true;
            bar.set_message(format!("{} serves; the old version drains", module.id));
        }
        Progress::Ended(_) | Progress::Retired(_) | Progress::Done(_) | Progress::Failed { .. } => {}
    });
    bar.finish_and_clear();
    match last? {
        Progress::Done(installed) => Ok(*installed),
        Progress::Failed { error } => Err(explained(client, order, error)),
        other => Err(Error::Answer { url: client.url.clone(), problem: format!("the install ended with {other:?} (served: {served})") }),
    }
}

/// A failure, with what the module wrote before it failed.
fn explained(client: &Client, order: &InstallOrder, failure: ark_model::Failure) -> Error {
    let broken = client
        .modules()
        .unwrap_or_default()
        .into_iter()
        .find(|module| module.failure.as_ref() == Some(&failure) && order.id.as_ref().is_none_or(|id| *id == module.id));
    let Some(module) = broken else { return Error::Refused(failure) };
    let mut log = Vec::new();
    // Without the log the failure is still worth telling.
    let _ = client.logs(&module.id, false, LOG_TAIL, |line| log.push(line));
    Error::Deploy { failure, module: module.id.to_string(), log }
}

fn bar() -> ProgressBar {
    if !output::watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(Step::ALL.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_bar:.dim} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

pub(super) fn shown(client: &Client, installed: &Installed) -> String {
    let module = &installed.module;
    let gateway = client.base().map(|base| base.gateway).unwrap_or_default();
    let mut text = render::timings(&installed.timings);
    for retired in &installed.retired {
        text += &format!("\n{}", render::retired(retired));
    }
    match module.state {
        ark_model::State::Activated => text + &format!("\n{} serves at {gateway}{}", module.id, module.context_path),
        _ => text + &format!("\n{} waits; give it the traffic with `arkctl switch {}`", module.id, module.id),
    }
}
