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

use super::budget::{Budget, Use, mib, too_large};
use super::model::{CompiledModel, LoadError};

/// Beside files and what is made of them.
const OVERHEAD: u64 = 4 << 20;

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
    #[error("{}", too_large(*needs, *budget, Use::Models))]
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

struct Place<M> {
    model: Arc<M>,
    namespaces: Vec<String>,
    bytes: u64,
    used: u64,
}

/// Models, or what stands for them.
struct Places<M> {
    by_manifest: BTreeMap<Digest, Place<M>>,
    clock: u64,
}

impl<M> Default for Places<M> {
    fn default() -> Self {
        Self {
            by_manifest: BTreeMap::new(),
            clock: 0,
        }
    }
}

/// See the module.
pub struct Shelf {
    memory: Budget,
    places: Mutex<Places<CompiledModel>>,
    loading: tokio::sync::Mutex<()>,
}

impl Shelf {
    /// An empty one.
    #[must_use]
    pub fn new(memory: Budget) -> Self {
        Self {
            memory,
            places: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// How much there is.
    #[must_use]
    pub fn memory(&self) -> Budget {
        self.memory
    }

    /// What is loaded, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.places().by_manifest.values().map(|p| p.bytes).sum()
    }

    fn places(&self) -> MutexGuard<'_, Places<CompiledModel>> {
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
        self.places().put(digest, namespace, needs, Arc::clone(&model));
        Ok(model)
    }
}

impl<M> Places<M> {
    fn put(&mut self, digest: Digest, namespace: &str, bytes: u64, model: Arc<M>) {
        self.clock += 1;
        let place = Place {
            model,
            namespaces: vec![namespace.to_owned()],
            bytes,
            used: self.clock,
        };
        self.by_manifest.insert(digest, place);
    }

    fn find(&mut self, digest: &Digest, namespace: &str) -> Option<Arc<M>> {
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
    fn make_room(&mut self, namespace: &str, needs: u64, memory: &Budget) -> Result<(), ShelfError> {
        let own = |place: &Place<M>| place.namespaces.iter().any(|n| n == namespace);
        for (budget, all) in [(memory.per_namespace.max(needs), false), (memory.bytes, true)] {
            loop {
                let counted = || self.by_manifest.iter().filter(|(_, p)| all || own(p));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> Digest {
        Digest::new([n; 32])
    }

    /// A hundred bytes, fifty of them for a namespace with more than one model.
    const BUDGET: Budget = Budget::of(100);

    /// Room for a model, which is put there; what is returned holds it.
    fn load(places: &mut Places<u8>, n: u8, namespace: &str, bytes: u64) -> Result<Arc<u8>, ShelfError> {
        places.make_room(namespace, bytes, &BUDGET)?;
        let model = Arc::new(n);
        places.put(digest(n), namespace, bytes, Arc::clone(&model));
        Ok(model)
    }

    fn held(result: Result<Arc<u8>, ShelfError>) -> (u64, u64) {
        match result {
            Err(ShelfError::Full { budget, held, .. }) => (budget, held),
            other => panic!("{other:?}"),
        }
    }

    fn there(places: &Places<u8>) -> Vec<u8> {
        places.by_manifest.values().map(|p| *p.model).collect()
    }

    #[test]
    fn what_was_used_longest_ago_and_nobody_holds_makes_room() {
        let mut places = Places::default();
        let first = load(&mut places, 1, "a", 40).unwrap();
        drop(load(&mut places, 2, "b", 30).unwrap());
        drop(load(&mut places, 3, "c", 30).unwrap());
        assert!(places.find(&digest(2), "b").is_some());
        drop(load(&mut places, 4, "d", 30).unwrap());
        assert_eq!(
            there(&places),
            [1, 2, 4],
            "the first is held, the second was used last"
        );
        drop(first);
    }

    #[test]
    fn models_that_requests_hold_stay_and_whoever_finds_no_room_is_told_what_is_held() {
        let mut places = Places::default();
        let kept = [
            load(&mut places, 1, "a", 50).unwrap(),
            load(&mut places, 2, "b", 40).unwrap(),
        ];
        assert_eq!(held(load(&mut places, 3, "c", 20)), (100, 90));
        assert_eq!(there(&places), [1, 2]);
        drop(kept);
        load(&mut places, 3, "c", 20).unwrap();
    }

    #[test]
    fn a_namespace_has_no_more_than_its_share_but_for_a_single_model() {
        let mut places = Places::default();
        let large = load(&mut places, 1, "greedy", 80).unwrap();
        assert_eq!(held(load(&mut places, 2, "greedy", 10)), (50, 80));
        let other = load(&mut places, 3, "other", 20).unwrap();
        drop(large);
        // Its own goes, though there would be room beside it for nobody's.
        let small = load(&mut places, 2, "greedy", 30).unwrap();
        assert_eq!(there(&places), [2, 3]);
        drop((other, small));
    }
}
