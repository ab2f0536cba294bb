//! Which Validator rules, and what there is to count: by the objects as the watches have them.

use std::sync::Arc;

use kube::ResourceExt;
use zkinfer_crds::k8s::validator::ValidatorTotals;
use zkinfer_crds::k8s::{RequestPhase, Validator};

use crate::world::World;

/// The Validator that rules: the oldest in the operator's namespace; of two that are as old, the one that sorts first.
pub(super) fn ruling(namespace: &str, all: Vec<Arc<Validator>>) -> Option<Arc<Validator>> {
    all.into_iter()
        .filter(|v| v.namespace().as_deref() == Some(namespace))
        .min_by_key(|v| (v.creation_timestamp().map(|t| t.0), v.name_any()))
}

/// What there is to count.
pub(super) fn totals(world: &World) -> ValidatorTotals {
    let mut totals = ValidatorTotals::default();
    let requests = world.stores.requests.state();
    for request in requests.iter().filter(|r| !r.is_benchmark()) {
        match request.status.as_ref().map(|s| s.phase) {
            Some(RequestPhase::Succeeded) => totals.requests_succeeded += 1,
            Some(phase) if phase.is_over() => totals.requests_failed += 1,
            _ => totals.requests_unfinished += 1,
        }
    }
    for pool in world.stores.pools.state() {
        let claims = pool.status.as_ref().and_then(|s| s.claims);
        totals.slices_verified += claims.map_or(0, |c| c.verified);
    }
    totals
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn validator(namespace: &str, name: &str, minute: u32) -> Arc<Validator> {
        let made = format!("2026-01-01T00:{minute:02}:00Z");
        let object = json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Validator", "spec": {},
            "metadata": { "namespace": namespace, "name": name, "creationTimestamp": made },
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn name(all: Vec<Arc<Validator>>) -> Option<String> {
        ruling("system", all).map(|v| v.name_any())
    }

    #[test]
    fn the_oldest_in_the_operators_namespace_rules_and_no_other() {
        let elsewhere = || validator("other", "first", 0);
        assert_eq!(name(vec![elsewhere()]), None);
        let (old, new) = (validator("system", "z", 1), validator("system", "a", 2));
        assert_eq!(name(vec![new, elsewhere(), old]).as_deref(), Some("z"));
        let as_old = [validator("system", "b", 3), validator("system", "a", 3)];
        assert_eq!(name(as_old.to_vec()).as_deref(), Some("a"));
    }
}
