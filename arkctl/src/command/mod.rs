//! The commands on one base, each in its file: what it takes, what it does, what it shows.

pub(crate) mod base;
pub(crate) mod build;
pub(crate) mod cancel;
pub(crate) mod completions;
pub(crate) mod deploy;
pub(crate) mod dev;
pub(crate) mod health;
pub(crate) mod inspect;
pub(crate) mod leaks;
pub(crate) mod logs;
pub(crate) mod new;
pub(crate) mod routes;
pub(crate) mod status;
pub(crate) mod switch;
pub(crate) mod top;
pub(crate) mod undeploy;
pub(crate) mod verdicts;
pub(crate) mod version;
pub(crate) mod why;

use crate::{cli::Command, context::Context, error::Error, fleet};

/// Does what was asked.
pub(crate) fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::New(args) => new::run(args, context),
        Command::Build(args) => build::run(args, context),
        Command::Deploy(args) => deploy::run(args, context),
        Command::Dev(args) => dev::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Why(args) => why::run(args, context),
        Command::Switch(args) => switch::run(args, context),
        Command::Undeploy(args) => undeploy::run(args, context),
        Command::Cancel(args) => cancel::run(args, context),
        Command::Logs(args) => logs::run(args, context),
        Command::Routes(args) => routes::run(args, context),
        Command::Verdicts(args) => verdicts::run(args, context),
        Command::Leaks(args) => leaks::run(args, context),
        Command::Health(args) => health::run(args, context),
        Command::Top(args) => top::run(args, context),
        Command::Base(args) => base::run(args, context),
        Command::Apply(args) => fleet::apply::run(args, context),
        Command::Get(args) => fleet::get::run(args, context),
        Command::Describe(args) => fleet::describe::run(args, context),
        Command::Explain(args) => fleet::explain::run(args, context),
        Command::Rollout(args) => fleet::rollout::run(args, context),
        Command::Scale(args) => fleet::scale::run(args, context),
        Command::Events(args) => fleet::events::run(args, context),
        Command::Bases(args) => fleet::get::bases(args, context),
        Command::Cordon(args) => fleet::maintenance::cordon(args, context),
        Command::Uncordon(args) => fleet::maintenance::uncordon(args, context),
        Command::Drain(args) => fleet::maintenance::drain(args, context),
        Command::Delete(args) => fleet::delete::run(args, context),
        Command::Completions(args) => completions::run(args, context),
        Command::Version(args) => version::run(args, context),
    }
}
