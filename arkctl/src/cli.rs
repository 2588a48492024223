//! What can be asked: the global options and the commands.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{command, fleet};

const AFTER: &str = "\
Start here:
  arkctl new hello && cd hello     a module from a template; a Spring Boot application by --kind jvm
  arkctl deploy                    builds it, installs it, waits until it serves
  arkctl dev                       does so again whenever a file is saved

A base for it:
  arklet                           for WebAssembly components
  arkctl base run shop.jar         for Java: an application of your own, with the agent attached

Many bases, by a controller (`module-controller`), or a Kubernetes cluster that knows its kinds:
  arkctl apply -f shop.yaml        says what is to run on them
  arkctl rollout status shop       follows one version as it takes the place of another
  arkctl get modules               what runs where; also deployments, replicasets, bases, events

Which base is asked, the first of these that says one:
  --base, ARKCTL_BASE, `default` of the configuration file,
  the one base that is found on 127.0.0.1, ports 1238 to 1337

Which controller is asked, the first of these that says one:
  --controller, --kubeconfig, ARKCTL_CONTROLLER, KUBECONFIG, http://127.0.0.1:7777

Configuration file, $XDG_CONFIG_HOME/arkctl/config.toml or ~/.config/arkctl/config.toml:
  default = \"staging\"
  [bases.staging]
  url = \"https://base.example:1238\"
  token = \"...\"

Exit codes:
  0  done
  1  the operation failed
  2  the command line or the configuration is wrong
  3  no base, or no controller, could be reached";

/// Builds modules, in Rust, Java or for Node.js, and runs them on a base: installs, switches and removes them while it serves.
#[derive(Debug, Parser)]
#[command(name = "arkctl", version, after_help = AFTER, max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The base: a URL, or a name of the configuration file.
    #[arg(long, global = true, value_name = "URL|NAME", env = "ARKCTL_BASE", hide_env_values = true)]
    pub(crate) base: Option<String>,
    /// The token of the base, or of the controller named by --controller, where it asks for one.
    #[arg(long, global = true, value_name = "TOKEN", env = "ARKCTL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// What standard output has: tables for people, or one value for programs.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// When to colour; NO_COLOR is honoured too.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Colour::Auto)]
    pub(crate) color: Colour,
    /// Say only results and failures.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what is called and asked.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// The shape of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For people, with all columns where a fleet's tables have more.
    Wide,
    /// For programs, on one line.
    Json,
    /// For programs that read YAML, and people who read whole documents.
    Yaml,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands, in the order in which one meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a module from a template.
    New(command::new::Args),
    /// Build a module: a component with its manifest, or an executable jar.
    Build(command::build::Args),
    /// Build a module, install it and wait until it serves.
    Deploy(command::deploy::Args),
    /// Deploy a module again whenever one of its files is saved.
    Dev(command::dev::Args),
    /// List the modules of a base.
    #[command(visible_alias = "ls")]
    Status(command::status::Args),
    /// Show all that a base knows of a module.
    Inspect(command::inspect::Args),
    /// Show where a Java module gets a class from, and by which rule.
    Why(command::why::Args),
    /// Give a version the traffic of its name.
    Switch(command::switch::Args),
    /// Remove a module.
    Undeploy(command::undeploy::Args),
    /// End the operation that is under way on a module.
    Cancel(command::cancel::Args),
    /// Show what a module wrote.
    Logs(command::logs::Args),
    /// Show which path leads to which module.
    Routes(command::routes::Args),
    /// Show the latest removals, and what each gave back.
    Verdicts(command::verdicts::Args),
    /// Show what holds a module that was removed.
    Leaks(command::leaks::Args),
    /// Show whether a base is ready, and what it says of its process.
    Health(command::health::Args),
    /// Watch requests, times and memory by module.
    Top(command::top::Args),
    /// Make a Java application a base.
    Base(command::base::Args),
    /// Say what is to run on a fleet of bases: create or change its documents.
    Apply(fleet::apply::Args),
    /// List what a controller knows: deployments, replicasets, modules, bases.
    Get(fleet::get::Args),
    /// Show all that a controller knows of one resource.
    Describe(fleet::describe::Args),
    /// Show why a deployment is where it is.
    Explain(fleet::explain::Args),
    /// Follow, hold, confirm and take back rollouts of a deployment.
    Rollout(fleet::rollout::Args),
    /// Say how many instances of a deployment there are to be.
    Scale(fleet::scale::Args),
    /// Show what happened in a fleet of late.
    Events(fleet::events::Args),
    /// List the bases of a fleet.
    Bases(fleet::get::BasesArgs),
    /// Have a base take no further modules.
    Cordon(fleet::maintenance::CordonArgs),
    /// Have a base take modules again.
    Uncordon(fleet::maintenance::UncordonArgs),
    /// Have a base give its modules away, and wait until it has.
    Drain(fleet::maintenance::DrainArgs),
    /// Delete documents of a fleet, and wait until they are gone.
    Delete(fleet::delete::Args),
    /// Print the completions of a shell.
    Completions(command::completions::Args),
    /// Print the version of this program and of the base.
    Version(command::version::Args),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_in_its_help() {
        let mut root = Cli::command().term_width(110);
        root.build();
        let mut help = format!("{}\n", root.render_long_help());
        let names = |command: &clap::Command| command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect::<Vec<_>>();
        let paths = names(&root).into_iter().flat_map(|name| {
            let inner = root.find_subcommand(&name).map(names).unwrap_or_default();
            let inner: Vec<_> = inner.into_iter().filter(|inner| inner != "help").map(|inner| vec![name.clone(), inner]).collect();
            std::iter::once(vec![name]).chain(inner)
        });
        for path in paths.collect::<Vec<_>>() {
            let command = path.iter().fold(&mut root, |command, name| command.find_subcommand_mut(name).unwrap());
            let text = command.render_long_help().to_string();
            let name = path.join(" ");
            assert!(text.contains("Example"), "{name} has no example");
            // The global options are the same everywhere and stand in the first text.
            let own = text.split("\nGlobal options:").next().unwrap_or_default();
            let after = text.rsplit("\n\n").take_while(|part| !part.contains("--verbose")).collect::<Vec<_>>();
            let after: String = after.into_iter().rev().map(|part| format!("\n{part}\n")).collect();
            let rest = if text.contains("\nGlobal options:") { after } else { String::new() };
            help.push_str(&format!("\n=== {name}\n{own}{rest}"));
        }
        insta::assert_snapshot!("help", help);
    }
}
