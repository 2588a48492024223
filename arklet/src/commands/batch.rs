//! `batchInstallBiz`: by priority, in parallel inside one priority, one after the other for one name.

use std::{collections::BTreeMap, sync::Arc};

use ark_model::{Fence, InstallOrder};
use futures_util::future;
use serde_json::{Map, Value, json};

use super::{Reply, install, parameters::Parameters};
use crate::{agent::Agent, system};

/// The most modules in one batch.
const MOST: usize = 1_000;

pub(super) async fn install(agent: &Arc<Agent>, parameters: &Parameters, fence: Option<Fence>) -> Reply {
    let request_id = match parameters.request_id_if_async() {
        Ok(request_id) => request_id,
        Err(reply) => return reply,
    };
    if !parameters.is_given() {
        return Reply::invalid("request is null");
    }
    let Some(list) = parameters.value("bizList").and_then(Value::as_array) else {
        return Reply::invalid("bizList is null");
    };
    if list.len() > MOST {
        return Reply::invalid(format!("bizList has {} entries, more than {MOST}", list.len()));
    }
    let orders: Result<Vec<InstallOrder>, Reply> = list.iter().map(|item| Parameters::of(item).order()).collect();
    let work = {
        let agent = Arc::clone(agent);
        async move {
            match orders {
                Ok(orders) => run(&agent, orders, fence).await,
                Err(reply) => reply,
            }
        }
    };
    match request_id {
        None => work.await,
        Some(request_id) => agent.operations.begin(request_id, meta(parameters), work),
    }
}

/// Repeats the request, with what is always so in a batch.
fn meta(parameters: &Parameters) -> Value {
    let mut meta = parameters.meta(false);
    for item in meta.get_mut("bizList").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        item.insert("async".to_owned(), false.into());
        item.entry("installStrategy").or_insert_with(|| json!("installOnly"));
    }
    meta
}

async fn run(agent: &Arc<Agent>, orders: Vec<InstallOrder>, fence: Option<Fence>) -> Reply {
    let resident = system::resident_bytes();
    let mut groups: BTreeMap<i32, BTreeMap<String, Vec<InstallOrder>>> = BTreeMap::new();
    for order in orders {
        // Nothing is installed where one of them cannot be read.
        let (id, priority) = match agent.base.look(&order).await {
            Ok(found) => found,
            Err(failure) => return Reply::broken(&failure),
        };
        let order = InstallOrder { id: Some(id.clone()), ..order };
        groups.entry(priority).or_default().entry(id.name().to_owned()).or_default().push(order);
    }
    let (mut responses, mut all_well) = (Map::new(), true);
    for names in groups.into_values() {
        let runs = names.into_values().map(|orders| one_name(agent, orders, fence));
        for (url, well, response) in future::join_all(runs).await.into_iter().flatten() {
            all_well &= well;
            responses.insert(url, response);
        }
    }
    let grown = i64::try_from(system::resident_bytes()).unwrap_or(i64::MAX) - i64::try_from(resident).unwrap_or(i64::MAX);
    let data = |code: &str, message: &str| json!({"bizUrlToResponse": responses, "code": code, "elapsedSpace": grown, "message": message});
    if all_well {
        Reply::Success(data("SUCCESS", "batch install success"))
    } else {
        Reply::Failed { message: "install biz not success!".to_owned(), data: Some(data("FAILED", "batch install failed")) }
    }
}

async fn one_name(agent: &Arc<Agent>, orders: Vec<InstallOrder>, fence: Option<Fence>) -> Vec<(String, bool, Value)> {
    let mut outcomes = Vec::new();
    for order in orders {
        let url = order.url.clone();
        outcomes.push(match install::run(agent, order, fence).await {
            Reply::Success(data) => (url, true, without_space(data)),
            Reply::Failed { data: Some(data), .. } => (url, false, without_space(data)),
            Reply::Failed { message, data: None } | Reply::Internal { message, .. } => {
                (url, false, json!({"code": "FAILED", "message": format!("internal exception: {message}")}))
            }
        });
    }
    outcomes
}

fn without_space(mut data: Value) -> Value {
    if let Some(members) = data.as_object_mut() {
        members.remove("elapsedSpace");
    }
    data
}
