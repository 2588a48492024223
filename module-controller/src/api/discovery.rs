//! What this server has: for clients that look before they ask.

use axum::http::{HeaderMap, header};
use fleet::resource::{GROUP, GROUP_ALIAS, Kind, VERSION};
use serde_json::{Value, json};

/// The version of Kubernetes' API whose conventions hold here.
const MINOR: &str = "32";

const READING: [&str; 3] = ["get", "list", "watch"];
const ALL_VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

/// A resource as discovery tells of it.
struct Resource {
    plural: String,
    singular: String,
    short: &'static [&'static str],
    /// Of the document that is read and written there: group, version, kind.
    kind: (&'static str, &'static str, &'static str),
    namespaced: bool,
    verbs: &'static [&'static str],
    categories: &'static [&'static str],
}

fn of_fleet(group: &'static str) -> Vec<Resource> {
    // Of one group alone: short names would else be ambiguous, and `kubectl get all` have everything twice.
    let primary = group == GROUP;
    let resource = |kind: Kind, part: Option<(&str, (&'static str, &'static str, &'static str))>| Resource {
        plural: part.map_or_else(|| kind.plural().to_owned(), |(part, _)| format!("{}/{part}", kind.plural())),
        singular: part.map_or_else(|| kind.as_str().to_lowercase(), |_| String::new()),
        short: if primary && part.is_none() { short(kind) } else { &[] },
        kind: part.map_or((group, VERSION, kind.as_str()), |(_, kind)| kind),
        namespaced: true,
        verbs: if part.is_some() { &PART_VERBS } else { &ALL_VERBS },
        categories: if primary && part.is_none() { &["all", "fleet"] } else { &[] },
    };
    Kind::ALL
        .into_iter()
        .flat_map(|kind| {
            let scale = matches!(kind, Kind::ModuleDeployment | Kind::ModuleReplicaSet);
            let scale = scale.then(|| resource(kind, Some(("scale", ("autoscaling", "v1", "Scale")))));
            [Some(resource(kind, None)), Some(resource(kind, Some(("status", (group, VERSION, kind.as_str()))))), scale]
                .into_iter()
                .flatten()
        })
        .collect()
}

fn short(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ModuleDeployment => &["mddeploy"],
        Kind::ModuleReplicaSet => &["mdrs"],
        Kind::Module => &["md"],
        Kind::Base => &["bs"],
    }
}

fn of_core() -> Vec<Resource> {
    let resource = |plural: &str, short, kind, namespaced, verbs| Resource {
        plural: plural.to_owned(),
        singular: plural.trim_end_matches('s').to_owned(),
        short,
        kind: ("", "v1", kind),
        namespaced,
        verbs,
        categories: &[],
    };
    vec![
        resource("events", &["ev"], "Event", true, &READING),
        resource("namespaces", &["ns"], "Namespace", false, &["create", "get", "list", "watch"]),
    ]
}

fn of_reviews(group: &'static str) -> Vec<Resource> {
    let kinds: &[&'static str] =
        if group == "authorization.k8s.io" { &["SelfSubjectAccessReview", "SelfSubjectRulesReview"] } else { &["SelfSubjectReview"] };
    let resource = |kind: &&'static str| Resource {
        plural: format!("{}s", kind.to_lowercase()),
        singular: kind.to_lowercase(),
        short: &[],
        kind: (group, "v1", kind),
        namespaced: false,
        verbs: &["create"],
        categories: &[],
    };
    kinds.iter().map(resource).collect()
}

/// The groups beside the core one: name, version, resources. The first one that has a resource is the one that `kubectl` means.
fn groups() -> Vec<(&'static str, &'static str, Vec<Resource>)> {
    vec![
        (GROUP, VERSION, of_fleet(GROUP)),
        (GROUP_ALIAS, VERSION, of_fleet(GROUP_ALIAS)),
        ("authorization.k8s.io", "v1", of_reviews("authorization.k8s.io")),
        ("authentication.k8s.io", "v1", of_reviews("authentication.k8s.io")),
    ]
}

/// A document of discovery, and the media type it goes by.
pub(super) struct Found {
    pub(super) document: Value,
    pub(super) media: &'static str,
}

const AGGREGATED: [(&str, &str); 2] = [
    ("v2", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
    ("v2beta1", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"),
];

/// The document at `path`, if discovery has one.
pub(super) fn find(path: &str, headers: &HeaderMap) -> Option<Found> {
    let plain = |document| Some(Found { document, media: "application/json" });
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let aggregated = accept.split(',').find_map(|offer| {
        let has = |part: &str| offer.split(';').any(|offered| offered.trim() == part);
        AGGREGATED.into_iter().find(|(version, _)| has("as=APIGroupDiscoveryList") && has(&format!("v={version}")))
    });
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match (segments.as_slice(), aggregated) {
        (["version"], _) => plain(version()),
        (["api"], Some((version, media))) => Some(Found { document: aggregate(version, &[("", "v1", of_core())]), media }),
        (["apis"], Some((version, media))) => Some(Found { document: aggregate(version, &groups()), media }),
        (["api"], None) => plain(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        (["api", "v1"], _) => plain(resources("v1", &of_core())),
        (["apis"], None) => {
            let groups: Vec<Value> = groups().iter().map(|(name, version, _)| group(name, version)).collect();
            plain(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        (["apis", name], _) => {
            let (name, version, _) = groups().into_iter().find(|(group, ..)| group == name)?;
            let mut document = group(name, version);
            if let Value::Object(fields) = &mut document {
                fields.extend([("kind".to_owned(), "APIGroup".into()), ("apiVersion".to_owned(), "v1".into())]);
            }
            plain(document)
        }
        (["apis", name, version], _) => {
            let (_, _, found) = groups().into_iter().find(|(group, known, _)| group == name && known == version)?;
            plain(resources(&format!("{name}/{version}"), &found))
        }
        _ => None,
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": MINOR, "gitVersion": format!("v1.{MINOR}.0+module-controller.{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn group(name: &str, version: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(group_version: &str, resources: &[Resource]) -> Value {
    let one = |resource: &Resource| {
        let (group, version, kind) = resource.kind;
        let mut fields = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced, "kind": kind,
            "verbs": resource.verbs, "shortNames": resource.short, "categories": resource.categories,
        });
        if let (true, Value::Object(fields)) = (group == "autoscaling", &mut fields) {
            fields.extend([("group".to_owned(), group.into()), ("version".to_owned(), version.into())]);
        }
        fields
    };
    let all: Vec<Value> = resources.iter().map(one).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": all})
}

/// All resources of all groups in one document, with parts under the resource that they are of.
fn aggregate(format: &str, groups: &[(&str, &str, Vec<Resource>)]) -> Value {
    let kind = |resource: &Resource| {
        let (group, version, kind) = resource.kind;
        json!({"group": group, "version": version, "kind": kind})
    };
    let of_group = |(name, version, resources): &(&str, &str, Vec<Resource>)| {
        let whole = resources.iter().filter(|resource| !resource.plural.contains('/'));
        let resources: Vec<Value> = whole
            .map(|resource| {
                let parts = resources.iter().filter_map(|part| Some((part, part.plural.strip_prefix(&resource.plural)?.strip_prefix('/')?)));
                let parts: Vec<Value> = parts.map(|(part, name)| json!({"subresource": name, "responseKind": kind(part), "verbs": part.verbs})).collect();
                json!({
                    "resource": resource.plural, "responseKind": kind(resource), "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                    "singularResource": resource.singular, "verbs": resource.verbs, "shortNames": resource.short,
                    "categories": resource.categories, "subresources": parts,
                })
            })
            .collect();
        json!({"metadata": {"name": name, "creationTimestamp": null}, "versions": [{"version": version, "resources": resources, "freshness": "Current"}]})
    };
    let items: Vec<Value> = groups.iter().map(of_group).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": format!("apidiscovery.k8s.io/{format}"), "metadata": {}, "items": items})
}
