//! One resource of any kind that the API serves, as lists and watches see it.

use std::{collections::BTreeMap, sync::Arc};

use fleet::resource::{Document, Kind};
use serde_json::{Value, json};

use super::{call::Target, events};
use crate::store::{Event, Stored};

/// A resource.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Document(Stored),
    Event(Arc<Event>),
    Namespace(String),
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

impl Item {
    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::Document(document) => &document.meta().namespace,
            Self::Event(event) => &event.namespace,
            Self::Namespace(_) => "",
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Document(document) => &document.meta().name,
            Self::Event(event) => &event.name,
            Self::Namespace(name) => name,
        }
    }

    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Document(document) => &document.meta().labels,
            Self::Event(_) | Self::Namespace(_) => &NO_LABELS,
        }
    }

    /// Whether those of `target` can be asked for by this field.
    pub(crate) fn has_field(target: Target, field: &str) -> bool {
        let of_its_own: &[&str] = match target {
            Target::Fleet(Kind::ModuleDeployment, _) => &["spec.baseDeploymentName", "status.releaseStatus.progress"],
            Target::Fleet(Kind::Module, _) => &["spec.baseName", "status.status"],
            Target::Events => &[
                "involvedObject.kind",
                "involvedObject.name",
                "involvedObject.namespace",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "type",
                "source",
            ],
            Target::Namespaces => &["status.phase"],
            Target::Fleet(..) | Target::Review(_) | Target::Path => &[],
        };
        matches!(field, "metadata.name" | "metadata.namespace") || of_its_own.contains(&field)
    }

    /// The value of a field; empty where it has none.
    pub(crate) fn field(&self, field: &str) -> String {
        match (field, self) {
            ("metadata.name", _) => self.name().to_owned(),
            ("metadata.namespace", _) => self.namespace().to_owned(),
            ("status.phase", Self::Namespace(_)) => "Active".to_owned(),
            (_, Self::Document(document)) => match (field, &**document) {
                ("spec.baseDeploymentName", Document::ModuleDeployment(deployment)) => deployment.spec.base_deployment_name.clone(),
                ("status.releaseStatus.progress", Document::ModuleDeployment(deployment)) => {
                    format!("{:?}", deployment.status.release_status.progress)
                }
                ("spec.baseName", Document::Module(module)) => module.spec.base_name.clone(),
                ("status.status", Document::Module(module)) => module.status.status.as_str().to_owned(),
                _ => String::new(),
            },
            (_, Self::Event(event)) => {
                let about = &event.about;
                match field {
                    "involvedObject.kind" => about.kind.clone(),
                    "involvedObject.name" => about.name.clone(),
                    "involvedObject.namespace" => event.namespace.clone(),
                    "involvedObject.uid" => about.uid.clone(),
                    "involvedObject.apiVersion" => fleet::resource::API_VERSION.to_owned(),
                    "reason" => event.reason.clone(),
                    "type" => event.severity.as_str().to_owned(),
                    "source" => "module-controller".to_owned(),
                    _ => String::new(),
                }
            }
            (_, Self::Namespace(_)) => String::new(),
        }
    }

    /// As a document of `target`: under the group that was asked for.
    pub(crate) fn write(&self, target: Target) -> Value {
        match self {
            Self::Document(document) => write(document, target),
            Self::Event(event) => events::write(event),
            Self::Namespace(name) => json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "uid": format!("namespace-{name}"), "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": []}, "status": {"phase": "Active"},
            }),
        }
    }
}

/// A document under the group of `target`.
pub(crate) fn write(document: &Document, target: Target) -> Value {
    let mut value = document.write();
    if let Value::Object(fields) = &mut value {
        fields.insert("apiVersion".to_owned(), target.api_version().into());
    }
    value
}
