//! The documents: what users write, what the controller answers, and what is stored.

pub mod base;
pub mod deployment;
pub mod meta;
pub mod module;
pub mod replica_set;

use serde_json::Value;

pub use base::{Base, BaseSpec, BaseStatus};
pub use deployment::{
    BatchProgress, CanaryStep, Checks, DeploymentSpec, DeploymentStatus, EnvVar, ModuleDeployment, ModuleInfo, OperationStrategy, Progress,
    ReleaseStatus, Requests, RollbackTo, SchedulingPolicy, SchedulingStrategy, Template, TemplateSpec, UpgradePolicy,
};
pub use meta::{Condition, IntOrPercent, Key, Meta, Operator, OwnerReference, Requirement, Selector, Time, Truth, say};
pub use module::{Module, ModuleSpec, ModuleStatus, Phase, TrafficStatus};
pub use replica_set::{ModuleReplicaSet, ReplicaSetSpec, ReplicaSetStatus};

/// The API group.
pub const GROUP: &str = "serverless.alipay.com";
/// The group under which the same resources go as well.
pub const GROUP_ALIAS: &str = "koupleless.io";
/// Its version.
pub const VERSION: &str = "v1alpha1";
/// `GROUP/VERSION`.
pub const API_VERSION: &str = "serverless.alipay.com/v1alpha1";

/// Labels that the controller writes.
pub mod label {
    /// The base deployment of an instance, a revision or a base.
    pub const DEPLOYMENT_NAME: &str = "serverless.alipay.com/deployment-name";
    /// The `ModuleDeployment` of a revision or an instance.
    pub const MODULE_DEPLOYMENT: &str = "serverless.alipay.com/module-deployment";
    /// The revision of an instance.
    pub const MODULE_REPLICASET: &str = "serverless.alipay.com/module-replicaset";
    /// The number of a revision; the highest is the current one.
    pub const REVISION: &str = "serverless.alipay.com/module-replicaset-revision";
    /// A module's name.
    pub const MODULE_NAME: &str = "serverless.alipay.com/module-name";
    /// A module's version.
    pub const MODULE_VERSION: &str = "serverless.alipay.com/module-version";
    /// The base of an instance.
    pub const BASE_NAME: &str = "serverless.alipay.com/base-instance-name";
    /// The most modules that a base takes.
    pub const MAX_MODULES: &str = "serverless.alipay.com/max-module-count";
    /// What a base is called.
    pub const BASE_APP: &str = "base.koupleless.io/name";
    /// A base's version.
    pub const BASE_VERSION: &str = "base.koupleless.io/version";
    /// A base's cluster.
    pub const BASE_CLUSTER: &str = "base.koupleless.io/cluster-name";
    /// Followed by a kind of module that a base runs, with the value `true`.
    pub const BASE_KIND: &str = "kind.serverless.alipay.com/";
}

/// Keeps an instance until its base has removed it, and a deployment until its instances are gone.
pub const FINALIZER: &str = "serverless.alipay.com/module-existed";

/// The kinds of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// [`ModuleDeployment`].
    ModuleDeployment,
    /// [`ModuleReplicaSet`].
    ModuleReplicaSet,
    /// [`Module`].
    Module,
    /// [`Base`].
    Base,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ModuleDeployment, Self::ModuleReplicaSet, Self::Module, Self::Base];

    /// As `kind` says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModuleDeployment => "ModuleDeployment",
            Self::ModuleReplicaSet => "ModuleReplicaSet",
            Self::Module => "Module",
            Self::Base => "Base",
        }
    }

    /// As paths say it.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::ModuleDeployment => "moduledeployments",
            Self::ModuleReplicaSet => "modulereplicasets",
            Self::Module => "modules",
            Self::Base => "bases",
        }
    }

    /// For those who type.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::ModuleDeployment => "mddeploy",
            Self::ModuleReplicaSet => "mdrs",
            Self::Module => "md",
            Self::Base => "bs",
        }
    }
}

/// A resource of any kind.
#[expect(clippy::large_enum_variant, reason = "they are kept behind an Arc, and the largest kinds are the many")]
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// [`ModuleDeployment`].
    ModuleDeployment(ModuleDeployment),
    /// [`ModuleReplicaSet`].
    ModuleReplicaSet(ModuleReplicaSet),
    /// [`Module`].
    Module(Module),
    /// [`Base`].
    Base(Base),
}

macro_rules! each {
    ($document:expr, $inner:ident => $result:expr) => {
        match $document {
            Document::ModuleDeployment($inner) => $result,
            Document::ModuleReplicaSet($inner) => $result,
            Document::Module($inner) => $result,
            Document::Base($inner) => $result,
        }
    };
}

impl Document {
    /// Reads a document of a kind; `apiVersion` and `kind` in it do not count.
    ///
    /// # Errors
    /// Where a field has a value of another type than it should.
    pub fn read(kind: Kind, value: Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::ModuleDeployment => Self::ModuleDeployment(serde_json::from_value(value)?),
            Kind::ModuleReplicaSet => Self::ModuleReplicaSet(serde_json::from_value(value)?),
            Kind::Module => Self::Module(serde_json::from_value(value)?),
            Kind::Base => Self::Base(serde_json::from_value(value)?),
        })
    }

    /// Writes it, with `apiVersion` and `kind`.
    #[must_use]
    pub fn write(&self) -> Value {
        let mut value = each!(self, document => serde_json::to_value(document)).unwrap_or_default();
        if let Value::Object(fields) = &mut value {
            fields.insert("apiVersion".to_owned(), API_VERSION.into());
            fields.insert("kind".to_owned(), self.kind().as_str().into());
        }
        value
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::ModuleDeployment(_) => Kind::ModuleDeployment,
            Self::ModuleReplicaSet(_) => Kind::ModuleReplicaSet,
            Self::Module(_) => Kind::Module,
            Self::Base(_) => Kind::Base,
        }
    }

    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        each!(self, document => &document.metadata)
    }

    /// Its metadata, to be changed.
    pub fn meta_mut(&mut self) -> &mut Meta {
        each!(self, document => &mut document.metadata)
    }

    /// Where it is found among those of its kind.
    #[must_use]
    pub fn key(&self) -> Key {
        self.meta().key()
    }

    /// Whether what is wanted is the same in both.
    #[must_use]
    pub fn wants_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ModuleDeployment(a), Self::ModuleDeployment(b)) => a.spec == b.spec,
            (Self::ModuleReplicaSet(a), Self::ModuleReplicaSet(b)) => a.spec == b.spec,
            (Self::Module(a), Self::Module(b)) => a.spec == b.spec,
            (Self::Base(a), Self::Base(b)) => a.spec == b.spec,
            (Self::ModuleDeployment(_) | Self::ModuleReplicaSet(_) | Self::Module(_) | Self::Base(_), _) => false,
        }
    }

    /// Takes over what `other`, of the same kind, says of what there is.
    pub fn take_status(&mut self, other: &Self) {
        match (self, other) {
            (Self::ModuleDeployment(a), Self::ModuleDeployment(b)) => a.status.clone_from(&b.status),
            (Self::ModuleReplicaSet(a), Self::ModuleReplicaSet(b)) => a.status.clone_from(&b.status),
            (Self::Module(a), Self::Module(b)) => a.status.clone_from(&b.status),
            (Self::Base(a), Self::Base(b)) => a.status.clone_from(&b.status),
            (Self::ModuleDeployment(_) | Self::ModuleReplicaSet(_) | Self::Module(_) | Self::Base(_), _) => {}
        }
    }
}

/// A change of what is stored, decided on a version of it; refused where it has changed since.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Makes one that must not be there yet.
    Create(Document),
    /// Replaces the one whose `resourceVersion` is that of this document.
    Update(Document),
    /// Removes the one with this `resourceVersion`; one that has finalizers is only marked as going.
    Delete {
        /// Its kind.
        kind: Kind,
        /// Where it is found.
        key: Key,
        /// The version that was seen.
        resource_version: String,
    },
}
