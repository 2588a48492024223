//! Documents that are to be sent: read from files of YAML or JSON, and each found its place.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::resource;
use crate::error::Error;

/// One document, and where it goes.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    /// As it was written, with its namespace.
    pub(super) value: Value,
    /// The path of the API under which it is found.
    pub(super) path: String,
    /// How people call it: `moduledeployment/shop`.
    pub(super) name: String,
}

/// Reads all documents of `files`, where `-` is standard input and a directory all files of YAML and JSON in it. Those without a
/// namespace go into `namespace`.
///
/// # Errors
/// A file that cannot be read, or a document that is none of the fleet's; nothing has been sent then.
pub(super) fn read(files: &[PathBuf], namespace: &str, asked: Option<&str>) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    for file in files {
        for (source, text) in texts(file)? {
            let values = parse(&text).map_err(|problem| Error::Document { place: source.clone(), problem })?;
            for (at, value) in flat(values).into_iter().enumerate() {
                let place = format!("{source}, document {}", at + 1);
                let placed = place_of(value, namespace, asked);
                documents.push(placed.map_err(|problem| Error::Document { place, problem })?);
            }
        }
    }
    if documents.is_empty() {
        return Err(Error::Usage("there is no document in what -f names".to_owned()));
    }
    Ok(documents)
}

/// The texts of a file, of standard input, or of a directory, each with its name.
fn texts(file: &Path) -> Result<Vec<(String, String)>, Error> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| Error::System { doing: "read standard input", problem: error.to_string() })?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { doing: "read", path, source }
    };
    let mut paths = vec![file.to_owned()];
    if file.is_dir() {
        let entries = std::fs::read_dir(file).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>());
        paths = entries.map_err(failed(file))?;
        paths.retain(|path| path.extension().is_some_and(|kind| ["yaml", "yml", "json"].iter().any(|known| kind == *known)));
        paths.sort_unstable();
    }
    paths.iter().map(|path| Ok((path.display().to_string(), std::fs::read_to_string(path).map_err(failed(path))?))).collect()
}

/// The documents of a text. JSON is told by its first letter: not all of it is YAML (a tab is none).
fn parse(text: &str) -> Result<Vec<Value>, String> {
    if text.trim_start().starts_with(['{', '[']) {
        let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        if let Ok(documents) = documents {
            return Ok(documents);
        }
    }
    serde_saphyr::from_multiple(text).map_err(|error| error.to_string())
}

/// The items of lists in place of them.
fn flat(values: Vec<Value>) -> Vec<Value> {
    let items = |value: Value| match value {
        Value::Array(items) => items,
        Value::Object(mut fields) if fields.get("kind").and_then(Value::as_str) == Some("List") => match fields.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        Value::Null => Vec::new(),
        other => vec![other],
    };
    values.into_iter().flat_map(items).collect()
}

fn place_of(mut value: Value, namespace: &str, asked: Option<&str>) -> Result<Document, String> {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    if api_version.is_empty() || kind.is_empty() {
        return Err("it has no apiVersion or no kind".to_owned());
    }
    if name.is_empty() {
        return Err(format!("this {kind} has no metadata.name"));
    }
    let own = text("/metadata/namespace");
    if let Some(asked) = asked.filter(|asked| !own.is_empty() && own != *asked) {
        return Err(format!("it is of the namespace {own:?}, and --namespace says {asked:?}"));
    }
    let namespace = if own.is_empty() { namespace.to_owned() } else { own };
    let path = resource::place(&api_version, &kind, &namespace, &name).ok_or_else(|| {
        format!("the kind {kind} of {api_version} is none of the fleet's: ModuleDeployment, ModuleReplicaSet, Module and Base of serverless.alipay.com/v1alpha1")
    })?;
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        metadata.insert("namespace".to_owned(), namespace.into());
        // What a document has that was written by a server: of no use to another one, and refused.
        for field in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
            metadata.remove(field);
        }
    }
    if let Value::Object(fields) = &mut value {
        fields.remove("status");
    }
    Ok(Document { value, path, name: format!("{}/{name}", kind.to_lowercase()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SHOP: &str = "apiVersion: serverless.alipay.com/v1alpha1\nkind: ModuleDeployment\nmetadata: {name: shop}\n";

    fn read_text(text: &str, asked: Option<&str>) -> Result<Vec<Document>, Error> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fleet.yaml");
        std::fs::write(&path, text).unwrap();
        read(&[path], asked.unwrap_or("default"), asked)
    }

    #[test]
    fn documents_of_a_file_and_of_lists_each_find_their_place() {
        let text = format!(
            "# two\n---\n{SHOP}---\n---\napiVersion: v1\nkind: List\nitems:\n- {{apiVersion: koupleless.io/v1alpha1, kind: Base, metadata: {{name: a, namespace: b}}}}\n"
        );
        let documents = read_text(&text, None).unwrap();
        let places: Vec<(&str, &str)> = documents.iter().map(|document| (document.name.as_str(), document.path.as_str())).collect();
        assert_eq!(
            places,
            [
                ("moduledeployment/shop", "/apis/serverless.alipay.com/v1alpha1/namespaces/default/moduledeployments/shop"),
                ("base/a", "/apis/koupleless.io/v1alpha1/namespaces/b/bases/a"),
            ]
        );
        assert_eq!(documents[0].value["metadata"]["namespace"], "default");
    }

    #[test]
    fn json_is_read_whether_it_is_yaml_or_not() {
        let one = json!({"apiVersion": "koupleless.io/v1alpha1", "kind": "Module", "metadata": {"name": "a"}});
        let text = format!("{}\n{one}", serde_json::to_string_pretty(&one).unwrap().replace("  ", "\t"));
        assert_eq!(read_text(&text, None).unwrap().len(), 2);
    }

    #[test]
    fn words_and_numbers_are_what_kubectl_takes_them_for() {
        let text = "a: 1\nb: \"1.0\"\nc: 1.5\nd: yes\ne: true\nf: ~\ng: 0.1.0\nh: 2023-01-01\ni: |\n  x\n  y\nj: \"yes\"\n";
        let expected = json!({"a": 1, "b": "1.0", "c": 1.5, "d": true, "e": true, "f": null, "g": "0.1.0", "h": "2023-01-01", "i": "x\ny\n", "j": "yes"});
        assert_eq!(parse(text).unwrap(), [expected]);
    }

    #[test]
    fn what_is_written_as_yaml_is_read_as_the_same() {
        let texts = [
            "",
            "yes",
            "true",
            "null",
            "~",
            "1.0",
            "0x1",
            "1e3",
            "- a",
            "a: b",
            "#",
            " x ",
            "a\nb\n",
            "\"",
            "'",
            "{}",
            "*a",
            "é",
            "2023-01-01",
        ];
        let value = json!({"texts": texts, "list": [{}, [], {"a": null}], "number": -1.5, "on": "off"});
        assert_eq!(parse(&serde_saphyr::to_string(&value).unwrap()).unwrap(), [value]);
    }

    #[test]
    fn what_another_server_wrote_is_left_out() {
        let text = format!("{SHOP}status: {{replicas: 1}}\n")
            .replace("{name: shop}", "{name: shop, uid: u, resourceVersion: \"7\", managedFields: []}");
        let documents = read_text(&text, None).unwrap();
        assert_eq!(documents[0].value["metadata"], json!({"name": "shop", "namespace": "default"}));
        assert!(documents[0].value.get("status").is_none());
    }

    #[test]
    fn a_document_that_has_no_place_is_told_with_its_number_before_anything_is_sent() {
        for (text, asked, problem) in [
            (
                format!("{SHOP}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\n"),
                None,
                "fleet.yaml, document 2: the kind ConfigMap of v1",
            ),
            ("kind: Module\n".to_owned(), None, "no apiVersion"),
            (SHOP.replace("{name: shop}", "{}"), None, "has no metadata.name"),
            (SHOP.replace("{name: shop}", "{name: shop, namespace: a}"), Some("b"), "--namespace says \"b\""),
            ("a: [".to_owned(), None, "fleet.yaml: "),
            ("# nothing\n".to_owned(), None, "no document"),
        ] {
            let error = read_text(&text, asked).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
}
