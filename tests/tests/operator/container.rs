//! The operator's container, as the manifests limit it, beside everything that asks for memory at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::measured;
use zkinfer_tests::operator::{Objects, model_ready, phase};

use crate::api::token;
use crate::doors::{FLOOD, address, hold_the_line, strangers};
use crate::memory::{large, large_request};
use crate::world::{LONG, World, digits_request};

/// What the manifests and the chart give it.
const LIMIT: u64 = 512 << 20;

/// A cgroup with a limit of memory, below the cluster's, which takes it along when it ends.
struct Container(PathBuf);

impl Container {
    /// With one process in it, which the kernel kills where it has more.
    fn of(world: &World, pid: u32) -> Self {
        let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let root = Path::new(if v2 {
            "/sys/fs/cgroup"
        } else {
            "/sys/fs/cgroup/memory"
        });
        let below = root.join(world.cluster.sandbox().cgroup().trim_start_matches('/'));
        if v2 {
            fs::write(below.join("cgroup.subtree_control"), "+memory").unwrap();
        }
        let folder = below.join("operator");
        fs::create_dir_all(&folder).unwrap();
        let limit = if v2 { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(folder.join(limit), LIMIT.to_string()).unwrap();
        fs::write(folder.join("cgroup.procs"), pid.to_string()).unwrap();
        Self(folder)
    }

    /// How often the kernel has killed what is in it.
    fn killed(&self) -> u64 {
        let file = ["memory.events", "memory.oom_control"].map(|file| self.0.join(file));
        let text = file
            .iter()
            .find_map(|file| fs::read_to_string(file).ok())
            .unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.unwrap().trim().parse().unwrap()
    }

    /// The most memory that it has had, with the pages of files that the kernel would have given up.
    fn peak(&self) -> u64 {
        let file = ["memory.peak", "memory.max_usage_in_bytes"].map(|file| self.0.join(file));
        let text = file
            .iter()
            .find_map(|file| fs::read_to_string(file).ok())
            .unwrap();
        text.trim().parse().unwrap()
    }
}

/// Requests that are taken away while they begin, in rounds of 25.
async fn ghosts(world: &World, objects: &Objects) {
    let api = objects.api::<InferenceRequest>();
    for round in 0..4 {
        let named = |n| digits_request(&format!("ghost-{round}-{n}"), &objects.namespace);
        let all: Vec<String> = (0..25).map(named).collect();
        world.cluster.apply(&all.join("\n---\n")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200 * round)).await;
        let (how, all) = (DeleteParams::default(), ListParams::default());
        api.delete_collection(&how, &all).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_lives_in_512_mebibytes_whatever_comes_at_once() {
    if !can_run() {
        return;
    }
    let _alone = FLOOD.lock().await;
    let world = World::new(&[]).await;
    let pid = world.operator.pid().unwrap();
    let container = Container::of(&world, pid);
    let small = world.with_digits("small", ProofSystem::SumcheckWhir).await;
    world.own_pool(&small).await;
    let client = token(&world, "small", "client", Some("edit")).await;
    let three = Objects::new(&world.cluster, "three").await.unwrap();
    let pool = json!({ "resources": { "cpu": "1", "memory": "3Gi" }, "parallelism": 1, "warm": 1 });
    world.cluster.apply(&three.pool("own", &pool)).await.unwrap();
    for seed in 0..3 {
        large(&world, &three, seed).await;
    }

    let (stop, since) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let mut held = hold_the_line(&address(&world)).await;
    held.append(&mut hold_the_line(&world.operator.health.replace("http://", "")).await);
    let attack = strangers(&world.operator.gateway, &client, &stop);
    ghosts(&world, &small).await;
    for seed in 0..3 {
        let name = format!("large-{seed}");
        three.until(&name, 4 * LONG, model_ready).await.unwrap();
        let request = large_request(&three, &format!("turn-{seed}"), seed);
        world.cluster.apply(&request).await.unwrap();
    }
    ghosts(&world, &small).await;
    for seed in 0..3 {
        let over = three.over(&format!("turn-{seed}"), 2 * LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    }
    stop.store(true, Ordering::Relaxed);
    let (attack, seconds) = (attack.join().unwrap(), since.elapsed().as_secs_f64());
    drop(held);

    let (killed, peak) = (container.killed(), container.peak());
    measured(format_args!(
        "three models of 54 MB, 2,000 silent connections, 440 bodies, {:.0} unknown tokens/s and 200 requests deleted while starting, \
         for {seconds:.0} s at once: the operator's container had at most {} of {} MiB",
        attack.tokens as f64 / seconds,
        peak >> 20,
        LIMIT >> 20
    ));
    assert_eq!((killed, world.operator.pid()), (0, Some(pid)), "it was killed");
    // Nothing is stuck.
    world
        .cluster
        .apply(&digits_request("after", "small"))
        .await
        .unwrap();
    let over = small.over("after", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    world.until_nothing_is_queued().await;
}
