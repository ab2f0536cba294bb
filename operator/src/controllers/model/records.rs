//! What the Models' controller works with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use zkinfer_crds::k8s::{Model, ModelStatus};
use zkinfer_crds::wire::BlobRef;

use crate::artifacts::CompiledRecord;
use crate::fleet::Refusal;
use crate::world::{Records, World, lock};

/// Who has to know of a Model at once: of one that is as it was not before, or of all, which were listed anew.
type Listener = Box<dyn Fn(Option<&Model>) + Send + Sync>;

/// Of the Models' controller.
pub struct Models {
    /// What all controllers share.
    pub world: Arc<World>,
    /// The trusted setup's file for compilers; absent: the development setup, or none.
    pub srs_file: Option<BlobRef>,
    /// Held by whoever has a large file in memory.
    pub(super) large: Arc<tokio::sync::Mutex<()>>,
    records: Records<String, ModelRecord>,
    listeners: Mutex<Vec<Listener>>,
}

impl Models {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(world: Arc<World>, srs_file: Option<BlobRef>) -> Self {
        Self {
            world,
            srs_file,
            large: Arc::default(),
            records: Records::default(),
            listeners: Mutex::default(),
        }
    }

    /// From now on `listener` is told of Models before anything is reconciled.
    pub fn on_news(&self, listener: impl Fn(Option<&Model>) + Send + Sync + 'static) {
        lock(&self.listeners).push(Box::new(listener));
    }

    /// Tells of a Model, or that all were listed.
    pub(super) fn tell(&self, model: Option<&Model>) {
        lock(&self.listeners).iter().for_each(|listener| listener(model));
    }

    /// What is known of Models, by uid.
    pub fn records(&self) -> MutexGuard<'_, BTreeMap<String, ModelRecord>> {
        self.records.lock()
    }
}

/// What is known of a Model beside its status.
#[derive(Default)]
pub struct ModelRecord {
    /// What its last look has found.
    pub known: Known,
    /// What the compiler last said, and when.
    pub progress: Option<(String, Instant)>,
    /// Its compile Job that the API server has refused.
    pub refused: Option<Refusal>,
    /// It was tried to load it since it was found good, and why it cannot be; whether it is of another version.
    pub broken: Option<(String, bool)>,
    /// The Model will not become ready.
    pub failed: bool,
    /// The status as written last, and when.
    pub written: Option<(ModelStatus, Instant)>,
}

/// What a look at a Model finds, and the next one begins with.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// It was looked for in the store.
    pub looked: bool,
    /// The ONNX file, once it was found.
    pub onnx: Option<BlobRef>,
    /// The calibration data, once it was found.
    pub calibration: Option<BlobRef>,
    /// What was compiled, and what the compiler reported.
    pub outcome: Option<CompiledRecord>,
    /// What was compiled before is of another version: it is compiled again.
    pub old_version: bool,
    /// What was compiled was found good since the operator started.
    pub good: bool,
    /// What was seen of the ConfigMaps that it was compiled from.
    pub source_look: SourceLook,
}

/// What was seen of the ConfigMaps at the last look.
#[derive(Debug, Clone, Default)]
pub struct SourceLook {
    pub(super) at: Option<Instant>,
    pub(super) versions: Vec<Option<String>>,
    pub(super) changed: Option<String>,
}
