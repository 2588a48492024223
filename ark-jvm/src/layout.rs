//! What kind of package a jar is, and where its parts lie.
//!
//! Three kinds run as modules: the executable jar of Spring Boot 2.7, 3 and 4 ("The Executable Jar Format" in its
//! reference), SOFAArk's `*-ark-biz.jar`, and a plain jar with a `Main-Class`. Everything else is refused by name, because
//! "no main class" would send people looking in the wrong place.

use crate::{Archive, ArchiveError, Limits, Manifest, ManifestError, Origin, error::Fault, manifest::MANIFEST};

const BIZ_MARK: &str = "com/alipay/sofa/ark/biz/mark";
const PLUGIN_MARK: &str = "com/alipay/sofa/ark/plugin/mark";
const ARK_CONTAINER: &str = "SOFA-ARK/container/";
const BOOT_CLASSES: &str = "BOOT-INF/classes/";
const BOOT_LIBRARIES: &str = "BOOT-INF/lib/";
const BOOT_INDEX: &str = "BOOT-INF/classpath.idx";
const BOOT_LAUNCHERS: &str = "org.springframework.boot.loader.";
const BIZ_LIBRARIES: &str = "lib/";
/// SOFAArk's default, smaller first.
const BIZ_PRIORITY: i32 = 100;

/// What kind of package a jar is, and where its parts lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The kind.
    pub kind: Kind,
    /// The class whose `main` starts the module, `org.example.App`.
    pub start_class: String,
    /// The folder of the module's own classes and resources: `""`, or a name that ends with `/`.
    pub classes: String,
    /// The entries that are its libraries, in the order of their class path.
    pub libraries: Vec<String>,
    /// What the package says the module is called, when nobody says otherwise: `Ark-Biz-Name`, or `Implementation-Title`.
    pub name: Option<String>,
    /// Likewise its version: `Ark-Biz-Version`, or `Implementation-Version`.
    pub version: Option<String>,
    /// The `Class-Path` of a plain jar: files beside it, which are not part of the package and which its module will not have.
    pub outside: Vec<String>,
}

/// The kinds of packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An executable jar of Spring Boot.
    Boot {
        /// `Spring-Boot-Version`.
        version: Option<String>,
    },
    /// A module of SOFAArk.
    ArkBiz(Box<ArkBiz>),
    /// A jar with a `Main-Class` and no jars inside that count.
    Plain,
}

/// What the manifest of a `*-ark-biz.jar` says beyond name, version and main class. Lists are empty when absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArkBiz {
    /// `web-context-path`, with one `/` in front and none at the end; `/` when absent.
    pub context_path: String,
    /// `priority`: smaller starts first, 100 when absent.
    pub priority: i32,
    /// `declared-libraries`: artifact ids of all dependencies. Not empty means declared mode.
    pub declared_libraries: Vec<String>,
    /// `deny-import-packages`: never taken from plugins.
    pub deny_import_packages: Vec<String>,
    /// `deny-import-classes`: never taken from plugins.
    pub deny_import_classes: Vec<String>,
    /// `deny-import-resources`: never taken from plugins.
    pub deny_import_resources: Vec<String>,
    /// `inject-plugin-dependencies`: own dependencies for plugins.
    pub inject_plugin_dependencies: Vec<String>,
    /// `inject-export-packages`: packages that those plugins then export.
    pub inject_export_packages: Vec<String>,
    /// `dependent-plugins`: the plugins it may see; all, when absent.
    pub dependent_plugins: Vec<String>,
}

/// Why a jar is not a package that can run as a module.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LayoutError {
    /// The jar cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Its manifest cannot be read.
    #[error("cannot use {package} as a module: {error}")]
    Manifest {
        /// The jar.
        package: Origin,
        /// Why not.
        #[source]
        error: ManifestError,
    },
    /// It has no manifest.
    #[error("cannot use {package} as a module: it has no {MANIFEST}; build it with the Spring Boot plugin, or name a main class")]
    NoManifest {
        /// The jar.
        package: Origin,
    },
    /// It names no class to start.
    #[error(
        "cannot use {package} as a module: its manifest has neither a Start-Class nor a Main-Class of its own; build it with the `repackage` goal of the Spring Boot plugin, or name a main class"
    )]
    NoMainClass {
        /// The jar.
        package: Origin,
    },
    /// It is a war.
    #[error(
        "cannot use {package} as a module: it is a web archive (WEB-INF); build it as an executable jar (`<packaging>jar</packaging>`)"
    )]
    War {
        /// The jar.
        package: Origin,
    },
    /// It is a plugin of SOFAArk.
    #[error("cannot use {package} as a module: it is a SOFAArk plugin; put what it exports into the modules that need it")]
    ArkPlugin {
        /// The jar.
        package: Origin,
    },
    /// It is an executable jar of SOFAArk: a container with its modules.
    #[error(
        "cannot use {package} as a module: it is an executable SOFAArk jar with a container inside; install the `*-ark-biz.jar` of its build"
    )]
    ArkExecutable {
        /// The jar.
        package: Origin,
    },
    /// An attribute has a value that it cannot have.
    #[error("cannot use {package} as a module: its manifest says `{name}: {value}`, which is not {expected}; correct it and build again")]
    Attribute {
        /// The jar.
        package: Origin,
        /// The attribute.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl Layout {
    /// Finds out what kind of package `archive` is. Reads its manifest and, for Spring Boot, the index of its class path. Of
    /// `limits`, only the number of jars counts here.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when it cannot run as a module.
    pub fn read(archive: &Archive, limits: &Limits) -> Result<Self, LayoutError> {
        let package = || archive.origin().clone();
        let mut names = Names::default();
        for entry in archive.entries() {
            names.note(entry.name());
        }
        if names.ark_container {
            return Err(LayoutError::ArkExecutable { package: package() });
        }
        if names.plugin_mark && !names.biz_mark {
            return Err(LayoutError::ArkPlugin { package: package() });
        }
        let text = archive.entry(MANIFEST).ok_or_else(|| LayoutError::NoManifest { package: package() })?.bytes()?;
        let manifest = Manifest::parse(&text).map_err(|error| LayoutError::Manifest { package: package(), error })?;
        let boot = manifest.get("Spring-Boot-Version").is_some() || manifest.get("Spring-Boot-Classes").is_some() || names.boot;
        let classes_of_boot = manifest.get("Spring-Boot-Classes");
        if !names.biz_mark && (classes_of_boot.is_some_and(|folder| folder.starts_with("WEB-INF/")) || names.war && !names.boot) {
            return Err(LayoutError::War { package: package() });
        }
        let start_class = start_class(&manifest).ok_or_else(|| LayoutError::NoMainClass { package: package() })?;
        let (title, version) = (manifest.get("Implementation-Title"), manifest.get("Implementation-Version"));
        let (kind, classes, libraries, name, version) = if names.biz_mark {
            let biz = ArkBiz::read(archive, &manifest)?;
            let libraries = jars_below(archive, BIZ_LIBRARIES);
            let name = manifest.get("Ark-Biz-Name").or(title);
            (Kind::ArkBiz(Box::new(biz)), String::new(), libraries, name, manifest.get("Ark-Biz-Version").or(version))
        } else if boot {
            let kind = Kind::Boot { version: manifest.get("Spring-Boot-Version").map(str::to_owned) };
            let folder = |name, default: &str| folder(archive, name, manifest.get(name).unwrap_or(default));
            let libraries = jars_below(archive, &folder("Spring-Boot-Lib", BOOT_LIBRARIES)?);
            let libraries = in_order_of_index(archive, &manifest, libraries)?;
            (kind, folder("Spring-Boot-Classes", BOOT_CLASSES)?, libraries, title, version)
        } else {
            (Kind::Plain, String::new(), Vec::new(), title, version)
        };
        if libraries.len() > usize::from(limits.jars) {
            return Err(Fault::TooManyJars { limit: limits.jars }.of(archive.origin()).into());
        }
        let outside = match kind {
            Kind::Plain => manifest.get("Class-Path").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            Kind::Boot { .. } | Kind::ArkBiz(_) => Vec::new(),
        };
        let (name, version) = (name.map(str::to_owned), version.map(str::to_owned));
        Ok(Self { kind, start_class, classes, libraries, name, version, outside })
    }

    /// Where the module wants to answer, if the package says so.
    #[must_use]
    pub fn context_path(&self) -> Option<&str> {
        match &self.kind {
            Kind::ArkBiz(biz) => Some(&biz.context_path),
            Kind::Boot { .. } | Kind::Plain => None,
        }
    }
}

/// What the names of the entries tell.
#[derive(Debug, Default)]
struct Names {
    biz_mark: bool,
    plugin_mark: bool,
    ark_container: bool,
    boot: bool,
    war: bool,
}

impl Names {
    fn note(&mut self, name: &str) {
        self.biz_mark |= name == BIZ_MARK;
        self.plugin_mark |= name == PLUGIN_MARK;
        self.ark_container |= name.starts_with(ARK_CONTAINER);
        self.boot |= name.starts_with(BOOT_CLASSES) || name.starts_with(BOOT_LIBRARIES);
        self.war |= name.starts_with("WEB-INF/classes/") || name.starts_with("WEB-INF/lib/") || name == "WEB-INF/web.xml";
    }
}

impl ArkBiz {
    fn read(archive: &Archive, manifest: &Manifest) -> Result<Self, LayoutError> {
        let attribute = |name, value: &str, expected| LayoutError::Attribute {
            package: archive.origin().clone(),
            name,
            value: value.to_owned(),
            expected,
        };
        let priority = match manifest.get("priority") {
            None => BIZ_PRIORITY,
            Some(value) => value.parse().map_err(|_| attribute("priority", value, "a whole number"))?,
        };
        let path = manifest.get("web-context-path").unwrap_or_default();
        if path.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\')) {
            return Err(attribute("web-context-path", path, "a path"));
        }
        Ok(Self {
            context_path: format!("/{}", path.trim_matches('/')),
            priority,
            declared_libraries: manifest.list("declared-libraries"),
            deny_import_packages: manifest.list("deny-import-packages"),
            deny_import_classes: manifest.list("deny-import-classes"),
            deny_import_resources: manifest.list("deny-import-resources"),
            inject_plugin_dependencies: manifest.list("inject-plugin-dependencies"),
            inject_export_packages: manifest.list("inject-export-packages"),
            dependent_plugins: manifest.list("dependent-plugins"),
        })
    }
}

/// `Start-Class` comes first: in a fat jar, `Main-Class` is the launcher, which would make class loaders of its own.
fn start_class(manifest: &Manifest) -> Option<String> {
    let main = || manifest.get("Main-Class").filter(|class| !class.starts_with(BOOT_LAUNCHERS));
    manifest.get("Start-Class").or_else(main).map(|class| class.replace('/', "."))
}

fn folder(archive: &Archive, name: &'static str, value: &str) -> Result<String, LayoutError> {
    let relative = !value.starts_with('/') && !value.is_empty() && !value.split('/').any(|part| part == "..");
    if !relative {
        return Err(LayoutError::Attribute {
            package: archive.origin().clone(),
            name,
            value: value.to_owned(),
            expected: "a folder inside the jar",
        });
    }
    Ok(format!("{}/", value.trim_end_matches('/')))
}

fn jars_below(archive: &Archive, folder: &str) -> Vec<String> {
    let names = archive.entries().map(|entry| entry.name());
    names.filter(|name| name.starts_with(folder) && name.ends_with(".jar")).map(str::to_owned).collect()
}

/// `libraries` in the order of Spring Boot's index, if there is one: what it names first, then the others as they were. What it
/// names and the jar does not have is left out, as Boot's launcher does.
fn in_order_of_index(archive: &Archive, manifest: &Manifest, libraries: Vec<String>) -> Result<Vec<String>, LayoutError> {
    let index = manifest.get("Spring-Boot-Classpath-Index").unwrap_or(BOOT_INDEX);
    let Some(index) = archive.entry(index) else { return Ok(libraries) };
    let text = index.bytes()?;
    let text = String::from_utf8_lossy(&text);
    // Each line is `- "BOOT-INF/lib/a.jar"`.
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("- \"")?.strip_suffix('"'));
    let places: std::collections::HashMap<&str, usize> = named.zip(0..).collect();
    let mut libraries = libraries;
    libraries.sort_by_key(|library| places.get(&**library).copied().unwrap_or(usize::MAX));
    Ok(libraries)
}
