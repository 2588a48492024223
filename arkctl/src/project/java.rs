//! Maven and Gradle, as far as a module needs them: which of the two, which program, which command, which jar.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Component, Path, PathBuf},
    process::Command,
};

use super::{Kind, Made, Project, Sources, jar, tool};
use crate::{build::Options, error::Error, output::Output, package};

const MAVEN: [&str; 1] = ["pom.xml"];
const GRADLE: [&str; 4] = ["build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"];
/// The files that tell a Java project.
pub(super) const MARKS: &[&str] = &[MAVEN[0], GRADLE[0], GRADLE[1], GRADLE[2], GRADLE[3]];

/// Where builds and editors put what they make, in the directory of a module.
const MADE: [&str; 5] = ["target", "build", "bin", "out", "dependency-reduced-pom.xml"];
/// Directories that have no modules in them.
const NO_MODULES: [&str; 6] = ["src", "target", "build", "bin", "out", "node_modules"];
/// How deep below a build its modules are looked for.
const DEPTH: usize = 5;
/// How many lines of a failed build are shown.
const SHOWN_LINES: usize = 30;

/// A Maven or Gradle project.
#[derive(Debug)]
pub(super) struct Java {
    /// Where the build is.
    directory: PathBuf,
    tool: Tool,
    /// The module that is meant, below it.
    sub: Option<PathBuf>,
}

/// What builds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Maven,
    Gradle,
}

impl Tool {
    fn marks(self) -> &'static [&'static str] {
        match self {
            Self::Maven => &MAVEN,
            Self::Gradle => &GRADLE,
        }
    }

    /// The program that a project brings along.
    fn wrapper(self) -> &'static str {
        match (self, cfg!(windows)) {
            (Self::Maven, false) => "mvnw",
            (Self::Maven, true) => "mvnw.cmd",
            (Self::Gradle, false) => "gradlew",
            (Self::Gradle, true) => "gradlew.bat",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Maven => "mvn",
            Self::Gradle => "gradle",
        }
    }

    /// Where the jars are, in the directory of a module.
    fn jars(self) -> &'static str {
        match self {
            Self::Maven => "target",
            Self::Gradle => "build/libs",
        }
    }

    /// The tool of a project with the files that `has` says. Where it has those of both, its wrapper tells which one it uses.
    fn of(has: impl Fn(&str) -> bool) -> Option<Self> {
        let mut tools = [Self::Maven, Self::Gradle].into_iter().filter(|tool| tool.marks().iter().any(|mark| has(mark)));
        match (tools.next(), tools.next()) {
            (Some(_), Some(_)) if !has(Self::Maven.wrapper()) && has(Self::Gradle.wrapper()) => Some(Self::Gradle),
            (tool, _) => tool,
        }
    }

    /// What builds the package and runs no tests; of one module, with the modules that it needs.
    fn arguments(self, sub: Option<&Path>) -> Vec<OsString> {
        let (fixed, goal): (&[&str], &str) = match self {
            Self::Maven => (&["--batch-mode", "-DskipTests"], "package"),
            Self::Gradle => (&["--console=plain"], "assemble"),
        };
        let mut arguments: Vec<OsString> = fixed.iter().map(OsString::from).collect();
        match (self, sub) {
            (Self::Maven, Some(sub)) => {
                arguments.extend(["--projects".into(), sub.into(), "--also-make".into(), goal.into()]);
            }
            (Self::Gradle, Some(sub)) => {
                let path: String = sub.iter().map(|part| format!(":{}", part.to_string_lossy())).collect();
                arguments.push(format!("{path}:{goal}").into());
            }
            (_, None) => arguments.push(goal.into()),
        }
        arguments
    }

    /// The wrapper of the project in `directory` or of the build around it; else the program on the PATH.
    fn find(self, directory: &Path, is_file: impl Fn(&Path) -> bool, on_path: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
        let around = directory.ancestors().skip(1);
        let around = around.take_while(|directory| self.marks().iter().any(|mark| is_file(&directory.join(mark))));
        let wrapper = std::iter::once(directory).chain(around).map(|directory| directory.join(self.wrapper())).find(|file| is_file(file));
        wrapper.or_else(|| on_path(self.program())).ok_or_else(|| Error::Build {
            problem: format!(
                "neither {} in {} nor {} on the PATH builds this project",
                self.wrapper(),
                directory.display(),
                self.program()
            ),
            said: Vec::new(),
            hint: Some(match self {
                Self::Maven => {
                    "install Maven (`apt install maven`, `brew install maven`), or add its wrapper elsewhere by `mvn wrapper:wrapper`"
                        .to_owned()
                }
                Self::Gradle => "install Gradle (https://gradle.org/install), or add its wrapper elsewhere by `gradle wrapper`".to_owned(),
            }),
        })
    }

    /// Of what a failed build said, the lines that help: the last of them, and each once.
    fn useful(self, said: &[String]) -> Vec<String> {
        let lines: Vec<&str> = match self {
            Self::Maven => {
                let errors = said.iter().filter_map(|line| line.strip_prefix("[ERROR]")).map(str::trim_end);
                errors.map(|line| line.strip_prefix(' ').unwrap_or(line)).filter(|line| !is_advice(line)).collect()
            }
            // What went wrong stands before what one could try.
            Self::Gradle => {
                let lines = said.iter().map(String::as_str).filter(|line| !line.starts_with("> Task"));
                lines.take_while(|line| !line.starts_with("* Try:")).collect()
            }
        };
        let lines = if lines.iter().all(|line| line.trim().is_empty()) { said.iter().map(String::as_str).collect() } else { lines };
        let mut seen = HashSet::new();
        let lines: Vec<&str> = lines.into_iter().filter(|line| !line.trim().is_empty() && seen.insert(*line)).collect();
        lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().iter().map(|line| (*line).to_owned()).collect()
    }
}

/// What Maven says after each failure, of itself.
fn is_advice(line: &str) -> bool {
    let begins = ["To see the full stack trace", "Re-run Maven using", "For more information about the errors", "[Help "];
    let goes_on = ["After correcting the problems", "mvn <args>", "-> [Help"];
    begins.iter().chain(&goes_on).any(|begin| line.trim_start().starts_with(begin))
}

impl Java {
    /// The project in `directory`; of its modules, the one in `sub`.
    ///
    /// # Errors
    /// A `sub` that is no directory inside it.
    pub(super) fn find(directory: &Path, sub: Option<&Path>) -> Result<Self, Error> {
        let failed = |source| Error::File { doing: "find", path: directory.to_owned(), source };
        let directory = directory.canonicalize().map_err(failed)?;
        let tool = Tool::of(|file| directory.join(file).is_file()).unwrap_or(Tool::Maven);
        let found = Self { directory, tool, sub: sub.map(plain) };
        if let Some(sub) = &found.sub {
            let is_inside = sub.components().all(|part| matches!(part, Component::Normal(_)));
            if !is_inside || !found.directory.join(sub).is_dir() {
                let modules: Vec<String> = found.modules().iter().filter_map(|module| found.name_of(module)).collect();
                let modules = if modules.is_empty() { "it has no modules".to_owned() } else { format!("it has {}", modules.join(", ")) };
                let problem = format!("{} is no module of the build in {}; {modules}", sub.display(), found.directory.display());
                return Err(Error::Usage(problem));
            }
        }
        Ok(found)
    }

    /// The directories of the modules of the build, itself first.
    fn modules(&self) -> Vec<PathBuf> {
        let mut modules = vec![self.directory.clone()];
        self.modules_below(&self.directory, DEPTH, &mut modules);
        modules
    }

    fn modules_below(&self, directory: &Path, depth: usize, modules: &mut Vec<PathBuf>) {
        let mut directories: Vec<PathBuf> = directory.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        directories.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with('.') && !NO_MODULES.contains(&&*name) && !path.is_symlink() && path.is_dir()
        });
        directories.sort();
        for path in directories {
            if self.tool.marks().iter().any(|mark| path.join(mark).is_file()) {
                modules.push(path.clone());
            }
            if depth > 1 {
                self.modules_below(&path, depth - 1, modules);
            }
        }
    }

    /// What `--sub` calls a module; nothing for the build itself.
    fn name_of(&self, module: &Path) -> Option<String> {
        let inner = module.strip_prefix(&self.directory).ok()?;
        (!inner.as_os_str().is_empty()).then(|| inner.display().to_string())
    }

    /// The one executable jar that the build left.
    fn executable(&self) -> Result<PathBuf, Error> {
        let modules = match &self.sub {
            Some(sub) => vec![self.directory.join(sub)],
            None => self.modules(),
        };
        let mut found: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut others = Vec::new();
        for module in modules {
            let jars = jar::find(&module.join(self.tool.jars()));
            found.extend(jars.executables.into_iter().map(|jar| (module.clone(), jar)));
            others.extend(jars.others);
        }
        if found.len() < 2 {
            return found.pop().map(|(_, jar)| jar).ok_or_else(|| self.no_executable(&others));
        }
        let directories: HashSet<&PathBuf> = found.iter().map(|(module, _)| module).collect();
        let hint = match (directories.len(), found.iter().find_map(|(module, _)| self.name_of(module))) {
            (2.., Some(sub)) => format!("say which module is meant, e.g. --sub {sub}"),
            _ => "deploy the one that is meant by its file, e.g. `arkctl deploy <file>.jar`".to_owned(),
        };
        let within = |jar: &Path| jar.strip_prefix(&self.directory).unwrap_or(jar).display().to_string();
        let candidates: Vec<String> = found.iter().map(|(_, jar)| within(jar)).collect();
        Err(self.wrong(format!("the build makes several executable jars: {}", candidates.join(", ")), hint))
    }

    fn no_executable(&self, others: &[(PathBuf, String)]) -> Error {
        let place = self.sub.as_deref().unwrap_or(Path::new("")).join(self.tool.jars());
        let mut problem = format!("the build makes no executable jar in {}", place.display());
        for (jar, reason) in others.iter().take(5) {
            let name = jar.file_name().unwrap_or_default().to_string_lossy();
            problem.push_str(&format!("; not {name}: {reason}"));
        }
        let plugin = match self.tool {
            Tool::Maven => "add the plugin org.springframework.boot:spring-boot-maven-plugin with its goal `repackage` to the pom.xml",
            Tool::Gradle => "apply the plugin org.springframework.boot, which makes a bootJar",
        };
        self.wrong(problem, plugin.to_owned())
    }

    fn wrong(&self, problem: String, hint: String) -> Error {
        Error::Package { path: self.directory.clone(), problem, hint: Some(hint) }
    }

    fn failed(&self, ended: std::process::ExitStatus, program: &Path, said: &[String]) -> Error {
        let parent = self.directory.parent().filter(|parent| self.tool.marks().iter().any(|mark| parent.join(mark).is_file()));
        let name = self.directory.file_name().unwrap_or_default().to_string_lossy();
        Error::Build {
            problem: format!("{} does not build: {} ended with {ended}", self.directory.display(), program.display()),
            said: self.tool.useful(said),
            hint: Some(match parent {
                Some(parent) => {
                    format!("where it needs the modules beside it, build it in theirs: `arkctl build {} --sub {name}`", parent.display())
                }
                None => "the same command with --verbose shows all that the build says".to_owned(),
            }),
        }
    }
}

/// `a/./b/` as `a/b`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

impl Project for Java {
    fn kind(&self) -> Kind {
        Kind::Jvm
    }

    /// Runs the project's own build. The package is the jar that it leaves, as it is: its name and version are told with the order.
    fn build(&self, options: &Options, output: Output) -> Result<Made, Error> {
        if !options.features.is_empty() {
            return Err(Error::Usage("--features are those of a crate; a Java project has none".to_owned()));
        }
        let program = self.tool.find(&self.directory, Path::is_file, tool::on_path)?;
        let mut command = Command::new(&program);
        command.args(self.tool.arguments(self.sub.as_deref())).current_dir(&self.directory);
        let (status, said) = tool::run(command, self.tool.program(), output)?;
        if !status.success() {
            return Err(self.failed(status, &program, &said));
        }
        let path = self.executable()?;
        let mut manifest = package::of_jar(&path)?;
        let id = options.identity(&path, manifest.name.as_deref(), manifest.version.as_deref())?;
        manifest.name = Some(id.name().to_owned());
        manifest.version = Some(id.version().to_owned());
        Ok(Made { path, manifest })
    }

    /// The whole build: a module is made of those beside it, too.
    fn sources(&self) -> Sources {
        let roots = self.modules();
        let made = roots.iter().flat_map(|root| MADE.map(|made| root.join(made))).collect();
        Sources { roots, made }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::jar;

    const BOOT: &str = "Start-Class: a.A\nSpring-Boot-Version: 3.5.16\n";

    fn tool(files: &[&str]) -> Option<Tool> {
        Tool::of(|file| files.contains(&file))
    }

    fn line(tool: Tool, sub: Option<&str>) -> String {
        tool.arguments(sub.map(Path::new)).join(" ".as_ref()).into_string().unwrap()
    }

    fn tree(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for (name, bytes) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        (directory, root)
    }

    #[test]
    fn the_tool_of_a_project_is_told_by_its_files() {
        assert_eq!(tool(&["pom.xml"]), Some(Tool::Maven));
        assert_eq!(tool(&["build.gradle.kts"]), Some(Tool::Gradle));
        assert_eq!(tool(&["settings.gradle"]), Some(Tool::Gradle));
        assert_eq!(tool(&["pom.xml", "build.gradle"]), Some(Tool::Maven));
        assert_eq!(tool(&["pom.xml", "build.gradle", Tool::Gradle.wrapper()]), Some(Tool::Gradle));
        assert_eq!(tool(&["Makefile"]), None);
    }

    #[test]
    fn a_build_makes_the_package_and_runs_no_tests() {
        assert_eq!(line(Tool::Maven, None), "--batch-mode -DskipTests package");
        assert_eq!(line(Tool::Maven, Some("services/orders")), "--batch-mode -DskipTests --projects services/orders --also-make package");
        assert_eq!(line(Tool::Gradle, None), "--console=plain assemble");
        assert_eq!(line(Tool::Gradle, Some("services/orders")), "--console=plain :services:orders:assemble");
    }

    #[test]
    fn a_wrapper_goes_before_the_path_and_that_of_the_build_around_counts() {
        let found = |tool: Tool, files: &[&str], path: Option<&str>| {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            tool.find(Path::new("/w/a"), |file| files.iter().any(|known| known == file), |_| path.map(PathBuf::from))
        };
        let (maven, gradle) = (Tool::Maven.wrapper(), Tool::Gradle.wrapper());
        assert_eq!(found(Tool::Maven, &[&format!("/w/a/{maven}")], Some("/bin/mvn")).unwrap(), Path::new("/w/a").join(maven));
        assert_eq!(found(Tool::Gradle, &["/w/settings.gradle", &format!("/w/{gradle}")], None).unwrap(), Path::new("/w").join(gradle));
        // One above that is of no build around is somebody else's.
        assert_eq!(found(Tool::Gradle, &[&format!("/w/{gradle}")], Some("/bin/gradle")).unwrap(), Path::new("/bin/gradle"));
        for (tool, install) in [(Tool::Maven, "apt install maven"), (Tool::Gradle, "gradle.org/install")] {
            let error = found(tool, &[], None).unwrap_err();
            assert!(error.to_string().contains(tool.program()) && error.hint().unwrap().contains(install), "{error}");
        }
    }

    #[test]
    fn of_a_failed_maven_build_its_errors_are_shown_once_and_without_its_advice() {
        let said = "[INFO] Scanning\n[WARNING] x\n[ERROR] COMPILATION ERROR : \n[ERROR] /w/A.java:[3,5] cannot find symbol\n  at x\n[ERROR]   symbol: class B\n\
                    [ERROR] /w/A.java:[3,5] cannot find symbol\n[ERROR] \n[ERROR] -> [Help 1]\n[ERROR] Re-run Maven using the -X switch\n[ERROR] [Help 1] http://x";
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        assert_eq!(Tool::Maven.useful(&said), ["COMPILATION ERROR :", "/w/A.java:[3,5] cannot find symbol", "  symbol: class B"]);
        let without = ["The JAVA_HOME environment variable is not defined correctly".to_owned()];
        assert_eq!(Tool::Maven.useful(&without), without);
    }

    #[test]
    fn of_a_failed_gradle_build_what_went_wrong_is_shown() {
        let said = "> Task :compileJava FAILED\n/w/A.java:3: error: cannot find symbol\n\nFAILURE: Build failed with an exception.\n\n* What went wrong:\n\
                    Execution failed for task ':compileJava'.\n\n* Try:\n> Run with --info\n\nBUILD FAILED in 2s";
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        let useful = Tool::Gradle.useful(&said);
        assert_eq!(
            (useful[0].as_str(), useful.last().unwrap().as_str()),
            ("/w/A.java:3: error: cannot find symbol", "Execution failed for task ':compileJava'.")
        );
    }

    #[test]
    fn of_a_build_with_several_executables_one_has_to_be_named() {
        let fat = || jar(BOOT, &["BOOT-INF/lib/"]);
        let (_directory, root) = tree(&[
            ("pom.xml", Vec::new()),
            ("api/pom.xml", Vec::new()),
            ("api/target/api-1.jar", jar("", &["a/A.class"])),
            ("services/orders/pom.xml", Vec::new()),
            ("services/orders/target/orders-1.jar", fat()),
            ("services/stock/pom.xml", Vec::new()),
            ("services/stock/target/stock-1.jar", fat()),
            ("notes/target/x.jar", fat()),
        ]);
        let error = Java::find(&root, None).unwrap().executable().unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with("several executable jars: services/orders/target/orders-1.jar, services/stock/target/stock-1.jar"),
            "{text}"
        );
        assert_eq!(error.hint().unwrap(), "say which module is meant, e.g. --sub services/orders");
        let named = Java::find(&root, Some(Path::new("./services/stock/"))).unwrap();
        assert_eq!(named.executable().unwrap(), root.join("services/stock/target/stock-1.jar"));
        let library = Java::find(&root, Some(Path::new("api"))).unwrap().executable().unwrap_err();
        assert!(library.to_string().contains("no executable jar in api/target; not api-1.jar: "), "{library}");
        assert!(library.hint().unwrap().contains("spring-boot-maven-plugin"));
    }

    #[test]
    fn a_sub_that_is_no_module_is_told_which_there_are() {
        let (_directory, root) =
            tree(&[("settings.gradle.kts", Vec::new()), ("a/build.gradle.kts", Vec::new()), ("b/build.gradle", Vec::new())]);
        for sub in ["c", "../x", "/"] {
            let error = Java::find(&root, Some(Path::new(sub))).unwrap_err();
            assert!(error.to_string().ends_with("it has a, b"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn a_gradle_build_leaves_its_jar_among_its_libraries() {
        let files = [
            ("build.gradle", Vec::new()),
            ("build/libs/a-1-plain.jar", jar("", &["a/A.class"])),
            ("build/libs/a-1.jar", jar(BOOT, &["BOOT-INF/lib/"])),
        ];
        let (_directory, root) = tree(&files);
        assert_eq!(Java::find(&root, None).unwrap().executable().unwrap(), root.join("build/libs/a-1.jar"));
    }

    #[test]
    fn the_sources_are_those_of_all_modules_and_nothing_that_a_build_writes() {
        let (_directory, root) = tree(&[("pom.xml", Vec::new()), ("a/pom.xml", Vec::new()), ("target/pom.xml", Vec::new())]);
        let sources = Java::find(&root, None).unwrap().sources();
        assert_eq!(sources.roots, [root.clone(), root.join("a")]);
        for source in ["pom.xml", "a/src/main/java/shop/build/X.java", "a/pom.xml", "src/main/resources/application.properties"] {
            assert!(sources.has(&root.join(source)), "{source}");
        }
        for made in ["target/classes/X.class", "a/target/a.jar", "a/build/libs/a.jar", ".gradle/x", "dependency-reduced-pom.xml"] {
            assert!(!sources.has(&root.join(made)), "{made}");
        }
    }
}
