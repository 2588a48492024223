//! What an apply changes: the fields that are another in the document after it than in the one before.

use serde::Serialize;
use serde_json::Value;

/// One field that is another.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    /// Its path: `spec.replicas`, `spec.template.spec.env[0].value`.
    pub(super) field: String,
    /// What it was; none where it was not there.
    pub(super) before: Option<Value>,
    /// What it is; none where it is not there any more.
    pub(super) after: Option<Value>,
}

/// What of metadata says who wrote it and when, and nothing of what is wanted.
const OF_THE_SERVER: [&str; 3] = ["managedFields", "resourceVersion", "generation"];

/// The fields that differ, but for what the server itself keeps: its part of the metadata, and the status.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(before), Some(after), &mut changes);
    changes
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
            names.sort_unstable();
            let kept = |name: &str| !(path.is_empty() && name == "status" || path == "metadata" && OF_THE_SERVER.contains(&name));
            for name in names.into_iter().filter(|name| kept(name)) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                compare(&path, old.get(name), new.get(name), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for at in 0..old.len().max(new.len()) {
                compare(&format!("{path}[{at}]"), old.get(at), new.get(at), changes);
            }
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(Change { field: path.to_owned(), before: before.cloned(), after: after.cloned() }),
    }
}

impl Change {
    /// As people read it: `spec.replicas: 2 → 3`.
    pub(super) fn render(&self) -> String {
        let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        format!("{}: {} → {}", self.field, shown(&self.before), shown(&self.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_wanted_is_compared() {
        let before = json!({"metadata": {"name": "a", "resourceVersion": "1", "generation": 1, "managedFields": [1]}, "spec": {"replicas": 2},
            "status": {"replicas": 2}});
        let mut after = before.clone();
        after["metadata"] = json!({"name": "a", "resourceVersion": "2", "generation": 2, "managedFields": [2]});
        after["status"] = json!({"replicas": 3});
        assert!(changes(&before, &after).is_empty());
        // A field of a spec may be called the same.
        let named = |value: i32| json!({"spec": {"generation": value, "status": value}});
        assert_eq!(changes(&named(1), &named(2)).len(), 2);
    }

    #[test]
    fn every_field_is_said_with_what_it_was_and_what_it_is() {
        let before = json!({"spec": {"replicas": 2, "env": [{"name": "A", "value": "1"}], "paused": true}});
        let after = json!({"spec": {"replicas": 3, "env": [{"name": "A", "value": "2"}, {"name": "B"}]}});
        let said: Vec<String> = changes(&before, &after).iter().map(Change::render).collect();
        assert_eq!(
            said,
            [
                "spec.env[0].value: \"1\" → \"2\"",
                "spec.env[1]: nothing → {\"name\":\"B\"}",
                "spec.paused: true → nothing",
                "spec.replicas: 2 → 3"
            ]
        );
    }
}
