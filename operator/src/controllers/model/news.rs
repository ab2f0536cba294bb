//! What of a status is new, and worth an event.

use kube::runtime::events::EventType;
use zkinfer_crds::k8s::model::{condition, reason};
use zkinfer_crds::k8s::{ModelStatus, Truth, find_condition, holds, same_conditions};

use crate::world::News;

/// Whether two statuses differ in what a compiler says of its progress only.
pub(super) fn progress_only(a: &ModelStatus, b: &ModelStatus) -> bool {
    let strip = |status: &ModelStatus| {
        let mut status = status.clone();
        for c in &mut status.conditions {
            c.message.clear();
        }
        status
    };
    let (a, b) = (strip(a), strip(b));
    same_conditions(&a.conditions, &b.conditions)
        && ModelStatus {
            conditions: Vec::new(),
            ..a
        } == ModelStatus {
            conditions: Vec::new(),
            ..b
        }
}

/// The events that the change is worth.
pub(super) fn news(old: &ModelStatus, new: &ModelStatus) -> Vec<News> {
    let of = |s: &ModelStatus, type_| {
        find_condition(&s.conditions, type_).map(|c| (c.reason.clone(), c.message.clone()))
    };
    let mut news: Vec<News> = [condition::INVALID_CONSENT, condition::NAMESPACE_NOT_WATCHED]
        .into_iter()
        .filter_map(|type_| of(new, type_).filter(|now| Some(now) != of(old, type_).as_ref()))
        .map(|(reason, problem)| (EventType::Warning, reason, "Consent", problem))
        .collect();
    let judged = |s: &ModelStatus| of(s, condition::SLO_MET).map(|(reason, _)| reason);
    let objectives = judged(old) != judged(new);
    if objectives {
        news.extend(of(new, condition::SLO_MET).and_then(|told| missed_or_met(old, told)));
    }
    if (objectives || !news.is_empty()) && of(old, condition::READY) == of(new, condition::READY) {
        return news;
    }
    let changed = of(new, condition::SOURCE_CHANGED);
    match (of(old, condition::SOURCE_CHANGED).is_some(), changed) {
        (false, Some((reason, message))) => {
            news.push((EventType::Warning, reason, "Compile", message));
            return news;
        }
        (true, None) => return news,
        (false, None) | (true, Some(_)) => {}
    }
    let Some(ready) = find_condition(&new.conditions, condition::READY) else {
        return news;
    };
    let compiled = find_condition(&new.conditions, condition::COMPILED);
    let of_pods = zkinfer_crds::k8s::pods::reason::ALL.contains(&ready.reason.as_str());
    let not_compiled = compiled.is_some_and(|c| Truth::of(c) == Some(Truth::False));
    let bad = !holds(ready) && (of_pods || not_compiled);
    let type_ = if bad {
        EventType::Warning
    } else {
        EventType::Normal
    };
    news.push((type_, ready.reason.clone(), "Compile", ready.message.clone()));
    news
}

/// That the objectives are missed from now on, or are not any more.
fn missed_or_met(old: &ModelStatus, (why, message): (String, String)) -> Option<News> {
    let missed = [reason::TOO_FEW_SUCCEED, reason::TOO_SLOW];
    let before = find_condition(&old.conditions, condition::SLO_MET);
    let type_ = match why.as_str() {
        why if missed.contains(&why) => EventType::Warning,
        reason::OBJECTIVES_MET if before.is_some_and(|c| missed.contains(&c.reason.as_str())) => {
            EventType::Normal
        }
        _ => return None,
    };
    Some((type_, why, "Judge", message))
}
