//! `arkctl deploy`: build, upload, install, and wait until it serves.

use std::path::{Path, PathBuf};

use clap::ValueHint;

use crate::{
    build,
    context::Context,
    error::Error,
    order, package,
    project::{self, Kind},
    ship::{self, Package},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Where another version of the module serves, the new one takes over without losing a request. Where the new
one does not start or does not answer its probe, the old one serves on, and the new one stays visible as broken.

A jar is called what its manifest says (Ark-Biz-Name or Implementation-Title, likewise the version) unless
--name and --version say otherwise. It answers at --context-path, else at the web-context-path of an
*-ark-biz.jar, else at /<name>: the base sets the application's own context path so.

Examples:
  arkctl deploy                                                the project in this directory
  arkctl deploy orders --features v2 --version 2.0.0           a crate, built as another version
  arkctl deploy shop --sub services/orders                     one module of a Maven or Gradle build
  arkctl deploy shop.wasm --name shop --version 1.2.0          a component from elsewhere
  arkctl deploy target/orders-1.0.jar --context-path /shop     a jar that is there already, at another path
  arkctl deploy https://host/shop.wasm                         a package that the base fetches itself
  arkctl deploy --activation keep                              without traffic until `arkctl switch`
  arkctl deploy --prepare && arkctl deploy                     all but the start first: fetched, compiled, libraries loaded
  arkctl deploy --allow-host api.example.com --env MODE=test   with what it may reach and know")]
pub(crate) struct Args {
    /// A project's directory, a .wasm or .jar file, or a URL: http://, https:// or file://.
    #[arg(default_value = ".", value_hint = ValueHint::AnyPath)]
    path: String,
    #[command(flatten)]
    build: build::Options,
    /// Do all but start it: the base fetches and verifies the package, compiles or unpacks it and loads its libraries, and keeps that for
    /// the deploy that comes later; loaded libraries for a minute, unless the base's option `keep` says otherwise.
    #[arg(long, conflicts_with = "activation")]
    prepare: bool,
    #[command(flatten)]
    install: order::Options,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    // A base that is not there should be known before a minute of building.
    let client = context.client()?;
    let base = client.base()?;
    let package = match source(&args.path) {
        Source::Url(url) => Package::Url(url),
        Source::File(file) => {
            file.kind.runs_on(&base)?;
            Package::File(file)
        }
        Source::Project(directory) => {
            let found = project::find(&directory, &args.build)?;
            found.kind().runs_on(&base)?;
            Package::Built(Box::new(build::build(&*found, &args.build, context.output)?))
        }
    };
    let identity = (args.build.name.as_deref(), args.build.version.as_deref());
    if args.prepare {
        let prepared = ship::prepare(&client, package, identity, &args.install, context.output)?;
        return context.output.result(&prepared, ship::render_prepared);
    }
    let shipped = ship::ship(&client, package, identity, &args.install, context.output)?;
    context.output.result(&shipped, ship::render)
}

#[derive(Debug, PartialEq, Eq)]
enum Source {
    Project(PathBuf),
    File(package::File),
    Url(String),
}

fn source(text: &str) -> Source {
    let path = Path::new(text);
    if text.contains("://") {
        Source::Url(text.to_owned())
    } else if let Some(kind) = Kind::of_package(path) {
        Source::File(package::File { kind, path: path.to_owned() })
    } else {
        Source::Project(path.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_by_how_it_is_written() {
        assert_eq!(source("."), Source::Project(".".into()));
        assert_eq!(source("a/b.wasm"), Source::File(package::File { kind: Kind::Wasm, path: "a/b.wasm".into() }));
        assert_eq!(source("a/b.jar"), Source::File(package::File { kind: Kind::Jvm, path: "a/b.jar".into() }));
        assert_eq!(source("https://h/b.wasm"), Source::Url("https://h/b.wasm".to_owned()));
        assert_eq!(source("file:///b.wasm"), Source::Url("file:///b.wasm".to_owned()));
    }
}
