//! What is told of the last publication: in the Validator's status, and in those of the pools.
//!
//! Invariant: whoever reads it reads all of one look.

use std::collections::BTreeMap;
use std::sync::Mutex;

use zkinfer_crds::Identity;
use zkinfer_crds::k8s::Truth;
use zkinfer_crds::k8s::validator::WeightsStatus;
use zkinfer_weights::assign::Place;

/// What was said last.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Whether the last weights that were due have left.
    pub truth: Truth,
    /// The reason, a word of `validator::reason`.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Told {
    /// The weights that were made last.
    pub status: Option<WeightsStatus>,
    /// Whether they have left.
    pub said: Option<Said>,
    /// Where each pool's identity stood then.
    pub places: BTreeMap<Identity, Place>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Published(Mutex<Told>);

impl Published {
    fn lock(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// As it is now.
    #[must_use]
    pub fn get(&self) -> Told {
        self.lock().clone()
    }

    /// Where an identity's weight went when weights were made last.
    #[must_use]
    pub fn place(&self, identity: &Identity) -> Option<Place> {
        self.lock().places.get(identity).copied()
    }

    /// Changes it; whether the places are others, and whether anything is.
    pub fn change(&self, change: impl FnOnce(&mut Told)) -> (bool, bool) {
        let mut told = self.lock();
        let before = told.clone();
        change(&mut told);
        (told.places != before.places, *told != before)
    }
}
