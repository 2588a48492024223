//! What a module of SOFAArk may take from elsewhere: its declared libraries and its deny lists.
//!
//! The rules are those of SOFAArk's `DelegateToMasterBizClassLoaderHook` and `BizModel`: a class comes from the module first.
//! What it lacks may come from a plugin, unless its deny lists name it, or from the base; in *declared mode* (the module lists
//! its dependencies) only from jars that it lists. Artifact ids are compared, groups and versions are not.

use std::collections::BTreeSet;

use crate::{ArkBiz, ClassPathError, Jar};

/// The rules of one module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imports {
    declared: BTreeSet<String>,
    deny_packages: Vec<String>,
    deny_classes: BTreeSet<String>,
    deny_resources: Vec<String>,
}

/// A jar or folder that has what a module asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Whose it is.
    pub of: Of,
    /// Whether it is a jar.
    pub form: Form,
    /// Its artifact id, if it can be told: see [`artifact_id`].
    pub artifact: Option<String>,
}

/// Whose a [`Provider`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The base's.
    Base,
    /// A plugin's, which exports what is asked for.
    Plugin,
}

/// What a [`Provider`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A jar.
    Jar,
    /// A folder of classes.
    Folder,
}

/// Whether a module may take something, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed(Allowed),
    /// It may not.
    Refused(Refused),
}

/// The rules that allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// The module has no list of dependencies, so every jar counts as declared.
    NotInDeclaredMode,
    /// The jar is one of a plugin.
    OfPlugin,
    /// Nobody knows what a jar is, so it counts as declared.
    UnknownJar,
    /// Its artifact id begins with `sofa-ark-`.
    SofaArk,
    /// The module lists its artifact id.
    Declared,
}

/// The rules that refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody has it.
    NobodyHasIt,
    /// A proxy (`CGLIB$$` in its name) has to be defined by the module that it is made in.
    Proxy,
    /// A folder that is no known artifact counts as not declared.
    UnknownFolder,
    /// The module does not list its artifact id.
    NotDeclared,
    /// Without declared mode, only class files come from the base, so that its configuration is not seen.
    ResourceOutsideDeclaredMode,
    /// `deny-import-packages` names its package.
    DeniedPackage,
    /// `deny-import-classes` names it.
    DeniedClass,
    /// `deny-import-resources` names it.
    DeniedResource,
}

impl Decision {
    /// Whether the module may.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

impl Imports {
    /// The rules in the manifest of a `*-ark-biz.jar`.
    #[must_use]
    pub fn of(biz: &ArkBiz) -> Self {
        Self {
            declared: biz.declared_libraries.iter().cloned().collect(),
            deny_packages: biz.deny_import_packages.clone(),
            deny_classes: biz.deny_import_classes.iter().cloned().collect(),
            deny_resources: biz.deny_import_resources.clone(),
        }
    }

    /// Whether the module lists its dependencies.
    #[must_use]
    pub fn is_declared_mode(&self) -> bool {
        !self.declared.is_empty()
    }

    /// Whether the module may take the class `class` (`org.example.A`) from one of those that have it, in the order a class
    /// loader would ask them. The first that is allowed decides; if none is, the first says why not.
    #[must_use]
    pub fn may_import_class(&self, class: &str, providers: &[Provider]) -> Decision {
        if class.contains("CGLIB$$") {
            return Decision::Refused(Refused::Proxy);
        }
        self.decide(providers, |provider| match provider.of {
            Of::Base => self.is_declared(provider),
            Of::Plugin => self.denies_class(class).map_or_else(|| self.is_declared(provider), Decision::Refused),
        })
    }

    /// As [`Imports::may_import_class`], for the resource `name` (`META-INF/spring.factories`).
    #[must_use]
    pub fn may_import_resource(&self, name: &str, providers: &[Provider]) -> Decision {
        self.decide(providers, |provider| match provider.of {
            Of::Base if !self.is_declared_mode() && !name.ends_with(".class") => Decision::Refused(Refused::ResourceOutsideDeclaredMode),
            Of::Base => self.is_declared(provider),
            Of::Plugin => self.denies_resource(name).map_or_else(|| self.is_declared(provider), Decision::Refused),
        })
    }

    fn decide(&self, providers: &[Provider], decide: impl Fn(&Provider) -> Decision) -> Decision {
        let mut decisions = providers.iter().map(decide);
        let Some(first) = decisions.next() else { return Decision::Refused(Refused::NobodyHasIt) };
        if first.is_allowed() { first } else { decisions.find(|decision| decision.is_allowed()).unwrap_or(first) }
    }

    fn is_declared(&self, provider: &Provider) -> Decision {
        const SOFA_ARK: &str = "sofa-ark-";
        if !self.is_declared_mode() {
            return Decision::Allowed(Allowed::NotInDeclaredMode);
        }
        if provider.of == Of::Plugin {
            return Decision::Allowed(Allowed::OfPlugin);
        }
        match (&provider.artifact, provider.form) {
            (None, Form::Jar) => Decision::Allowed(Allowed::UnknownJar),
            (None, Form::Folder) => Decision::Refused(Refused::UnknownFolder),
            (Some(artifact), Form::Jar | Form::Folder) => {
                if artifact.get(..SOFA_ARK.len()).is_some_and(|start| start.eq_ignore_ascii_case(SOFA_ARK)) {
                    Decision::Allowed(Allowed::SofaArk)
                } else if self.declared.contains(artifact) {
                    Decision::Allowed(Allowed::Declared)
                } else {
                    Decision::Refused(Refused::NotDeclared)
                }
            }
        }
    }

    fn denies_class(&self, class: &str) -> Option<Refused> {
        if self.deny_classes.contains(class) {
            return Some(Refused::DeniedClass);
        }
        let package = class.rsplit_once('.').map_or("", |(package, _)| package);
        // `a.b` is that package; `a.b.*` is every package that begins with the text `a.b`, so `a.bc` too.
        let denied = |pattern: &String| pattern.strip_suffix(".*").map_or(pattern == package, |stem| package.starts_with(stem));
        self.deny_packages.iter().any(denied).then_some(Refused::DeniedPackage)
    }

    fn denies_resource(&self, name: &str) -> Option<Refused> {
        let denied = |pattern: &String| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(""), _) => false,
            (Some(suffix), _) => name.ends_with(suffix),
            (None, Some(prefix)) => name.starts_with(prefix),
            (None, None) => pattern == name,
        };
        self.deny_resources.iter().any(denied).then_some(Refused::DeniedResource)
    }
}

/// The artifact id of a jar: from the `pom.properties` that Maven puts into it or, without, from its file name. A jar with the
/// poms of several artifacts (a shaded one) has the id that its file name begins with, else the first.
///
/// # Errors
///
/// When a `pom.properties` is there and damaged.
pub fn artifact_id(jar: &Jar) -> Result<Option<String>, ClassPathError> {
    let file = jar.origin().file_name();
    let mut first = None;
    for entry in jar.archive().entries() {
        if !entry.name().starts_with("META-INF/maven/") || !entry.name().ends_with("/pom.properties") {
            continue;
        }
        let text = entry.bytes()?;
        let Some(id) = artifact_id_of_pom(&String::from_utf8_lossy(&text)) else { continue };
        if file.strip_prefix(&*id).is_some_and(|rest| rest == ".jar" || rest.starts_with('-')) {
            return Ok(Some(id));
        }
        first.get_or_insert(id);
    }
    Ok(first.or_else(|| artifact_id_of_file(file)))
}

fn artifact_id_of_pom(properties: &str) -> Option<String> {
    let value = properties.lines().find_map(|line| line.trim().strip_prefix("artifactId")?.trim_start().strip_prefix(['=', ':']));
    value.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// The artifact id in a jar's file name: the parts in front of the first that looks like a version (`1.2…`).
#[must_use]
pub fn artifact_id_of_file(file: &str) -> Option<String> {
    let name = file.strip_suffix(".jar")?;
    let is_version = |part: &str| {
        part.split_once('.').is_some_and(|(major, rest)| {
            !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with(|c: char| c.is_ascii_digit())
        })
    };
    let parts: Vec<&str> = name.split('-').collect();
    let version = parts.iter().position(|part| is_version(part)).filter(|&at| at > 0)?;
    Some(parts.get(..version)?.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|&item| item.to_owned()).collect()
    }

    fn imports(declared: &[&str]) -> Imports {
        Imports { declared: list(declared).into_iter().collect(), ..Imports::default() }
    }

    fn jar(artifact: impl Into<Option<&'static str>>) -> Provider {
        Provider { of: Of::Base, form: Form::Jar, artifact: artifact.into().map(str::to_owned) }
    }

    fn class(imports: &Imports, providers: &[Provider]) -> Decision {
        imports.may_import_class("org.example.A", providers)
    }

    #[test]
    fn without_declared_mode_any_class_of_the_base_may_be_taken() {
        assert_eq!(class(&imports(&[]), &[jar("other")]), Decision::Allowed(Allowed::NotInDeclaredMode));
    }

    #[test]
    fn in_declared_mode_only_listed_artifacts_give_classes() {
        let imports = imports(&["spring-core"]);
        assert_eq!(class(&imports, &[jar("spring-core")]), Decision::Allowed(Allowed::Declared));
        assert_eq!(class(&imports, &[jar("spring-web")]), Decision::Refused(Refused::NotDeclared));
    }

    #[test]
    fn another_copy_in_a_declared_jar_makes_a_class_acceptable() {
        assert_eq!(class(&imports(&["spring-core"]), &[jar("shaded"), jar("spring-core")]), Decision::Allowed(Allowed::Declared));
    }

    #[test]
    fn a_jar_nobody_knows_counts_as_declared_and_a_folder_does_not() {
        let imports = imports(&["a"]);
        assert_eq!(class(&imports, &[jar(None)]), Decision::Allowed(Allowed::UnknownJar));
        let folder = Provider { form: Form::Folder, ..jar(None) };
        assert_eq!(class(&imports, &[folder]), Decision::Refused(Refused::UnknownFolder));
    }

    #[test]
    fn a_jar_of_sofa_ark_itself_counts_as_declared_whatever_its_case() {
        assert_eq!(class(&imports(&["a"]), &[jar("Sofa-Ark-spi")]), Decision::Allowed(Allowed::SofaArk));
    }

    #[test]
    fn a_jar_of_a_plugin_counts_as_declared() {
        let plugin = Provider { of: Of::Plugin, ..jar("unlisted") };
        assert_eq!(class(&imports(&["a"]), &[plugin]), Decision::Allowed(Allowed::OfPlugin));
    }

    #[test]
    fn a_proxy_is_never_taken_from_elsewhere() {
        let decision = imports(&[]).may_import_class("org.example.A$$EnhancerBySpringCGLIB$$1", &[jar("a")]);
        assert_eq!(decision, Decision::Refused(Refused::Proxy));
    }

    #[test]
    fn what_nobody_has_is_refused() {
        assert_eq!(class(&imports(&[]), &[]), Decision::Refused(Refused::NobodyHasIt));
    }

    #[test]
    fn without_declared_mode_the_configuration_of_the_base_is_not_seen() {
        let none = imports(&[]);
        assert_eq!(
            none.may_import_resource("META-INF/spring.factories", &[jar("a")]),
            Decision::Refused(Refused::ResourceOutsideDeclaredMode)
        );
        assert!(none.may_import_resource("org/example/A.class", &[jar("a")]).is_allowed());
    }

    #[test]
    fn in_declared_mode_resources_come_from_listed_artifacts() {
        let imports = imports(&["a"]);
        assert_eq!(imports.may_import_resource("x.properties", &[jar("a")]), Decision::Allowed(Allowed::Declared));
        assert_eq!(imports.may_import_resource("x.properties", &[jar("b")]), Decision::Refused(Refused::NotDeclared));
    }

    #[test]
    fn deny_lists_hold_for_plugins_and_not_for_the_base() {
        let imports = Imports {
            deny_packages: list(&["org.exact", "org.stem.*"]),
            deny_classes: list(&["org.one.A"]).into_iter().collect(),
            ..Imports::default()
        };
        let plugin = [Provider { of: Of::Plugin, ..jar("p") }];
        let asked = |class| imports.may_import_class(class, &plugin);
        assert_eq!(asked("org.exact.A"), Decision::Refused(Refused::DeniedPackage));
        assert!(asked("org.exact.below.A").is_allowed());
        assert_eq!(asked("org.stem.below.A"), Decision::Refused(Refused::DeniedPackage));
        assert_eq!(asked("org.stem.A"), Decision::Refused(Refused::DeniedPackage));
        assert_eq!(asked("org.one.A"), Decision::Refused(Refused::DeniedClass));
        assert!(asked("org.one.B").is_allowed());
        assert!(imports.may_import_class("org.exact.A", &[jar("b")]).is_allowed());
    }

    #[test]
    fn a_resource_is_denied_by_name_by_begin_or_by_end_and_a_bare_star_says_nothing() {
        let imports = Imports { deny_resources: list(&["x/y", "conf/*", "*.xsd", "*"]), ..Imports::default() };
        let plugin = [Provider { of: Of::Plugin, ..jar("p") }];
        for denied in ["x/y", "conf/a/b", "q.xsd"] {
            assert_eq!(imports.may_import_resource(denied, &plugin), Decision::Refused(Refused::DeniedResource), "{denied}");
        }
        assert!(imports.may_import_resource("x/y/z", &plugin).is_allowed());
    }

    #[test]
    fn the_artifact_id_is_what_stands_in_front_of_the_version() {
        let id = |file| artifact_id_of_file(file);
        assert_eq!(id("spring-core-6.2.19.jar").as_deref(), Some("spring-core"));
        assert_eq!(id("log4j-1.2-api-2.24.1.jar").as_deref(), Some("log4j"), "as SOFAArk has it");
        assert_eq!(id("jackson-datatype-jdk8-2.17.0.jar").as_deref(), Some("jackson-datatype-jdk8"));
        assert_eq!(id("tools.jar"), None);
        assert_eq!(id("1.2.jar"), None);
    }

    #[test]
    fn the_artifact_id_of_a_pom_is_its_property() {
        assert_eq!(artifact_id_of_pom("#Generated\nartifactId=orders\ngroupId=shop\n").as_deref(), Some("orders"));
        assert_eq!(artifact_id_of_pom("groupId=shop\n"), None);
    }
}
