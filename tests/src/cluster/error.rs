//! What can go wrong with a cluster. Each variant names the thing, so that a failed test tells what to look at.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// A cluster could not be started or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine lacks something that a cluster needs.
    #[error("this machine cannot run a cluster: {0}")]
    Unavailable(String),
    /// A file or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The sandbox's supervisor ended before the sandbox was there.
    #[error("the sandbox did not start: {0}")]
    Sandbox(String),
    /// A command ended unsuccessfully.
    #[error("`{command}` ended with {status}: {stderr}")]
    Command {
        /// The command and its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// A daemon of the cluster ended by itself.
    #[error("{daemon} ended by itself; its last lines ({log}):\n{tail}")]
    Ended {
        /// Its name.
        daemon: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// Something did not happen in time.
    #[error("{what}: not within {limit:?}; last seen: {last}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// What was seen last.
        last: String,
    },
    /// The API server refused, or could not be reached.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// A kubeconfig of this cluster could not be used.
    #[error(transparent)]
    Kubeconfig(#[from] kube::config::KubeconfigError),
}

impl Error {
    /// Gives an I/O error the words that say what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
