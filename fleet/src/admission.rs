//! What a document has to be to be accepted: what is filled in, and what is refused, field by field.

use std::fmt;

use crate::resource::{
    Base, Document, IntOrPercent, Module, ModuleDeployment, ModuleReplicaSet, Operator, Selector, Template, deployment::SchedulingStrategy,
    label,
};

/// The longest name of a resource.
const NAME: usize = 253;
/// The longest name of a deployment: its revisions and instances add to it.
const DEPLOYMENT_NAME: usize = 200;
/// The most batches.
const BATCHES: u32 = 10_000;
/// The most instances of one deployment.
const REPLICAS: i32 = 100_000;

/// A field that cannot be as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Its path, e.g. `spec.template.spec.module.url`.
    pub field: String,
    /// What it has to be.
    pub detail: String,
    /// Whether it has a wrong value, or none.
    pub fault: Fault,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has to be there.
    Required,
    /// Its value cannot be.
    Invalid,
    /// It may not change any more.
    Immutable,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Required => "Required value",
            Fault::Invalid => "Invalid value",
            Fault::Immutable => "Forbidden",
        };
        write!(f, "{}: {fault}: {}", self.field, self.detail)
    }
}

/// Fills in what the document leaves open and what everything after counts on.
pub fn default(document: &mut Document) {
    match document {
        Document::ModuleDeployment(deployment) => {
            let spec = &mut deployment.spec;
            spec.revision_history_limit.get_or_insert(10);
            spec.progress_deadline_seconds.get_or_insert(600);
            spec.operation_strategy.batch_count = spec.operation_strategy.batch_count.max(1);
            let policy = spec.operation_strategy.upgrade_policy.or(spec.template.spec.upgrade_policy).unwrap_or_default();
            spec.operation_strategy.upgrade_policy = Some(policy);
        }
        Document::ModuleReplicaSet(_) | Document::Module(_) | Document::Base(_) => {}
    }
}

/// What is wrong with a document, all of it.
#[must_use]
pub fn validate(document: &Document) -> Vec<FieldError> {
    let mut faults = Faults(Vec::new());
    let meta = document.meta();
    faults.name("metadata.name", &meta.name, NAME);
    for key in meta.labels.keys() {
        faults.check(is_label_key(key), "metadata.labels", || {
            format!("{key:?} is no label: a name of letters, digits, '-', '_', '.', after a domain and '/' where there is one")
        });
    }
    for (key, value) in &meta.labels {
        faults.check(is_label_value(value), &format!("metadata.labels.{key}"), || {
            format!("{value:?} is no label's value: at most 63 letters, digits, '-', '_', '.', with a letter or digit at both ends")
        });
    }
    match document {
        Document::ModuleDeployment(deployment) => faults.deployment(deployment),
        Document::ModuleReplicaSet(ModuleReplicaSet { spec, .. }) => faults.template("spec.template", &spec.template),
        Document::Module(module) => faults.module(module),
        Document::Base(base) => faults.base(base),
    }
    faults.0
}

/// What is wrong with a change from `old` to `new`.
#[must_use]
pub fn validate_update(old: &Document, new: &Document) -> Vec<FieldError> {
    let mut faults = validate(new);
    let immutable = |field: &str, detail: &str| FieldError { field: field.to_owned(), detail: detail.to_owned(), fault: Fault::Immutable };
    match (old, new) {
        (Document::ModuleDeployment(old), Document::ModuleDeployment(new)) => {
            let (old, new) = (&old.spec.template.spec.module.name, &new.spec.template.spec.module.name);
            if old != new {
                faults.push(immutable(
                    "spec.template.spec.module.name",
                    &format!("the module's name stays {old:?}; make another deployment for {new:?}"),
                ));
            }
        }
        (Document::Module(old), Document::Module(new)) if old.spec.base_name != new.spec.base_name => {
            faults.push(immutable("spec.baseName", "an instance stays on its base; delete it, and it is made anew where there is room"));
        }
        (Document::ModuleDeployment(_) | Document::ModuleReplicaSet(_) | Document::Module(_) | Document::Base(_), _) => {}
    }
    faults
}

struct Faults(Vec<FieldError>);

impl Faults {
    fn check(&mut self, is_so: bool, field: &str, detail: impl FnOnce() -> String) {
        if !is_so {
            self.0.push(FieldError { field: field.to_owned(), detail: detail(), fault: Fault::Invalid });
        }
    }

    fn required(&mut self, is_there: bool, field: &str, detail: &str) {
        if !is_there {
            self.0.push(FieldError { field: field.to_owned(), detail: detail.to_owned(), fault: Fault::Required });
        }
    }

    fn name(&mut self, field: &str, name: &str, longest: usize) {
        self.required(!name.is_empty(), field, "name or generateName is required");
        self.check(name.is_empty() || is_dns_name(name, longest), field, || {
            format!("{name:?} is no name: at most {longest} lower-case letters, digits, '-' and '.', with a letter or digit at both ends")
        });
    }

    fn deployment(&mut self, deployment: &ModuleDeployment) {
        let spec = &deployment.spec;
        self.name("metadata.name", &deployment.metadata.name, DEPLOYMENT_NAME);
        let selects = !spec.base_deployment_name.is_empty() || spec.base_selector.as_ref().is_some_and(|selector| !selector.is_empty());
        self.required(selects, "spec.baseDeploymentName", "say which bases run the module: a base deployment, or spec.baseSelector");
        if let Some(selector) = &spec.base_selector {
            self.selector("spec.baseSelector", selector);
        }
        self.template("spec.template", &spec.template);
        self.check((-1..=REPLICAS).contains(&spec.replicas), "spec.replicas", || {
            format!("{} is not between -1, one on every base, and {REPLICAS}", spec.replicas)
        });
        let operation = &spec.operation_strategy;
        self.check(operation.batch_count <= BATCHES, "spec.operationStrategy.batchCount", || {
            format!("{} is more than {BATCHES}", operation.batch_count)
        });
        if let Some(most) = &operation.max_unavailable {
            self.check(most.of(100).is_some(), "spec.operationStrategy.maxUnavailable", || match most {
                IntOrPercent::Int(count) => format!("{count} is below 0"),
                IntOrPercent::Percent(text) => format!("{text:?} is no percentage; write a number, or e.g. \"25%\""),
            });
        }
        for (index, step) in operation.canary.iter().enumerate() {
            self.check((1..100).contains(&step.weight), &format!("spec.operationStrategy.canary[{index}].weight"), || {
                format!("{} is not between 1 and 99", step.weight)
            });
        }
        let in_place = spec.upgrade_policy() == crate::resource::UpgradePolicy::InstallThenUninstall;
        self.check(operation.canary.is_empty() || in_place, "spec.operationStrategy.canary", || {
            "a canary shares traffic with the version before on the same base, which only install_then_uninstall gives".to_owned()
        });
        if let Some(checks) = &operation.checks {
            let percent = checks.max_error_percent.is_none_or(|percent| (0.0..=100.0).contains(&percent));
            self.check(percent, "spec.operationStrategy.checks.maxErrorPercent", || "it is not between 0 and 100".to_owned());
            let p99 = checks.max_p99_millis.is_none_or(|millis| millis.is_finite() && millis >= 0.0);
            self.check(p99, "spec.operationStrategy.checks.maxP99Millis", || "it is below 0".to_owned());
        }
        self.scheduling("spec.schedulingStrategy", &spec.scheduling_strategy);
    }

    fn scheduling(&mut self, field: &str, strategy: &SchedulingStrategy) {
        for (name, selector) in [("prefer", &strategy.prefer), ("avoid", &strategy.avoid)] {
            if let Some(selector) = selector {
                self.selector(&format!("{field}.{name}"), selector);
            }
        }
    }

    fn selector(&mut self, field: &str, selector: &Selector) {
        for (index, requirement) in selector.match_expressions.iter().enumerate() {
            let field = format!("{field}.matchExpressions[{index}]");
            self.required(!requirement.key.is_empty(), &format!("{field}.key"), "the label's name");
            let wants = matches!(requirement.operator, Operator::In | Operator::NotIn);
            self.check(wants != requirement.values.is_empty(), &format!("{field}.values"), || match requirement.operator {
                Operator::In | Operator::NotIn => "In and NotIn compare with at least one value".to_owned(),
                Operator::Exists | Operator::DoesNotExist => "Exists and DoesNotExist compare with no value".to_owned(),
            });
        }
    }

    fn template(&mut self, field: &str, template: &Template) {
        let module = &template.spec.module;
        for (key, value) in [("name", &module.name), ("version", &module.version), ("url", &module.url)] {
            self.required(!value.is_empty(), &format!("{field}.spec.module.{key}"), "every module has one");
        }
        if !module.name.is_empty() && !module.version.is_empty() {
            let id = ark_model::ModuleId::new(module.name.clone(), module.version.clone());
            self.check(id.is_ok(), &format!("{field}.spec.module"), || id.err().map(|invalid| invalid.to_string()).unwrap_or_default());
        }
        let scheme = ["file://", "http://", "https://", "sha256:"].iter().any(|scheme| module.url.starts_with(scheme));
        self.check(module.url.is_empty() || scheme, &format!("{field}.spec.module.url"), || {
            format!(
                "{:?} is no place that a base can fetch from: file://, http://, https://, or sha256:<hex> of an uploaded one",
                module.url
            )
        });
        if let Some(digest) = &module.sha256 {
            let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            self.check(is_digest, &format!("{field}.spec.module.sha256"), || "a SHA-256 has 64 hex digits".to_owned());
        }
        if let Some(kind) = &module.kind {
            self.check(matches!(kind.as_str(), "wasm" | "jvm" | "node"), &format!("{field}.spec.module.type"), || {
                format!("{kind:?} is none of wasm, jvm, node")
            });
        }
        for (index, variable) in template.spec.env.iter().enumerate() {
            self.required(!variable.name.is_empty(), &format!("{field}.spec.env[{index}].name"), "every variable has one");
        }
        if let Some(selector) = &template.spec.selector {
            self.selector(&format!("{field}.spec.selector"), selector);
        }
    }

    fn module(&mut self, module: &Module) {
        self.template("spec", &Template { spec: module.spec.template.clone(), ..Template::default() });
        for fault in &mut self.0 {
            // An instance has its template's fields in its own spec.
            if let Some(rest) = fault.field.strip_prefix("spec.spec.") {
                fault.field = format!("spec.{rest}");
            }
        }
    }

    fn base(&mut self, base: &Base) {
        if let Some(most) = base.metadata.label(label::MAX_MODULES) {
            self.check(most.parse::<u32>().is_ok(), &format!("metadata.labels.{}", label::MAX_MODULES), || {
                format!("{most:?} is no number")
            });
        }
    }
}

/// Whether a resource may be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    is_dns_name(name, NAME)
}

fn is_alphanumeric(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_alphanumeric)
}

fn is_dns_name(name: &str, longest: usize) -> bool {
    let bytes = name.as_bytes();
    bytes.len() <= longest
        && is_alphanumeric(bytes.first())
        && is_alphanumeric(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
}

fn is_label_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.is_empty()
        || bytes.len() <= 63
            && is_alphanumeric(bytes.first())
            && is_alphanumeric(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_label_key(key: &str) -> bool {
    let (domain, name) = key.split_once('/').map_or((None, key), |(domain, name)| (Some(domain), name));
    domain.is_none_or(|domain| is_dns_name(domain, NAME)) && !name.is_empty() && is_label_value(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Kind;
    use serde_json::{Value, json};

    fn deployment(change: impl FnOnce(&mut Value)) -> Document {
        let mut value = json!({
            "metadata": {"name": "shop"},
            "spec": {
                "baseDeploymentName": "default", "replicas": 2,
                "template": {"spec": {"module": {"name": "shop", "version": "1.0.0", "url": "http://packages/shop.wasm"}}},
            },
        });
        change(&mut value);
        Document::read(Kind::ModuleDeployment, value).unwrap()
    }

    fn fields(document: &Document) -> Vec<String> {
        validate(document).into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_whole_document_is_accepted_and_what_it_leaves_open_filled_in() {
        let mut document = deployment(|_| {});
        default(&mut document);
        assert_eq!(validate(&document), []);
        let Document::ModuleDeployment(deployment) = document else { panic!() };
        assert_eq!((deployment.spec.revision_history_limit, deployment.spec.operation_strategy.batch_count), (Some(10), 1));
    }

    #[test]
    fn each_wrong_field_is_named_by_its_path() {
        let wrong = deployment(|value| {
            value["metadata"]["name"] = "Shop".into();
            value["spec"]["baseDeploymentName"] = "".into();
            value["spec"]["replicas"] = (-2).into();
            value["spec"]["template"]["spec"]["module"]["url"] = "ftp://x".into();
            value["spec"]["template"]["spec"]["module"]["version"] = "".into();
            value["spec"]["operationStrategy"] = json!({"maxUnavailable": "a lot", "canary": [{"weight": 100}]});
        });
        let fields = fields(&wrong);
        for field in [
            "metadata.name",
            "spec.baseDeploymentName",
            "spec.replicas",
            "spec.template.spec.module.url",
            "spec.template.spec.module.version",
            "spec.operationStrategy.maxUnavailable",
            "spec.operationStrategy.canary[0].weight",
        ] {
            assert!(fields.iter().any(|wrong| wrong == field), "{field} is not in {fields:?}");
        }
    }

    #[test]
    fn a_canary_is_refused_wherever_it_says_that_versions_do_not_share_a_base() {
        let with = |place: fn(&mut Value) -> &mut Value, policy: &str| {
            fields(&deployment(|value| {
                value["spec"]["operationStrategy"]["canary"] = json!([{"weight": 10, "seconds": 1}]);
                place(value)["upgradePolicy"] = policy.into();
            }))
        };
        let places: [fn(&mut Value) -> &mut Value; 2] =
            [|value| &mut value["spec"]["operationStrategy"], |value| &mut value["spec"]["template"]["spec"]];
        for place in places {
            assert_eq!(with(place, "install_then_uninstall"), [""; 0]);
            assert_eq!(with(place, "uninstall_then_install"), ["spec.operationStrategy.canary"]);
            assert_eq!(with(place, "scaleup_then_scaledown"), ["spec.operationStrategy.canary"]);
        }
    }

    #[test]
    fn a_deployment_stays_with_its_module() {
        let other = deployment(|value| value["spec"]["template"]["spec"]["module"]["name"] = "cart".into());
        assert_eq!(validate_update(&deployment(|_| {}), &other)[0].fault, Fault::Immutable);
    }
}
