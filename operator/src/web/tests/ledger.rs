//! What the ledger says, to whom, and how often it is asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use zkinfer_crds::k8s::MinerPool;
use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::Rule;
use zkinfer_scoring::ledger::Chain;

use super::super::LedgerView;
use super::{ALL, SOME, World, is, json_of, reason};
use crate::scoring::{Explained, Series, Span, Spans, Standing, Trend};

pub(super) const MINER: Identity = Identity::new([1; 32]);

/// A ledger without a claim; it counts how often it is asked.
#[derive(Default)]
pub(super) struct Book {
    asked: AtomicUsize,
    /// Whether the Validator lets everybody look.
    pub(super) public: AtomicBool,
}

impl LedgerView for Book {
    fn namespace(&self) -> &str {
        "system"
    }

    fn is_public(&self) -> bool {
        self.public.load(Ordering::Relaxed)
    }

    fn explain(&self, _: Identity, _: usize) -> Option<Explained> {
        None
    }

    fn standing(&self, _: usize) -> Standing {
        Standing {
            rule: Rule::default(),
            at: self.asked.fetch_add(1, Ordering::Relaxed) as u64,
            miners: Vec::new(),
        }
    }

    fn spans(&self, of: &Series, hours: u64) -> Spans {
        let requests = match of {
            Series::All => 0,
            Series::Miner(miner) => u64::from(*miner == MINER),
            Series::Models(manifests) => 10 + manifests.len() as u64,
        };
        let span = Span {
            from: hours,
            requests,
            ..Span::default()
        };
        Spans {
            step_millis: 60_000,
            spans: vec![span],
        }
    }

    fn trend(&self, miner: &Identity) -> Option<Trend> {
        (*miner == MINER).then(|| Trend {
            verified: vec![1, 2],
            faults: 3,
            mean_bytes: Some(4),
        })
    }

    fn chain(&self) -> BoxFuture<'_, (Chain, usize)> {
        std::future::ready((Chain::new(MINER), 3)).boxed()
    }
}

/// The pool `fast` in namespace `n`.
pub(super) fn put_pool(world: &mut World, status: &Value) {
    let pool: MinerPool = serde_json::from_value(json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "MinerPool",
        "metadata": { "name": "fast", "namespace": "n" },
        "spec": { "image": format!("i@{}", Digest::of(b"")), "resources": { "cpu": "1", "memory": "1Gi" } },
        "status": status,
    }))
    .unwrap();
    world.feeds.pools.writer.apply_watcher_event(&Event::Apply(pool));
}

#[tokio::test]
async fn the_validators_page_has_rule_and_head_and_the_ledger_is_asked_once_for_all_who_look() {
    let world = World::new();
    for _ in 0..3 {
        let told = json_of(world.call("/api/v1/validator", ALL).await).await;
        assert_eq!(told["head"]["validator"], json!(MINER));
        assert_eq!(
            (&told["head"]["waiting"], &told["head"]["last"]),
            (&json!(3), &json!(null))
        );
        let rule = &told["standing"]["rule"];
        assert_eq!(rule["digest"], json!(Rule::default().digest()));
        assert_eq!(told["standing"]["at"], 0, "it was asked again");
        assert_eq!(told["validators"], json!([]));
    }
}

#[tokio::test]
async fn a_pool_is_shown_with_why_its_miner_has_its_score_where_there_is_something_to_say() {
    let mut world = World::new();
    let absent = world.call("/api/v1/pools/n/fast", ALL).await;
    assert_eq!(reason(absent).await, is(404, "NotFound"));
    put_pool(&mut world, &json!({ "identity": MINER, "scoreMillionths": 7 }));
    let told = json_of(world.call("/api/v1/pools/n/fast", ALL).await).await;
    assert_eq!(told["pool"]["status"]["scoreMillionths"], 7);
    assert_eq!(told["why"], json!(null));
}

#[tokio::test]
async fn history_is_shown_to_whoever_may_list_all_requests_in_at_most_so_many_points() {
    let world = World::new();
    for hours in [1, 24, 168, 2160] {
        let path = format!("/api/v1/history?hours={hours}");
        let told = json_of(world.call(&path, ALL).await).await;
        assert_eq!((&told["hours"], &told["stepMinutes"]), (&json!(hours), &json!(1)));
        let span = json!({
            "from": hours, "requests": 0, "verified": 0, "faults": 0, "others": 0, "bytes": 0, "p50Micros": null,
            "p95Micros": null,
        });
        assert_eq!(told["spans"], json!([span]));
        assert_eq!(reason(world.call(&path, SOME).await).await, is(403, "Forbidden"));
        assert_eq!(
            reason(world.call(&path, "guess").await).await,
            is(401, "UnknownToken")
        );
    }
    for query in [
        "",
        "?hours=0",
        "?hours=2161",
        "?hours=-1",
        "?hours=x",
        "?hours=1&x=2",
    ] {
        let path = format!("/api/v1/history{query}");
        let refused = world.call(&path, ALL).await;
        assert_eq!(reason(refused).await, is(400, "InvalidQuery"), "{query}");
    }
}

#[tokio::test]
async fn a_miners_history_is_shown_to_whoever_may_see_its_pool() {
    let mut world = World::new();
    let path = "/api/v1/pools/n/fast/history?hours=24";
    assert_eq!(reason(world.call(path, ALL).await).await, is(404, "NotFound"));
    put_pool(&mut world, &json!({}));
    let unnamed = world.call(path, ALL).await;
    assert_eq!(
        reason(unnamed).await,
        is(404, "NotFound"),
        "it has no identity yet"
    );
    put_pool(&mut world, &json!({ "identity": MINER }));
    assert_eq!(
        json_of(world.call(path, ALL).await).await["spans"][0]["requests"],
        1
    );
    assert_eq!(reason(world.call(path, SOME).await).await, is(403, "Forbidden"));
    assert_eq!(
        reason(world.call(path, "guess").await).await,
        is(401, "UnknownToken")
    );
    let long = world.call("/api/v1/pools/n/fast/history?hours=9999", ALL).await;
    assert_eq!(reason(long).await, is(400, "InvalidQuery"));
}

#[tokio::test]
async fn trends_are_of_the_miners_whose_pools_a_viewer_may_list() {
    let mut world = World::new();
    put_pool(&mut world, &json!({ "identity": MINER }));
    let trend = json!({ (MINER.to_string()): { "verified": [1, 2], "faults": 3, "meanBytes": 4 } });
    for (query, miners) in [
        ("", &trend),
        ("?namespace=n", &trend),
        ("?namespace=other", &json!({})),
    ] {
        let told = json_of(world.call(&format!("/api/v1/trends{query}"), ALL).await).await;
        assert_eq!((&told["hours"], &told["miners"]), (&json!(24), miners), "{query}");
    }
    for query in ["", "?namespace=n"] {
        let refused = world.call(&format!("/api/v1/trends{query}"), SOME).await;
        assert_eq!(reason(refused).await, is(403, "Forbidden"));
    }
}
