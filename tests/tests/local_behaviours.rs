//! The behaviours of every operator, in local mode, and what local mode has beside them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use zkinfer_crds::ProofSystem;
use zkinfer_tests::behaviours::{Place, proving};
use zkinfer_tests::local::{program, run};
use zkinfer_tests::local_operator::LocalOperator;
use zkinfer_tests::operator::model_ready;

const LONG: Duration = Duration::from_secs(60);
/// For a process that was killed to end.
const SOON: Duration = Duration::from_secs(5);

async fn place() -> Option<Arc<LocalOperator>> {
    Some(Arc::new(LocalOperator::start().await.unwrap()))
}

zkinfer_tests::behaviours!(place());

#[tokio::test]
async fn whoever_stops_it_ends_its_workers_too() {
    let mut local = LocalOperator::start().await.unwrap();
    let objects = local.objects("b-cancelled").await.unwrap();
    for yaml in [
        objects.model_of("wine", "wine.onnx", 4, ProofSystem::SumcheckWhir),
        objects.pool("stalls", &json!({})),
        objects.wine_request("one", "wine", &json!({})),
    ] {
        local.apply(&yaml).await.unwrap();
    }
    proving(&objects).await;
    let children = local.children();
    assert!(children.len() >= 2, "two workers and the reference: {children:?}");
    let status = local.end(Signal::SIGINT).unwrap();
    assert_eq!(status.code(), Some(1), "{}", local.output());
    let began = Instant::now();
    while children.iter().any(|pid| is_at_work(*pid)) {
        assert!(began.elapsed() < SOON, "of {children:?} one is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process has not ended; one that has and that nobody has asked about is still listed.
fn is_at_work(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let state = |stat: &str| {
        stat.rsplit(')')
            .next()
            .and_then(|rest| rest.trim_start().chars().next())
    };
    stat.is_ok_and(|stat| !matches!(state(&stat), Some('Z' | 'X')))
}

#[tokio::test]
async fn clients_are_answered_as_in_a_cluster() {
    let local = LocalOperator::start().await.unwrap();
    let objects = local.objects("b-clients").await.unwrap();
    for yaml in [
        objects.model_of("wine", "wine.onnx", 4, ProofSystem::SumcheckWhir),
        objects.pool("own", &json!({})),
        objects.wine_request("one", "wine", &json!({})),
    ] {
        local.apply(&yaml).await.unwrap();
    }
    objects.until("wine", LONG, model_ready).await.unwrap();
    objects.over("one", LONG).await.unwrap();
    let out = local.state().join("fetched.cbor");
    let gateway = local.gateway().unwrap();
    let ran = run(Command::new(program("operator"))
        .args(["receipt", "one", "-n", "b-clients", "--gateway", &gateway, "-o"])
        .arg(&out)
        .env("KUBECONFIG", local.state().join("kubeconfig")));
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let laid_out = std::fs::read(local.state().join("receipts/b-clients/one.cbor")).unwrap();
    assert!(std::fs::read(out).unwrap() == laid_out, "the same receipt");
}
