//! Commands that are run to their end, with a limit.

use std::{process::Stdio, time::Duration};

use tokio::io::AsyncWriteExt as _;

use super::Error;

/// How long one `kubectl`, `helm`, `ctr` or `buildah` may take.
const COMMAND: Duration = Duration::from_secs(180);

/// Runs work that waits for processes off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Io {
            what: "a blocking task".into(),
            source: error.into(),
        }),
    }
}

/// Runs a command to its end; its standard output.
pub(super) async fn run(
    mut command: tokio::process::Command,
    shown: String,
    input: &str,
) -> Result<String, Error> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(Error::io(shown.clone()))?;
    let mut stdin = child.stdin.take();
    let work = async {
        if let Some(mut stdin) = stdin.take() {
            // A command that does not read its input has closed it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let timeout = Error::Timeout {
        what: shown.clone(),
        limit: COMMAND,
        last: "still running".into(),
    };
    let output = tokio::time::timeout(COMMAND, work).await.map_err(|_| timeout)?;
    let output = output.map_err(Error::io(shown.clone()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Command {
        command: shown,
        status: output.status,
        stderr,
    })
}
