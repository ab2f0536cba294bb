//! Two hundred requests at once, of four slices each, with real proofs.
//!
//! The workers are warm, so the writes are those for requests alone: events and status. Where there are none, a request
//! adds Jobs. Witness of the writes is the API server's audit log, not what the operator says of itself;
//! reviews of tokens are calls too, but nothing is written by them.

use std::path::Path;
use std::time::{Duration, Instant};

use kube::api::ListParams;
use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::measured;
use zkinfer_tests::operator::{ACCOUNT, peak_resident, phase, pool_ready};

use crate::audit::audited;
use crate::world::{LONG, World, digits_request};

const REQUESTS: u32 = 200;
const SLICES: u32 = 4;
/// 800 slices, each some hundredths of a second of a core: well under a minute on two idle cores.
const LIMIT: Duration = Duration::from_secs(600);
const MOST_WRITES: f64 = 12.0;
const MOST_MEMORY: u64 = 150_000_000;

#[tokio::test]
async fn two_hundred_requests_at_once_all_succeed_within_the_bars() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cluster, log) = audited(folder.path(), writes()).await;
    let world = World::on(cluster, &[]).await;
    let objects = world.with_digits("load", ProofSystem::SumcheckWhir).await;
    let spec = json!({ "warm": 1, "parallelism": 1, "resources": { "cpu": "1", "memory": "2Gi" } });
    for pool in ["alpha", "beta"] {
        world.cluster.apply(&objects.pool(pool, &spec)).await.unwrap();
        objects.until(pool, LONG, pool_ready).await.unwrap();
    }
    let all: Vec<String> = (0..REQUESTS)
        .map(|n| digits_request(&format!("r-{n}"), "load"))
        .collect();
    let counted = async || {
        world
            .operator
            .metric("zkinfer_api_writes_total", "")
            .await
            .unwrap()
    };
    let (before, counted_before, cpu) = (written(&log), counted().await, cpu_seconds(&world));
    let began = Instant::now();
    world.cluster.apply(&all.join("\n---\n")).await.unwrap();
    let api = objects.api::<InferenceRequest>();
    let mut slices = 0;
    wait_for("all requests", LIMIT, async || {
        let list = api
            .list(&ListParams::default())
            .await
            .map_err(|e| e.to_string())?;
        let over = list
            .items
            .iter()
            .filter(|r| phase(r).is_some_and(RequestPhase::is_over))
            .count();
        let bad = list
            .items
            .iter()
            .find(|r| matches!(phase(r), Some(RequestPhase::Failed | RequestPhase::Cancelled)));
        assert!(bad.is_none(), "{bad:?}");
        slices = list
            .items
            .iter()
            .filter_map(|r| Some(r.status.as_ref()?.slices?.total))
            .min()
            .unwrap_or(0);
        if over == REQUESTS as usize {
            Ok(())
        } else {
            // To look costs the cluster something too.
            tokio::time::sleep(Duration::from_millis(500)).await;
            Err(format!("{over} of {REQUESTS} are over"))
        }
    })
    .await
    .unwrap();
    let took = began.elapsed().as_secs_f64();
    let writes = f64::from(written(&log) - before) / f64::from(REQUESTS);
    let counted = (counted().await - counted_before) / f64::from(REQUESTS);
    let cpu = (cpu_seconds(&world) - cpu) / f64::from(REQUESTS);
    let memory = peak_resident(world.operator.pid().unwrap()).unwrap();
    measured(format_args!(
        "{REQUESTS} requests of {slices} slices in {took:.1} s: {:.2} requests/s, {writes:.1} API writes ({counted:.1} by \
         the operator's own count) and {:.1} ms of the operator's CPU per request, {:.0} MB peak",
        f64::from(REQUESTS) / took,
        cpu * 1e3,
        memory as f64 / 1e6
    ));
    assert!(slices >= SLICES, "{slices} slices");
    assert!(writes <= MOST_WRITES, "{writes} API writes per request");
    assert!(memory <= MOST_MEMORY, "{memory} bytes");
}

/// The writing calls of the operator.
fn writes() -> Value {
    json!([
        { "level": "Metadata", "users": [ACCOUNT], "verbs": ["create", "update", "patch", "delete"] },
        { "level": "None" },
    ])
}

/// How many writing calls for objects of namespaces the log has. Reviews, which write nothing, are for none.
fn written(log: &Path) -> u32 {
    let log = std::fs::read_to_string(log).unwrap();
    let events = log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let written = events.filter(|e| e["objectRef"]["namespace"].is_string());
    u32::try_from(written.count()).unwrap()
}

/// User and system time of the operator so far.
fn cpu_seconds(world: &World) -> f64 {
    let stat = format!("/proc/{}/stat", world.operator.pid().unwrap());
    let stat = std::fs::read_to_string(stat).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
