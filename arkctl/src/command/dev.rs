//! `arkctl dev`: watch, build, deploy, and the module's log in the same terminal.

use std::{
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ark_model::ModuleId;
use notify::{EventKind, RecursiveMode, Watcher};

use super::deploy;
use crate::{
    cli::InstallOptions,
    client::Client,
    error::Error,
    output::{self, Format},
    project::{self, BuildOptions},
};

/// Editors write in several steps: a change counts once it has been quiet for so long.
const QUIET: Duration = Duration::from_millis(150);

pub(super) fn dev(format: Format, client: &Client, folder: &Path, build: &BuildOptions, install: &InstallOptions) -> Result<(), Error> {
    let (changed, changes) = mpsc::channel();
    let root = std::fs::canonicalize(folder).map_err(Error::io("find", folder))?;
    let watched = root.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| concerns(&watched, &event)) {
            let _ = changed.send(());
        }
    })
    .map_err(|error| Error::Project(format!("could not watch {}: {error}", root.display())))?;
    watcher
        .watch(&root, RecursiveMode::Recursive)
        .map_err(|error| Error::Project(format!("could not watch {}: {error}", root.display())))?;
    loop {
        match once(client, &root, build, install) {
            Ok(id) => follow(format, client, id),
            // A mistake in the code is not the end: the next save may mend it.
            Err(error) if error.exit_code() == crate::error::FAILED => output::complain(&error),
            Err(error) => return Err(error),
        }
        output::note("waiting for a change");
        if changes.recv().is_err() {
            return Ok(());
        }
        while changes.recv_timeout(QUIET).is_ok() {}
    }
}

/// Builds and deploys under a version that is new each time.
fn once(client: &Client, folder: &Path, build: &BuildOptions, install: &InstallOptions) -> Result<ModuleId, Error> {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let version = format!("{}+dev.{millis}", project::manifest(folder, build)?.version.unwrap_or_default());
    let package = project::build(folder, &BuildOptions { version: Some(version), ..build.clone() })?;
    let order = deploy::uploaded(client, &package.path, install)?;
    let installed = deploy::run(client, &order)?;
    output::note(&deploy::shown(client, &installed));
    Ok(installed.module.id)
}

/// Shows the log of the latest version until it goes.
fn follow(format: Format, client: &Client, id: ModuleId) {
    let client = client.clone();
    thread::spawn(move || {
        // Ends with the module, or with this program.
        let _ = client.logs(&id, true, 0, |line| output::log_line(format, &line));
    });
}

fn concerns(root: &Path, event: &notify::Event) -> bool {
    if matches!(event.kind, EventKind::Access(_)) {
        return false;
    }
    event.paths.iter().any(|path| {
        let inner = path.strip_prefix(root).unwrap_or(path);
        !inner.components().any(|part| matches!(part.as_os_str().to_str(), Some("target" | ".git")))
            && inner.file_name().is_none_or(|name| name != "Cargo.lock")
    })
}
