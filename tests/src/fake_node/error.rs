//! Why a fake node cannot run a pod, or do what a test asks of it.

use std::io;

use crate::cluster;

/// A fake node, or one of its pods, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pod asks for something that a fake node does not know; such a pod fails, so that no test passes by accident.
    #[error("a fake node does not support {0}")]
    Unsupported(String),
    /// No program was named for the pod's image.
    #[error("no program is known for image {0}")]
    NoProgram(String),
    /// An object that the pod needs is not there (yet).
    #[error("not found: {0}")]
    Missing(String),
    /// The pod has no process at the moment.
    #[error("pod {0} has no process on this node")]
    NoProcess(String),
    /// The node was lost: it does nothing any more.
    #[error("the node is lost")]
    Lost,
    /// A file or a process could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The API server refused, or could not be reached.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// The cluster could not be used.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
}

impl Error {
    /// Gives an I/O error the words that say what was tried.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// The `reason` of a container that waits because of this.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoProgram(_) => "ErrImagePull",
            // As a kubelet: what a volume is made of may come yet.
            Self::Missing(_) => "ContainerCreating",
            _ => "CreateContainerError",
        }
    }
}
