//! Weights that the operator makes of what was proved: the file in the store, the Validator's status, and what pools are told.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, RequestPhase, Validator, find_condition};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::operator::{Objects, phase};

use crate::world::{LONG, World};

fn said(conditions: &[Condition], type_: &str) -> Option<(String, String)> {
    find_condition(conditions, type_).map(|c| (c.status.clone(), c.reason.clone()))
}

#[tokio::test]
async fn weights_are_made_of_what_was_proved_and_who_gets_none_is_told() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_pool("weighed").await;
    let own = Objects {
        client: objects.client.clone(),
        namespace: "zkinfer-system".to_owned(),
    };
    let weights = json!({ "weights": {
        "netuid": 2, "versionKey": 11003, "ownerShare": { "uid": 0, "millionths": 800_000 },
        "uids": { "static": { "5ETmuXSyBiDHwabzdAxmbyj1A25asAmNXm5gtzf7edxxQYaq": 7 } }, "publisher": { "file": {} },
    } });
    let document = own.object("Validator", "zkinfer", &weights);
    world.cluster.apply(&document).await.unwrap();
    let published = |v: &Validator| {
        let conditions = v.status.iter().flat_map(|s| s.conditions.clone());
        said(&conditions.collect::<Vec<_>>(), "WeightsPublished")
    };
    let is = |truth: &str, reason: &str| Some((truth.to_owned(), reason.to_owned()));
    // Nothing has been proved yet.
    let none = |v: &Validator| published(v) == is("False", "NoWeights");
    own.until("zkinfer", LONG, none).await.unwrap();
    let told = |p: &MinerPool| {
        let conditions = p.status.iter().flat_map(|s| s.conditions.clone());
        said(&conditions.collect::<Vec<_>>(), "HotkeyBound") == is("False", "NoHotkey")
    };
    objects.until("own", LONG, told).await.unwrap();

    let request = objects.wine_request("one", "wine", &json!({}));
    world.cluster.apply(&request).await.unwrap();
    let over = |r: &InferenceRequest| phase(r) == Some(RequestPhase::Succeeded);
    objects.until("one", LONG, over).await.unwrap();
    let sent = |v: &Validator| published(v) == is("True", "Published");
    let validator = own.until("zkinfer", LONG, sent).await.unwrap();
    let weights = validator.status.unwrap().weights.unwrap();
    let greatest: Vec<_> = weights.greatest.iter().map(|of| (of.uid, of.weight)).collect();
    assert_eq!((weights.netuid, weights.uids, greatest), (2, 1, vec![(0, 65535)]));
    // With one owner alone nothing is comparable: no miner has a score that could be left out.
    assert_eq!((weights.left_out, weights.sent), (0, Some(weights.block)));
    assert_eq!(weights.next, weights.block + 100);
}
