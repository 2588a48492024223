//! Who set which field: `managedFields`, by which server-side apply knows what is whose.
//!
//! A field is a leaf: a value, or a whole list. Only conditions are told apart inside their list, by type.

use std::collections::{BTreeMap, BTreeSet};

use fleet::resource::Time;
use serde_json::{Map, Value, json};

use super::call::Part;

/// The most entries of a resource. Beyond, the oldest are forgotten: their fields are nobody's then.
const ENTRIES: usize = 32;

/// The way to a field, in the words of `fieldsV1`: `f:spec`, `f:replicas`.
type Path = Vec<String>;

/// Metadata that the controller writes and nobody owns.
const SYSTEM: [&str; 11] = [
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
];

/// Who writes, and what.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    /// By its `fieldManager`.
    pub(crate) manager: String,
    /// As `apiVersion` of what it writes.
    pub(crate) api_version: String,
    /// The part it writes.
    pub(crate) part: Part,
    /// When.
    pub(crate) now: Time,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    manager: String,
    applies: bool,
    subresource: String,
    api_version: String,
    time: Value,
    paths: BTreeSet<Path>,
}

impl Entry {
    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut paths = BTreeSet::new();
        read_paths(value.get("fieldsV1")?.as_object()?, &mut Vec::new(), &mut paths);
        Some(Self {
            manager: text("manager"),
            applies: text("operation") == "Apply",
            subresource: text("subresource"),
            api_version: text("apiVersion"),
            time: value.get("time").cloned().unwrap_or_default(),
            paths,
        })
    }

    fn write(&self) -> Value {
        let mut root = Map::new();
        for path in &self.paths {
            let mut node = &mut root;
            for element in path {
                let next =
                    node.entry(element.clone()).or_insert_with(|| if element.starts_with("k:") { json!({".": {}}) } else { json!({}) });
                let Value::Object(next) = next else { break };
                node = next;
            }
        }
        let mut value = json!({
            "manager": self.manager, "operation": if self.applies { "Apply" } else { "Update" }, "apiVersion": self.api_version,
            "time": self.time, "fieldsType": "FieldsV1", "fieldsV1": root,
        });
        if let (false, Value::Object(fields)) = (self.subresource.is_empty(), &mut value) {
            fields.insert("subresource".to_owned(), self.subresource.as_str().into());
        }
        value
    }

    fn is_of(&self, author: &Author, applies: bool) -> bool {
        self.manager == author.manager && self.applies == applies && self.subresource == author.part.as_str()
    }
}

fn read_paths(node: &Map<String, Value>, path: &mut Path, paths: &mut BTreeSet<Path>) {
    for (element, child) in node.iter().filter(|(element, _)| *element != ".") {
        path.push(element.clone());
        match child.as_object() {
            Some(child) if child.keys().any(|key| key != ".") => read_paths(child, path, paths),
            _ => drop(paths.insert(path.clone())),
        }
        path.pop();
    }
}

/// The fields of a document that may be owned, as far as they belong to `part`.
fn leaves(document: &Value, part: Part) -> BTreeMap<Path, &Value> {
    let mut found = BTreeMap::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        let belongs = match name.as_str() {
            "apiVersion" | "kind" => false,
            "status" => part == Part::Status,
            _ => part != Part::Status,
        };
        if belongs {
            leaf(value, &mut vec![format!("f:{name}")], &mut found);
        }
    }
    found.retain(|path, _| match path.as_slice() {
        [metadata, field, ..] => metadata != "f:metadata" || !SYSTEM.iter().any(|system| field.strip_prefix("f:") == Some(system)),
        _ => true,
    });
    found
}

fn leaf<'a>(value: &'a Value, path: &mut Path, found: &mut BTreeMap<Path, &'a Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(format!("f:{name}"));
                leaf(value, path, found);
                path.pop();
            }
        }
        Value::Array(items)
            if path.last().is_some_and(|last| last == "f:conditions") && items.iter().all(|item| kind_of(item).is_some()) =>
        {
            for item in items {
                path.push(key_of(kind_of(item).unwrap_or_default()));
                leaf(item, path, found);
                path.pop();
            }
        }
        _ => drop(found.insert(path.clone(), value)),
    }
}

fn kind_of(item: &Value) -> Option<&str> {
    item.get("type").and_then(Value::as_str)
}

fn key_of(kind: &str) -> String {
    format!("k:{}", json!({"type": kind}))
}

/// `.spec.replicas`, `.status.conditions[type="Ready"].status`.
fn written(path: &Path) -> String {
    path.iter()
        .map(|element| match element.split_once(':') {
            Some(("k", key)) => format!("[{}]", key.trim_matches(['{', '}']).replacen("\"type\":", "type=", 1)),
            Some((_, name)) => format!(".{name}"),
            None => element.clone(),
        })
        .collect()
}

fn set(document: &mut Value, path: &[String], value: &Value) {
    let Some((element, rest)) = path.split_first() else {
        *document = value.clone();
        return;
    };
    if let Some(name) = element.strip_prefix("f:") {
        if !document.is_object() {
            *document = json!({});
        }
        if let Value::Object(fields) = document {
            set(fields.entry(name).or_insert(Value::Null), rest, value);
        }
    } else {
        if !document.is_array() {
            *document = json!([]);
        }
        if let Value::Array(items) = document {
            match items.iter_mut().find(|item| kind_of(item).is_some_and(|kind| key_of(kind) == *element)) {
                Some(item) => set(item, rest, value),
                None => {
                    let mut item = element.strip_prefix("k:").and_then(|key| serde_json::from_str(key).ok()).unwrap_or_default();
                    set(&mut item, rest, value);
                    items.push(item);
                }
            }
        }
    }
}

/// Removes a field, and what is empty without it.
fn remove(document: &mut Value, path: &[String]) {
    let Some((element, rest)) = path.split_first() else { return };
    match (element.strip_prefix("f:"), document) {
        (Some(name), Value::Object(fields)) => {
            let goes = match fields.get_mut(name) {
                Some(_) if rest.is_empty() => true,
                Some(child) => {
                    remove(child, rest);
                    child.as_object().is_some_and(Map::is_empty) || child.as_array().is_some_and(Vec::is_empty)
                }
                None => false,
            };
            if goes {
                fields.remove(name);
            }
        }
        (None, Value::Array(items)) => {
            if let Some(item) = items.iter_mut().find(|item| kind_of(item).is_some_and(|kind| key_of(kind) == *element)) {
                remove(item, rest);
            }
            items.retain(|item| kind_of(item).is_some());
        }
        _ => {}
    }
}

/// What an apply comes to.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The document as it is to be.
    pub(crate) document: Value,
    /// Who set which of its fields then.
    pub(crate) managed: Vec<Value>,
}

/// Applies `config` to `live`, where there is one.
///
/// # Errors
/// The fields that others have set to something else, with who they are; none with `force`, which takes them over.
pub(crate) fn apply(
    live: Option<&Value>,
    config: &Value,
    managed: &[Value],
    author: &Author,
    force: bool,
) -> Result<Applied, Vec<(String, String)>> {
    let mut entries: Vec<Entry> = managed.iter().filter_map(Entry::read).collect();
    let nothing = json!({});
    let before = leaves(live.unwrap_or(&nothing), author.part);
    let wanted = leaves(config, author.part);
    let contested: BTreeSet<&Path> =
        wanted.iter().filter(|(path, value)| before.get(*path) != Some(*value)).map(|(path, _)| path).collect();
    let others = || entries.iter().filter(|entry| !entry.is_of(author, true));
    let conflicts: Vec<(String, String)> = others()
        .flat_map(|entry| entry.paths.iter().filter(|path| contested.contains(*path)).map(|path| (entry.manager.clone(), written(path))))
        .collect();
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let mut document = live.cloned().unwrap_or_else(|| json!({}));
    for (path, value) in &wanted {
        set(&mut document, path, value);
    }
    let mine = entries.iter().find(|entry| entry.is_of(author, true));
    for path in mine.into_iter().flat_map(|entry| &entry.paths) {
        if !wanted.contains_key(path) && !others().any(|entry| entry.paths.contains(path)) {
            remove(&mut document, path);
        }
    }
    for entry in entries.iter_mut().filter(|entry| !entry.is_of(author, true)) {
        entry.paths.retain(|path| !contested.contains(path));
    }
    own(&mut entries, author, true, wanted.into_keys().collect());
    Ok(Applied { document, managed: write(entries) })
}

/// Who set which field after `author` has made `new` of `old`, or made it anew as far as `given` says.
pub(crate) fn updated(old: Option<&Value>, new: &Value, given: Option<&Value>, managed: &[Value], author: &Author) -> Vec<Value> {
    let mut entries: Vec<Entry> = managed.iter().filter_map(Entry::read).collect();
    let nothing = json!({});
    let before = leaves(old.unwrap_or(&nothing), author.part);
    let after = leaves(new, author.part);
    let given = given.map(|given| leaves(given, author.part));
    let changed: BTreeSet<Path> = after
        .iter()
        .filter(|(path, value)| before.get(*path) != Some(*value) && given.as_ref().is_none_or(|given| given.contains_key(*path)))
        .map(|(path, _)| path.clone())
        .collect();
    let gone = |path: &Path| before.contains_key(path) && !after.contains_key(path);
    for entry in &mut entries {
        let mine = entry.is_of(author, false);
        entry.paths.retain(|path| !gone(path) && (mine || !changed.contains(path)));
    }
    let mine = entries.iter().find(|entry| entry.is_of(author, false));
    let all = mine.into_iter().flat_map(|entry| entry.paths.iter().cloned()).chain(changed).collect();
    own(&mut entries, author, false, all);
    write(entries)
}

/// Says that `author` has `paths`; the time stays where it had them already.
fn own(entries: &mut Vec<Entry>, author: &Author, applies: bool, paths: BTreeSet<Path>) {
    let entry = Entry {
        manager: author.manager.clone(),
        applies,
        subresource: author.part.as_str().to_owned(),
        api_version: author.api_version.clone(),
        // Whole seconds, as clients read them.
        time: json!(Time(author.now.0 / 1_000 * 1_000)),
        paths,
    };
    match entries.iter_mut().find(|entry| entry.is_of(author, applies)) {
        Some(before) if before.paths == entry.paths => {}
        Some(before) => *before = entry,
        None => entries.push(entry),
    }
}

fn write(mut entries: Vec<Entry>) -> Vec<Value> {
    entries.retain(|entry| !entry.paths.is_empty());
    let surplus = entries.len().saturating_sub(ENTRIES);
    entries.iter().skip(surplus).map(Entry::write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(manager: &str) -> Author {
        Author { manager: manager.to_owned(), api_version: "g/v1".to_owned(), part: Part::Main, now: Time(5_000) }
    }

    fn applied(live: &Applied, config: &Value, manager: &str) -> Result<Applied, Vec<(String, String)>> {
        apply(Some(&live.document), config, &live.managed, &author(manager), false)
    }

    fn first() -> Applied {
        apply(
            None,
            &json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"replicas": 1, "args": ["a"]}}),
            &[],
            &author("one"),
            false,
        )
        .unwrap()
    }

    #[test]
    fn what_is_not_applied_any_more_goes() {
        let second = applied(&first(), &json!({"metadata": {"name": "a"}, "spec": {"replicas": 1}}), "one").unwrap();
        assert_eq!(second.document, json!({"spec": {"replicas": 1}}));
    }

    #[test]
    fn two_may_apply_the_same_and_neither_removes_it_from_the_other() {
        let second = applied(&first(), &json!({"spec": {"replicas": 1}}), "two").unwrap();
        let third = applied(&second, &json!({"metadata": {"labels": {"x": "1"}}}), "one").unwrap();
        assert_eq!(third.document, json!({"metadata": {"labels": {"x": "1"}}, "spec": {"replicas": 1}}));
    }

    #[test]
    fn who_wants_something_else_is_told_whose_it_is() {
        let conflicts = applied(&first(), &json!({"spec": {"replicas": 2, "args": ["a"]}}), "two").unwrap_err();
        assert_eq!(conflicts, [("one".to_owned(), ".spec.replicas".to_owned())]);
        let forced = apply(Some(&first().document), &json!({"spec": {"replicas": 2}}), &first().managed, &author("two"), true).unwrap();
        assert_eq!(forced.document["spec"]["replicas"], 2);
        // It is the other's now: the first one may leave it out without removing it.
        let left = applied(&forced, &json!({"spec": {"args": ["a"]}}), "one").unwrap();
        assert_eq!(left.document["spec"], json!({"replicas": 2, "args": ["a"]}));
    }

    #[test]
    fn an_update_takes_over_what_it_changes() {
        let live = first();
        let new = json!({"metadata": {"labels": {"x": "1"}}, "spec": {"replicas": 3, "args": ["a"]}});
        let managed = updated(Some(&live.document), &new, None, &live.managed, &author("editor"));
        let conflicts = apply(Some(&new), &json!({"spec": {"replicas": 1}}), &managed, &author("one"), false).unwrap_err();
        assert_eq!(conflicts, [("editor".to_owned(), ".spec.replicas".to_owned())]);
    }

    #[test]
    fn conditions_are_told_apart_by_their_type() {
        let author = Author { part: Part::Status, ..author("one") };
        let live = json!({"status": {"conditions": [{"type": "A", "status": "True"}]}});
        let applied =
            apply(Some(&live), &json!({"status": {"conditions": [{"type": "B", "status": "False"}]}}), &[], &author, false).unwrap();
        assert_eq!(applied.document["status"]["conditions"], json!([{"type": "A", "status": "True"}, {"type": "B", "status": "False"}]));
        let gone = apply(Some(&applied.document), &json!({}), &applied.managed, &author, false).unwrap();
        assert_eq!(gone.document["status"]["conditions"], json!([{"type": "A", "status": "True"}]));
    }
}
