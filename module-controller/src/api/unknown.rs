//! Fields that a document has and its kind does not.

use fleet::resource::Kind;
use serde_json::Value;

use super::openapi;

/// The paths of fields of `document` that are not known, e.g. `spec.replica`. What it says of its status does not count.
pub(crate) fn fields(kind: Kind, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if let (Some(schema), Value::Object(fields)) = (openapi::schema(kind), document) {
        for (name, value) in fields.iter().filter(|(name, _)| *name != "status") {
            match schema.pointer(&format!("/properties/{name}")) {
                Some(schema) => walk(schema, value, name, &mut found),
                None => found.push(name.clone()),
            }
        }
    }
    // Of an earlier version of the API; nobody minds.
    found.retain(|field| field != "metadata.selfLink");
    found
}

fn walk(schema: &'static Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let schema = openapi::resolved(schema);
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                match (properties.and_then(|properties| properties.get(name)), schema.get("additionalProperties")) {
                    (Some(schema), _) | (None, Some(schema)) => walk(schema, value, &path, found),
                    (None, None) if properties.is_some() => found.push(path),
                    (None, None) => {}
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, value) in items.iter().enumerate() {
                    walk(schema, value, &format!("{path}[{index}]"), found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_does_not_exist_is_named_by_its_path() {
        let document = json!({
            "apiVersion": "a", "kind": "b", "metadata": {"name": "a", "labels": {"any": "thing"}, "lables": {}, "managedFields": [{"manager": "m"}]},
            "spec": {
                "replica": 1, "operationStrategy": {"canary": [{"weight": 1, "wait": 2}], "maxUnavailable": "25%"},
                "template": {"spec": {"module": {"name": "a", "nmae": "b"}, "options": {"share": "all"}, "env": [{"name": "A", "value": "b"}]}},
            },
            "status": {"whatever": 1},
        });
        let mut found = fields(Kind::ModuleDeployment, &document);
        found.sort();
        assert_eq!(found, ["metadata.lables", "spec.operationStrategy.canary[0].wait", "spec.replica", "spec.template.spec.module.nmae"]);
        let module = json!({"spec": {"baseName": "b", "module": {"name": "a"}, "args": [], "no": 1}});
        assert_eq!(fields(Kind::Module, &module), ["spec.no"]);
    }
}
