//! What strangers at the gateway's doors and large models can do to the operator: nothing that lasts, in little memory.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zkinfer_crds::k8s::{Model, RequestPhase, find_condition};
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::operator::{Objects, model_ready, peak_resident, phase, pool_ready};

use crate::world::{LONG, World};

/// A container that has no more is killed.
const LIMIT: u64 = 512 << 20;
/// Silent connections are closed in this time, and a little more.
const SILENCE: Duration = Duration::from_secs(15);

fn address(world: &World) -> String {
    world.operator.gateway.replace("http://", "")
}

/// Whether the other side has closed it.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 1024];
    loop {
        match timeout(Duration::from_millis(20), stream.read(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(_)) => {}
            Err(_) => return false,
        }
    }
}

/// Random tokens, as many as are answered, until then.
async fn random_tokens(gateway: String, until: Instant) -> u64 {
    let http = reqwest::Client::new();
    let mut answered = 0;
    while Instant::now() < until {
        let call = http
            .post(format!("{gateway}/v1/work/claims"))
            .bearer_auth(format!("{:032x}", rand::random::<u128>()))
            .json(&json!({ "worker": "w", "parameters": [], "memoryBytes": 1, "waitSeconds": 0 }));
        if let Ok(answer) = call.send().await {
            let status = answer.status().as_u16();
            assert!(status == 401 || status == 503, "{status}");
            answered += 1;
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_with_connections_bodies_and_tokens_cost_little_and_hold_up_nobody() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_pool("honest").await;
    let before = Instant::now();
    world
        .cluster
        .apply(&objects.wine_request("quiet", "wine", &json!({})))
        .await
        .unwrap();
    objects.over("quiet", LONG).await.unwrap();
    let quiet = before.elapsed();

    let mut silent = Vec::new();
    for n in 0..1000 {
        let mut stream = TcpStream::connect(address(&world)).await.unwrap();
        if n % 2 == 0 {
            stream
                .write_all(b"GET /v1/work/claims HTTP/1.1\r\nhost: x\r\nx-slow: ")
                .await
                .unwrap();
        }
        silent.push(stream);
    }
    let silent_since = Instant::now();
    let until = Instant::now() + Duration::from_secs(10);
    let mut tokens = JoinSet::new();
    for _ in 0..16 {
        tokens.spawn(random_tokens(world.operator.gateway.clone(), until));
    }
    let mut bodies = JoinSet::new();
    for n in 0..320 {
        let address = address(&world);
        bodies.spawn(async move {
            let length = (3 << 20) - 1;
            let mut stream = TcpStream::connect(address).await?;
            let token = if n % 2 == 0 {
                "authorization: Bearer x\r\n"
            } else {
                ""
            };
            let head = format!(
                "POST /v1/requests HTTP/1.1\r\nhost: x\r\n{token}content-type: application/json\r\n\
                 content-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            // All but the end.
            stream.write_all(&vec![b' '; length - 1]).await?;
            Ok::<_, std::io::Error>(stream)
        });
    }
    let loud = Instant::now();
    world
        .cluster
        .apply(&objects.wine_request("loud", "wine", &json!({})))
        .await
        .unwrap();
    let over = objects.over("loud", LONG).await.unwrap();
    let loud = loud.elapsed();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    let mut asked = 0;
    while let Some(answered) = tokens.join_next().await {
        asked += answered.unwrap();
    }
    let held: Vec<_> = bodies.join_all().await.into_iter().flatten().collect();
    let peak = peak_resident(world.operator.pid().unwrap()).unwrap();
    eprintln!(
        "measured: a request took {:.1} s, and {:.1} s beside 1,000 silent connections, 320 bodies and {asked} unknown tokens; \
         at most {} MiB",
        quiet.as_secs_f64(),
        loud.as_secs_f64(),
        peak >> 20
    );
    assert!(peak < LIMIT, "{} MiB", peak >> 20);
    drop(held);

    // Nothing stays.
    tokio::time::sleep((SILENCE + Duration::from_secs(5)).saturating_sub(silent_since.elapsed())).await;
    for stream in &mut silent {
        assert!(is_closed(stream).await, "a silent connection stays");
    }
    world
        .cluster
        .apply(&objects.wine_request("after", "wine", &json!({})))
        .await
        .unwrap();
    let over = objects.over("after", LONG).await.unwrap();
    assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
    assert_eq!(world.operator.metric("zkinfer_slices", "").await.unwrap(), 0.0);
}

fn why_not_ready(model: &Model) -> (String, String) {
    let conditions = model
        .status
        .iter()
        .flat_map(|s| s.conditions.clone())
        .collect::<Vec<_>>();
    find_condition(&conditions, "Ready")
        .map_or_else(Default::default, |c| (c.reason.clone(), c.message.clone()))
}

#[tokio::test]
async fn models_take_turns_in_the_memory_that_there_is() {
    if !can_run() {
        return;
    }
    // Room for one of these, and for no two.
    let world = World::new(&["--model-memory=7Mi"]).await;
    let objects = Objects::new(&world.cluster, "turns").await.unwrap();
    for (slices, name) in ["one", "two", "three"].iter().enumerate() {
        let model = objects.model(name, "wine.onnx", slices as u32 + 1);
        world.cluster.apply(&model).await.unwrap();
    }
    world
        .cluster
        .apply(&objects.pool("own", &json!({})))
        .await
        .unwrap();
    for name in ["one", "two", "three"] {
        objects.until(name, LONG, model_ready).await.unwrap();
    }
    objects.until("own", LONG, pool_ready).await.unwrap();
    for (n, model) in ["one", "two", "one", "three"].iter().enumerate() {
        let name = format!("{model}-{n}");
        world
            .cluster
            .apply(&objects.wine_request(&name, model, &json!({})))
            .await
            .unwrap();
        let over = objects.over(&name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
        let bytes = world
            .operator
            .metric("zkinfer_model_memory_bytes", "")
            .await
            .unwrap();
        assert!(bytes > 0.0 && bytes <= f64::from(7 << 20), "{bytes}");
    }
}

#[tokio::test]
async fn a_model_that_is_too_large_for_the_operator_says_so_and_others_are_served() {
    if !can_run() {
        return;
    }
    let world = World::new(&["--model-memory=4Mi"]).await;
    let objects = Objects::new(&world.cluster, "large").await.unwrap();
    world
        .cluster
        .apply(&objects.model("wine", "wine.onnx", 1))
        .await
        .unwrap();
    let told = |m: &Model| why_not_ready(m).0 == "TooLargeForOperator";
    let model = objects.until("wine", LONG, told).await.unwrap();
    let (_, message) = why_not_ready(&model);
    assert!(
        message.contains("4 MiB") && message.contains("--model-memory="),
        "{message}"
    );
}
