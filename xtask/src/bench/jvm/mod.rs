//! J1 to J4: modules on the JVM.

mod contender;
pub(super) mod cycles;
pub(super) mod loading;
pub(super) mod replacing;
pub(super) mod side_by_side;

use std::{path::Path, process::Command};

use harness::{Error, jvm::Jdk};

/// The class of the loaders of modules and layers.
const LOADER: &str = "ark.jvm.ModuleLoader";

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Runs a tool of the JDK in `folder`.
fn run_tool(jdk: &Jdk, tool: &str, folder: &Path, arguments: &[&str]) -> Result<(), Error> {
    let output = Command::new(jdk.tool(tool)).args(arguments).current_dir(folder).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{tool} {arguments:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&said)).into())
}
