//! `arkctl get`, `arkctl bases`, `arkctl events`: what there is, and what becomes of it.

use fleet::resource::Kind;
use serde_json::{Value, json};

use super::{
    Fleet, Where,
    client::Form,
    follow::{Seen, follow},
    resource::{Resource, encoded},
    table::{Layout, Rows},
};
use crate::{context::Context, error::Error, output::Output};

#[derive(Debug, clap::Args)]
#[command(after_help = "Resources: deployments, replicasets (the revisions of deployments), modules (one instance on one base),
bases, events, namespaces; also by the names that the API gives them. With --output wide there are more
columns, with json or yaml whole documents. With --watch every change is a line, or a value with `type`
and `object`, until Ctrl-C.

Examples:
  arkctl get deployments
  arkctl get modules -l serverless.alipay.com/module-deployment=shop -o wide
  arkctl get bases -A --watch
  arkctl get deployment shop -o yaml")]
pub(crate) struct Args {
    /// What is asked for.
    #[arg(value_parser = Resource::named)]
    resource: Resource,
    /// Only this one.
    name: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asked: Where,
}

/// Which of many.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Which {
    /// Of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(super) all_namespaces: bool,
    /// Those with these labels: `a=b,c!=d,e in (f,g),h`.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub(super) selector: Option<String>,
    /// Go on telling what changes.
    #[arg(short, long)]
    pub(super) watch: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "The same as `arkctl get bases`. A base joins by its option --controller; it is taken out of use by `arkctl
drain`.

Examples:
  arkctl bases
  arkctl bases --watch
  arkctl bases -o wide -l serverless.alipay.com/deployment-name=default")]
pub(crate) struct BasesArgs {
    /// Only this one.
    name: Option<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asked: Where,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    show(&fleet, args.resource, args.name.as_deref(), &[], &args.which, context.output)
}

pub(crate) fn bases(args: &BasesArgs, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    show(&fleet, Resource::Fleet(Kind::Base), args.name.as_deref(), &[], &args.which, context.output)
}

/// Shows what is asked for, `fields` of it being as they say.
pub(super) fn show(
    fleet: &Fleet,
    resource: Resource,
    name: Option<&str>,
    fields: &[(&str, &str)],
    which: &Which,
    output: Output,
) -> Result<(), Error> {
    if which.all_namespaces && name.is_some() {
        return Err(Error::Usage("a name is one of a namespace: leave --all-namespaces out, or the name".to_owned()));
    }
    let form = if output.is_for_programs() { Form::Documents } else { Form::Table };
    let namespace = (!which.all_namespaces).then(|| fleet.namespace());
    let mut fields: Vec<(&str, &str)> = fields.to_vec();
    // One by its own path is refused where it is not there; one that is watched may come.
    if let Some(name) = name.filter(|_| which.watch) {
        fields.push(("metadata.name", name));
    }
    let path = match name {
        Some(name) if !which.watch => resource.one(fleet.namespace(), name),
        _ => format!("{}{}", resource.all(namespace), query(resource, which.selector.as_deref(), &fields)),
    };
    let everywhere = which.all_namespaces && resource != Resource::Namespaces;
    let mut layout = Layout::new(output.is_wide(), everywhere);
    if !which.watch {
        let found: Value = fleet.get_as(&path, form)?;
        return match rows(resource, &found) {
            Some(rows) => {
                if rows.len() == 0 {
                    output.note(&nothing(resource, namespace));
                    return Ok(());
                }
                output.print(&layout.lines(&rows))
            }
            None => output.value(&found),
        };
    }
    follow(fleet, &path, form, |seen| {
        match seen {
            Seen::All(list) => match rows(resource, list) {
                Some(rows) => output.print(&layout.lines(&rows))?,
                None => {
                    let mut items = list.get("items").and_then(Value::as_array).into_iter().flatten();
                    items.try_for_each(|item| output.value(&json!({"type": "ADDED", "object": item})))?;
                }
            },
            Seen::Change(change) => match rows(resource, &change.object) {
                Some(rows) => output.print(&layout.lines(&rows))?,
                None => output.value(&json!({"type": change.what, "object": change.object}))?,
            },
            Seen::Quiet => {}
        }
        Ok(true)
    })
}

fn rows(resource: Resource, value: &Value) -> Option<Rows> {
    let mut rows = Rows::read(value)?;
    if resource == Resource::Events {
        rows.sort_by("/lastTimestamp");
    }
    Some(rows)
}

fn query(resource: Resource, labels: Option<&str>, fields: &[(&str, &str)]) -> String {
    let mut query = Vec::new();
    if let Some(labels) = labels {
        query.push(format!("labelSelector={}", encoded(labels)));
    }
    if !fields.is_empty() {
        let fields: Vec<String> = fields.iter().map(|(field, value)| format!("{field}={value}")).collect();
        query.push(format!("fieldSelector={}", encoded(&fields.join(","))));
    }
    if resource == Resource::Events {
        // The rows say how long ago, which does not tell their order.
        query.push("includeObject=Object".to_owned());
    }
    if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) }
}

fn nothing(resource: Resource, namespace: Option<&str>) -> String {
    let place = namespace.map_or_else(|| "in any namespace".to_owned(), |namespace| format!("in the namespace {namespace}"));
    let next = match resource {
        Resource::Fleet(Kind::ModuleDeployment) => "; `arkctl apply -f <file>` makes one",
        Resource::Fleet(Kind::Base) => "; one joins by its option --controller",
        Resource::Fleet(_) | Resource::Events | Resource::Namespaces => "",
    };
    format!("there are no {} {place}{next}", resource.plural())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_cannot_break_out_of_a_query() {
        let text = query(Resource::Fleet(Kind::Module), Some("a in (b,c),d&e"), &[("metadata.name", "x=y")]);
        assert_eq!(text, "?labelSelector=a%20in%20%28b%2Cc%29%2Cd%26e&fieldSelector=metadata.name%3Dx%3Dy");
        assert_eq!(query(Resource::Namespaces, None, &[]), "");
    }

    #[test]
    fn an_empty_answer_says_where_and_what_next() {
        let text = nothing(Resource::Fleet(Kind::ModuleDeployment), Some("test"));
        assert_eq!(text, "there are no deployments in the namespace test; `arkctl apply -f <file>` makes one");
        assert_eq!(nothing(Resource::Events, None), "there are no events in any namespace");
    }
}
