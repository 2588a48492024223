//! Creating, changing and deleting.
//!
//! A change is decided on what is there, by a plain function ([`settle`]), and stored where that is still so; else it is decided again.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use fleet::{
    admission::{self, Fault, FieldError},
    resource::{Base, Document, Key, Kind, Meta, Module, ModuleDeployment, ModuleReplicaSet, Write, label},
};
use serde_json::{Value, json};

use super::{
    Api,
    call::{Call, Part, Target, Verb},
    events,
    item::{Item, write},
    managed::{self, Author},
    select::Choice,
    status::Refusal,
    unknown,
};
use crate::store::{StoreError, Stored};

/// How often a change is decided anew because another one came first.
const ATTEMPTS: u32 = 8;

const BASES_JOIN: &str = "a base makes itself known: start it with --controller; its spec and labels may be changed once it is there";
const MODULES_ARE_MADE: &str =
    "instances are made by their ModuleDeployment: change that; an instance that is deleted is made anew where there is room";

/// What a change came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) code: StatusCode,
    pub(super) document: Value,
    pub(super) warnings: Vec<String>,
}

/// The body of a patch.
#[derive(Debug)]
enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Apply {
        config: Value,
        force: bool,
    },
    /// The whole document.
    Replace(Value),
}

impl Patch {
    fn read(call: &Call, headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        if call.verb == Verb::Update {
            return Ok(Self::Replace(json_of(body)?));
        }
        let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match media.split(';').next().map(str::trim).unwrap_or_default() {
            "application/json-patch+json" => {
                let patch =
                    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("this is no JSON patch: {error}")))?;
                Ok(Self::Json(patch))
            }
            "application/merge-patch+json" => Ok(Self::Merge(json_of(body)?)),
            "application/apply-patch+yaml" if call.part == Part::Scale => {
                Err(Refusal::unsupported("a scale is not applied: patch it with application/merge-patch+json"))
            }
            "application/apply-patch+yaml" => {
                let config = serde_json::from_slice(body).map_err(|error| {
                    Refusal::unsupported(format!("server-side apply takes JSON here, which is YAML as well, and this is none: {error}"))
                })?;
                Ok(Self::Apply { config, force: call.flag("force") })
            }
            other => Err(Refusal::unsupported(format!(
                "{other:?} is not supported: accepted media types include application/json-patch+json, application/merge-patch+json, \
                 application/apply-patch+yaml"
            ))),
        }
    }

    /// What `before` becomes; of no use to an apply.
    fn on(&self, target: Target, name: &str, before: &Value) -> Result<Value, Refusal> {
        match self {
            Self::Replace(document) | Self::Apply { config: document, .. } => Ok(document.clone()),
            Self::Merge(patch) => {
                let mut document = before.clone();
                json_patch::merge(&mut document, patch);
                Ok(document)
            }
            Self::Json(patch) => {
                let mut document = before.clone();
                let failed = |error: json_patch::PatchError| {
                    let fault = FieldError { field: "patch".to_owned(), detail: error.to_string(), fault: Fault::Invalid };
                    Refusal::invalid(target, name, &[fault])
                };
                json_patch::patch(&mut document, patch).map_err(failed)?;
                Ok(document)
            }
        }
    }
}

fn json_of(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("the body is no JSON: {error}")))
}

/// A document as it was given, with what is not known in it.
#[derive(Debug)]
struct Given {
    document: Document,
    value: Value,
    warnings: Vec<String>,
}

/// Reads a document, and refuses what cannot be read: naming the field.
fn read(call: &Call, kind: Kind, mut value: Value) -> Result<Given, Refusal> {
    without_nulls(&mut value);
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let (expected, given) = (call.target.api_version(), text("apiVersion"));
    if given != expected {
        let message = format!("the API version in the data ({given}) does not match the expected API version ({expected})");
        return Err(Refusal::bad_request(message));
    }
    if text("kind") != kind.as_str() {
        return Err(Refusal::bad_request(format!(
            "the kind in the data ({}) does not match the expected kind ({})",
            text("kind"),
            kind.as_str()
        )));
    }
    let mut warnings = Vec::new();
    let unknown = || unknown::fields(kind, &value).into_iter().map(|field| format!("unknown field {field:?}"));
    match call.parameter("fieldValidation") {
        Some("Strict") => {
            let unknown: Vec<String> = unknown().collect();
            if !unknown.is_empty() {
                let message =
                    format!("{} in version {:?} cannot be handled: strict decoding error: {}", kind.as_str(), expected, unknown.join(", "));
                return Err(Refusal::bad_request(message));
            }
        }
        Some("Ignore") => {}
        _ => warnings.extend(unknown()),
    }
    let document = typed(kind, &value).map_err(|fault| Refusal::invalid(call.target, &name, &[fault]))?;
    Ok(Given { document, value, warnings })
}

fn typed(kind: Kind, value: &Value) -> Result<Document, FieldError> {
    fn of<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, FieldError> {
        serde_path_to_error::deserialize(value).map_err(|error| FieldError {
            field: error.path().to_string(),
            detail: error.inner().to_string(),
            fault: Fault::Invalid,
        })
    }
    Ok(match kind {
        Kind::ModuleDeployment => Document::ModuleDeployment(of::<ModuleDeployment>(value)?),
        Kind::ModuleReplicaSet => Document::ModuleReplicaSet(of::<ModuleReplicaSet>(value)?),
        Kind::Module => Document::Module(of::<Module>(value)?),
        Kind::Base => Document::Base(of::<Base>(value)?),
    })
}

/// `null` is the same as nothing.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// One without status, of the kind of `like`.
fn without_status(like: &Document) -> Document {
    match like {
        Document::ModuleDeployment(_) => Document::ModuleDeployment(ModuleDeployment::default()),
        Document::ModuleReplicaSet(_) => Document::ModuleReplicaSet(ModuleReplicaSet::default()),
        Document::Module(_) => Document::Module(Module::default()),
        Document::Base(_) => Document::Base(Base::default()),
    }
}

/// What is to be stored where nothing is there yet.
fn begin(call: &Call, author: &Author, given: Given, managed: Option<Vec<Value>>) -> Result<(Document, Vec<String>), Refusal> {
    let Given { mut document, value, warnings } = given;
    let name = document.meta().name.clone();
    match document.kind() {
        Kind::Module => return Err(Refusal::forbidden(call.target, &name, MODULES_ARE_MADE)),
        Kind::Base => return Err(Refusal::forbidden(call.target, &name, BASES_JOIN)),
        Kind::ModuleDeployment | Kind::ModuleReplicaSet => {}
    }
    document.take_status(&without_status(&document));
    let meta = document.meta_mut();
    if !meta.resource_version.is_empty() {
        return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
    }
    place(call, meta)?;
    if meta.name.is_empty() && !meta.generate_name.is_empty() {
        meta.name = format!("{}{}", meta.generate_name, suffix());
    }
    (meta.uid, meta.generation, meta.creation_timestamp) = (String::new(), 0, None);
    (meta.deletion_timestamp, meta.deletion_grace_period_seconds) = (None, None);
    admission::default(&mut document);
    let faults = admission::validate(&document);
    if !faults.is_empty() {
        return Err(Refusal::invalid(call.target, &document.meta().name, &faults));
    }
    let tracked = |document: &Document| managed::updated(None, &write(document, call.target), Some(&value), &[], author);
    document.meta_mut().managed_fields = managed.unwrap_or_else(|| tracked(&document));
    Ok((document, warnings))
}

/// Puts a document where its path says.
fn place(call: &Call, meta: &mut Meta) -> Result<(), Refusal> {
    let namespace = call.namespace.as_deref().unwrap_or_default();
    if !meta.namespace.is_empty() && meta.namespace != namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Refusal::bad_request(message));
    }
    namespace.clone_into(&mut meta.namespace);
    if let Some(name) = &call.name {
        if !meta.name.is_empty() && meta.name != *name {
            let message = format!("the name of the object ({}) does not match the name on the URL ({name})", meta.name);
            return Err(Refusal::bad_request(message));
        }
        meta.name.clone_from(name);
    }
    Ok(())
}

/// The end of a name that is made: letters that spell nothing.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    (0..5).filter_map(|_| LETTERS.get(fastrand::usize(..LETTERS.len())).map(|letter| char::from(*letter))).collect()
}

/// What is to be stored in the place of `live`.
fn settle(
    call: &Call,
    author: &Author,
    live: &Document,
    given: Given,
    managed: Option<Vec<Value>>,
) -> Result<(Document, Vec<String>), Refusal> {
    let Given { mut document, warnings, .. } = given;
    let (name, old) = (live.meta().name.clone(), live.meta());
    place(call, document.meta_mut())?;
    let meta = document.meta_mut();
    if !meta.uid.is_empty() && meta.uid != old.uid {
        let why = format!("Precondition failed: UID in precondition: {}, UID in object meta: {}", meta.uid, old.uid);
        return Err(Refusal::conflict(call.target, &name, &why));
    }
    let asked = if meta.managed_fields == old.managed_fields { &old.managed_fields } else { &meta.managed_fields.clone() };
    if call.part == Part::Status {
        let mut next = live.clone();
        next.take_status(&document);
        document = next;
    } else {
        (meta.uid, meta.generate_name) = (old.uid.clone(), old.generate_name.clone());
        (meta.creation_timestamp, meta.generation) = (old.creation_timestamp, old.generation);
        (meta.deletion_timestamp, meta.deletion_grace_period_seconds) = (old.deletion_timestamp, old.deletion_grace_period_seconds);
        meta.resource_version.clone_from(&old.resource_version);
        document.take_status(live);
        admission::default(&mut document);
    }
    guard(call, live, &document)?;
    let mut faults = if call.part == Part::Status { Vec::new() } else { admission::validate_update(live, &document) };
    if old.is_going() && document.meta().finalizers.iter().any(|finalizer| !old.finalizers.contains(finalizer)) {
        let detail = "no finalizer is added to what is being deleted".to_owned();
        faults.push(FieldError { field: "metadata.finalizers".to_owned(), detail, fault: Fault::Immutable });
    }
    if !faults.is_empty() {
        return Err(Refusal::invalid(call.target, &name, &faults));
    }
    let tracked = || managed::updated(Some(&write(live, call.target)), &write(&document, call.target), None, asked, author);
    let managed = managed.unwrap_or_else(tracked);
    document.meta_mut().managed_fields = managed;
    Ok((document, warnings))
}

/// What nobody but the controller writes.
fn guard(call: &Call, live: &Document, next: &Document) -> Result<(), Refusal> {
    let forbidden = |why: &str| Err(Refusal::forbidden(call.target, &live.meta().name, why));
    match (live.kind(), call.part) {
        (Kind::Module, Part::Main) if !next.wants_the_same(live) => forbidden(MODULES_ARE_MADE),
        (Kind::Module | Kind::Base, Part::Status) => forbidden("what there is of it is said by the base itself"),
        _ => Ok(()),
    }
}

impl Api {
    /// Stores `write`, and gives what it came to.
    async fn commit(&self, write: Write) -> Result<Stored, StoreError> {
        let changes = self.store.commit(vec![write], None).await?;
        let change = changes.into_iter().next().ok_or_else(|| StoreError::Failed("the store gave no answer".to_owned()))?;
        Ok(change.after)
    }

    async fn live(&self, call: &Call, kind: Kind) -> Result<Option<Stored>, Refusal> {
        let name = call.name.as_deref().unwrap_or_default();
        let key = Key::new(call.namespace.as_deref().unwrap_or_default(), name);
        self.store.get(kind, key).await.map_err(|error| Refusal::of_store(&error, call.target, name))
    }

    pub(super) async fn create(&self, call: &Call, headers: &HeaderMap, body: &[u8]) -> Result<Done, Refusal> {
        match call.target {
            Target::Namespaces => self.create_namespace(call, body),
            Target::Fleet(kind, _) if call.namespace.is_some() && call.name.is_none() => {
                let author = author(call, headers);
                let (document, warnings) = begin(call, &author, read(call, kind, json_of(body)?)?, None)?;
                self.store_new(call, kind, document, warnings).await
            }
            _ => Err(not_allowed(call)),
        }
    }

    async fn store_new(&self, call: &Call, kind: Kind, mut document: Document, warnings: Vec<String>) -> Result<Done, Refusal> {
        let name = document.meta().name.clone();
        let refused = |error: StoreError| Refusal::of_store(&error, call.target, &name);
        let stored = if call.is_dry_run() {
            if self.store.get(kind, document.key()).await.map_err(refused)?.is_some() {
                return Err(Refusal::exists(call.target, &name));
            }
            let meta = document.meta_mut();
            (meta.generation, meta.creation_timestamp) = (1, Some(events::now()));
            // As long as a real one, and nobody's.
            meta.uid = "00000000-0000-4000-8000-000000000000".to_owned();
            Arc::new(document)
        } else {
            self.commit(Write::Create(document)).await.map_err(refused)?
        };
        Ok(Done { code: StatusCode::CREATED, document: write(&stored, call.target), warnings })
    }

    fn create_namespace(&self, call: &Call, body: &[u8]) -> Result<Done, Refusal> {
        let given = json_of(body)?;
        let name = given.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let is_name = !name.is_empty()
            && name.len() <= 63
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_name {
            let detail = format!("{name:?} is no name: at most 63 lower-case letters, digits and '-'");
            return Err(Refusal::invalid(
                call.target,
                name,
                &[FieldError { field: "metadata.name".to_owned(), detail, fault: Fault::Invalid }],
            ));
        }
        if !call.is_dry_run() && !self.add_namespace(name) {
            return Err(Refusal::exists(call.target, name));
        }
        Ok(Done { code: StatusCode::CREATED, document: Item::Namespace(name.to_owned()).write(call.target), warnings: Vec::new() })
    }

    pub(super) async fn change(&self, call: &Call, headers: &HeaderMap, body: &[u8]) -> Result<Done, Refusal> {
        let Target::Fleet(kind, _) = call.target else { return Err(not_allowed(call)) };
        let patch = Patch::read(call, headers, body)?;
        let author = author(call, headers);
        if matches!(patch, Patch::Apply { .. }) && call.parameter("fieldManager").is_none() {
            return Err(Refusal::bad_request("fieldManager is required for an apply: it says whose the fields are"));
        }
        let name = call.name.clone().unwrap_or_default();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Some(live) = self.live(call, kind).await? else {
                let Patch::Apply { config, .. } = &patch else { return Err(Refusal::not_found(call.target, &name)) };
                if call.part != Part::Main {
                    return Err(Refusal::not_found(call.target, &name));
                }
                let (document, warnings) = self.apply_new(call, kind, &author, config)?;
                match self.store_new(call, kind, document, warnings).await {
                    // Another one made it meanwhile: this is a change of that then.
                    Err(refusal) if refusal.code() == StatusCode::CONFLICT && attempt < ATTEMPTS => continue,
                    done => return done,
                }
            };
            let (next, pinned, warnings) = self.next(call, kind, &author, &live, &patch)?;
            if next == *live {
                return Ok(Done { code: StatusCode::OK, document: self.shown(call, &live), warnings });
            }
            if call.is_dry_run() {
                return Ok(Done { code: StatusCode::OK, document: self.shown(call, &foreseen(&live, next)), warnings });
            }
            match self.commit(Write::Update(next)).await {
                Ok(stored) => return Ok(Done { code: StatusCode::OK, document: self.shown(call, &stored), warnings }),
                Err(StoreError::Conflict { .. }) if !pinned && attempt < ATTEMPTS => {}
                Err(error) => return Err(Refusal::of_store(&error, call.target, &name)),
            }
        }
    }

    /// What `live` becomes, and whether it has to be the version that the caller names.
    fn next(
        &self,
        call: &Call,
        kind: Kind,
        author: &Author,
        live: &Document,
        patch: &Patch,
    ) -> Result<(Document, bool, Vec<String>), Refusal> {
        let name = &live.meta().name;
        if call.part == Part::Scale {
            let wanted = patch.on(call.target, name, &scale(live))?;
            let pinned = check_version(call, live, &wanted, false)?;
            return Ok((scaled(call, author, live, &wanted)?, pinned, Vec::new()));
        }
        let before = write(live, call.target);
        let (wanted, managed, warnings) = match patch {
            Patch::Apply { config, force } => {
                // Read for what is wrong with it alone.
                let warnings = read(call, kind, config.clone())?.warnings;
                check_apply(config)?;
                let applied = managed::apply(Some(&before), config, &live.meta().managed_fields, author, *force);
                let applied = applied.map_err(|conflicts| Refusal::field_conflicts(&conflicts))?;
                (applied.document, Some(applied.managed), Some(warnings))
            }
            Patch::Json(_) | Patch::Merge(_) | Patch::Replace(_) => (patch.on(call.target, name, &before)?, None, None),
        };
        let checked = if let Patch::Apply { config, .. } = patch { config } else { &wanted };
        let pinned = check_version(call, live, checked, matches!(patch, Patch::Replace(_)))?;
        let given = read(call, kind, wanted)?;
        let (document, other) = settle(call, author, live, given, managed)?;
        Ok((document, pinned, warnings.unwrap_or(other)))
    }

    fn apply_new(&self, call: &Call, kind: Kind, author: &Author, config: &Value) -> Result<(Document, Vec<String>), Refusal> {
        check_apply(config)?;
        let given = read(call, kind, config.clone())?;
        let applied = managed::apply(None, &given.value, &[], author, true).map_err(|conflicts| Refusal::field_conflicts(&conflicts))?;
        begin(call, author, given, Some(applied.managed))
    }

    fn shown(&self, call: &Call, document: &Document) -> Value {
        if call.part == Part::Scale { scale(document) } else { write(document, call.target) }
    }

    pub(super) async fn scale(&self, call: &Call) -> Result<Value, Refusal> {
        match self.one(call).await? {
            Item::Document(document) => Ok(scale(&document)),
            Item::Event(_) | Item::Namespace(_) => Err(Refusal::no_such_path()),
        }
    }

    pub(super) async fn delete(&self, call: &Call, body: &[u8]) -> Result<Done, Refusal> {
        let Target::Fleet(kind, _) = call.target else { return Err(not_allowed(call)) };
        let options = Options::read(call, body)?;
        let name = call.name.clone().unwrap_or_default();
        let live = self.live(call, kind).await?.ok_or_else(|| Refusal::not_found(call.target, &name))?;
        let (gone, document) = self.remove(call, &options, live).await?;
        let document = if gone {
            let uid = document.pointer("/metadata/uid");
            let details = json!({"name": name, "group": call.target.group(), "kind": call.target.plural(), "uid": uid});
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
        } else {
            document
        };
        Ok(Done { code: StatusCode::OK, document, warnings: Vec::new() })
    }

    pub(super) async fn delete_all(&self, call: &Call, body: &[u8]) -> Result<Done, Refusal> {
        let Target::Fleet(..) = call.target else { return Err(not_allowed(call)) };
        let options = Options::read(call, body)?;
        let choice = Choice::of(call)?;
        let (items, revision) = self.all(call.target, call.namespace.as_deref()).await?;
        let mut removed = Vec::new();
        for item in items.into_iter().filter(|item| choice.takes(item)) {
            let Item::Document(document) = item else { continue };
            match self.remove(call, &options, document).await {
                Ok((_, document)) => removed.push(document),
                // It went by itself meanwhile.
                Err(refusal) if refusal.code() == StatusCode::NOT_FOUND => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let kind = format!("{}List", call.target.kind());
        let document = json!({"kind": kind, "apiVersion": call.target.api_version(), "metadata": {"resourceVersion": revision.to_string()}, "items": removed});
        Ok(Done { code: StatusCode::OK, document, warnings: Vec::new() })
    }

    /// Begins the end of `live`, and says whether it is gone, and what was there.
    async fn remove(&self, call: &Call, options: &Options, mut live: Stored) -> Result<(bool, Value), Refusal> {
        let (kind, key) = (live.kind(), live.key());
        let refused = |error: &StoreError| Refusal::of_store(error, call.target, &key.name);
        for _ in 0..ATTEMPTS {
            options.check(call, &live)?;
            let stays = !live.meta().finalizers.is_empty();
            if live.meta().is_going() || options.dry_run {
                return Ok((!stays, write(&live, call.target)));
            }
            let removal = Write::Delete { kind, key: key.clone(), resource_version: live.meta().resource_version.clone() };
            match self.commit(removal).await {
                Ok(stored) => return Ok((!stays, write(&stored, call.target))),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(refused(&error)),
            }
            let found = self.store.get(kind, key.clone()).await.map_err(|error| refused(&error))?;
            live = found.ok_or_else(|| Refusal::not_found(call.target, &key.name))?;
        }
        Err(refused(&StoreError::Conflict { kind, key: key.clone() }))
    }
}

fn not_allowed(call: &Call) -> Refusal {
    let what = call.target.qualified();
    match call.target {
        Target::Namespaces => Refusal::not_allowed("a namespace is there while something is in it: delete that"),
        _ => {
            Refusal::not_allowed(format!("the server does not allow this method on the requested resource: {} {what}", call.verb.as_str()))
        }
    }
}

fn author(call: &Call, headers: &HeaderMap) -> Author {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).and_then(|agent| agent.split('/').next());
    let manager = call.parameter("fieldManager").or(agent).filter(|name| !name.is_empty()).unwrap_or("unknown");
    Author { manager: manager.chars().take(128).collect(), api_version: call.target.api_version(), part: call.part, now: events::now() }
}

fn check_apply(config: &Value) -> Result<(), Refusal> {
    let managed = config.pointer("/metadata/managedFields").and_then(Value::as_array).is_some_and(|managed| !managed.is_empty());
    if managed { Err(Refusal::bad_request("metadata.managedFields must be nil")) } else { Ok(()) }
}

/// Whether the caller names a version, which then has to be that of `live`.
fn check_version(call: &Call, live: &Document, wanted: &Value, required: bool) -> Result<bool, Refusal> {
    let asked = wanted.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
    let meta = live.meta();
    if asked.is_empty() && required {
        let detail = "must be specified for an update".to_owned();
        let fault = FieldError { field: "metadata.resourceVersion".to_owned(), detail, fault: Fault::Invalid };
        return Err(Refusal::invalid(call.target, &meta.name, &[fault]));
    }
    if !asked.is_empty() && asked != meta.resource_version {
        let error = StoreError::Conflict { kind: live.kind(), key: live.key() };
        return Err(Refusal::of_store(&error, call.target, &meta.name));
    }
    // A merge has the version of what it was merged into.
    Ok(required)
}

/// What storing `next` would come to.
fn foreseen(live: &Document, mut next: Document) -> Document {
    if !next.wants_the_same(live) {
        let meta = next.meta_mut();
        meta.generation = meta.generation.saturating_add(1);
    }
    next
}

/// As `Scale` of the group `autoscaling`.
fn scale(document: &Document) -> Value {
    let meta = document.meta();
    let (wanted, there, owner) = match document {
        Document::ModuleDeployment(deployment) => {
            (i64::from(deployment.spec.replicas), deployment.status.replicas, label::MODULE_DEPLOYMENT)
        }
        Document::ModuleReplicaSet(revision) => (i64::from(revision.spec.replicas), revision.status.replicas, label::MODULE_REPLICASET),
        Document::Module(_) | Document::Base(_) => (0, 0, ""),
    };
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": meta.name, "namespace": meta.namespace, "uid": meta.uid, "resourceVersion": meta.resource_version,
            "creationTimestamp": meta.creation_timestamp,
        },
        "spec": {"replicas": wanted}, "status": {"replicas": there, "selector": format!("{owner}={}", meta.name)},
    })
}

fn scaled(call: &Call, author: &Author, live: &Document, wanted: &Value) -> Result<Document, Refusal> {
    let wrong = |detail: &str| {
        let fault = FieldError { field: "spec.replicas".to_owned(), detail: detail.to_owned(), fault: Fault::Invalid };
        Refusal::invalid(call.target, &live.meta().name, &[fault])
    };
    let replicas = wanted.pointer("/spec/replicas").map_or(Some(0), Value::as_i64).ok_or_else(|| wrong("it is no whole number"))?;
    let mut next = live.clone();
    match &mut next {
        Document::ModuleDeployment(deployment) => {
            deployment.spec.replicas = i32::try_from(replicas).map_err(|_| wrong("it is too large"))?;
        }
        Document::ModuleReplicaSet(revision) => revision.spec.replicas = u32::try_from(replicas).map_err(|_| wrong("it is below 0"))?,
        Document::Module(_) | Document::Base(_) => return Err(Refusal::no_such_path()),
    }
    let faults = admission::validate_update(live, &next);
    if !faults.is_empty() {
        return Err(Refusal::invalid(call.target, &live.meta().name, &faults));
    }
    let managed = managed::updated(Some(&write(live, call.target)), &write(&next, call.target), None, &live.meta().managed_fields, author);
    next.meta_mut().managed_fields = managed;
    Ok(next)
}

/// How something is to be deleted.
#[derive(Debug, Default)]
struct Options {
    dry_run: bool,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl Options {
    fn read(call: &Call, body: &[u8]) -> Result<Self, Refusal> {
        let given = if body.is_empty() { json!({}) } else { json_of(body)? };
        let text = |pointer: &str| given.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let policy = text("/propagationPolicy").or_else(|| call.parameter("propagationPolicy").map(str::to_owned));
        let orphans = given.get("orphanDependents").and_then(Value::as_bool).unwrap_or(false) || policy.as_deref() == Some("Orphan");
        if orphans {
            return Err(Refusal::bad_request(
                "instances go with their deployment, and a deployment is gone once they are: Orphan is not supported",
            ));
        }
        let dry_run = call.is_dry_run() || given.get("dryRun").and_then(Value::as_array).is_some_and(|kinds| !kinds.is_empty());
        Ok(Self { dry_run, uid: text("/preconditions/uid"), resource_version: text("/preconditions/resourceVersion") })
    }

    fn check(&self, call: &Call, live: &Document) -> Result<(), Refusal> {
        let meta = live.meta();
        let differs = |asked: &Option<String>, is: &str| asked.as_deref().is_some_and(|asked| asked != is);
        let why = if differs(&self.uid, &meta.uid) {
            format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                self.uid.as_deref().unwrap_or_default(),
                meta.uid
            )
        } else if differs(&self.resource_version, &meta.resource_version) {
            format!("Precondition failed: ResourceVersion in object meta: {}", meta.resource_version)
        } else {
            return Ok(());
        };
        Err(Refusal::conflict(call.target, &meta.name, &why))
    }
}
