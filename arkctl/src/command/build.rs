//! `arkctl build`: a project becomes a package.

use std::path::PathBuf;

use clap::ValueHint;

use crate::{
    build::{self, Built, Options},
    context::Context,
    error::Error,
    humanise, project,
    table::{Table, cell},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "What a project is, its files say: Cargo.toml a crate, pom.xml or build.gradle(.kts) a Java project.

Of a Java project its own build is run, without tests, by ./mvnw or ./gradlew, else by mvn or gradle.
The package is the executable jar that it leaves: an *-ark-biz.jar, or Spring Boot's fat jar.

Of a crate, the package is target/ark/<name>-<version>.wasm: the release component for wasm32-wasip2, with
[package.metadata.ark] of its Cargo.toml in it. Its keys, all optional:
  name, version             those of the package where nobody says
  context-path              where it answers; /<name> where nobody says
  hosts                     the hosts it answers for; any where nobody says
  priority                  start order at a base's start, smaller first
  probe-path                has to answer below 400 before it gets traffic
  reuse                     requests that one instance serves
  limits.<key>              memory-bytes, concurrency, queue, request-deadline-ms, ...
  grants.outgoing-hosts     hosts it may call
  grants.config, .env       settings and environment variables

Examples:
  arkctl build
  arkctl build orders --features v2 --version 2.0.0
  arkctl build shop --sub services/orders          one module of a build with several")]
pub(crate) struct Args {
    /// The project's directory.
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    path: PathBuf,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let found = project::find(&args.path, &args.options)?;
    let built = build::build(&*found, &args.options, context.output)?;
    context.output.result(&built, render)
}

fn render(built: &Built) -> String {
    let mut table = Table::new(&[]);
    table.row([cell("module"), cell(format!("{}:{}", built.name, built.version))]);
    table.row([cell("package"), cell(built.path.display().to_string())]);
    table.row([cell("size"), cell(humanise::size(built.size))]);
    table.row([cell("sha256"), cell(&built.sha256)]);
    table.row([cell("time"), cell(humanise::ms(built.ms))]);
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_the_package_and_its_digest() {
        let built = Built {
            kind: project::Kind::Wasm,
            name: "orders".to_owned(),
            version: "1.0.0".to_owned(),
            path: "/w/target/ark/orders-1.0.0.wasm".into(),
            size: 61_440,
            sha256: "ab".repeat(32),
            manifest: ark_model::Manifest::default(),
            ms: 2345.6,
        };
        insta::assert_snapshot!(render(&built), @"
        module   orders:1.0.0
        package  /w/target/ark/orders-1.0.0.wasm
        size     60.0 KiB
        sha256   abababababababababababababababababababababababababababababababab
        time     2,346 ms
        ");
    }
}
