//! The class path of the base, as modules meet it: those that join its servlet container have that container's classes from it, and
//! those of SOFAArk take what their rules allow.

use std::{path::Path, sync::OnceLock};

use crate::{
    Archive, Blob, ClassPath, ClassPathError, Hit, Jar, Layout, Limits,
    declared::{Decision, Form, Imports, Of, Provider, Refused, artifact_id},
    package::nested,
};

/// The jars that a servlet container on Tomcat consists of, as their names begin. What the container and an application hand to each
/// other are objects of these classes, so both have to have the same.
const CONTAINER: [&str; 5] =
    ["tomcat-embed-core-", "tomcat-embed-el-", "tomcat-embed-websocket-", "jakarta.annotation-api-", "tomcat-annotations-api-"];
/// The one without which there is no container.
const CORE: &str = "tomcat-embed-core-";

/// The jars of the base, in the order of its class path, each with what it is known as.
#[derive(Debug)]
pub struct BaseJars {
    path: ClassPath,
    /// By the numbers of the jars, once somebody asks: they are read for it.
    providers: OnceLock<Vec<Provider>>,
}

/// Why a module cannot have the servlet container's classes from the base.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Apart {
    /// It brings no Tomcat, and takes none from the base.
    #[error("it has no Tomcat")]
    NoContainer,
    /// The base has none.
    #[error("the base has no Tomcat on its class path")]
    NoneInBase,
    /// The base has another one, or none, of one of the container's jars.
    #[error("its {module} is not byte for byte the same as the base's {base}")]
    Another {
        /// The module's jar.
        module: String,
        /// What the base has there.
        base: String,
    },
}

impl BaseJars {
    /// Indexes the jars on `class_path`, the value of `java.class.path`, for a JVM of the feature version `feature`; of an executable jar
    /// of Spring Boot, what is in it. Folders are left out, and so is what cannot be read: the base runs, with or without it.
    ///
    /// # Errors
    ///
    /// When there are more jars or entries than numbers for them.
    pub fn open(class_path: &str, limits: &Limits, feature: u16) -> Result<Self, ClassPathError> {
        let separator = if cfg!(windows) { ';' } else { ':' };
        let files = class_path.split(separator).map(Path::new).filter(|path| path.is_file());
        let mut jars = Vec::new();
        for archive in files.filter_map(|path| Archive::open(path, limits).ok()) {
            let Ok(layout) = Layout::read(&archive, limits) else {
                jars.push((archive, String::new()));
                continue;
            };
            let libraries = nested(&archive, &layout, limits).unwrap_or_default();
            jars.push((archive, layout.classes));
            jars.extend(libraries.into_iter().filter_map(|blob| Some((Archive::of(blob, limits).ok()?, String::new()))));
        }
        let path = ClassPath::new(jars, feature)?;
        Ok(Self { path, providers: OnceLock::new() })
    }

    /// Their class path.
    #[must_use]
    pub fn path(&self) -> &ClassPath {
        &self.path
    }

    fn provider(&self, hit: &Hit<'_>) -> Option<Provider> {
        let providers = self.providers.get_or_init(|| {
            let provider = |jar: &Jar| match jar.root() {
                "" => Provider { of: Of::Base, form: Form::Jar, artifact: artifact_id(jar).ok().flatten() },
                // The application's own classes, with its configuration.
                _ => Provider { of: Of::Base, form: Form::Folder, artifact: None },
            };
            self.path.jars().iter().map(provider).collect()
        });
        providers.get(hit.jar_number()).cloned()
    }

    /// Whether a module with these rules may take the class `class`, `org.example.A`, from here.
    #[must_use]
    pub fn class(&self, class: &str, rules: &Imports) -> Decision {
        let hits = self.path.find_all(&crate::class_file_name(class));
        let providers: Vec<Provider> = hits.filter_map(|hit| self.provider(&hit)).collect();
        // What no jar has may be in a folder, which only a module without a list of dependencies may look into.
        if providers.is_empty() && !rules.is_declared_mode() {
            return rules.may_import_class(class, &[Provider { of: Of::Base, form: Form::Folder, artifact: None }]);
        }
        rules.may_import_class(class, &providers)
    }

    /// What a module with these rules sees of the resource `name`, in order.
    pub fn resources<'a>(&'a self, name: &str, rules: &Imports) -> impl Iterator<Item = Hit<'a>> + use<'a> {
        let name = name.to_owned();
        let rules = rules.clone();
        self.path
            .find_all(&name)
            .collect::<Vec<_>>()
            .into_iter()
            .filter(move |hit| self.provider(hit).is_some_and(|provider| rules.may_import_resource(&name, &[provider]).is_allowed()))
    }

    /// The first jar that has the class `class`, by its name, and what `rules` say of it.
    #[must_use]
    pub fn why(&self, class: &str, rules: &Imports) -> Option<(String, Decision)> {
        let decision = self.class(class, rules);
        match self.path.find_class(class) {
            Some(hit) => Some((hit.jar().origin().to_string(), decision)),
            None if decision == Decision::Refused(Refused::NobodyHasIt) => None,
            None => Some(("a folder, if anything,".to_owned(), decision)),
        }
    }

    fn jar(&self, prefix: &str) -> Option<&Blob> {
        self.path.jars().iter().map(|jar| jar.archive().blob()).find(|blob| blob.origin().file_name().starts_with(prefix))
    }

    /// The jars of `module` whose classes it has from the base where it joins the base's container: the container's. One without any
    /// has them from the base if it `imports`. Reads the jars that it compares.
    ///
    /// # Errors
    ///
    /// [`Apart`], where the container's classes would not be the same.
    pub fn container(&self, module: &[Blob], imports: bool) -> Result<Vec<String>, Apart> {
        let named = |blob: &Blob, prefix: &str| blob.origin().file_name().starts_with(prefix);
        if !module.iter().any(|blob| named(blob, CORE)) && !imports {
            return Err(Apart::NoContainer);
        }
        if self.jar(CORE).is_none() {
            return Err(Apart::NoneInBase);
        }
        let mut shared = Vec::new();
        for prefix in CONTAINER {
            let own = self.jar(prefix);
            for blob in module.iter().filter(|blob| named(blob, prefix)) {
                let module = blob.origin().file_name().to_owned();
                if own.is_none_or(|own| own.bytes().len() != blob.bytes().len() || own.digest() != blob.digest()) {
                    let base = own.map_or("nothing", |own| own.origin().file_name()).to_owned();
                    return Err(Apart::Another { module, base });
                }
                shared.push(module);
            }
        }
        Ok(shared)
    }
}
