//! What of a status is new, for whom, and worth an event.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::EventType;
use zkinfer_crds::k8s::miner_pool::condition;
use zkinfer_crds::k8s::{MinerPool, MinerPoolStatus, find_condition, holds, is_true};

use super::trouble::Trouble;
use crate::world::News;

/// What requests choose a pool by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    labels: Option<BTreeMap<String, String>>,
    allowed_namespaces: Vec<String>,
    memory: u64,
    ready: bool,
    drain: bool,
}

impl Choice {
    pub(super) fn of(object: &MinerPool, status: &MinerPoolStatus) -> Self {
        Self {
            labels: object.metadata.labels.clone(),
            allowed_namespaces: object.spec.allowed_namespaces.clone(),
            memory: object.spec.resources.memory.bytes(),
            ready: is_true(&status.conditions, condition::READY),
            drain: object.spec.drain,
        }
    }
}

/// What is said of it beside scores.
pub(super) fn facts(status: &MinerPoolStatus) -> Vec<(String, String, String, Option<i64>)> {
    let fact = |c: &Condition| {
        (
            c.type_.clone(),
            c.status.clone(),
            c.reason.clone(),
            c.observed_generation,
        )
    };
    status.conditions.iter().map(fact).collect()
}

/// The events that the change is worth.
pub(super) fn news(
    drained: bool,
    old: &MinerPoolStatus,
    new: &MinerPoolStatus,
    trouble: Option<&Trouble>,
) -> Vec<News> {
    let ready = find_condition(&new.conditions, condition::READY);
    let serves = match (trouble, ready) {
        (Some(Trouble { finding, .. }), _) => Some((
            EventType::Warning,
            finding.reason.to_owned(),
            "Serve",
            finding.message.clone(),
        )),
        (None, Some(ready)) => {
            let type_ = if holds(ready) || drained {
                EventType::Normal
            } else {
                EventType::Warning
            };
            Some((type_, ready.reason.clone(), "Serve", ready.message.clone()))
        }
        (None, None) => None,
    };
    let weights = [condition::HOTKEY_BOUND, condition::HOTKEY_REGISTERED];
    let weights = weights
        .into_iter()
        .filter_map(|type_| of_weights(type_, old, new));
    serves
        .into_iter()
        .chain(of_pause(old, new))
        .chain(weights)
        .collect()
}

/// What keeps the miner from having a weight, or that nothing does any more.
fn of_weights(type_: &str, old: &MinerPoolStatus, new: &MinerPoolStatus) -> Option<News> {
    let found = find_condition(&new.conditions, type_)?;
    let before = find_condition(&old.conditions, type_);
    if before.is_some_and(|before| before.reason == found.reason) {
        return None;
    }
    let event = match holds(found) {
        true => EventType::Normal,
        false => EventType::Warning,
    };
    Some((event, found.reason.clone(), "Weigh", found.message.clone()))
}

/// A pause that begins or ends.
fn of_pause(old: &MinerPoolStatus, new: &MinerPoolStatus) -> Option<News> {
    let paused = find_condition(&new.conditions, condition::PAUSED)?;
    let before = find_condition(&old.conditions, condition::PAUSED);
    if before.is_some_and(|before| before.reason == paused.reason) {
        return None;
    }
    let (type_, reason) = if holds(paused) {
        (EventType::Warning, paused.reason.clone())
    } else {
        (EventType::Normal, "Resumed".to_owned())
    };
    Some((type_, reason, "Pause", paused.message.clone()))
}
