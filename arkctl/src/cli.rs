//! The command line: what can be said, and what each part means.

use std::path::PathBuf;

use ark_model::{Activation, DirectoryGrant, Grants, InstallOrder, LimitOverrides};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::{error::Error, output::Format, project::BuildOptions};

/// Builds modules and brings them to life on a base that is already running.
#[derive(Debug, Parser)]
#[command(
    name = "arkctl",
    version,
    after_help = "Begin with:
  arkctl new hello && cd hello
  arkctl deploy            build it, install it on the base of this machine, wait until it serves
  arkctl status            see what is there

The base is the one that --base or ARKCTL_BASE names (a URL, or a name in ~/.config/arkctl/config.toml), else the
only one on this machine. Exit codes: 0 done, 1 not done, 2 wrong usage, 3 no base."
)]
pub(crate) struct Cli {
    /// The base: a URL, an address, or a name from the configuration
    #[arg(long, global = true, value_name = "BASE", env = "ARKCTL_BASE")]
    pub(crate) base: Option<String>,
    /// The token that the base wants
    #[arg(long, global = true, value_name = "TOKEN", env = "ARKCTL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// How data is shown on stdout; everything else goes to stderr
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Begin a module from a template
    #[command(after_help = "Example:\n  arkctl new orders")]
    New {
        /// The folder to make; its last part is the module's name
        folder: PathBuf,
    },
    /// Build a module's package, ready for any base
    #[command(
        after_help = "The package is the component with `[package.metadata.ark]` of its Cargo.toml inside, as\ntarget/ark/<name>-<version>.wasm."
    )]
    Build {
        /// The crate's folder
        #[arg(default_value = ".")]
        folder: PathBuf,
        #[command(flatten)]
        options: BuildOptions,
    },
    /// Build a module, install it, and wait until it serves
    #[command(
        after_help = "Where another version of the module serves, the new one takes over without losing a request. Where the new one does
not start, the old one serves on.

Examples:
  arkctl deploy                                      the crate in this folder
  arkctl deploy app.wasm --module shop:1.2.0         a component from elsewhere
  arkctl deploy https://host/app.wasm --sha256 …     a package that the base fetches itself
  arkctl deploy --activation keep                    beside the old version, without traffic until `arkctl switch`"
    )]
    Deploy {
        /// A crate's folder, a .wasm file, or a URL
        #[arg(default_value = ".")]
        what: String,
        #[command(flatten)]
        build: BuildOptions,
        #[command(flatten)]
        install: InstallOptions,
    },
    /// Deploy on every save, with the module's log in this terminal
    #[command(after_help = "Ends with Ctrl-C; the last version stays on the base.")]
    Dev {
        /// The crate's folder
        #[arg(default_value = ".")]
        folder: PathBuf,
        #[command(flatten)]
        build: BuildOptions,
        #[command(flatten)]
        install: InstallOptions,
    },
    /// List the modules of the base
    #[command(alias = "ls")]
    Status,
    /// Show all that is known of one module
    Inspect {
        /// <name>:<version>, or <name> where there is one version
        module: String,
    },
    /// Give a name's traffic to another version that runs
    Switch {
        /// <name>:<version>
        module: String,
    },
    /// Remove a module: drain, stop, and say what was given back
    Undeploy {
        /// <name>:<version>, or <name> where there is one version
        module: String,
    },
    /// Give up the install that is under way
    Cancel {
        /// The module's name
        name: String,
    },
    /// Show a module's log
    Logs {
        /// <name>:<version>, or <name> where there is one version
        module: String,
        /// Go on as lines come
        #[arg(short, long)]
        follow: bool,
        /// How many of the latest lines
        #[arg(long, value_name = "N", default_value_t = 100)]
        tail: usize,
    },
    /// Show who answers where
    Routes,
    /// Show the latest removals, and what was given back
    Verdicts,
    /// Show how the base is
    Health,
    /// Watch requests, latencies and memory by module
    Top {
        /// Look once and end
        #[arg(long)]
        once: bool,
    },
    /// Print a script that completes commands in a shell
    #[command(after_help = "Example:\n  arkctl completions bash > ~/.local/share/bash-completion/completions/arkctl")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Show the versions of this program and of the base
    Version,
}

/// How a module is installed.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct InstallOptions {
    /// <name>:<version>, for a component that does not say
    #[arg(long, value_name = "NAME:VERSION")]
    pub(crate) module: Option<String>,
    /// Which version gets traffic [default: the base's]
    #[arg(long, value_enum)]
    activation: Option<Policy>,
    /// Its share of the traffic under `together`, relative to the others
    #[arg(long, value_name = "N")]
    weight: Option<u32>,
    /// An environment variable for the module; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// A value that wasi:config answers; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// A host it may call: `host`, `host:port`, `*.domain`; may be given several times
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// A directory of the base it may read, or write with `:rw`; may be given several times
    #[arg(long, value_name = "HOST:GUEST[:rw]")]
    dir: Vec<String>,
    /// A bound in place of the manifest's, e.g. `memory-bytes=33554432`; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    limit: Vec<String>,
    /// The package's sha-256, which the base holds it against
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// A minisign signature of the package, in a file
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// How long it may take, in seconds [default: the base's]
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Policy {
    /// The new version takes over, the old one drains and goes
    Switch,
    /// The new version waits until it is switched to
    Keep,
    /// All versions get traffic, by weight
    Together,
}

impl InstallOptions {
    /// The order for the package at `url`.
    pub(crate) fn order(&self, url: String) -> Result<InstallOrder, Error> {
        let signature = self.signature.as_ref().map(|path| std::fs::read_to_string(path).map_err(Error::io("read", path))).transpose()?;
        Ok(InstallOrder {
            id: self.module.as_deref().map(crate::command::identity).transpose()?,
            url,
            sha256: self.sha256.clone(),
            signature,
            activation: self.activation.map(|policy| match policy {
                Policy::Switch => Activation::Switch,
                Policy::Keep => Activation::Keep,
                Policy::Together => Activation::Together,
            }),
            weight: self.weight,
            args: Vec::new(),
            grants: Grants {
                outgoing_hosts: self.allow_host.clone(),
                config: self.config.iter().map(|pair| key_value("--config", pair)).collect::<Result<_, _>>()?,
                env: self.env.iter().map(|pair| key_value("--env", pair)).collect::<Result<_, _>>()?,
                directories: self.dir.iter().map(|text| directory(text)).collect::<Result<_, _>>()?,
            },
            limits: limits(&self.limit)?,
            deadline_ms: self.deadline.map(|seconds| seconds.saturating_mul(1_000)),
        })
    }
}

fn key_value(option: &str, pair: &str) -> Result<(String, String), Error> {
    let (key, value) = pair.split_once('=').ok_or_else(|| Error::Usage(format!("{option} {pair:?} has no `=`; write KEY=VALUE")))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn directory(text: &str) -> Result<DirectoryGrant, Error> {
    let (text, writable) = text.strip_suffix(":rw").map_or((text, false), |text| (text, true));
    let (host, guest) = text.split_once(':').ok_or_else(|| Error::Usage(format!("--dir {text:?} has no `:`; write HOST:GUEST")))?;
    Ok(DirectoryGrant { host: host.to_owned(), guest: guest.to_owned(), writable })
}

fn limits(pairs: &[String]) -> Result<LimitOverrides, Error> {
    let mut members = serde_json::Map::new();
    for pair in pairs {
        let (key, value) = key_value("--limit", pair)?;
        let value: u64 = value.parse().map_err(|_| Error::Usage(format!("--limit {pair:?}: {value:?} is no whole number")))?;
        members.insert(key, value.into());
    }
    serde_json::from_value(members.into()).map_err(|error| Error::Usage(format!("--limit: {error}")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_become_an_order_and_wrong_ones_are_told() {
        let options = InstallOptions {
            env: vec!["A=b=c".to_owned()],
            dir: vec!["/data:/d:rw".to_owned()],
            limit: vec!["memory-bytes=1048576".to_owned()],
            ..InstallOptions::default()
        };
        let order = options.order("file:///x".to_owned()).unwrap();
        assert_eq!(order.grants.env["A"], "b=c");
        assert!(order.grants.directories[0].writable);
        assert_eq!(order.limits.memory_bytes, Some(1_048_576));
        let wrong = InstallOptions { limit: vec!["memory=1".to_owned()], ..InstallOptions::default() };
        assert!(wrong.order(String::new()).unwrap_err().to_string().contains("unknown field `memory`"));
    }
}
