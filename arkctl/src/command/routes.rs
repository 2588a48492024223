//! `arkctl routes`: which path leads to which module.

use ark_model::api::RouteList;

use crate::{
    context::Context,
    error::Error,
    table::{Table, cell},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "The longest path that fits a request decides. With several targets, each has its share by weight.

Example:
  arkctl routes")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, context: &Context) -> Result<(), Error> {
    let routes = context.client()?.routes()?;
    if routes.routes.is_empty() {
        context.output.note("no path leads to a module; `arkctl deploy` installs one");
    }
    context.output.result(&routes, render)
}

fn render(list: &RouteList) -> String {
    if list.routes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["HOST", "PATH", "MODULES"]);
    for route in &list.routes {
        let targets: Vec<String> = match &route.targets[..] {
            [only] => vec![only.id.to_string()],
            several => several.iter().map(|target| format!("{} (weight {})", target.id, target.weight)).collect(),
        };
        table.row([cell(route.host.as_deref().unwrap_or("any")), cell(&route.context_path), cell(targets.join(", "))]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::plain;

    #[test]
    fn people_see_hosts_paths_and_shares() {
        let list = r#"{"routes":[
            {"host":"shop.example","contextPath":"/orders/new","targets":[{"name":"orders","version":"2","weight":100}]},
            {"contextPath":"/orders","targets":[{"name":"orders","version":"1","weight":90},{"name":"orders","version":"2","weight":10}]}]}"#;
        insta::assert_snapshot!(plain(&render(&serde_json::from_str(list).unwrap())), @"
        HOST          PATH         MODULES
        shop.example  /orders/new  orders:2
        any           /orders      orders:1 (weight 90), orders:2 (weight 10)
        ");
    }
}
