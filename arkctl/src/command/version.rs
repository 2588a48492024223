//! `arkctl version`: who asks, and who answers.

use ark_model::api::BaseView;
use serde::Serialize;

use crate::{context::Context, error::Error, humanise};

#[derive(Debug, clap::Args)]
#[command(after_help = "Without a base the version of this program is printed all the same, with exit code 0.

Example:
  arkctl version")]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Versions {
    client: &'static str,
    base: Option<BaseView>,
}

pub(crate) fn run(_: &Args, context: &Context) -> Result<(), Error> {
    let base = match context.client().and_then(|client| client.base()) {
        Ok(base) => Some(base),
        Err(error) if error.exit_code() == 3 => {
            context.output.note(&error.to_string());
            None
        }
        Err(error) => return Err(error),
    };
    context.output.result(&Versions { client: env!("CARGO_PKG_VERSION"), base }, render)
}

fn render(versions: &Versions) -> String {
    let base = versions
        .base
        .as_ref()
        .map(|base| humanise::printable(&format!("base    {} ({} {}, {})\n", base.arklet_version, base.name, base.version, base.gateway)));
    format!("arkctl  {}\n{}", versions.client, base.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::base_json;

    #[test]
    fn people_see_both_versions() {
        let versions = Versions { client: "0.1.0", base: serde_json::from_str(&base_json()).ok() };
        insta::assert_snapshot!(render(&versions), @"
        arkctl  0.1.0
        base    0.1.0 (demo 1.0.0, http://127.0.0.1:8080)
        ");
    }
}
