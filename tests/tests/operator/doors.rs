//! What strangers at the operator's doors, and clients and workers who send slowly, can do to it: nothing that lasts, in little
//! memory.

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
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::RequestPhase;
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::measured;
use zkinfer_tests::operator::{ACCOUNT, Objects, peak_resident, phase};

use crate::api::token;
use crate::audit::audited;
use crate::world::{LONG, World};

/// A container that has no more is killed.
const LIMIT: u64 = 512 << 20;
/// Silent connections are closed in this time, and a little more.
const SILENCE: Duration = Duration::from_secs(15);

pub fn address(world: &World) -> String {
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

/// One flood at a time: two at once are each half of one.
pub static FLOOD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What strangers send, each second.
const TOKENS: u32 = 1500;
/// Calls of theirs that have no answer yet, at most: who is not answered for longer sends fewer.
const UNANSWERED: usize = 512;

/// A call with a token that nobody knows, which claims to be of a pool that there is, of one that is not, or of nobody.
async fn unknown_call(address: String, n: u64) {
    let token = match n % 4 {
        0 => forged("honest", "bait"),
        1 => forged("honest", "none"),
        _ => format!("{:032x}", rand::random::<u128>()),
    };
    let body = json!({ "worker": "w", "parameters": [], "memoryBytes": 1, "waitSeconds": 0 }).to_string();
    let call = format!(
        "POST /v1/work/claims HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    // A connection may be sent away for another one before its answer.
    let answer: std::io::Result<Vec<u8>> = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(call.as_bytes()).await?;
        let mut answer = Vec::new();
        // Who is refused is closed.
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    }
    .await;
    let answer = answer.unwrap_or_default();
    let status = answer.get(9..12);
    assert!(
        status.is_none_or(|status| status == b"401" || status == b"503"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

/// So many random tokens a second, whether they are answered or not, until it is told to stop; how many were sent.
async fn random_tokens(address: String, stop: Arc<AtomicBool>) -> u64 {
    let (since, mut sent, mut calls) = (Instant::now(), 0, JoinSet::new());
    while !stop.load(Ordering::Relaxed) {
        let due = (since.elapsed().as_secs_f64() * f64::from(TOKENS) * 1.05) as u64;
        while sent < due && calls.len() < UNANSWERED {
            calls.spawn(unknown_call(address.clone(), sent));
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        while let Some(ended) = calls.try_join_next() {
            ended.unwrap();
        }
    }
    sent
}

/// What strangers did, all from one thread of their own.
pub struct Strangers {
    pub tokens: u64,
    /// The part of a core that they took.
    pub share: f64,
}

/// User and system time of this thread so far, in seconds.
fn thread_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// A body without its last byte.
async fn large_body(
    address: String,
    call: String,
    token: Option<String>,
    length: usize,
) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let token = token
        .map(|token| format!("authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{call} HTTP/1.1\r\nhost: x\r\n{token}content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b' '; length - 1]).await?;
    Ok(stream)
}

/// Unknown tokens and large bodies until they are told to stop; and of a client who is known, requests and files that never come to
/// their end.
pub fn strangers(gateway: &str, client: &str, stop: &Arc<AtomicBool>) -> JoinHandle<Strangers> {
    let (address, client, stop) = (
        gateway.replace("http://", ""),
        client.to_owned(),
        Arc::clone(stop),
    );
    std::thread::spawn(move || {
        let (since, cpu) = (Instant::now(), thread_seconds());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let tokens = runtime.block_on(async {
            let mut bodies = JoinSet::new();
            let create = || "POST /v1/requests".to_owned();
            for n in 0..320 {
                let token = (n % 2 == 0).then(|| "x".to_owned());
                bodies.spawn(large_body(address.clone(), create(), token, (3 << 20) - 1));
            }
            for n in 0u8..60 {
                let upload = format!("PUT /v1/artifacts/honest/{}", Digest::of(&[n]));
                let token = Some(client.clone());
                bodies.spawn(large_body(
                    address.clone(),
                    create(),
                    token.clone(),
                    (3 << 20) - 1,
                ));
                bodies.spawn(large_body(address.clone(), upload, token, (5 << 20) - 1));
            }
            random_tokens(address.clone(), stop).await
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

/// A thousand connections, of which half say nothing and half never come to the end of a head as large as they can make it.
pub async fn hold_the_line(address: &str) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for c in 0..1000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        if c % 2 == 0 {
            let head = format!(
                "GET /readyz HTTP/1.1\r\nhost: x\r\nx-slow: {}",
                "x".repeat(300 << 10)
            );
            // It may be closed before all of that has gone.
            let _ = timeout(Duration::from_millis(5), stream.write_all(head.as_bytes())).await;
        }
        held.push(stream);
    }
    held
}

async fn attacked(world: &World, objects: &Objects, client: &str, n: usize) -> Round {
    let health = world.operator.health.replace("http://", "");
    let mut silent = hold_the_line(&address(world)).await;
    silent.append(&mut hold_the_line(&health).await);
    let silent_since = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let attack = strangers(&world.operator.gateway, client, &stop);
    let loud = honest(world, objects, &format!("loud-{n}")).await;
    // Whoever looks whether it is well is answered.
    let ready = reqwest::get(format!("{}/readyz", world.operator.health))
        .await
        .unwrap();
    assert_eq!(ready.status(), 200);
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
    let _alone = FLOOD.lock().await;
    let world = World::new(&[]).await;
    let objects = world.with_pool("honest").await;
    let bait = objects.pool("bait", &json!({ "drain": true }));
    world.cluster.apply(&bait).await.unwrap();
    let client = token(&world, "honest", "client", Some("edit")).await;
    honest(&world, &objects, "first").await;

    // What another test does just then lengthens one of the two: a second look says which it was.
    let mut round = attacked(&world, &objects, &client, 0).await;
    for n in 1..3 {
        if round.loud > round.beside * 2 {
            round = attacked(&world, &objects, &client, n).await;
        }
    }
    let Round {
        loud,
        beside,
        attack,
        seconds,
        peak,
    } = round;
    world.until_nothing_is_queued().await;
    measured(format_args!(
        "a request took {:.2} s beside 1,000 silent connections at each port, 440 bodies and {:.0} unknown tokens/s that took {:.2} of a \
         core, and {:.2} s beside as much work that leaves the operator alone; at most {} MiB",
        loud.as_secs_f64(),
        attack.tokens as f64 / seconds,
        attack.share,
        beside.as_secs_f64(),
        peak >> 20
    ));
    let rate = attack.tokens as f64 / seconds;
    assert!(rate >= f64::from(TOKENS), "{rate:.0} unknown tokens a second");
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

/// How often the API server was asked whether somebody may do something.
fn reviews(log: &std::path::Path) -> usize {
    let log = std::fs::read_to_string(log).unwrap();
    log.lines()
        .filter(|line| line.contains("\"resource\":\"subjectaccessreviews\""))
        .count()
}

/// Whoever names ever other objects or namespaces makes the API server decide no more often than it bears.
#[tokio::test]
async fn rights_that_a_client_asks_for_in_vain_are_rationed_and_those_that_it_has_are_asked_about_once() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rules = json!([
        {
            "level": "Metadata", "users": [ACCOUNT],
            "resources": [{ "group": "authorization.k8s.io", "resources": ["subjectaccessreviews"] }],
        },
        { "level": "None" },
    ]);
    let (cluster, log) = audited(folder.path(), rules).await;
    let world = World::on(cluster, &[]).await;
    Objects::new(&world.cluster, "honest").await.unwrap();
    let viewer = token(&world, "honest", "viewer", Some("view")).await;
    let (http, gateway) = (reqwest::Client::new(), &world.operator.gateway);
    let read = async |namespace: &str, name: &str| {
        let call = http.get(format!("{gateway}/v1/requests/{namespace}/{name}"));
        call.bearer_auth(&viewer).send().await.unwrap().status().as_u16()
    };
    let (before, since) = (reviews(&log), Instant::now());
    for n in 0..200 {
        assert_eq!(read("honest", &format!("absent-{n}")).await, 404);
    }
    // One for each ten seconds.
    let most = 2 + since.elapsed().as_secs() as usize / 10;
    let asked = reviews(&log) - before;
    assert!(asked <= most, "{asked} reviews of what one answers");

    let (before, since) = (reviews(&log), Instant::now());
    let mut rationed = 0;
    for n in 0..200 {
        match read(&format!("other-{n}"), "one").await {
            403 => {}
            503 => rationed += 1,
            other => panic!("{other}"),
        }
        assert_eq!(read("honest", "absent").await, 404, "after {n} others");
    }
    // 20 at once and 5 a second, and what the viewer may.
    let most =
        20 + (since.elapsed().as_secs_f64() * 5.0) as usize + 2 + since.elapsed().as_secs() as usize / 10;
    let asked = reviews(&log) - before;
    assert!(
        rationed > 0 && asked <= most,
        "{asked} reviews, of {most}; {rationed} not"
    );
}
