//! What of a status is worth an event.

use kube::runtime::events::EventType;
use zkinfer_crds::k8s::validator::{ValidatorStatus, condition};
use zkinfer_crds::k8s::{find_condition, is_true};

use crate::world::News;

/// The conditions changed, not only what is counted.
pub(super) fn more_than_totals(old: &ValidatorStatus, new: &ValidatorStatus) -> bool {
    let without = |status: &ValidatorStatus| ValidatorStatus {
        totals: None,
        ..status.clone()
    };
    without(old) != without(new)
}

/// The events that the change is worth.
pub(super) fn news(old: &ValidatorStatus, new: &ValidatorStatus) -> Vec<News> {
    if !more_than_totals(old, new) {
        return Vec::new();
    }
    let Some(ready) = find_condition(&new.conditions, condition::READY) else {
        return Vec::new();
    };
    let type_ = match is_true(&new.conditions, condition::READY) {
        true => EventType::Normal,
        false => EventType::Warning,
    };
    vec![(type_, ready.reason.clone(), "Rule", ready.message.clone())]
}
