//! The commands.

mod deploy;
mod dev;
mod look;
mod new;

use std::io;

use ark_model::ModuleId;
use clap::CommandFactory;

use crate::{
    cli::{Cli, Command},
    client::Client,
    error::Error,
    output, project, render, target,
};

pub(crate) fn run(cli: Cli) -> Result<(), Error> {
    let Cli { base, token, output: format, command } = cli;
    let client = || target::client(base.as_deref(), token.clone());
    match command {
        Command::New { folder } => new::new(format, &folder),
        Command::Build { folder, options } => {
            let package = project::build(&folder, &options)?;
            output::data(format, &package, || {
                format!("{}  {}  sha256:{}", package.path.display(), render::bytes(package.size), package.sha256)
            });
            Ok(())
        }
        Command::Deploy { what, build, install } => deploy::deploy(format, &client()?, &what, &build, &install),
        Command::Dev { folder, build, install } => dev::dev(format, &client()?, &folder, &build, &install),
        Command::Status => look::status(format, &client()?),
        Command::Inspect { module } => look::inspect(format, &client()?, &module),
        Command::Routes => look::routes(format, &client()?),
        Command::Verdicts => look::verdicts(format, &client()?),
        Command::Health => look::health(format, &client()?),
        Command::Top { once } => look::top(format, &client()?, once),
        Command::Logs { module, follow, tail } => {
            let client = client()?;
            let id = resolve(&client, &module)?;
            client.logs(&id, follow, tail, |line| output::log_line(format, &line))
        }
        Command::Switch { module } => {
            let view = client()?.activate(&identity(&module)?)?;
            output::data(format, &view, || format!("{} has the traffic", view.id));
            Ok(())
        }
        Command::Undeploy { module } => {
            let client = client()?;
            let retired = client.undeploy(&resolve(&client, &module)?)?;
            output::data(format, &retired, || render::retired(&retired));
            Ok(())
        }
        Command::Cancel { name } => client()?.cancel(&name),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "arkctl", &mut io::stdout());
            Ok(())
        }
        Command::Version => look::version(format, client().ok().as_ref()),
    }
}

/// `<name>:<version>`.
pub(crate) fn identity(text: &str) -> Result<ModuleId, Error> {
    let (name, version) = text.split_once(':').ok_or_else(|| Error::Usage(format!("{text:?} has no version; write <name>:<version>")))?;
    ModuleId::new(name, version).map_err(|invalid| Error::Usage(invalid.to_string()))
}

/// `<name>:<version>`, or a name of which there is one version.
fn resolve(client: &Client, text: &str) -> Result<ModuleId, Error> {
    if text.contains(':') {
        return identity(text);
    }
    let mut versions: Vec<ModuleId> = client.modules()?.into_iter().map(|module| module.id).filter(|id| id.name() == text).collect();
    match (versions.pop(), versions.is_empty()) {
        (Some(id), true) => Ok(id),
        (Some(last), false) => {
            versions.push(last);
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            Err(Error::Usage(format!("there are several versions of {text}: {}; name one", versions.join(", "))))
        }
        (None, _) => Err(Error::Project(format!("there is no module {text}; see what there is with `arkctl status`"))),
    }
}
