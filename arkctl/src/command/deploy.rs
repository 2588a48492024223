//! `arkctl deploy`: build, upload, install, and wait until it serves.

use std::path::{Path, PathBuf};

use crate::{
    build,
    cargo::Crate,
    context::Context,
    error::Error,
    order,
    ship::{self, Package},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Where another version of the module serves, the new one takes over without losing a request. Where the new
one does not start or does not answer its probe, the old one serves on, and the new one stays visible as broken.

Examples:
  arkctl deploy                                                the crate in this directory
  arkctl deploy orders --features v2 --version 2.0.0           a crate, built as another version
  arkctl deploy shop.wasm --name shop --version 1.2.0          a component from elsewhere
  arkctl deploy https://host/shop.wasm                         a package that the base fetches itself
  arkctl deploy --activation keep                              without traffic until `arkctl switch`
  arkctl deploy --allow-host api.example.com --env MODE=test   with what it may reach and know")]
pub(crate) struct Args {
    /// A crate's directory, a .wasm file, or a URL: http://, https:// or file://.
    #[arg(default_value = ".")]
    path: String,
    #[command(flatten)]
    build: build::Options,
    #[command(flatten)]
    install: order::Options,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    // A base that is not there should be known before a minute of building.
    let client = context.client()?;
    client.base()?;
    let package = match source(&args.path) {
        Source::Url(url) => Package::Url(url),
        Source::File(path) => Package::File(path),
        Source::Crate(directory) => Package::Built(Box::new(build::build(&Crate::find(&directory)?, &args.build, context.output)?)),
    };
    let identity = (args.build.name.as_deref(), args.build.version.as_deref());
    let shipped = ship::ship(&client, package, identity, &args.install, context.output)?;
    context.output.result(&shipped, ship::render)
}

#[derive(Debug, PartialEq, Eq)]
enum Source {
    Crate(PathBuf),
    File(PathBuf),
    Url(String),
}

fn source(text: &str) -> Source {
    let path = Path::new(text);
    if text.contains("://") {
        Source::Url(text.to_owned())
    } else if path.extension().is_some_and(|end| end == "wasm") {
        Source::File(path.to_owned())
    } else {
        Source::Crate(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_by_how_it_is_written() {
        assert_eq!(source("."), Source::Crate(".".into()));
        assert_eq!(source("a/b.wasm"), Source::File("a/b.wasm".into()));
        assert_eq!(source("https://h/b.wasm"), Source::Url("https://h/b.wasm".to_owned()));
        assert_eq!(source("file:///b.wasm"), Source::Url("file:///b.wasm".to_owned()));
    }
}
