//! `arkctl status`: the modules of a base.

use ark_model::api::{ModuleList, ModuleView};

use crate::{
    context::Context,
    error::Error,
    humanise, style,
    table::{Table, cell, figure},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  arkctl status
  arkctl status --output json | jq '.modules[].state'")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, context: &Context) -> Result<(), Error> {
    let modules = context.client()?.modules()?;
    if modules.is_empty() {
        context.output.note("no module is installed; `arkctl deploy` installs one");
    }
    context.output.result(&ModuleList { modules }, |list| render(&list.modules))
}

fn render(modules: &[ModuleView]) -> String {
    if modules.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["MODULE", "VERSION", "STATE", "PATH", "WEIGHT", "KIND", "SIZE", "REQUESTS", "FAILED", "P99"]);
    for module in modules {
        table.row([
            cell(module.id.name()),
            cell(module.id.version()),
            cell(module.state.as_str()).in_style(style::state(module.state)),
            cell(&module.context_path),
            figure(module.weight.to_string()),
            cell(kind(module)),
            figure(humanise::size(module.package_bytes)),
            figure(humanise::count(module.traffic.requests)),
            figure(humanise::count(module.traffic.failures)),
            figure(humanise::ms(module.traffic.p99_ms)),
        ]);
    }
    let mut text = table.render();
    for (module, failure) in modules.iter().filter_map(|module| Some((module, module.failure.as_ref()?))) {
        let message = humanise::printable(&failure.message);
        text.push_str(&format!("{} {}: {message}\n", style::paint(style::BAD, format!("{} is broken:", module.id)), failure.reason));
    }
    text
}

/// The kind, and the build where it has several.
fn kind(module: &ModuleView) -> String {
    if module.build.is_empty() { module.kind.clone() } else { format!("{} {}", module.kind, module.build) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        support::{jvm_module_json, module_json},
        table::plain,
    };

    #[test]
    fn people_see_where_each_module_stands_and_why_one_is_broken() {
        let broken = module_json("1.1.0", "broken").replacen('{', r#"{"failure":{"reason":"ProbeFailed","message":"503"},"#, 1);
        let modules = [module_json("1.0.0", "activated"), broken].map(|json| serde_json::from_str(&json).unwrap());
        insta::assert_snapshot!(plain(&render(&modules)), @"
        MODULE  VERSION  STATE      PATH     WEIGHT  KIND                SIZE  REQUESTS  FAILED      P99
        orders  1.0.0    activated  /orders     100  wasm optimised  60.0 KiB     1,234       1  12.3 ms
        orders  1.1.0    broken     /orders     100  wasm optimised  60.0 KiB     1,234       1  12.3 ms
        orders:1.1.0 is broken: ProbeFailed: 503
        ");
    }

    #[test]
    fn a_java_module_is_said_to_be_one() {
        let module = serde_json::from_str(&jvm_module_json()).unwrap();
        insta::assert_snapshot!(plain(&render(&[module])), @"
        MODULE  VERSION  STATE      PATH     WEIGHT  KIND      SIZE  REQUESTS  FAILED      P99
        orders  1.0.0    activated  /orders     100  jvm   60.0 KiB     1,234       1  12.3 ms
        ");
    }

    #[test]
    fn an_empty_base_has_no_table() {
        assert_eq!(render(&[]), "");
    }
}
