//! `arkctl explain`: why a deployment is where it is.

use fleet::resource::{Condition, Kind, Module, ModuleDeployment, label};
use serde::{Deserialize, Serialize};

use super::{
    Fleet, Where, describe,
    resource::{Resource, encoded},
    table::of_word,
};
use crate::{
    context::Context,
    error::Error,
    humanise::printable,
    style,
    table::{Table, cell},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Says how far its rollout is and what it waits for, how each instance stands and why, and of each base
whether it could run one. A kube-apiserver says nothing of bases; there it is made of what the resources
say.

Examples:
  arkctl explain shop
  arkctl explain shop -o json | jq '.bases[] | select(.verdict != \"takes it\")'")]
pub(crate) struct Args {
    /// The deployment.
    deployment: String,
    #[command(flatten)]
    asked: Where,
}

/// Why a deployment is where it is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Explanation {
    deployment: String,
    progress: String,
    message: String,
    conditions: Vec<Condition>,
    instances: Vec<Instance>,
    bases: Vec<Verdict>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Instance {
    name: String,
    module: String,
    base: String,
    phase: String,
    reason: String,
    message: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Verdict {
    name: String,
    verdict: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Modules {
    items: Vec<Module>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    // Says that the name is not there, where it is not, and not only that nothing can be said of it.
    let deployment: ModuleDeployment = fleet.get(&Resource::Fleet(Kind::ModuleDeployment).one(fleet.namespace(), &args.deployment))?;
    let asked = fleet.get(&format!("/explain/{}/{}", encoded(fleet.namespace()), encoded(&args.deployment)));
    let explanation: Explanation = match asked {
        // A server that does not know the path.
        Err(Error::Api(refusal)) if matches!(refusal.code, 403 | 404) => gathered(&deployment, modules(&fleet, &args.deployment)?),
        other => other?,
    };
    context.output.result(&explanation, render)
}

fn modules(fleet: &Fleet, deployment: &str) -> Result<Vec<Module>, Error> {
    let selector = encoded(&format!("{}={deployment}", label::MODULE_DEPLOYMENT));
    let path = format!("{}?labelSelector={selector}", Resource::Fleet(Kind::Module).all(Some(fleet.namespace())));
    fleet.get::<Modules>(&path).map(|modules| modules.items)
}

/// What the resources themselves say.
fn gathered(deployment: &ModuleDeployment, modules: Vec<Module>) -> Explanation {
    let conditions = deployment.status.conditions.clone();
    let progressing = conditions.iter().find(|condition| condition.kind == "Progressing");
    let instance = |module: Module| Instance {
        name: module.metadata.name,
        module: format!("{}:{}", module.spec.template.module.name, module.spec.template.module.version),
        base: module.spec.base_name,
        phase: module.status.status.as_str().to_owned(),
        reason: module.status.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        message: module.status.message,
    };
    Explanation {
        deployment: deployment.metadata.key().to_string(),
        progress: format!("{:?}", deployment.status.release_status.progress),
        message: progressing.map(|condition| condition.message.clone()).unwrap_or_default(),
        conditions,
        instances: modules.into_iter().map(instance).collect(),
        bases: Vec::new(),
    }
}

fn render(explanation: &Explanation) -> String {
    let name = style::paint(style::HEADING, printable(&explanation.deployment));
    let progress = style::paint(of_word(&explanation.progress), printable(&explanation.progress));
    let mut text = format!("{name} {progress}\n");
    if !explanation.message.is_empty() {
        text.push_str(&format!("{}\n", printable(&explanation.message)));
    }
    text.push_str(&describe::section("conditions", &describe::conditions(&explanation.conditions)));
    let mut instances = Table::new(&["NAME", "MODULE", "BASE", "STATUS", "REASON", "MESSAGE"]);
    for instance in &explanation.instances {
        instances.row([
            cell(&instance.name),
            cell(&instance.module),
            cell(&instance.base),
            cell(&instance.phase).in_style(of_word(&instance.phase)),
            cell(&instance.reason),
            cell(&instance.message),
        ]);
    }
    if !explanation.instances.is_empty() {
        text.push_str(&describe::section("instances", &instances.render()));
    }
    let mut bases = Table::new(&["NAME", "VERDICT"]);
    explanation.bases.iter().for_each(|base| bases.row([cell(&base.name), cell(&base.verdict)]));
    if !explanation.bases.is_empty() {
        text.push_str(&describe::section("bases", &bases.render()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::plain;

    #[test]
    fn people_see_what_it_waits_for_and_which_base_could_run_it() {
        let explanation: Explanation = serde_json::from_str(
            r#"{"deployment":"default/shop","progress":"Executing","message":"batch 1 of 2 is under way; no base has room",
            "conditions":[{"type":"Available","status":"False","reason":"MinimumReplicasUnavailable","message":"1 of 2"}],
            "instances":[{"name":"shop-1-a","module":"orders:1","base":"a","phase":"Failed","reason":"ProbeFailed","message":"/health answered 503"},
                         {"name":"shop-1-b","module":"orders:1","base":"b","phase":"Available","reason":"","message":""}],
            "bases":[{"name":"a","verdict":"takes it"},{"name":"c","verdict":"unschedulable"}]}"#,
        )
        .unwrap();
        insta::assert_snapshot!(plain(&render(&explanation)), @"
        default/shop Executing
        batch 1 of 2 is under way; no base has room

        conditions
        TYPE       STATUS  REASON                      MESSAGE
        Available  False   MinimumReplicasUnavailable  1 of 2

        instances
        NAME      MODULE    BASE  STATUS     REASON       MESSAGE
        shop-1-a  orders:1  a     Failed     ProbeFailed  /health answered 503
        shop-1-b  orders:1  b     Available

        bases
        NAME  VERDICT
        a     takes it
        c     unschedulable
        ");
    }

    #[test]
    fn a_server_that_explains_nothing_is_helped_out() {
        let mut deployment = ModuleDeployment::default();
        deployment.status.conditions =
            vec![Condition { kind: "Progressing".to_owned(), message: "under way".to_owned(), ..Condition::default() }];
        let explanation = gathered(&deployment, vec![Module::default()]);
        assert_eq!(
            (explanation.message.as_str(), explanation.progress.as_str(), explanation.instances[0].phase.as_str()),
            ("under way", "Init", "Pending")
        );
    }
}
