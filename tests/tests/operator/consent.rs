//! Who may see models and inputs: what the Model's side says, told, and in force at once.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, RequestPhase, find_condition};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::operator::{Objects, phase, pool_ready, reason};

use crate::world::{LONG, World};

/// What the request waits for.
fn message(request: &InferenceRequest) -> String {
    let conditions = request
        .status
        .iter()
        .flat_map(|s| &s.conditions)
        .cloned()
        .collect::<Vec<_>>();
    find_condition(&conditions, "Ready")
        .map(|c| c.message.clone())
        .unwrap_or_default()
}

/// A ConfigMap with a list of who may serve.
fn list(namespace: &str, text: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "zkinfer-consent", "namespace": namespace },
        "data": { "servedBy": text },
    })
    .to_string()
}

/// The installation's settings.
fn validator(spec: &Value) -> String {
    json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Validator",
        "metadata": { "name": "zkinfer", "namespace": "zkinfer-system" }, "spec": spec,
    })
    .to_string()
}

async fn served_by(objects: &Objects, list: Value) {
    let patch = Patch::Merge(json!({ "spec": { "servedBy": list } }));
    let api = objects.api::<Model>();
    api.patch("wine", &PatchParams::default(), &patch).await.unwrap();
}

/// A worker's call with the token of a pool's own account, as its owner can make one.
struct Spy {
    token: String,
    gateway: String,
}

impl Spy {
    async fn of(world: &World, namespace: &str, pool: &str) -> Self {
        let account = format!("zkinfer-miner-{pool}");
        let words = [
            "create",
            "token",
            &account,
            "-n",
            namespace,
            "--audience",
            "zkinfer-gateway",
        ];
        Self {
            token: world.cluster.kubectl(&words).await.unwrap().trim().to_owned(),
            gateway: world.operator.gateway.clone(),
        }
    }

    async fn claim(&self) -> (u16, Value) {
        let body = json!({
            "worker": "spy", "parameters": ["halo2-kzg-bn254/v1", "sumcheck-whir-goldilocks/v1"],
            "memoryBytes": 64u64 << 30, "waitSeconds": 0,
        });
        let call = reqwest::Client::new()
            .post(format!("{}/v1/work/claims", self.gateway))
            .bearer_auth(&self.token)
            .json(&body);
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn blob(&self, digest: &str) -> u16 {
        let url = format!("{}/v1/work/blobs/{digest}", self.gateway);
        let call = reqwest::Client::new().get(url).bearer_auth(&self.token);
        call.send().await.unwrap().status().as_u16()
    }
}

/// A pool of another namespace that would serve everybody, and has no workers of its own.
async fn foreign(world: &World, namespace: &str) -> Objects {
    let evil = Objects::new(&world.cluster, namespace).await.unwrap();
    let spec = json!({
        "allowedNamespaces": ["*"], "pod": { "nodeSelector": { "there": "is-none" } },
        "resources": { "cpu": "10m", "memory": "64Gi" },
    });
    world.cluster.apply(&evil.pool("spy", &spec)).await.unwrap();
    evil.until("spy", LONG, pool_ready).await.unwrap();
    evil
}

#[tokio::test]
async fn a_pool_that_serves_everybody_sees_nothing_of_a_namespace_that_has_not_consented() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_model("victim").await;
    foreign(&world, "evil").await;
    let spy = Spy::of(&world, "evil", "spy").await;
    world
        .cluster
        .apply(&objects.wine_request("one", "wine", &json!({})))
        .await
        .unwrap();
    let until_told = async |word: &str| {
        let told = |r: &InferenceRequest| {
            reason(r, "Ready").as_deref() == Some("NoFittingPool") && message(r).contains(word)
        };
        objects.until("one", LONG, told).await.unwrap()
    };
    until_told("evil/spy: nobody has consented to it: name namespace `evil`").await;
    assert_eq!(spy.claim().await.0, 204);

    // The lists, from the last to the first.
    world
        .cluster
        .apply(&validator(&json!({ "consent": [{ "namespace": "evil" }] })))
        .await
        .unwrap();
    let proving = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Proving);
    objects.until("one", LONG, proving).await.unwrap();
    let (status, grant) = spy.claim().await;
    assert_eq!(status, 200, "{grant}");
    let graph = grant["graph"]["digest"].as_str().unwrap().to_owned();
    assert_eq!(spy.blob(&graph).await, 200);

    // One that cannot be read is of nobody, and ends what is open.
    world
        .cluster
        .apply(&list("victim", "- namespace: '*'"))
        .await
        .unwrap();
    until_told("ConfigMap victim/zkinfer-consent cannot be read").await;
    assert_eq!(spy.blob(&graph).await, 404);
    assert_eq!(spy.claim().await.0, 204);
    let lost = |r: &InferenceRequest| {
        let rows = r.status.iter().flat_map(|s| &s.recent_slices);
        rows.into_iter()
            .any(|row| row.message.starts_with("ConsentWithdrawn"))
    };
    objects.until("one", LONG, lost).await.unwrap();
    let told = |m: &Model| {
        let status = m.status.as_ref();
        status.is_some_and(|s| zkinfer_crds::k8s::is_true(&s.conditions, "InvalidConsent"))
    };
    objects.until("wine", LONG, told).await.unwrap();

    // The Model's own decides before them all; whoever is not meant by it gets nothing.
    served_by(
        &objects,
        json!([{ "namespace": "evil", "identity": format!("ed25519:{}", "7".repeat(64)) }]),
    )
    .await;
    until_told("spec.servedBy of Model `wine` names other identities in namespace `evil`").await;
    assert_eq!(spy.claim().await.0, 204);
    objects.until("wine", LONG, |m: &Model| !told(m)).await.unwrap();
    served_by(&objects, json!([{ "namespace": "evil" }])).await;
    // What it was granted it may read again.
    wait_for("the spy's file", LONG, async || match spy.blob(&graph).await {
        200 => Ok(()),
        other => Err(other.to_string()),
    })
    .await
    .unwrap();
    let wildcard = Patch::Merge(json!({ "spec": { "servedBy": [{ "namespace": "*" }] } }));
    let api = objects.api::<Model>();
    let refused = api
        .patch("wine", &PatchParams::default(), &wildcard)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("spec.servedBy[0].namespace"),
        "{refused}"
    );
    served_by(&objects, json!([])).await;
    until_told("spec.servedBy of Model `wine` does not name namespace `evil`").await;
    assert_eq!(spy.blob(&graph).await, 404);

    // Withdrawing costs nobody anything, and pools of the own namespace always may.
    world
        .cluster
        .apply(&objects.pool("own", &json!({})))
        .await
        .unwrap();
    let over = objects.over("one", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    let evil = Objects {
        client: objects.client.clone(),
        namespace: "evil".to_owned(),
    };
    let told = |p: &MinerPool| {
        let failures = p.status.iter().flat_map(|s| s.failures.keys());
        failures.eq(["ConsentWithdrawn"])
    };
    evil.until("spy", LONG, told).await.unwrap();
}
