//! `arkctl completions`: a script that completes commands in a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{cli::Cli, context::Context, error::Error};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arkctl completions bash > ~/.local/share/bash-completion/completions/arkctl
  arkctl completions zsh > ~/.zfunc/_arkctl
  arkctl completions fish > ~/.config/fish/completions/arkctl.fish")]
pub(crate) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "arkctl", &mut script);
    context.output.print(&String::from_utf8_lossy(&script))
}
