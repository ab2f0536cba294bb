//! What strangers at the gateway's doors can do to the operator: nothing that lasts, in little memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zkinfer_crds::k8s::RequestPhase;
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::measured;
use zkinfer_tests::operator::{Objects, peak_resident, phase};

use crate::api::token;
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

/// A token that says it is of this pool, which it is not.
fn forged(namespace: &str, pool: &str) -> String {
    let claims = json!({ "sub": format!("system:serviceaccount:{namespace}:zkinfer-miner-{pool}") });
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{claims}.{:032x}", rand::random::<u128>())
}

/// Random tokens, some of which claim to be of a pool that there is; as many as are answered, until it is told to stop.
async fn random_tokens(gateway: String, stop: Arc<AtomicBool>) -> u64 {
    let http = reqwest::Client::new();
    let mut answered = 0;
    while !stop.load(Ordering::Relaxed) {
        let token = match answered % 4 {
            0 => forged("honest", "bait"),
            1 => forged("honest", "none"),
            _ => format!("{:032x}", rand::random::<u128>()),
        };
        let call = http
            .post(format!("{gateway}/v1/work/claims"))
            .bearer_auth(token)
            .json(&json!({ "worker": "w", "parameters": [], "memoryBytes": 1, "waitSeconds": 0 }));
        if let Ok(answer) = call.send().await {
            let status = answer.status().as_u16();
            assert!(status == 401 || status == 503, "{status}");
            answered += 1;
        }
    }
    answered
}

/// What strangers did, all from one thread of their own.
struct Strangers {
    tokens: u64,
    /// The part of a core that they took.
    share: f64,
}

/// User and system time of this thread so far, in seconds.
fn thread_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// A body of 3 MiB without its last byte.
async fn large_body(address: String, token: bool) -> std::io::Result<TcpStream> {
    let length = (3 << 20) - 1;
    let mut stream = TcpStream::connect(address).await?;
    let token = if token { "authorization: Bearer x\r\n" } else { "" };
    let head = format!(
        "POST /v1/requests HTTP/1.1\r\nhost: x\r\n{token}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b' '; length - 1]).await?;
    Ok(stream)
}

/// Unknown tokens and large bodies until they are told to stop.
fn strangers(gateway: &str, stop: &Arc<AtomicBool>) -> JoinHandle<Strangers> {
    let (gateway, stop) = (gateway.to_owned(), Arc::clone(stop));
    std::thread::spawn(move || {
        let (since, cpu) = (Instant::now(), thread_seconds());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let tokens = runtime.block_on(async {
            let mut tokens = JoinSet::new();
            for _ in 0..16 {
                tokens.spawn(random_tokens(gateway.clone(), Arc::clone(&stop)));
            }
            let mut bodies = JoinSet::new();
            for n in 0..320 {
                bodies.spawn(large_body(gateway.replace("http://", ""), n % 2 == 0));
            }
            tokens.join_all().await.into_iter().sum()
        });
        let share = (thread_seconds() - cpu) / since.elapsed().as_secs_f64();
        Strangers { tokens, share }
    })
}

/// Takes this part of a core until it is told to stop, and leaves the operator alone.
fn burner(share: f64, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let (since, cpu) = (Instant::now(), thread_seconds());
        while !stop.load(Ordering::Relaxed) {
            if thread_seconds() - cpu < share * since.elapsed().as_secs_f64() {
                let burst = Instant::now();
                while burst.elapsed() < Duration::from_millis(2) {
                    std::hint::spin_loop();
                }
            } else {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    })
}

/// How long honest requests take, one after the other: the median.
async fn honest(world: &World, objects: &Objects, names: &str) -> Duration {
    let mut took = Vec::new();
    for n in 0..3 {
        let name = format!("{names}-{n}");
        let since = Instant::now();
        let request = objects.wine_request(&name, "wine", &json!({}));
        world.cluster.apply(&request).await.unwrap();
        let over = objects.over(&name, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
        took.push(since.elapsed());
    }
    took.sort();
    took[1]
}

/// What honest requests take while strangers attack, and beside as much work that leaves the operator alone.
struct Round {
    loud: Duration,
    beside: Duration,
    attack: Strangers,
    seconds: f64,
    peak: u64,
}

async fn attacked(world: &World, objects: &Objects, n: usize) -> Round {
    let mut silent = Vec::new();
    for c in 0..1000 {
        let mut stream = TcpStream::connect(address(world)).await.unwrap();
        if c % 2 == 0 {
            stream
                .write_all(b"GET /v1/work/claims HTTP/1.1\r\nhost: x\r\nx-slow: ")
                .await
                .unwrap();
        }
        silent.push(stream);
    }
    let silent_since = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let attack = strangers(&world.operator.gateway, &stop);
    let loud = honest(world, objects, &format!("loud-{n}")).await;
    let seconds = silent_since.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let attack = attack.join().unwrap();
    let peak = peak_resident(world.operator.pid().unwrap()).unwrap();

    // Nothing stays.
    tokio::time::sleep((SILENCE + Duration::from_secs(5)).saturating_sub(silent_since.elapsed())).await;
    for stream in &mut silent {
        assert!(is_closed(stream).await, "a silent connection stays");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let burning = burner(attack.share, &stop);
    let beside = honest(world, objects, &format!("beside-{n}")).await;
    stop.store(true, Ordering::Relaxed);
    burning.join().unwrap();
    Round {
        loud,
        beside,
        attack,
        seconds,
        peak,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_with_connections_bodies_and_tokens_cost_little_and_hold_up_nobody() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = world.with_pool("honest").await;
    let bait = objects.pool("bait", &json!({ "drain": true }));
    world.cluster.apply(&bait).await.unwrap();
    honest(&world, &objects, "first").await;

    // What another test does just then lengthens one of the two: a second look says which it was.
    let mut round = attacked(&world, &objects, 0).await;
    for n in 1..3 {
        if round.loud > round.beside * 2 {
            round = attacked(&world, &objects, n).await;
        }
    }
    let Round {
        loud,
        beside,
        attack,
        seconds,
        peak,
    } = round;
    // A status says that a request is over a moment before its slices leave the queue.
    wait_for("an empty queue", LONG, async || {
        match world.operator.metric("zkinfer_slices", "").await.unwrap() {
            0.0 => Ok(()),
            n => Err(format!("{n} slices of requests that are over")),
        }
    })
    .await
    .unwrap();
    measured(format_args!(
        "a request took {:.2} s beside 1,000 silent connections, 320 bodies and {:.0} unknown tokens/s that took {:.2} of a \
         core, and {:.2} s beside as much work that leaves the operator alone; at most {} MiB",
        loud.as_secs_f64(),
        attack.tokens as f64 / seconds,
        attack.share,
        beside.as_secs_f64(),
        peak >> 20
    ));
    assert!(attack.tokens > 0);
    assert!(peak < LIMIT, "{} MiB", peak >> 20);
    assert!(loud <= beside * 2, "{loud:?} and {beside:?}");
}

/// Calls with unknown tokens, and every tenth time with one that is known: how many of the unknown were asked about, and how
/// many not.
async fn beside_unknown(
    call: impl AsyncFn(&str) -> u16,
    unknown: impl Fn() -> String,
    known: (&str, u16),
) -> (u32, u32) {
    let (mut asked, mut rationed) = (0, 0);
    for n in 0..200 {
        match call(&unknown()).await {
            401 => asked += 1,
            503 => rationed += 1,
            other => panic!("{other}"),
        }
        if n % 10 == 0 {
            assert_eq!(call(known.0).await, known.1, "after {n} unknown tokens");
        }
    }
    (asked, rationed)
}

/// Everybody who comes through a port-forward has one address.
#[tokio::test]
async fn who_is_known_is_served_beside_unknown_tokens_from_the_same_address() {
    if !can_run() {
        return;
    }
    let world = World::new(&[]).await;
    let objects = Objects::new(&world.cluster, "honest").await.unwrap();
    world.own_pool(&objects).await;
    let viewer = token(&world, "honest", "viewer", Some("view")).await;
    let miner = [
        "create",
        "token",
        "zkinfer-miner-own",
        "-n",
        "honest",
        "--audience",
        "zkinfer-gateway",
    ];
    let miner = world.cluster.kubectl(&miner).await.unwrap();
    let (http, gateway) = (reqwest::Client::new(), &world.operator.gateway);
    let status = async |call: reqwest::RequestBuilder| call.send().await.unwrap().status().as_u16();
    let client = async |token: &str| {
        status(
            http.get(format!("{gateway}/v1/requests/honest"))
                .bearer_auth(token),
        )
        .await
    };
    let worker = async |token: &str| {
        let body = json!({ "worker": "w", "parameters": [], "memoryBytes": 1, "waitSeconds": 0 });
        let call = http.post(format!("{gateway}/v1/work/claims")).bearer_auth(token);
        status(call.json(&body)).await
    };
    let (viewer, miner) = ((viewer.as_str(), 200), (miner.trim(), 204));
    assert_eq!(client(viewer.0).await, viewer.1);
    assert_eq!(worker(miner.0).await, miner.1);
    let since = Instant::now();
    let clients = beside_unknown(client, || format!("{:032x}", rand::random::<u128>()), viewer).await;
    let workers = beside_unknown(worker, || forged("honest", "own"), miner).await;
    // At once 20, and 5 a second, of each kind: one each 200 ms.
    let most = 20 + (since.elapsed().as_secs_f64() * 5.0) as u32;
    for (asked, rationed) in [clients, workers] {
        assert!(
            rationed > 0 && asked <= most,
            "{asked} were asked about, {rationed} not, of {most}"
        );
    }
}
