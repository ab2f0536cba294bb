//! `prover-worker reference` as a child process: ONNX files from outside are parsed there, not here.
//!
//! Invariant: while it runs it is started again whenever it ends; it ends with this program.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;

/// Before it is started again.
const AGAIN: Duration = Duration::from_secs(1);
/// How many models it holds, and how much memory they may take together, in MiB.
const MODELS: (usize, u64) = (3, 3072);

/// The process.
pub(super) struct Floats {
    /// Where it answers.
    pub(super) socket: PathBuf,
    /// The socket's folder: a path of a socket may have about 100 bytes, and that of the state any length.
    _folder: TempDir,
    running: JoinHandle<()>,
}

/// Starts it.
///
/// # Errors
/// No place for its socket.
pub(super) fn start(worker: &Path, logs: &Path) -> std::io::Result<Floats> {
    let folder = tempfile::Builder::new().prefix("zkinfer-").tempdir()?;
    let socket = folder.path().join("reference.sock");
    let answers = socket.clone();
    let (program, log) = (worker.to_owned(), logs.join("reference.log"));
    let running = tokio::spawn(async move {
        loop {
            let mut command = Command::new(&program);
            command
                .arg("reference")
                .arg("--socket")
                .arg(&socket)
                .arg(format!("--models={}", MODELS.0))
                .arg(format!("--memory-mib={}", MODELS.1));
            let ended = run(command, &log).await;
            tracing::warn!(?ended, "the float reference has ended; it is started again");
            tokio::time::sleep(AGAIN).await;
        }
    });
    Ok(Floats {
        socket: answers,
        _folder: folder,
        running,
    })
}

async fn run(mut command: Command, log: &Path) -> std::io::Result<std::process::ExitStatus> {
    let file = std::fs::File::options().create(true).append(true).open(log)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .kill_on_drop(true);
    command.spawn()?.wait().await
}

impl Floats {
    /// Ends it.
    pub(super) async fn stop(self) {
        self.running.abort();
        // The child is killed when its task has gone.
        let _ = self.running.await;
    }
}
