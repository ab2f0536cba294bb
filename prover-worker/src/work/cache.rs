//! Blobs on disk, by digest, shared between workers of one node.
//!
//! Invariant: whatever is read from here is compared with its digest; a damaged file is as good as none.

use std::path::PathBuf;

use zkinfer_crds::Digest;

use crate::files;

pub(super) struct Cache {
    dir: Option<PathBuf>,
}

impl Cache {
    pub(super) fn new(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        files::read_blob(self.dir.as_deref()?, digest).ok()
    }

    /// Keeps a blob whose digest has been compared. A cache that cannot be written is no reason not to prove.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) {
        let Some(dir) = self.dir.as_deref() else { return };
        if let Err(e) = files::write(&files::blob_path(dir, digest), bytes) {
            tracing::warn!(error = %e, "cannot keep a blob");
        }
    }
}
