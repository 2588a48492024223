//! `arkctl apply`: documents say what is wanted.

use std::path::PathBuf;

use clap::ValueHint;
use serde::Serialize;

use super::{
    Fleet, Where,
    changes::{Change, changes},
    documents::{self, Document},
};
use crate::{context::Context, error::Error, humanise::printable, style};

#[derive(Debug, clap::Args)]
#[command(after_help = "Creates what is not there yet, and changes what is: only the fields that the documents set, and those they
set before and do not any more (server-side apply, as `arkctl`). A field that somebody else has set to
another value is a conflict, and nothing of the document is applied. All documents are read before the
first one is sent.

A deployment of one module on all bases of a base deployment:
  apiVersion: serverless.alipay.com/v1alpha1
  kind: ModuleDeployment
  metadata:
    name: shop
  spec:
    baseDeploymentName: default
    replicas: -1
    operationStrategy: {batchCount: 2, needConfirm: true}
    template:
      spec:
        module: {name: shop, version: \"1.0.0\", url: \"https://packages.example/shop-1.0.0.wasm\"}

Examples:
  arkctl apply -f shop.yaml
  arkctl apply -f shop.yaml --dry-run                  what would change, field by field
  arkctl apply -f fleet/ -n test                       every file of a directory
  sed s/1.0.0/1.1.0/ shop.yaml | arkctl apply -f - && arkctl rollout status shop")]
pub(crate) struct Args {
    /// A file of YAML or JSON with one or more documents, a directory of such files, or - for standard input; again for each.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Say what would change, and change nothing; the controller checks it all the same.
    #[arg(long)]
    dry_run: bool,
    /// Take over fields that others have set to another value.
    #[arg(long)]
    force_conflicts: bool,
    #[command(flatten)]
    asked: Where,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied {
    dry_run: bool,
    documents: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    name: String,
    namespace: String,
    outcome: What,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Created,
    Configured,
    Unchanged,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let documents = documents::read(&args.files, fleet.namespace(), args.asked.namespace.as_deref())?;
    let mut applied = Applied { dry_run: args.dry_run, documents: Vec::new() };
    for document in &documents {
        match apply(&fleet, document, args) {
            Ok(outcome) => applied.documents.push(outcome),
            Err(error) => {
                // What was applied stays, and is said.
                if !applied.documents.is_empty() && !context.output.is_for_programs() {
                    context.output.print(&render(&applied))?;
                }
                return Err(error);
            }
        }
    }
    context.output.result(&applied, render)
}

fn apply(fleet: &Fleet, document: &Document, args: &Args) -> Result<Outcome, Error> {
    let before = fleet.find(&document.path)?;
    let after = fleet.apply(&document.path, &document.value, args.force_conflicts, args.dry_run)?;
    let changed = before.as_ref().map(|before| changes(before, &after));
    let outcome = match &changed {
        None => What::Created,
        Some(changes) if changes.is_empty() => What::Unchanged,
        Some(_) => What::Configured,
    };
    let namespace = after.pointer("/metadata/namespace").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    Ok(Outcome { name: document.name.clone(), namespace, outcome, changes: changed.unwrap_or_default() })
}

fn render(applied: &Applied) -> String {
    let mut text = String::new();
    for document in &applied.documents {
        let (word, style) = match document.outcome {
            What::Created => ("created", style::GOOD),
            What::Configured => ("configured", style::WAITING),
            What::Unchanged => ("unchanged", style::FAINT),
        };
        let dry_run = if applied.dry_run { " (dry run)" } else { "" };
        text.push_str(&format!("{} {}{dry_run}\n", printable(&document.name), style::paint(style, word)));
        for change in document.changes.iter().filter(|_| applied.dry_run) {
            text.push_str(&format!("  {}\n", printable(&change.render()).replace('\n', " ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::plain;
    use serde_json::json;

    #[test]
    fn people_see_what_became_of_each_document_and_of_each_field_where_nothing_is_done() {
        let one = |name: &str, outcome, changes| Outcome { name: name.to_owned(), namespace: "default".to_owned(), outcome, changes };
        let change = Change { field: "spec.replicas".to_owned(), before: Some(json!(2)), after: Some(json!(3)) };
        let documents = vec![
            one("moduledeployment/a", What::Created, vec![]),
            one("moduledeployment/b", What::Configured, vec![change]),
            one("moduledeployment/c", What::Unchanged, vec![]),
        ];
        let mut applied = Applied { dry_run: true, documents };
        insta::assert_snapshot!(plain(&render(&applied)), @"
        moduledeployment/a created (dry run)
        moduledeployment/b configured (dry run)
          spec.replicas: 2 → 3
        moduledeployment/c unchanged (dry run)
        ");
        applied.dry_run = false;
        assert_eq!(plain(&render(&applied)), "moduledeployment/a created\nmoduledeployment/b configured\nmoduledeployment/c unchanged\n");
    }
}
