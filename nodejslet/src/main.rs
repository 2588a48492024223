//! Bases for Node.js modules: `nodejslet app.js`, or without an application of its own.
//!
//! Follow one install: `runtime` unpacks the package ([`ark_node`], `dependencies`) and starts an `instance`, which keeps a `unit` running:
//! a `process` of Node.js, or a worker of the `host`. In that, `js/module.cjs` has the module's server listen on a socket which the
//! gateway's proxy knows.

#![forbid(unsafe_code)]

mod dependencies;
mod host;
mod instance;
mod line;
mod process;
mod restarts;
mod runtime;
mod starter;
mod unit;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use ark_node::Isolation;
use arklet::options::Options;
use clap::Parser;
use daemon::Problem;
use gateway::Endpoint;

use crate::{
    instance::{Instance, Wanted},
    process::Program,
    starter::Starter,
    unit::{Output, Run},
};

/// What runs in Node.js.
const SCRIPTS: [(&str, &str); 3] = [
    ("module.cjs", include_str!("../js/module.cjs")),
    ("host.cjs", include_str!("../js/host.cjs")),
    ("line.cjs", include_str!("../js/line.cjs")),
];
/// What the base's own application gets to end.
const GOODBYE: Duration = Duration::from_secs(10);

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
    /// The node to run modules with
    #[arg(long, value_name = "FILE", default_value = "node", env = "NODEJSLET_NODE")]
    node: PathBuf,
    /// What modules run in that do not say: process, one of its own; or worker, a thread of one that they share
    #[arg(long, value_name = "ISOLATION", default_value_t = Isolation::Process, env = "NODEJSLET_ISOLATION")]
    isolation: Isolation,
}

fn main() -> ExitCode {
    let mut raw = std::env::args_os().skip(1);
    if raw.next().is_some_and(|first| first == process::BECOME) {
        return process::become_node(raw);
    }
    let arguments = Arguments::parse();
    let runtime = || tokio::runtime::Builder::new_multi_thread().thread_name("nodejslet").worker_threads(2).enable_all().build();
    let ended = arguments.options.start_log().and_then(|()| match runtime() {
        Ok(runtime) => runtime.block_on(run(arguments)),
        Err(error) => Err(Problem::from(format!("could not start: {error}"))),
    });
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
    let Arguments { options, app, arguments, node, isolation } = arguments;
    // Deleted with the process.
    let folder = tempfile::tempdir().map_err(|error| Problem::from(format!("a folder for scripts: {error}")))?;
    for (name, text) in SCRIPTS {
        let path = folder.path().join(name);
        std::fs::write(&path, text).map_err(|error| Problem::from(format!("{}: {error}", path.display())))?;
    }
    let starter = Starter::new(Program { node: node.into(), scripts: folder.path().into() });
    let own = match app {
        Some(app) => Some(start_own(&starter, app, arguments).await?),
        None => None,
    };
    let endpoint = own.as_ref().map(|own| own.endpoint() as Endpoint);
    let kinds = move |base: arklet::Builder| {
        let base = base.runtime(move |data| {
            Ok(Arc::new(runtime::Node::new(&data.join("node"), starter, isolation)?) as Arc<dyn ark::Runtime<Endpoint>>)
        });
        let base = base.folders(ark_node::pack);
        match endpoint {
            Some(endpoint) => base.own(endpoint),
            None => base,
        }
    };
    let ended = arklet::run(options, kinds, arklet::ending()?).await;
    if let Some(own) = own {
        own.end(GOODBYE).await;
    }
    ended
}

/// Starts the base's own application, as `node` itself would run it, apart from where it listens.
async fn start_own(starter: &Starter, app: PathBuf, arguments: Vec<String>) -> Result<Instance, Problem> {
    let found = app.canonicalize().and_then(|main| Ok((main, std::env::current_dir()?)));
    let (main, cwd) = found.map_err(|_| Problem::from(format!("there is no {}", app.display())))?;
    let run = Run { main, arguments, cwd, environment: std::env::vars().collect() };
    let limits = ark_model::Limits { memory_bytes: 4 << 30, ..ark_model::Limits::default() };
    let wanted =
        Wanted { name: app.display().to_string(), run, isolation: Isolation::Process, keeps_prefix: true, limits, output: Output::Through };
    let started = Instance::start(starter.clone(), wanted).await;
    started.map_err(|problem| Problem::from(format!("{} did not start: {problem}", app.display())))
}
