//! `health`: the fields that mean something here; those that clients decode as integers are always there.

use ark::Sign;
use ark_model::api::ModuleView;
use serde_json::{Map, Value, json};

use super::{Reply, parameters::Parameters, web_context_path};
use crate::{agent::Agent, system};

const MIB: f64 = 1_048_576.0;

pub(super) async fn health(agent: &Agent, parameters: &Parameters) -> Reply {
    let signs = agent.base.signs().await;
    let kind = parameters.text("type");
    let mut data = Map::new();
    match kind.as_deref() {
        None => {
            data.insert("masterBizInfo".to_owned(), base_info(agent));
            system(agent, parameters, signs, &mut data);
            data.insert("bizListInfo".to_owned(), list(agent, None));
            data.insert("pluginListInfo".to_owned(), json!([]));
        }
        Some("system") => system(agent, parameters, signs, &mut data),
        Some("biz") => {
            let (name, version) = (parameters.text("bizName"), parameters.text("bizVersion"));
            match (name, version) {
                (None, _) => {
                    data.insert("bizListInfo".to_owned(), list(agent, None));
                }
                (Some(name), None) => {
                    let found = list(agent, Some(&name));
                    if found.as_array().is_some_and(Vec::is_empty) {
                        return Reply::Failed { message: format!("can not find biz: {name}"), data: None };
                    }
                    data.insert("bizListInfo".to_owned(), found);
                }
                (Some(name), Some(version)) => match one(agent, &name, &version) {
                    Some(found) => {
                        data.insert("bizInfo".to_owned(), found);
                    }
                    None => return Reply::Failed { message: "can not find biz".to_owned(), data: None },
                },
            }
        }
        Some("plugin") if parameters.text("bizName").is_some() => {
            return Reply::Failed { message: "can not find plugin".to_owned(), data: None };
        }
        Some("plugin") => {
            data.insert("pluginListInfo".to_owned(), json!([]));
        }
        Some(other) => return Reply::invalid(format!("type: {other} can not be found")),
    }
    Reply::Success(json!({"healthData": data}))
}

fn system(agent: &Agent, parameters: &Parameters, signs: Vec<(String, Sign)>, data: &mut Map<String, Value>) {
    let chosen: Option<Vec<&str>> =
        parameters.value("metrics").and_then(Value::as_array).map(|metrics| metrics.iter().filter_map(Value::as_str).collect());
    let wants = |metric: &str| chosen.as_ref().is_none_or(|chosen| chosen.is_empty() || chosen.contains(&metric));
    if wants("cpu") {
        let cpu = system::cpu();
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        data.insert(
            "cpu".to_owned(),
            json!({
                "count": count,
                "type": system::processor(),
                "total used (%)": cpu.user + cpu.system,
                "user used (%)": cpu.user,
                "system used (%)": cpu.system,
                "free (%)": cpu.free,
            }),
        );
    }
    if wants("jvm") {
        let (resident, all) = (system::resident_bytes(), system::memory_bytes());
        let mut jvm = json!({
                "java version": format!("arklet {}", env!("CARGO_PKG_VERSION")),
                "java home": "",
                "total memory(M)": resident as f64 / MIB,
                "max memory(M)": all as f64 / MIB,
                "free memory(M)": system::available_bytes() as f64 / MIB,
                "run time(s)": agent.uptime().as_secs_f64(),
                "loaded class count": 0,
                "unload class count": 0,
                "total class count": 0,
                // What controllers schedule by: how much there is for modules, and how much of it is used.
                "java used metaspace": resident,
                "java committed metaspace": resident,
                "java max metaspace": all,
        });
        // A JVM knows better.
        let better = signs.into_iter().map(|(name, sign)| {
            let value: Value = match sign {
                Sign::Text(text) => text.into(),
                Sign::Count(count) => count.into(),
                Sign::Number(number) => number.into(),
            };
            (name, value)
        });
        if let Some(jvm) = jvm.as_object_mut() {
            jvm.extend(better);
        }
        data.insert("jvm".to_owned(), jvm);
    }
}

fn base_info(agent: &Agent) -> Value {
    json!({
        "bizName": agent.identity.name,
        "bizState": if agent.is_ready() { "activated" } else { "resolved" },
        "bizVersion": agent.identity.version,
        "webContextPath": "/",
    })
}

fn info(module: &ModuleView) -> Value {
    json!({
        "bizName": module.id.name(),
        "bizState": module.state,
        "bizVersion": module.id.version(),
        "webContextPath": web_context_path(module),
    })
}

/// The modules and the base, or those of one name.
fn list(agent: &Agent, name: Option<&str>) -> Value {
    let mut all: Vec<Value> =
        agent.base.modules().iter().filter(|module| name.is_none_or(|name| module.id.name() == name)).map(info).collect();
    if name.is_none_or(|name| name == agent.identity.name) {
        all.push(base_info(agent));
    }
    Value::Array(all)
}

fn one(agent: &Agent, name: &str, version: &str) -> Option<Value> {
    if name == agent.identity.name && version == agent.identity.version {
        return Some(base_info(agent));
    }
    agent.base.modules().iter().find(|module| module.id.name() == name && module.id.version() == version).map(info)
}
