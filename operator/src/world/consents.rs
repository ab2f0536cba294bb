//! The lists of the ConfigMaps `zkinfer-consent` as the API server has them.
//!
//! Invariant: of a ConfigMap only the list is kept, so nobody's takes memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use zkinfer_crds::k8s::ServedBy;

use super::records::lock;
use crate::consent::{Consent, Listing, Lists, decide};
use crate::in_force::InForce;

/// The lists by namespace.
#[derive(Debug)]
pub struct Consents {
    /// Where the installation's list is.
    in_force: Arc<InForce>,
    /// One person runs the operator and every pool, and consents to them where nobody said otherwise.
    of_the_runner: bool,
    lists: Mutex<BTreeMap<String, Listing>>,
}

impl Consents {
    /// None yet.
    #[must_use]
    pub fn new(in_force: Arc<InForce>, of_the_runner: bool) -> Self {
        Self {
            in_force,
            of_the_runner,
            lists: Mutex::default(),
        }
    }

    /// Who may serve the requests of the Model of this name, by its `servedBy` and the lists.
    #[must_use]
    pub fn decide(&self, namespace: &str, name: &str, served_by: Option<&[ServedBy]>) -> Consent {
        let rules = self.in_force.get();
        let lists = lock(&self.lists);
        let lists = Lists {
            own: lists.get(namespace),
            installation: rules.consent.as_ref(),
        };
        let decided = decide(namespace, name, served_by, &lists);
        if self.of_the_runner {
            decided.or_of_the_runner()
        } else {
            decided
        }
    }

    /// Whether the list of `changed` concerns what is in namespace `own`; `changed` is absent where all are another.
    #[must_use]
    pub fn concerns(changed: Option<&str>, own: Option<&str>) -> bool {
        changed.is_none_or(|n| Some(n) == own)
    }

    /// All lists are these.
    pub fn replace(&self, lists: BTreeMap<String, Listing>) {
        *lock(&self.lists) = lists;
    }

    /// The list of a namespace is this.
    pub fn set(&self, namespace: &str, listing: Listing) {
        lock(&self.lists).insert(namespace.to_owned(), listing);
    }

    /// A namespace has none.
    pub fn remove(&self, namespace: &str) {
        lock(&self.lists).remove(namespace);
    }
}
