//! `arkctl scale`: how many instances there are to be.

use fleet::resource::{Kind, ModuleDeployment};
use serde_json::json;

use super::{Where, resource::Resource};
use crate::{context::Context, error::Error};

#[derive(Debug, clap::Args)]
#[command(after_help = "More instances come up where there is room, and fewer go; no version changes. `arkctl rollout status`
follows it.

Examples:
  arkctl scale shop --replicas 5
  arkctl scale shop --replicas -1              one on every base, also on those that join later")]
pub(crate) struct Args {
    /// The deployment.
    deployment: String,
    /// How many; -1 is one on every base.
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..))]
    replicas: i32,
    #[command(flatten)]
    asked: Where,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let fleet = context.fleet(&args.asked)?;
    let path = Resource::Fleet(Kind::ModuleDeployment).one(fleet.namespace(), &args.deployment);
    let before: ModuleDeployment = fleet.get(&path)?;
    let deployment: ModuleDeployment = fleet.merge(&path, &json!({"spec": {"replicas": args.replicas}}))?;
    context.output.result(&deployment, |deployment| rendered(before.spec.replicas, deployment))
}

fn rendered(before: i32, deployment: &ModuleDeployment) -> String {
    let words = |replicas: i32| if replicas < 0 { "one on every base".to_owned() } else { replicas.to_string() };
    let (name, now) = (&deployment.metadata.name, words(deployment.spec.replicas));
    if before == deployment.spec.replicas {
        format!("{name} unchanged: {now}\n")
    } else {
        format!("{name} scaled: {} → {now}\n", words(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_how_many_there_were_and_are_to_be() {
        let mut deployment = ModuleDeployment::default();
        deployment.metadata.name = "shop".to_owned();
        deployment.spec.replicas = -1;
        assert_eq!(rendered(2, &deployment), "shop scaled: 2 → one on every base\n");
        assert_eq!(rendered(-1, &deployment), "shop unchanged: one on every base\n");
    }
}
