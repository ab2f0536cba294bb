//! A program that runs in a sandbox as a child of the test.
//!
//! Invariant: signals go to the program itself, not to the `nsenter` that waits for it, and the program ends with the
//! handle, the cluster or the test process, whichever is first.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use super::{
    Error, Signal,
    pids::{inner_pid, send},
};

/// A running program; dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    nsenter: Child,
    pid: Option<u32>,
    log: PathBuf,
}

impl Process {
    /// Starts a command from [`Sandbox::command`](super::Sandbox::command), with its output added to the file `log`.
    pub fn spawn(mut command: Command, name: &str, log: &Path) -> Result<Self, Error> {
        let open = OpenOptions::new().create(true).append(true).open(log);
        let out = open.map_err(Error::io(log.display().to_string()))?;
        let err = out.try_clone().map_err(Error::io(log.display().to_string()))?;
        let nsenter = command.stdout(out).stderr(err).spawn().map_err(Error::io(name))?;
        let pid = inner_pid(nsenter.id());
        Ok(Self {
            name: name.to_owned(),
            nsenter,
            pid,
            log: log.to_owned(),
        })
    }

    /// The program's number outside the sandbox; `None` if it ended at once.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// What it has printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        match (self.try_wait()?, self.pid) {
            (None, Some(pid)) => send(pid, signal),
            _ => Ok(()),
        }
    }

    /// How it ended, if it has.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.nsenter.try_wait().map_err(Error::io(self.name.clone()))
    }

    /// Waits for its end.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                let what = format!("the end of {}", self.name);
                return Err(Error::Timeout {
                    what,
                    limit,
                    last: "alive".into(),
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal(Signal::SIGKILL);
        // nsenter ends as its child has; were there no child, it could only be nsenter itself that hangs.
        if self.pid.is_none() {
            let _ = self.nsenter.kill();
        }
        let _ = self.nsenter.wait();
    }
}
