//! Workers that go while they are being given work.

use super::world::*;
use crate::artifacts::Artifacts;
use crate::dispatch::{AttemptEnd, Blame};
use reqwest::Method;
use std::time::Duration;
use zkinfer_crds::wire::RefuseReason;

/// Longer than a worker of this test waits, so that it goes between the choice of a slice and its answer.
const WRITE: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_whose_worker_left_before_its_answer_is_free_again_and_costs_nobody() {
    let world = World::on(Artifacts::slow(WRITE), LONG_LEASE, PATIENCE).await;
    world.add(&[ALPHA, BETA]).await;
    let call = world.call(Method::POST, "/v1/work/claims", &worker(ALPHA));
    let left = call.json(&claim_request(0)).timeout(WRITE / 3).send().await;
    assert!(left.unwrap_err().is_timeout());
    let ended = world.ended().await;
    assert_eq!(ended.len(), 1, "{ended:?}");
    let end = &ended[0].end;
    assert!(
        matches!(end, AttemptEnd::HandedBack(RefuseReason::Draining, _)),
        "{end:?}"
    );
    assert_eq!(end.blame(), Some(Blame::Infrastructure));
    assert!(ended[0].elapsed < LONG_LEASE);
    assert_eq!(
        world.grant(BETA).await.slice,
        ended[0].slice,
        "at once, not when the lease ends"
    );
}
