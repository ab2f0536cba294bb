//! The compiled models that are in memory, within a budget.
//!
//! Invariants: what is loaded and what is being loaded never take more than the budget, by the account of
//! [`loaded_bytes`]; one model is loaded at a time; what a run holds stays. Beyond its share a namespace has one model
//! loaded, so that nobody holds all of it for long. What was used longest ago goes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::CompileReport;
use zkinfer_crds::slice_files::FileRole;

use super::model::{CompiledModel, LoadError};

/// What everything else of the operator takes: bodies, runs, the API's objects.
const REST: u64 = 192 << 20;
/// A container's limit where none is known.
const LIMIT: u64 = 512 << 20;
/// Beside files and what is made of them.
const OVERHEAD: u64 = 4 << 20;

/// How much memory models may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelMemory {
    /// In all.
    pub bytes: u64,
    /// Of one namespace, if it is more than one model.
    pub per_namespace: u64,
}

impl ModelMemory {
    /// What is stated, else what the limit leaves: of the container, else 512 MiB.
    #[must_use]
    pub fn new(stated: Option<u64>, limit: Option<u64>) -> Self {
        let limit = limit.unwrap_or(LIMIT);
        let left = limit.saturating_sub(REST).max(limit / 4);
        let bytes = stated.unwrap_or(left);
        Self {
            bytes,
            per_namespace: bytes / 2,
        }
    }
}

/// Memory that a model takes once it is loaded, and at most while it is: the graph twice, as it is evaluated and as its
/// relations, or as a file; and keys that are files, several times.
#[must_use]
pub fn loaded_bytes(report: &CompileReport) -> u64 {
    let keys = report.slices.iter();
    let keys = keys.filter_map(|s| s.files.get(FileRole::VerifyingKey));
    let keys = keys.fold(0, |sum: u64, key| sum.saturating_add(key.size));
    OVERHEAD
        .saturating_add(report.graph.size.saturating_mul(2))
        .saturating_add(report.manifest.size.saturating_mul(8))
        .saturating_add(keys.saturating_mul(4))
}

/// Why a model is not there.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// It alone takes more than there is.
    #[error("{}", too_large(*needs, *budget))]
    TooLarge {
        /// What it takes.
        needs: u64,
        /// What there is.
        budget: u64,
    },
    /// Others are in use; it can be had later.
    #[error("it takes {} MiB of the operator's memory for models, and of {} MiB requests at work hold {}", mib(*needs), mib(*budget), mib(*held))]
    Full {
        /// What it takes.
        needs: u64,
        /// What there is, for this namespace.
        budget: u64,
        /// What is held of it.
        held: u64,
    },
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

const fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Why a model that needs so much is not served, and what to do.
#[must_use]
pub fn too_large(needs: u64, budget: u64) -> String {
    format!(
        "it takes {} MiB of the operator's memory, which has {} MiB for compiled models: give the operator's container a \
         larger memory limit, or start it with --model-memory={}Mi where there is more than its limit says",
        mib(needs),
        mib(budget),
        mib(needs)
    )
}

struct Place {
    model: Arc<CompiledModel>,
    namespaces: Vec<String>,
    bytes: u64,
    used: u64,
}

#[derive(Default)]
struct Places {
    by_manifest: BTreeMap<Digest, Place>,
    clock: u64,
}

/// See the module.
pub struct Shelf {
    memory: ModelMemory,
    places: Mutex<Places>,
    loading: tokio::sync::Mutex<()>,
}

impl Shelf {
    /// An empty one.
    #[must_use]
    pub fn new(memory: ModelMemory) -> Self {
        Self {
            memory,
            places: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// How much there is.
    #[must_use]
    pub fn memory(&self) -> ModelMemory {
        self.memory
    }

    /// What is loaded, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.places().by_manifest.values().map(|p| p.bytes).sum()
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model of a report, for a namespace: as it is here, or loaded.
    ///
    /// # Errors
    /// One that is too large, for which there is no room now, or that cannot be loaded.
    pub async fn get(
        &self,
        namespace: &str,
        report: &CompileReport,
        load: impl Future<Output = Result<CompiledModel, LoadError>>,
    ) -> Result<Arc<CompiledModel>, ShelfError> {
        let digest = report.manifest.digest;
        if let Some(model) = self.places().find(&digest, namespace) {
            return Ok(model);
        }
        let needs = loaded_bytes(report);
        if needs > self.memory.bytes {
            let budget = self.memory.bytes;
            return Err(ShelfError::TooLarge { needs, budget });
        }
        let _one_at_a_time = self.loading.lock().await;
        {
            let mut places = self.places();
            if let Some(model) = places.find(&digest, namespace) {
                return Ok(model);
            }
            places.make_room(namespace, needs, &self.memory)?;
        }
        let model = Arc::new(load.await?);
        let mut places = self.places();
        places.clock += 1;
        let place = Place {
            model: Arc::clone(&model),
            namespaces: vec![namespace.to_owned()],
            bytes: needs,
            used: places.clock,
        };
        places.by_manifest.insert(digest, place);
        Ok(model)
    }
}

impl Places {
    fn find(&mut self, digest: &Digest, namespace: &str) -> Option<Arc<CompiledModel>> {
        self.clock += 1;
        let place = self.by_manifest.get_mut(digest)?;
        place.used = self.clock;
        if !place.namespaces.iter().any(|n| n == namespace) {
            place.namespaces.push(namespace.to_owned());
        }
        Some(Arc::clone(&place.model))
    }

    /// Takes out what was used longest ago and nobody holds, of this namespace while it has more than its share, then of
    /// all.
    fn make_room(&mut self, namespace: &str, needs: u64, memory: &ModelMemory) -> Result<(), ShelfError> {
        let own = |place: &Place| place.namespaces.iter().any(|n| n == namespace);
        type Counts<'a> = &'a dyn Fn(&Place) -> bool;
        let bounds: [(u64, Counts<'_>); 2] =
            [(memory.per_namespace.max(needs), &own), (memory.bytes, &|_| true)];
        for (budget, counts) in bounds {
            loop {
                let counted = || self.by_manifest.iter().filter(|(_, p)| counts(p));
                let held: u64 = counted().map(|(_, p)| p.bytes).sum();
                if held.saturating_add(needs) <= budget {
                    break;
                }
                let idle = counted().filter(|(_, p)| Arc::strong_count(&p.model) == 1);
                let Some(oldest) = idle.min_by_key(|(_, p)| p.used).map(|(digest, _)| *digest) else {
                    return Err(ShelfError::Full { needs, budget, held });
                };
                self.by_manifest.remove(&oldest);
            }
        }
        Ok(())
    }
}

/// The memory limit of the container that this process is in; `None` where there is none.
#[must_use]
pub fn container_limit() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    // cgroup v2, then v1, which writes a huge number for no limit.
    read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .filter(|limit| *limit < 1 << 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_get_what_the_limit_leaves_unless_somebody_says_otherwise() {
        let memory = |stated, limit| ModelMemory::new(stated, limit).bytes >> 20;
        assert_eq!(memory(None, None), 320);
        assert_eq!(memory(None, Some(1 << 30)), 832);
        assert_eq!(memory(None, Some(64 << 20)), 16, "a quarter at least");
        assert_eq!(memory(Some(700 << 20), Some(1 << 30)), 700);
    }

    #[test]
    fn the_message_names_what_it_takes_what_there_is_and_the_flag() {
        let message = too_large((300 << 20) + 1, 200 << 20);
        for word in ["301 MiB", "200 MiB", "--model-memory=301Mi"] {
            assert!(message.contains(word), "{message}");
        }
    }
}
