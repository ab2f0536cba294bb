//! What an operator does, wherever its objects are: one list, which runs against a cluster and against local mode.
//!
//! Invariant: a behaviour knows nothing but Kubernetes' API and the objects; what it waits for is in them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::request_status::SliceVerdict;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase, find_condition};

use crate::cluster::{Error, wait_for};
use crate::operator::{Objects, WINE, model_ready, phase, pool_ready, reason};

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(90);

/// Where an operator runs.
pub trait Place {
    /// A namespace of this name, with nothing in it.
    fn objects(&self, namespace: &str) -> impl Future<Output = Result<Objects, Error>>;

    /// Applies YAML.
    fn apply(&self, yaml: &str) -> impl Future<Output = Result<(), Error>>;
}

/// The pools, by namespace and name, whose workers misbehave, and how: `rogue-MODE` in a cluster's images.
pub const ROGUES: &[(&str, &str, &str)] = &[
    ("b-cancelled", "stalls", "stall"),
    ("b-deleted", "stalls", "stall"),
    ("b-lies", "lies", "garbage"),
    ("b-removed", "stalls", "stall"),
    ("b-crashes", "dies", "die"),
];

/// A test for each behaviour, at the place that the expression makes; `None` where it cannot be.
#[macro_export]
macro_rules! behaviours {
    ($place:expr) => {
        $crate::behaviours!($place =>
            a_request_succeeds
            several_inputs_are_answered_with_one_receipt
            a_request_waits_for_its_model_and_then_succeeds
            a_deadline_passes
            a_request_is_cancelled_mid_run
            a_request_is_deleted_mid_run
            a_worker_that_lies_is_named_and_another_pool_proves
            a_pool_that_is_removed_mid_run_leaves_its_slices_to_another
            a_worker_that_crashes_is_a_failed_pod_and_another_pool_proves
        );
    };
    ($place:expr => $($behaviour:ident)+) => {
        $(#[tokio::test]
        async fn $behaviour() {
            if let Some(place) = $place.await {
                $crate::behaviours::$behaviour(&*place).await;
            }
        })+
    };
}

/// The wine model, compiled, and these pools, by name and mode; honest where there is none.
async fn with(place: &impl Place, namespace: &str, pools: &[(&str, &str)]) -> Objects {
    let objects = place.objects(namespace).await.unwrap();
    let model = objects.model_of("wine", "wine.onnx", 4, ProofSystem::SumcheckWhir);
    place.apply(&model).await.unwrap();
    for (name, mode) in pools {
        pool(place, &objects, name, mode).await;
    }
    objects.until("wine", LONG, model_ready).await.unwrap();
    objects
}

async fn pool(place: &impl Place, objects: &Objects, name: &str, mode: &str) {
    let spec = match mode {
        "" => json!({}),
        mode => json!({ "image": format!("zkinfer.dev/rogue-{mode}:test"), "parallelism": 1 }),
    };
    place.apply(&objects.pool(name, &spec)).await.unwrap();
    objects.until(name, LONG, pool_ready).await.unwrap();
}

async fn ask(place: &impl Place, objects: &Objects, more: &Value) {
    place
        .apply(&objects.wine_request("one", "wine", more))
        .await
        .unwrap();
}

async fn succeeded(objects: &Objects) -> InferenceRequest {
    let over = objects.over("one", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    over
}

/// Waits until a worker is at work on the request.
///
/// # Panics
/// When none is.
pub async fn proving(objects: &Objects) {
    let proving = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Proving);
    objects.until("one", LONG, proving).await.unwrap();
    wait_for("a worker", LONG, async || {
        let pods = objects.api::<Pod>().list(&ListParams::default()).await;
        let running = |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
        let pods = pods.map_err(|e| e.to_string())?.items;
        if pods.iter().any(running) {
            Ok(())
        } else {
            Err("none runs".to_owned())
        }
    })
    .await
    .unwrap();
    // That it holds a claim is in no object: it takes one as soon as it is up.
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Waits until there is nothing of a kind that is still at work.
async fn until_none<K>(objects: &Objects, over: impl Fn(&K) -> bool)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let what = format!("no {} in {}", K::kind(&()), objects.namespace);
    wait_for(&what, LONG, async || {
        let list = objects.api::<K>().list(&ListParams::default()).await;
        let mut list = list.map_err(|e| e.to_string())?.items;
        list.retain(|o| !over(o));
        let left: Vec<String> = list.iter().map(ResourceExt::name_any).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join(", "))
        }
    })
    .await
    .unwrap();
}

/// Every worker is gone or has ended.
async fn until_nobody_works(objects: &Objects) {
    let over = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|s| s.phase.clone());
        phase.is_some_and(|phase| phase == "Succeeded" || phase == "Failed")
    };
    until_none(objects, over).await;
}

/// From apply to a verified answer.
///
/// # Panics
/// When it is not so; thus every behaviour.
pub async fn a_request_succeeds(place: &impl Place) {
    let objects = with(place, "b-succeeds", &[("own", "")]).await;
    ask(place, &objects, &json!({})).await;
    let status = succeeded(&objects).await.status.unwrap();
    let slices = status.slices.unwrap();
    assert!(slices.total >= 2 && slices.verified == slices.total, "{slices:?}");
    assert!(status.receipt.is_some() && status.verify.is_some() && status.output.is_some());
    let mut all = status.recent_slices.iter();
    assert!(
        all.all(|r| r.pool == "b-succeeds/own" && r.verdict == SliceVerdict::Verified),
        "{:?}",
        status.recent_slices
    );
    until_nobody_works(&objects).await;
}

/// So many of the same input, unlike each other, as a request's tensor.
fn inputs(count: usize) -> Value {
    let row = |at: usize| WINE.iter().map(move |value| value * (1.0 - at as f64 / 100.0));
    let data: Vec<f64> = (0..count).flat_map(row).collect();
    json!({ "input": { "inline": { "features": { "shape": [count, 13], "data": data } } } })
}

/// Several inputs use the least manifest that holds them, and those that none holds are refused with the sizes.
///
/// # Panics
/// See [`a_request_succeeds`].
pub async fn several_inputs_are_answered_with_one_receipt(place: &impl Place) {
    let objects = place.objects("b-several").await.unwrap();
    let model = objects.model_of("wine", "wine.onnx", 2, ProofSystem::SumcheckWhir);
    let sized = model.replace(r#""slicing":"#, r#""batchSizes":[1,4],"slicing":"#);
    assert_ne!(model, sized);
    place.apply(&sized).await.unwrap();
    pool(place, &objects, "own", "").await;
    let ready: Model = objects.until("wine", LONG, model_ready).await.unwrap();
    let batches = ready.status.unwrap().batches;
    assert_eq!(batches.iter().map(|b| b.size).collect::<Vec<_>>(), [1, 4]);
    for (name, count) in [("one", 3), ("alone", 1), ("many", 65)] {
        let request = objects.wine_request(name, "wine", &inputs(count));
        place.apply(&request).await.unwrap();
    }
    let status = succeeded(&objects).await.status.unwrap();
    assert_eq!(status.manifest_digest, Some(batches[1].manifest_digest));
    let batch = status.batch.map(|b| (b.size, b.inputs));
    assert_eq!((batch, status.answers.len()), (Some((4, 3)), 3));
    assert!(
        status
            .answers
            .iter()
            .all(|a| a.values.is_some() && a.class.is_some())
    );
    assert!(status.receipt.is_some() && status.verify.is_some());
    let alone: InferenceRequest = objects.over("alone", LONG).await.unwrap();
    let alone = alone.status.unwrap();
    assert_eq!(alone.manifest_digest, Some(batches[0].manifest_digest));
    assert!(alone.answers.is_empty() && alone.output.is_some_and(|o| o.values.is_some()));
    let many = objects.over("many", LONG).await.unwrap();
    assert_eq!(reason(&many, "Ready").as_deref(), Some("InvalidInput"));
    let failed = find_condition(&many.status.unwrap().conditions, "Failed").cloned();
    let said = failed.unwrap().message;
    assert!(
        said.contains("65 inputs were given at once, and the Model answers 1 or 4"),
        "{said}"
    );
}

/// What is not there yet is waited for.
///
/// # Panics
/// See [`a_request_succeeds`].
pub async fn a_request_waits_for_its_model_and_then_succeeds(place: &impl Place) {
    let objects = place.objects("b-waits").await.unwrap();
    pool(place, &objects, "own", "").await;
    ask(place, &objects, &json!({})).await;
    let waits = |r: &InferenceRequest| reason(r, "Ready").as_deref() == Some("ModelNotFound");
    let waiting = objects.until("one", LONG, waits).await.unwrap();
    assert_eq!(phase(&waiting), Some(RequestPhase::Pending));
    let model = objects.model_of("wine", "wine.onnx", 4, ProofSystem::SumcheckWhir);
    place.apply(&model).await.unwrap();
    succeeded(&objects).await;
    let model = objects.api::<Model>().get("wine").await.unwrap();
    assert!(model_ready(&model));
}

/// Nothing proves it in time.
///
/// # Panics
/// See [`a_request_succeeds`].
pub async fn a_deadline_passes(place: &impl Place) {
    let objects = with(place, "b-deadline", &[]).await;
    ask(place, &objects, &json!({ "deadline": "2s" })).await;
    let over = objects.over("one", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Failed));
    assert_eq!(reason(&over, "Ready").as_deref(), Some("DeadlineExceeded"));
    let status = over.status.unwrap();
    let failed = find_condition(&status.conditions, "Failed").unwrap();
    assert_eq!(failed.status, "True");
}

/// Its workers go with it.
///
/// # Panics
/// See [`a_request_succeeds`].
pub async fn a_request_is_cancelled_mid_run(place: &impl Place) {
    let objects = with(place, "b-cancelled", &[("stalls", "stall")]).await;
    ask(place, &objects, &json!({})).await;
    proving(&objects).await;
    let cancel = Patch::Merge(json!({ "spec": { "cancel": true } }));
    let api = objects.api::<InferenceRequest>();
    api.patch("one", &PatchParams::default(), &cancel).await.unwrap();
    let over = objects.over("one", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Cancelled));
    until_nobody_works(&objects).await;
}

/// Nothing of it is left.
///
/// # Panics
/// See [`a_request_succeeds`].
pub async fn a_request_is_deleted_mid_run(place: &impl Place) {
    let objects = with(place, "b-deleted", &[("stalls", "stall")]).await;
    ask(place, &objects, &json!({})).await;
    proving(&objects).await;
    let api = objects.api::<InferenceRequest>();
    api.delete("one", &DeleteParams::default()).await.unwrap();
    until_none::<InferenceRequest>(&objects, |_| false).await;
    until_none::<Job>(&objects, |_| false).await;
    until_nobody_works(&objects).await;
}

/// A wrong proof counts for nothing but against who made it.
///
/// # Panics
/// See [`a_request_succeeds`].
pub async fn a_worker_that_lies_is_named_and_another_pool_proves(place: &impl Place) {
    let objects = with(place, "b-lies", &[("lies", "garbage")]).await;
    ask(place, &objects, &json!({})).await;
    let lied = |r: &InferenceRequest| {
        let rows = r.status.iter().flat_map(|s| &s.recent_slices);
        rows.into_iter().any(|r| r.verdict == SliceVerdict::Invalid)
    };
    objects.until("one", LONG, lied).await.unwrap();
    pool(place, &objects, "honest", "").await;
    let status = succeeded(&objects).await.status.unwrap();
    for row in &status.recent_slices {
        let honest = row.pool == "b-lies/honest";
        assert!(honest || row.verdict != SliceVerdict::Verified, "{row:?}");
    }
    let counted = |pool: &MinerPool| {
        let pool = serde_json::to_value(pool).unwrap_or_default();
        pool["status"]["failures"]["InvalidProof"].as_u64() >= Some(1)
    };
    objects.until("lies", LONG, counted).await.unwrap();
}

/// Its workers go with it, and its claims are given to others.
///
/// # Panics
/// See [`a_request_succeeds`].
pub async fn a_pool_that_is_removed_mid_run_leaves_its_slices_to_another(place: &impl Place) {
    let objects = with(place, "b-removed", &[("stalls", "stall")]).await;
    ask(place, &objects, &json!({})).await;
    proving(&objects).await;
    let api = objects.api::<MinerPool>();
    api.delete("stalls", &DeleteParams::default()).await.unwrap();
    until_none::<MinerPool>(&objects, |_| false).await;
    until_nobody_works(&objects).await;
    pool(place, &objects, "own", "").await;
    let status = succeeded(&objects).await.status.unwrap();
    let mut good = status.recent_slices.iter();
    assert!(
        good.any(|r| r.pool == "b-removed/own"),
        "{:?}",
        status.recent_slices
    );
}

/// The pod has failed, its request has not.
///
/// # Panics
/// See [`a_request_succeeds`].
pub async fn a_worker_that_crashes_is_a_failed_pod_and_another_pool_proves(place: &impl Place) {
    let objects = with(place, "b-crashes", &[("dies", "die")]).await;
    ask(place, &objects, &json!({})).await;
    wait_for("a failed pod", LONG, async || {
        let pods = objects.api::<Pod>().list(&ListParams::default()).await;
        let failed = |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Failed");
        let pods = pods.map_err(|e| e.to_string())?.items;
        if pods.iter().any(failed) {
            Ok(())
        } else {
            Err("there is none")
        }
        .map_err(str::to_owned)
    })
    .await
    .unwrap();
    pool(place, &objects, "honest", "").await;
    let status = succeeded(&objects).await.status.unwrap();
    let verified = status.recent_slices.iter();
    let mut verified = verified.filter(|r| r.verdict == SliceVerdict::Verified);
    assert!(verified.all(|r| r.pool == "b-crashes/honest"));
}
