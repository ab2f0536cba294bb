//! Two hundred requests at once, of four slices each, with real proofs.
//!
//! The workers are warm, so the writes are those for requests alone: events and status. Where there are none, a request
//! adds Jobs. Witness of the writes is the API server's audit log, not what the operator says of itself;
//! reviews of tokens are calls too, but nothing is written by them.
//!
//! The store is in memory: ext4 without a journal looks for an inode that was not freed
//! in the last seconds, which takes longer than all that the operator does.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::measured;
use zkinfer_tests::operator::{ACCOUNT, peak_resident, phase, pool_ready};

use crate::audit::audited;
use crate::volume::Volume;
use crate::world::{LONG, World, digits_request};

const REQUESTS: u32 = 200;
const SLICES: u32 = 4;
/// 800 slices, each some hundredths of a second of a core: well under a minute on two idle cores.
const LIMIT: Duration = Duration::from_secs(600);
const MOST_WRITES: f64 = 12.0;
const MOST_MEMORY: u64 = 150_000_000;
/// Milliseconds of CPU of a request, of everything that has a part in it and of the operator, where programs are those of an image.
const OF_IMAGES: [f64; 2] = [55.0, 8.0];
/// The same of what `./quickstart` and the tests build, on machines that differ by a third.
const OF_TESTS: [f64; 2] = [70.0, 25.0];

#[tokio::test]
async fn two_hundred_requests_at_once_all_succeed_within_the_bars() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cluster, log) = audited(folder.path(), writes()).await;
    let _store = Volume::new(cluster.folder().join("artifacts"), 256);
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
    let (before, counted_before, cpu) = (written(&log), counted().await, cpu_seconds());
    let began = Instant::now();
    world.cluster.apply(&all.join("\n---\n")).await.unwrap();
    let slices = tokio::time::timeout(LIMIT, until_over(objects.api(), REQUESTS as usize))
        .await
        .expect("all requests are over in time");
    let slices = slices.into_iter().min().unwrap();
    let took = began.elapsed().as_secs_f64();
    let writes = f64::from(written(&log) - before) / f64::from(REQUESTS);
    let counted = (counted().await - counted_before) / f64::from(REQUESTS);
    let cpu: BTreeMap<String, f64> = cpu_seconds()
        .into_iter()
        .map(|(program, after)| {
            let used = after - cpu.get(&program).copied().unwrap_or(0.0);
            (program, used * 1e3 / f64::from(REQUESTS))
        })
        .collect();
    let parts: Vec<String> = cpu
        .iter()
        .filter(|(_, ms)| **ms >= 0.05)
        .map(|(program, ms)| format!("{program} {ms:.1}"))
        .collect();
    let memory = peak_resident(world.operator.pid().unwrap()).unwrap();
    let (rate, all) = (f64::from(REQUESTS) / took, cpu.values().sum::<f64>());
    let cores = std::thread::available_parallelism().unwrap().get();
    measured(format_args!(
        "{REQUESTS} requests of {slices} slices in {took:.1} s: {rate:.2} requests/s, {writes:.1} API writes ({counted:.1} by \
         the operator's own count) and {all:.1} ms of CPU per request ({}), {:.0} % of {cores} cores, {:.0} MB peak",
        parts.join(", "),
        rate * all / 10.0 / cores as f64,
        memory as f64 / 1e6
    ));
    assert!(slices >= SLICES, "{slices} slices");
    assert!(writes <= MOST_WRITES, "{writes} API writes per request");
    assert!(memory <= MOST_MEMORY, "{memory} bytes");
    // Programs that are named are those of an image; where none are, they are what was built for the tests.
    let [most, most_of_operator] = if std::env::var_os("ZKINFER_PROGRAMS").is_some() {
        OF_IMAGES
    } else {
        OF_TESTS
    };
    assert!(all <= most, "{all} ms of CPU per request, of {most}");
    let operator = cpu["operator"];
    assert!(
        operator <= most_of_operator,
        "{operator} ms of the operator's, of {most_of_operator}"
    );
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

/// Waits until all requests are over, none of them badly: watched, since to list them costs the cluster more than to serve
/// them. The number of slices that each of them had.
pub(crate) async fn until_over(api: Api<InferenceRequest>, many: usize) -> Vec<u32> {
    let mut events = pin!(watcher(api, watcher::Config::default()).applied_objects());
    let mut over = BTreeMap::new();
    while over.len() < many {
        let request = events.next().await.unwrap().unwrap();
        let Some(at) = phase(&request) else { continue };
        assert!(
            !matches!(at, RequestPhase::Failed | RequestPhase::Cancelled),
            "{request:?}"
        );
        if at.is_over() {
            let slices = request.status.as_ref().and_then(|s| Some(s.slices?.total));
            over.insert(request.name_any(), slices.unwrap_or(0));
        }
    }
    over.into_values().collect()
}

/// User and system time so far of this program's descendants that are alive, by program; of `prover-worker`, by what it
/// does.
fn cpu_seconds() -> BTreeMap<String, f64> {
    let mut processes = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // Who has gone meanwhile is left out.
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file));
        let (Ok(stat), Ok(line)) = (read("stat"), read("cmdline")) else {
            continue;
        };
        let Some((_, after_name)) = stat.rsplit_once(')') else {
            continue;
        };
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        // Fields 4, 14 and 15 of proc(5); the times in ticks of a hundredth of a second.
        let number = |n: usize| fields.get(n).and_then(|f| f.parse::<u32>().ok()).unwrap_or(0);
        let words: Vec<&str> = line.split('\0').collect();
        let file = words[0].rsplit('/').next().unwrap_or_default();
        let program = match file {
            "prover-worker" => format!("{file} {}", words.get(1).copied().unwrap_or_default()),
            _ => file.to_owned(),
        };
        processes.insert(
            pid,
            (number(1), program, f64::from(number(11) + number(12)) / 100.0),
        );
    }
    let descends = |mut pid: u32| {
        while let Some((parent, ..)) = processes.get(&pid) {
            if *parent == std::process::id() {
                return true;
            }
            pid = *parent;
        }
        false
    };
    let mut seconds = BTreeMap::new();
    for (pid, (_, program, used)) in &processes {
        if descends(*pid) {
            *seconds.entry(program.clone()).or_default() += used;
        }
    }
    seconds
}
