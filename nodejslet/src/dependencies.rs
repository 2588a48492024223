//! Packages that a module needs and does not bring, by its lock file.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use ark_model::{Failure, Reason};
use ark_node::{MODULES, UNFINISHED, copy_for_npm, has_lock};

/// How long npm may take.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);
/// How much of what npm says is shown.
const SHOWN: usize = 600;

/// Makes sure that the package in `folder` has what it depends on, by an npm in `environment`. Scripts of packages do not run.
///
/// # Errors
/// Where it has neither the packages nor a lock file, or npm fails.
pub(crate) async fn install(folder: &Path, environment: &Arc<BTreeMap<String, String>>) -> Result<(), Failure> {
    if folder.join(MODULES).is_dir() {
        return Ok(());
    }
    if !has_lock(folder) {
        let text = "it has dependencies, but neither node_modules nor a lock file; pack it by `arkctl build`, or with npm-shrinkwrap.json";
        return Err(Failure::new(Reason::PackageInvalid, text));
    }
    let (folder, environment) = (folder.to_owned(), Arc::clone(environment));
    let ran = tokio::task::spawn_blocking(move || run(&folder, &environment)).await;
    ran.map_err(|error| Failure::new(Reason::Internal, format!("installing dependencies broke off: {error}")))?
}

fn run(folder: &Path, environment: &BTreeMap<String, String>) -> Result<(), Failure> {
    let failed = |problem: String| Failure::new(Reason::FetchFailed, format!("installing its dependencies by npm: {problem}"));
    // Beside the package, and moved to it when all is there.
    let aside = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(folder.parent().unwrap_or(folder));
    let aside = aside.map_err(|error| failed(error.to_string()))?;
    copy_for_npm(folder, aside.path()).map_err(|(_, error)| failed(error.to_string()))?;
    let said = tempfile::tempfile().map_err(|error| failed(error.to_string()))?;
    let to = |file: &std::fs::File| file.try_clone().map(Stdio::from).map_err(|error| failed(error.to_string()));
    let mut npm = Command::new("npm");
    npm.env_clear().envs(environment);
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(aside.path()).stdin(Stdio::null());
    let mut child = npm.stdout(to(&said)?).stderr(to(&said)?).spawn().map_err(|error| failed(format!("it cannot be started: {error}")))?;
    let end = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().map_err(|error| failed(error.to_string()))? {
            Some(status) => break status,
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("it took more than {} s", PATIENCE.as_secs())));
            }
            None => std::thread::sleep(POLL),
        }
    };
    if !status.success() {
        let mut text = String::new();
        let mut said = said;
        let _ = std::io::Seek::rewind(&mut said).and_then(|()| std::io::Read::read_to_string(&mut said, &mut text));
        let from = text.len().saturating_sub(SHOWN);
        let tail: String = text.char_indices().filter(|(at, _)| *at >= from).map(|(_, letter)| letter).collect();
        return Err(failed(format!("{status}: {}", tail.trim())));
    }
    match std::fs::rename(aside.path().join(MODULES), folder.join(MODULES)) {
        Err(_) if folder.join(MODULES).is_dir() => Ok(()),
        moved => moved.map_err(|error| failed(error.to_string())),
    }
}
