//! What of a status is new, and how soon somebody should know.

use kube::runtime::events::EventType;
use zkinfer_crds::k8s::find_condition;
use zkinfer_crds::k8s::inference_request::{InferenceRequestStatus, RequestPhase, condition, reason};
use zkinfer_crds::k8s::request_status::SliceVerdict;

use crate::world::News;

/// How soon a status is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Nothing that people wait for.
    Nothing,
    /// Slices have gone on.
    Progress,
    /// Something else than before holds.
    Now,
}

/// Compares. Which slices are claimed changes all the time and is no news by itself.
pub(super) fn urgency(old: &InferenceRequestStatus, new: &InferenceRequestStatus) -> Urgency {
    let facts = |s: &InferenceRequestStatus| {
        let fact = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            (
                c.type_.clone(),
                c.status.clone(),
                c.reason.clone(),
                c.observed_generation,
            )
        };
        let message = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| c.message.clone();
        let facts: Vec<_> = s.conditions.iter().map(fact).collect();
        // While slices are proved the message counts them.
        let ready = find_condition(&s.conditions, condition::READY);
        let why = ready.filter(|c| c.reason != reason::PROVING).map(message);
        (s.phase, s.observed_generation, facts, why)
    };
    let verified = |s: &InferenceRequestStatus| s.slices.map(|c| (c.total, c.verified));
    if facts(old) != facts(new) {
        Urgency::Now
    } else if verified(old) != verified(new)
        || old.recent_slices != new.recent_slices
        || old.queue != new.queue
    {
        Urgency::Progress
    } else {
        Urgency::Nothing
    }
}

/// The events that the change is worth.
pub(super) fn news(old: &InferenceRequestStatus, new: &InferenceRequestStatus) -> Vec<News> {
    let mut news = Vec::new();
    let rows = new
        .recent_slices
        .iter()
        .filter(|row| !old.recent_slices.contains(row));
    for row in rows.filter(|row| row.verdict == SliceVerdict::Invalid) {
        news.push((
            EventType::Warning,
            "InvalidProof".to_owned(),
            "Verify",
            format!("slice {} by {}: {}", row.slice, row.pool, row.message),
        ));
    }
    let ready = |s: &InferenceRequestStatus| {
        find_condition(&s.conditions, condition::READY).map(|c| (c.reason.clone(), c.message.clone()))
    };
    let Some((reason, message)) = ready(new) else {
        return news;
    };
    let changed = old.phase != new.phase || ready(old).map(|(reason, _)| reason) != Some(reason.clone());
    if !changed {
        return news;
    }
    let label = new
        .output
        .as_ref()
        .and_then(|o| o.label.clone().or(o.class.map(|c| c.to_string())));
    let (type_, note) = match (new.phase, label) {
        (RequestPhase::Failed, _) => (EventType::Warning, message),
        (RequestPhase::Succeeded, Some(label)) => (EventType::Normal, format!("answer {label}, {message}")),
        _ => (EventType::Normal, message),
    };
    news.push((type_, reason, "Prove", note));
    news
}

#[cfg(test)]
mod tests {
    use super::*;
    use zkinfer_crds::k8s::request_status::{RecentSlice, SliceCounts};
    use zkinfer_crds::k8s::{Truth, set_condition};
    use zkinfer_crds::{Identity, SliceIndex};

    fn status(phase: RequestPhase, reason: &str, verified: u32, claimed: u32) -> InferenceRequestStatus {
        let mut status = InferenceRequestStatus {
            phase,
            ..InferenceRequestStatus::default()
        };
        status.set_slices(SliceCounts {
            total: 4,
            verified,
            claimed,
            ..SliceCounts::default()
        });
        let message = format!("{verified}/4 slices verified");
        let now = crate::clock::now();
        set_condition(
            &mut status.conditions,
            condition::READY,
            Truth::False,
            reason,
            &message,
            Some(1),
            &now,
        );
        status
    }

    #[test]
    fn progress_waits_and_a_new_fact_does_not() {
        let proving = |verified, claimed| status(RequestPhase::Proving, "Proving", verified, claimed);
        assert_eq!(urgency(&proving(1, 0), &proving(1, 3)), Urgency::Nothing);
        assert_eq!(urgency(&proving(1, 0), &proving(2, 0)), Urgency::Progress);
        let suspended = status(RequestPhase::Proving, "Suspended", 1, 0);
        assert_eq!(urgency(&proving(1, 0), &suspended), Urgency::Now);
        let over = status(RequestPhase::Succeeded, "ReceiptWritten", 4, 0);
        assert_eq!(urgency(&proving(4, 0), &over), Urgency::Now);
    }

    #[test]
    fn one_event_tells_of_a_change_of_phase() {
        let proving = status(RequestPhase::Proving, "Proving", 1, 0);
        assert!(news(&proving, &status(RequestPhase::Proving, "Proving", 2, 0)).is_empty());
        let failed = status(RequestPhase::Failed, "DeadlineExceeded", 2, 0);
        let told = news(&proving, &failed);
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].0, told[0].1.as_str()),
            (EventType::Warning, "DeadlineExceeded")
        );
    }

    #[test]
    fn wrong_proofs_are_told_of_one_by_one() {
        let mut proving = status(RequestPhase::Proving, "Proving", 1, 0);
        let before = proving.clone();
        for slice in [0, 2] {
            proving.recent_slices.push(RecentSlice {
                slice: SliceIndex(slice),
                pool: "a/b".to_owned(),
                identity: Identity::new([1; 32]),
                attempt: 1,
                millis: 1,
                bytes: None,
                verify_micros: None,
                verdict: SliceVerdict::Invalid,
                message: "InvalidProof: no".to_owned(),
            });
        }
        let told = news(&before, &proving);
        assert_eq!(told.len(), 2);
        assert_ne!(told[0].3, told[1].3, "another note is another event");
        assert!(told[1].3.contains("slice 2"), "{}", told[1].3);
    }
}
