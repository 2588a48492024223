//! A PostgreSQL of its own, for applications that need a database.

use std::{
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::Error;

/// Where Debian puts it: a folder for each version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// The superuser of the cluster, and whom the server runs as where we are root, which it refuses to be.
const USER: &str = "postgres";

/// A database server on a free port of this machine, with a database named as asked for. It is stopped and deleted when this is dropped.
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    /// Where it listens on 127.0.0.1; its user `postgres` needs no password there.
    pub port: u16,
}

impl Postgres {
    /// Makes a cluster in a temporary folder, starts a server on it, and creates the database `database`.
    ///
    /// # Errors
    /// Where PostgreSQL is not installed, or does not come up.
    pub fn start(database: &str) -> Result<Self, Error> {
        Self::with(database, "-c fsync=off", &[])
    }

    /// The same, with every commit on the disk before it is answered: where that is what is measured.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn durable(database: &str) -> Result<Self, Error> {
        Self::with(database, "", &[])
    }

    /// The same as [`Self::start`], over TLS too, with this certificate and its key (PEM).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn encrypted(database: &str, certificate: &str, key: &str) -> Result<Self, Error> {
        Self::with(database, "-c fsync=off -c ssl=on", &[("server.crt", certificate), ("server.key", key)])
    }

    /// With `files` in its data directory.
    fn with(database: &str, settings: &str, files: &[(&str, &str)]) -> Result<Self, Error> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777))?;
        let mut postgres = Self { folder, programs, port: 0 };
        postgres.run("initdb", &["-D", &postgres.data(), "-U", USER, "-A", "trust", "-N", "-E", "UTF8"])?;
        for (name, text) in files {
            let (path, owner) = (Path::new(&postgres.data()).join(name), std::fs::metadata(postgres.data())?);
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        // A port that is free may be somebody's before the server has it.
        let mut started = postgres.listen(settings);
        for _ in 0..2 {
            started = started.or_else(|_| postgres.listen(settings));
        }
        started?;
        postgres.run("createdb", &["-h", "127.0.0.1", "-p", &postgres.port.to_string(), "-U", USER, database])?;
        Ok(postgres)
    }

    /// Starts the server on a port that is free now.
    fn listen(&mut self, settings: &str) -> Result<(), Error> {
        self.port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings = format!("-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' {settings}", self.port);
        self.run("pg_ctl", &["-D", &self.data(), "-w", "-l", &self.path("server.log"), "-o", &settings, "start"]).map(drop)
    }

    /// What a statement answers, without headings.
    ///
    /// # Errors
    /// Where it fails.
    pub fn query(&self, database: &str, statement: &str) -> Result<String, Error> {
        self.run("psql", &["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER, "-d", database, "-A", "-t", "-c", statement])
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn data(&self) -> String {
        self.path("data")
    }

    /// What the program says. Servers inherit its output, which is thus a file that can be read while they live.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let place = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(&place);
            command
        } else {
            Command::new(&place)
        };
        // One for each: tests that share a server ask at the same time.
        let said = tempfile::NamedTempFile::new_in(self.folder.path())?;
        let file = said.reopen()?;
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let status = command.status().map_err(|error| format!("cannot run {}: {error}", place.display()))?;
        let said = String::from_utf8_lossy(&std::fs::read(said.path())?).trim().to_owned();
        if status.success() { Ok(said) } else { Err(format!("{program} ended with {status}:\n{said}").into()) }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "stop"]);
    }
}

/// Whether PostgreSQL is installed.
#[must_use]
pub fn is_installed() -> bool {
    programs().is_ok()
}

/// Whether this process is root's.
#[must_use]
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// The folder with the programs of the newest version.
fn programs() -> Result<PathBuf, Error> {
    let versions = std::fs::read_dir(INSTALLED).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let mut found: Vec<PathBuf> = versions.filter(|folder| folder.join("initdb").is_file()).collect();
    found.sort_by_key(|folder| version(folder));
    found.pop().ok_or_else(|| format!("there is no PostgreSQL in {INSTALLED}; install the package `postgresql`").into())
}

fn version(programs: &Path) -> u32 {
    programs.parent().and_then(Path::file_name).and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).unwrap_or(0)
}
