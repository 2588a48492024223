//! The description of the API in OpenAPI v3, as clients of Kubernetes read it: made from the types of the documents, and checked in.

use std::sync::LazyLock;

use fleet::resource::{GROUP, GROUP_ALIAS, Kind, VERSION};
use serde_json::{Value, json};

/// The checked-in description, of the group [`GROUP`].
const CHECKED_IN: &str = include_str!("../../openapi.json");

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(CHECKED_IN).unwrap_or_default());

const PREFIX: &str = "#/components/schemas/";
const OWN: &str = "com.alipay.serverless.v1alpha1.";

/// What documents of `kind` consist of.
pub(super) fn schema(kind: Kind) -> Option<&'static Value> {
    DESCRIPTION.pointer(&format!("/components/schemas/{OWN}{}", kind.as_str()))
}

/// What a schema that refers to another one refers to.
pub(super) fn resolved(schema: &'static Value) -> &'static Value {
    let referred = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"));
    let name = referred.and_then(Value::as_str).and_then(|name| name.strip_prefix(PREFIX));
    name.and_then(|name| DESCRIPTION.get("components")?.get("schemas")?.get(name)).unwrap_or(schema)
}

/// Where the descriptions of the groups are.
pub(super) fn index() -> Value {
    let at = |path: String| json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
    let groups = [GROUP, GROUP_ALIAS].map(|group| format!("apis/{group}/{VERSION}"));
    let paths = groups.into_iter().chain(["api/v1".to_owned()]);
    json!({"paths": paths.map(|path| (path.clone(), at(path))).collect::<serde_json::Map<_, _>>()})
}

/// The description of what is under `path`, e.g. `apis/koupleless.io/v1alpha1`.
pub(super) fn description(path: &str) -> Option<String> {
    if path == "api/v1" {
        return Some(core().to_string());
    }
    let group = path.strip_prefix("apis/")?.strip_suffix(VERSION)?.strip_suffix('/')?;
    match group {
        GROUP => Some(CHECKED_IN.to_owned()),
        // The same resources under another name.
        GROUP_ALIAS => Some(
            CHECKED_IN
                .replace(&format!("/apis/{GROUP}/"), &format!("/apis/{GROUP_ALIAS}/"))
                .replace(&format!("\"group\": \"{GROUP}\""), &format!("\"group\": \"{GROUP_ALIAS}\"")),
        ),
        _ => None,
    }
}

/// Parameters of writing calls. Clients look for them to know what this server can do.
fn parameters(names: &[&str]) -> Value {
    let parameter = |name: &&str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    names.iter().map(parameter).collect()
}

const WRITING: [&str; 3] = ["dryRun", "fieldManager", "fieldValidation"];

/// Of the core group: namespaces and events, as far as they are served.
fn core() -> Value {
    let of = |kind: &str| json!({"group": "", "version": "v1", "kind": kind});
    let operation = |kind: &str| {
        json!({
            "parameters": parameters(&WRITING), "x-kubernetes-group-version-kind": of(kind),
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": format!("{PREFIX}io.k8s.api.core.v1.{kind}")}}}}},
        })
    };
    let schema = |kind: &str, description: &str| {
        json!({"type": "object", "description": description, "x-kubernetes-group-version-kind": [of(kind)], "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
        }})
    };
    json!({
        "openapi": "3.0.0", "info": {"title": "module-controller", "version": env!("CARGO_PKG_VERSION")},
        "paths": {
            "/api/v1/namespaces/{name}": {"get": operation("Namespace"), "patch": operation("Namespace")},
            "/api/v1/namespaces/{namespace}/events/{name}": {"get": operation("Event")},
        },
        "components": {"schemas": {
            "io.k8s.api.core.v1.Namespace": schema("Namespace", "Where resources are; it is there while something is in it."),
            "io.k8s.api.core.v1.Event": schema("Event", "What happened to a resource of late."),
        }},
    })
}

#[cfg(test)]
mod made {
    use super::*;
    use fleet::resource::{Base, Module, ModuleDeployment, ModuleReplicaSet};
    use serde_json::Map;
    use utoipa::OpenApi;

    #[derive(OpenApi)]
    #[openapi(components(schemas(ModuleDeployment, ModuleReplicaSet, Module, Base)))]
    struct Types;

    fn named(name: &str) -> String {
        let renamed = match name {
            "Meta" => "ObjectMeta",
            "Selector" => "LabelSelector",
            "Requirement" => "LabelSelectorRequirement",
            "Condition" | "OwnerReference" | "Time" => name,
            _ => return format!("{OWN}{name}"),
        };
        format!("io.k8s.apimachinery.pkg.apis.meta.v1.{renamed}")
    }

    /// As OpenAPI 3.0 has it, which is what clients of Kubernetes read.
    fn older(value: Value) -> Value {
        let fields = match value {
            Value::Array(items) => return items.into_iter().map(older).collect(),
            Value::Object(fields) => fields,
            other => return other,
        };
        let mut fields: Map<String, Value> =
            fields.into_iter().filter(|(name, _)| name != "propertyNames").map(|(name, value)| (name, older(value))).collect();
        if let Some(Value::Array(kinds)) = fields.get("type") {
            let kind = kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default();
            fields.insert("type".to_owned(), kind);
        }
        if let Some(Value::Array(choices)) = fields.get("oneOf") {
            let real: Vec<Value> = choices.iter().filter(|choice| choice.get("type") != Some(&json!("null"))).cloned().collect();
            if let [Value::Object(only)] = real.as_slice() {
                fields.remove("oneOf");
                for (name, value) in only {
                    fields.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        if let Some(Value::String(reference)) = fields.remove("$ref") {
            let name = reference.strip_prefix(PREFIX).unwrap();
            // One that was taken from within has its new name.
            let reference = if name.contains('.') { reference } else { format!("{PREFIX}{}", named(name)) };
            match fields.is_empty() {
                true => drop(fields.insert("$ref".to_owned(), reference.into())),
                false => drop(fields.insert("allOf".to_owned(), json!([{"$ref": reference}]))),
            }
        }
        fields.into()
    }

    /// A type that has the fields of another one in it, as one type.
    fn flat(schemas: &Map<String, Value>, schema: &Value) -> Value {
        let parts = match schema.get("allOf").and_then(Value::as_array) {
            Some(parts) if parts.len() > 1 => parts,
            _ => return schema.clone(),
        };
        let mut properties = Map::new();
        for part in parts {
            let reference = part.get("$ref").or_else(|| part.pointer("/allOf/0/$ref")).and_then(Value::as_str);
            let part = reference.map_or(part, |name| &schemas[name.strip_prefix(PREFIX).unwrap()]);
            properties.extend(part["properties"].as_object().unwrap().clone());
        }
        json!({"type": "object", "description": schema["description"], "properties": properties})
    }

    fn made() -> Value {
        let types = serde_json::to_value(Types::openapi()).unwrap();
        let all: Map<String, Value> =
            types["components"]["schemas"].as_object().unwrap().iter().map(|(name, schema)| (named(name), older(schema.clone()))).collect();
        let mut schemas: Map<String, Value> = all.iter().map(|(name, schema)| (name.clone(), flat(&all, schema))).collect();
        let mut paths = Map::new();
        for kind in Kind::ALL {
            let gvk = json!({"group": GROUP, "version": VERSION, "kind": kind.as_str()});
            let name = format!("{OWN}{}", kind.as_str());
            let schema = schemas[&name].as_object_mut().unwrap();
            schema.insert("x-kubernetes-group-version-kind".to_owned(), json!([gvk]));
            let properties = schema["properties"].as_object_mut().unwrap();
            properties.insert("apiVersion".to_owned(), json!({"type": "string", "description": "The group and version of this document."}));
            properties.insert("kind".to_owned(), json!({"type": "string", "description": "The kind of this document."}));
            let list = format!("{name}List");
            schemas.insert(
                list.clone(),
                json!({
                    "type": "object", "description": format!("Resources of the kind {}.", kind.as_str()), "required": ["items"],
                    "properties": {
                        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
                        "items": {"type": "array", "items": {"$ref": format!("{PREFIX}{name}")}},
                    },
                    "x-kubernetes-group-version-kind": [{"group": GROUP, "version": VERSION, "kind": format!("{}List", kind.as_str())}],
                }),
            );
            let content = |schema: &str| json!({"application/json": {"schema": {"$ref": format!("{PREFIX}{schema}")}}});
            let operation = |action: &str, names: &[&str], answer: &str, body: Option<&[&str]>| {
                let mut operation = json!({
                    "operationId": format!("{action}{}", kind.as_str()), "parameters": parameters(names),
                    "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk,
                    "responses": {"200": {"description": "OK", "content": content(answer)}},
                });
                if let Some(types) = body {
                    let content: Map<String, Value> =
                        types.iter().map(|media| ((*media).to_owned(), json!({"schema": {"type": "object"}}))).collect();
                    operation["requestBody"] = json!({"required": true, "content": content});
                }
                operation
            };
            let place = |names: &[&str]| -> Value {
                names.iter().map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect()
            };
            let reading = [
                "labelSelector",
                "fieldSelector",
                "limit",
                "continue",
                "resourceVersion",
                "resourceVersionMatch",
                "watch",
                "allowWatchBookmarks",
                "sendInitialEvents",
                "timeoutSeconds",
            ];
            let plain: &[&str] = &["application/json"];
            let patches: &[&str] = &["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];
            let patching = ["dryRun", "fieldManager", "fieldValidation", "force"];
            let one = |suffix: &str| {
                json!({
                    "get": operation(&format!("get{suffix}"), &[], &name, None),
                    "put": operation(&format!("put{suffix}"), &WRITING, &name, Some(plain)),
                    "patch": operation(&format!("patch{suffix}"), &patching, &name, Some(patches)),
                    "parameters": place(&["namespace", "name"]),
                })
            };
            let root = format!("/apis/{GROUP}/{VERSION}");
            let plural = kind.plural();
            paths.insert(format!("{root}/{plural}"), json!({"get": operation("listAll", &reading, &list, None)}));
            let many = json!({
                "get": operation("list", &reading, &list, None), "post": operation("post", &WRITING, &name, Some(plain)),
                "delete": operation("deletecollection", &["dryRun", "labelSelector", "fieldSelector"], &list, None), "parameters": place(&["namespace"]),
            });
            paths.insert(format!("{root}/namespaces/{{namespace}}/{plural}"), many);
            let mut single = one("");
            single["delete"] = operation("delete", &["dryRun", "propagationPolicy", "gracePeriodSeconds"], &name, None);
            paths.insert(format!("{root}/namespaces/{{namespace}}/{plural}/{{name}}"), single);
            paths.insert(format!("{root}/namespaces/{{namespace}}/{plural}/{{name}}/status"), one("Status"));
        }
        json!({
            "openapi": "3.0.0",
            "info": {"title": "module-controller", "version": VERSION},
            "paths": paths,
            "components": {"schemas": schemas},
        })
    }

    /// Made anew with `UPDATE_OPENAPI=1 cargo test --workspace --release --lib openapi`.
    #[test]
    fn the_checked_in_description_is_that_of_the_documents() {
        let made = serde_json::to_string_pretty(&made()).unwrap() + "\n";
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json"), &made).unwrap();
        } else {
            assert!(made == CHECKED_IN, "openapi.json is out of date; make it anew with UPDATE_OPENAPI=1");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn follow(value: &'static Value) {
            if value.get("$ref").is_some() {
                assert!(!std::ptr::eq(resolved(value), value), "{value} leads nowhere");
            }
            match value {
                Value::Object(fields) => fields.values().for_each(follow),
                Value::Array(items) => items.iter().for_each(follow),
                _ => {}
            }
        }
        follow(&DESCRIPTION);
    }

    #[test]
    fn the_other_group_is_described_alike() {
        let other: Value = serde_json::from_str(&description(&format!("apis/{GROUP_ALIAS}/{VERSION}")).unwrap()).unwrap();
        assert!(other["paths"].as_object().unwrap().keys().all(|path| path.starts_with("/apis/koupleless.io/v1alpha1")));
    }
}
