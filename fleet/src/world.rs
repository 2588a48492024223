//! Everything the controller knows, as one value that it decides on.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::resource::{Base, Document, Key, Kind, Module, ModuleDeployment, ModuleReplicaSet, TrafficStatus, label};

/// The resources, and what the bases said last of their requests.
#[derive(Debug, Clone, Default)]
pub struct World {
    documents: BTreeMap<Kind, BTreeMap<Key, Arc<Document>>>,
    sets_of: HashMap<Key, ByName>,
    instances_of: HashMap<Key, ByName>,
    instances_on: HashMap<Key, ByName>,
    /// Requests of instances. Not stored: a base says it again.
    pub traffic: HashMap<Key, TrafficStatus>,
}

/// The documents of one owner, themselves: whoever looks through all of them finds them without a search for each.
type ByName = BTreeMap<String, Arc<Document>>;

macro_rules! of_kind {
    ($kind:ident, $document:expr) => {
        match $document {
            Document::$kind(inner) => Some(inner),
            _ => None,
        }
    };
}

impl World {
    /// Takes in a document as it now is.
    pub fn put(&mut self, document: Arc<Document>) {
        let (kind, key) = (document.kind(), document.key());
        self.unlink(kind, &key);
        for (index, of) in self.links(&document) {
            self.index(index).entry(of).or_default().insert(key.name.clone(), Arc::clone(&document));
        }
        self.documents.entry(kind).or_default().insert(key, document);
    }

    /// Forgets a document.
    pub fn remove(&mut self, kind: Kind, key: &Key) {
        self.unlink(kind, key);
        if let Some(documents) = self.documents.get_mut(&kind) {
            documents.remove(key);
        }
        if kind == Kind::Module {
            self.traffic.remove(key);
        }
    }

    fn unlink(&mut self, kind: Kind, key: &Key) {
        let Some(before) = self.documents.get(&kind).and_then(|documents| documents.get(key)).cloned() else { return };
        for (index, of) in self.links(&before) {
            let index = self.index(index);
            if let Some(documents) = index.get_mut(&of) {
                documents.remove(&key.name);
                if documents.is_empty() {
                    index.remove(&of);
                }
            }
        }
    }

    fn links(&self, document: &Document) -> Vec<(Index, Key)> {
        let meta = document.meta();
        let deployment = || meta.label(label::MODULE_DEPLOYMENT).map(|name| Key::new(meta.namespace.clone(), name));
        match document {
            Document::ModuleReplicaSet(_) => deployment().map(|key| (Index::SetsOf, key)).into_iter().collect(),
            Document::Module(module) => {
                let on = (Index::InstancesOn, Key::new(meta.namespace.clone(), module.spec.base_name.clone()));
                deployment().map(|key| (Index::InstancesOf, key)).into_iter().chain([on]).collect()
            }
            Document::ModuleDeployment(_) | Document::Base(_) => Vec::new(),
        }
    }

    fn index(&mut self, index: Index) -> &mut HashMap<Key, ByName> {
        match index {
            Index::SetsOf => &mut self.sets_of,
            Index::InstancesOf => &mut self.instances_of,
            Index::InstancesOn => &mut self.instances_on,
        }
    }

    /// A document as it is now.
    #[must_use]
    pub fn document(&self, kind: Kind, key: &Key) -> Option<&Arc<Document>> {
        self.documents.get(&kind)?.get(key)
    }

    /// Every document.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.values().flat_map(BTreeMap::values).map(|document| &**document)
    }

    fn all(&self, kind: Kind) -> impl Iterator<Item = &Document> {
        self.documents.get(&kind).into_iter().flat_map(|documents| documents.values()).map(|document| &**document)
    }

    /// A deployment.
    #[must_use]
    pub fn deployment(&self, key: &Key) -> Option<&ModuleDeployment> {
        of_kind!(ModuleDeployment, &**self.document(Kind::ModuleDeployment, key)?)
    }

    /// All deployments.
    pub fn deployments(&self) -> impl Iterator<Item = &ModuleDeployment> {
        self.all(Kind::ModuleDeployment).filter_map(|document| of_kind!(ModuleDeployment, document))
    }

    /// An instance.
    #[must_use]
    pub fn module(&self, key: &Key) -> Option<&Module> {
        of_kind!(Module, &**self.document(Kind::Module, key)?)
    }

    /// All instances.
    pub fn modules(&self) -> impl Iterator<Item = &Module> {
        self.all(Kind::Module).filter_map(|document| of_kind!(Module, document))
    }

    /// A base.
    #[must_use]
    pub fn base(&self, key: &Key) -> Option<&Base> {
        of_kind!(Base, &**self.document(Kind::Base, key)?)
    }

    /// All bases.
    pub fn bases(&self) -> impl Iterator<Item = &Base> {
        self.all(Kind::Base).filter_map(|document| of_kind!(Base, document))
    }

    /// All bases of a namespace.
    pub fn bases_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Base> {
        let from = Key::new(namespace, "");
        let bases = self.documents.get(&Kind::Base).into_iter().flat_map(move |bases| bases.range(from.clone()..));
        bases.take_while(move |(key, _)| key.namespace == namespace).filter_map(|(_, document)| of_kind!(Base, &**document))
    }

    /// The revisions of a deployment, by name.
    pub fn sets_of(&self, deployment: &Key) -> impl Iterator<Item = &ModuleReplicaSet> + use<'_> {
        let sets = self.sets_of.get(deployment).into_iter().flat_map(BTreeMap::values);
        sets.filter_map(|document| of_kind!(ModuleReplicaSet, &**document))
    }

    /// The instances of a deployment, by name.
    pub fn instances_of(&self, deployment: &Key) -> impl Iterator<Item = &Module> + use<'_> {
        instances(self.instances_of.get(deployment))
    }

    /// The instances on a base, of whatever deployment, by name.
    pub fn instances_on(&self, base: &Key) -> impl Iterator<Item = &Module> + use<'_> {
        instances(self.instances_on.get(base))
    }

    /// How many instances are on a base.
    #[must_use]
    pub fn count_on(&self, base: &Key) -> usize {
        self.instances_on.get(base).map_or(0, BTreeMap::len)
    }
}

fn instances(documents: Option<&ByName>) -> impl Iterator<Item = &Module> {
    documents.into_iter().flat_map(BTreeMap::values).filter_map(|document| of_kind!(Module, &**document))
}

#[derive(Debug, Clone, Copy)]
enum Index {
    SetsOf,
    InstancesOf,
    InstancesOn,
}

/// The deployment that an instance or a revision belongs to.
#[must_use]
pub fn deployment_of(meta: &crate::resource::Meta) -> Option<Key> {
    meta.label(label::MODULE_DEPLOYMENT).map(|name| Key::new(meta.namespace.clone(), name))
}
