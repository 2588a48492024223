//! Bases for Node.js modules: what the supervisor, and the addon in an application's own process, have in common.
//!
//! Follow one install: `runtime` unpacks the package ([`ark_node`], `dependencies`) and starts an `instance`, which keeps a `unit` running:
//! a `process` of Node.js, or a worker of the `host`. In that, `js/module.cjs` has the module's server listen on a socket which the
//! gateway's proxy knows.

#![forbid(unsafe_code)]

mod dependencies;
mod folder;
mod host;
mod instance;
mod line;
mod process;
mod restarts;
mod runtime;
mod server;
mod starter;
mod unit;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use ark_node::Isolation;
use arklet::{End, options::Options};
use clap::Args;
use daemon::Problem;
use gateway::Endpoint;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub use crate::{
    folder::Folder,
    process::{BECOME, become_node},
    server::Server,
};
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
/// Tells whoever runs in a base, or was started by one, that there is one: its process.
const BASE: &str = "NODEJSLET_BASE";
/// What the base's own application gets to end.
const GOODBYE: Duration = Duration::from_secs(10);

/// What holds for the modules of a base.
#[derive(Debug, Args)]
pub struct Settings {
    /// The node to run modules with
    #[arg(long, value_name = "FILE", default_value = "node", env = "NODEJSLET_NODE")]
    node: PathBuf,
    /// What modules run in that do not say: process, one of its own; or worker, a thread of one that they share
    #[arg(long, value_name = "ISOLATION", default_value_t = Isolation::Process, env = "NODEJSLET_ISOLATION")]
    isolation: Isolation,
}

/// What answers what no module does.
pub enum Own {
    /// Nobody.
    Nothing,
    /// An application that the base starts: its file, and its arguments.
    Application(PathBuf, Vec<String>),
    /// The process that the base is in.
    Process(Arc<Server>),
}

/// Where a base is started.
pub struct Site {
    folder: PathBuf,
    launcher: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Site {
    /// In this process: its scripts and sockets are in `folder`, and `launcher` is a program that does [`become_node`], such as the
    /// supervisor's. Reads the environment, which an application may change at any time: this is called on the thread that does so.
    #[must_use]
    pub fn here(folder: &Folder, launcher: PathBuf) -> Self {
        let read = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut environment: BTreeMap<String, String> = read.collect();
        environment.insert(BASE.to_owned(), std::process::id().to_string());
        Self { folder: folder.path().to_owned(), launcher, environment }
    }
}

/// The threads that a base runs on, beside those of its gateway.
///
/// # Errors
/// Where the system gives none.
pub fn threads() -> Result<Runtime, Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("nodejslet").worker_threads(2).enable_all().build();
    runtime.map_err(|error| Problem::from(format!("could not start: {error}")))
}

/// Runs a base until `ending` is cancelled.
///
/// # Errors
/// Those of [`arklet::run`], and where the base's own application does not start.
pub async fn run(options: Options, settings: Settings, own: Own, site: Site, ending: CancellationToken) -> Result<(), Problem> {
    let Site { folder, launcher, environment } = site;
    for (name, text) in SCRIPTS {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| Problem::from(format!("{}: {error}", path.display())))?;
    }
    let Settings { node, isolation } = settings;
    let program = Program { launcher: launcher.into(), node: node.into(), folder: folder.into(), environment: Arc::new(environment) };
    let starter = Starter::new(program.clone());
    let mut application = None;
    let endpoint = match own {
        Own::Nothing => None,
        Own::Process(server) => Some(server as Endpoint),
        Own::Application(file, arguments) => {
            let started = start(&starter, &program, file, arguments).await?;
            Some(application.insert(started).endpoint() as Endpoint)
        }
    };
    let kinds = move |base: arklet::Builder| {
        let base = base.runtime(move |data| {
            let node = runtime::Node::new(&data.join("node"), starter, program.environment, isolation)?;
            Ok(Arc::new(node) as Arc<dyn ark::Runtime<Endpoint>>)
        });
        let base = base.folders(ark_node::pack);
        match endpoint {
            Some(endpoint) => base.own(endpoint),
            None => base,
        }
    };
    let ended = arklet::run(options.beside(), kinds, End::at_once(ending)).await;
    if let Some(application) = application {
        application.end(GOODBYE).await;
    }
    ended
}

/// Starts the base's own application, as `node` itself would run it, apart from where it listens.
async fn start(starter: &Starter, program: &Program, file: PathBuf, arguments: Vec<String>) -> Result<Instance, Problem> {
    let found = file.canonicalize().and_then(|main| Ok((main, std::env::current_dir()?)));
    let (main, cwd) = found.map_err(|_| Problem::from(format!("there is no {}", file.display())))?;
    let run = Run { main, arguments, cwd, environment: (*program.environment).clone() };
    let limits = ark_model::Limits { memory_bytes: 4 << 30, ..ark_model::Limits::default() };
    let wanted = Wanted {
        name: file.display().to_string(),
        run,
        isolation: Isolation::Process,
        keeps_prefix: true,
        limits,
        output: Output::Through,
    };
    let started = Instance::start(starter.clone(), wanted).await;
    started.map_err(|problem| Problem::from(format!("{} did not start: {problem}", file.display())))
}
