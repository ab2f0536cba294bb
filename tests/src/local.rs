//! Runs the built programs as a person would, without a cluster.
//!
//! Invariant: a run ends within its time, whatever the program does; its files lie in a folder of its own, which goes
//! away with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest run of a program.
const TIME: Duration = Duration::from_secs(120);

/// The repository's folder.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// A file of the example models.
#[must_use]
pub fn model_file(name: &str) -> PathBuf {
    repository().join("tests/models").join(name)
}

/// What `cargo tree` says of a package of the workspace, line by line.
///
/// # Panics
/// When Cargo cannot say.
#[must_use]
pub fn cargo_tree(package: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "tree",
        "--offline",
        "--locked",
        "--prefix",
        "none",
        "--package",
        package,
    ]);
    let ran = run(command.args(arguments).current_dir(repository()));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout.lines().map(str::to_owned).collect()
}

/// A built program of the workspace, found beside the running test, or in the folder `$ZKINFER_PROGRAMS`, which is for
/// measuring another build (`target/dist`).
///
/// # Panics
/// When it has not been built: tests do not skip it silently.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("ZKINFER_PROGRAMS") {
        let path = std::path::absolute(PathBuf::from(folder).join(name)).unwrap_or_default();
        assert!(path.is_file(), "ZKINFER_PROGRAMS has no {}", path.display());
        return path;
    }
    let test = std::env::current_exe().unwrap_or_default();
    let beside = test
        .ancestors()
        .take(4)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    match beside {
        Some(path) => path,
        None => panic!("{name} is not built: cargo build --release --workspace --bins"),
    }
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The process id that it had.
    pub pid: u32,
    /// Wall time.
    pub took: Duration,
}

/// Runs a program to its end, or ends it after two minutes.
///
/// # Panics
/// When it cannot be started or does not end.
pub fn run(command: &mut Command) -> Ran {
    run_within(TIME, command)
}

/// The same, with another time.
///
/// # Panics
/// As [`run`].
pub fn run_within(limit: Duration, command: &mut Command) -> Ran {
    let started = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let id = child.id();
    let (done, watch) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let hung = watch.recv_timeout(limit).is_err();
        if hung {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        }
        hung
    });
    let output: Output = child
        .wait_with_output()
        .unwrap_or_else(|e| panic!("cannot wait for {command:?}: {e}"));
    let _ = done.send(());
    let hung = watchdog.join().unwrap_or(true);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(!hung, "{command:?} did not end within {limit:?}\n{stderr}");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout,
        stderr,
        pid: id,
        took: started.elapsed(),
    }
}

/// A folder for the files of local runs: compiled models, artifacts, receipts.
#[derive(Debug)]
pub struct LocalRuns {
    folder: tempfile::TempDir,
}

/// The objects that a local run printed.
#[derive(Debug)]
pub struct Objects {
    /// How the program ended.
    pub ran: Ran,
    items: Vec<Value>,
}

impl LocalRuns {
    /// An empty folder.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary folder: {e}"));
        Self { folder }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file with this text in the folder.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// `operator local` with these arguments; the development SRS is allowed.
    #[must_use]
    pub fn operator(&self, arguments: &[&str]) -> Objects {
        self.operator_without_flags(&[arguments, &["--allow-dev-srs"]].concat())
    }

    /// `operator local` with these arguments; no trusted setup is given.
    #[must_use]
    pub fn operator_without_flags(&self, arguments: &[&str]) -> Objects {
        let mut command = Command::new(program("operator"));
        command
            .arg("local")
            .args(arguments)
            .args(["-o", "json", "--state"])
            .arg(self.path().join("state"));
        let ran = run(&mut command);
        let items = match serde_json::from_str::<Value>(&ran.stdout) {
            Ok(list) => list["items"].as_array().cloned().unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        Objects { ran, items }
    }

    /// `operator local` on objects written as YAML text.
    #[must_use]
    pub fn yaml(&self, yaml: &str, arguments: &[&str]) -> Objects {
        let file = self.file("objects.yaml", yaml).display().to_string();
        self.operator(&[&["-f", &file], arguments].concat())
    }
}

impl Default for LocalRuns {
    fn default() -> Self {
        Self::new()
    }
}

impl Objects {
    /// The object of this kind and name.
    ///
    /// # Panics
    /// When there is none; what the program said is shown.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> &Value {
        let found = self
            .items
            .iter()
            .find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}; exit {}\n{}", self.ran.code, self.ran.stderr))
    }

    /// An object's condition as `Status/Reason: message`.
    #[must_use]
    pub fn condition(&self, kind: &str, name: &str, type_: &str) -> String {
        let object = self.get(kind, name);
        let conditions = object["status"]["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found = conditions.iter().find(|c| c["type"] == type_);
        let text = |c: &Value, field: &str| c[field].as_str().unwrap_or_default().to_owned();
        found.map_or_else(
            || format!("no {type_}"),
            |c| {
                format!(
                    "{}/{}: {}",
                    text(c, "status"),
                    text(c, "reason"),
                    text(c, "message")
                )
            },
        )
    }
}
