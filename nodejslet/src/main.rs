//! The supervisor: `nodejslet app.js`, or without an application of its own.

#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use arklet::options::Options;
use clap::Parser;
use daemon::Problem;
use nodejslet::{Folder, Own, Settings, Site};

/// Whatever its file has become: the program that runs.
const ITSELF: &str = "/proc/self/exe";

/// A base for Node.js modules: a process that hosts applications, installed, upgraded and removed while they serve.
///
/// Each module is an ordinary application in a process of its own, whose server listens where only the base reaches it.
#[derive(Debug, Parser)]
#[command(
    name = "nodejslet",
    version,
    after_help = "Examples:
  nodejslet                    a base on this machine
  nodejslet app.js             … with an application of its own, which answers what no module does
  arkctl deploy ./orders       then, from the directory of an application"
)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// The base's own application: it answers what no module does
    #[arg(value_name = "app.js")]
    app: Option<PathBuf>,
    /// Arguments of that application
    #[arg(value_name = "ARGUMENTS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> ExitCode {
    let mut raw = std::env::args_os().skip(1);
    if raw.next().is_some_and(|first| first == nodejslet::BECOME) {
        return nodejslet::become_node(raw);
    }
    let arguments = Arguments::parse();
    let ended = arguments.options.start_log().and_then(|()| nodejslet::threads()?.block_on(run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // The log may be switched off; this must be seen.
            eprintln!("nodejslet: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Problem> {
    let Arguments { options, app, arguments, settings } = arguments;
    let folder = Folder::new().map_err(|error| Problem::from(format!("a folder for scripts: {error}")))?;
    let own = app.map_or(Own::Nothing, |app| Own::Application(app, arguments));
    nodejslet::run(options, settings, own, Site::here(&folder, ITSELF.into()), arklet::ending()?).await
}
