//! The worker's manners towards a gateway, seen from the gateway's side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zkinfer_crds::wire::{BlobRef, ClaimGrant, ClaimRequest, EXIT_DRAINED, Refusal, RefuseReason};
use zkinfer_crds::{ClaimId, Digest, Identity, ParameterId, RequestUid, SliceIndex};
use zkinfer_tests::local::program;

/// Path and body of the next call.
fn call(stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (path, body)
}

fn answer(mut stream: TcpStream, status: &str, body: &str) {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
}

fn grant() -> ClaimGrant {
    let blob = || BlobRef {
        digest: Digest::of(b"x"),
        size: 1,
    };
    ClaimGrant {
        token: "token".to_owned(),
        claim: ClaimId::new([1; 16]),
        request: RequestUid::new([2; 16]),
        slice: SliceIndex(0),
        attempt: 1,
        lease_seconds: 20,
        max_bytes: 1024,
        parameter_id: ParameterId::Halo2KzgBn254V1,
        memory_bytes: 1 << 20,
        identity: Identity::new([3; 32]),
        statement: Digest::of(b"statement"),
        manifest: blob(),
        graph: blob(),
        inputs: blob(),
        proving_key: Some(blob()),
        srs: Some(blob()),
    }
}

/// A gateway that listens, and a worker that calls it.
fn claiming_worker() -> (TcpListener, Child) {
    worker_with_claims(1)
}

/// A gateway that listens, and a worker that may hold so many claims.
fn worker_with_claims(claims: u32) -> (TcpListener, Child) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let worker = Command::new(program("prover-worker"))
        .arg("work")
        .env(
            "ZKINFER_GATEWAY",
            format!("http://{}", listener.local_addr().unwrap()),
        )
        .env("ZKINFER_TOKEN", "secret")
        .env("ZKINFER_CLAIMS", claims.to_string())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (listener, worker)
}

fn terminate(worker: &Child) {
    let id = worker.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_worker_told_to_stop_hands_back_the_slice_that_is_on_its_way_to_it() {
    let (listener, mut worker) = claiming_worker();
    let (claiming, _) = listener.accept().unwrap();
    assert_eq!(call(&claiming).0, "/v1/work/claims");
    terminate(&worker);
    std::thread::sleep(Duration::from_millis(200));
    answer(claiming, "200 OK", &serde_json::to_string(&grant()).unwrap());
    let (refusing, _) = listener.accept().unwrap();
    let (path, body) = call(&refusing);
    assert!(path.ends_with("/refuse"), "{path}");
    let refusal: Refusal = serde_json::from_slice(&body).unwrap();
    assert_eq!(refusal.reason, RefuseReason::Draining);
    answer(refusing, "204 No Content", "");
    assert_eq!(worker.wait().unwrap().code(), Some(i32::from(EXIT_DRAINED)));
}

#[test]
fn a_worker_told_to_stop_does_not_wait_for_work_to_come() {
    let (listener, mut worker) = claiming_worker();
    let (claiming, _) = listener.accept().unwrap();
    call(&claiming);
    let told = Instant::now();
    terminate(&worker);
    assert_eq!(worker.wait().unwrap().code(), Some(i32::from(EXIT_DRAINED)));
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}

#[test]
fn a_worker_with_two_cores_asks_for_a_second_slice_with_the_memory_that_is_left() {
    let (listener, mut worker) = worker_with_claims(2);
    let memory = |body: &[u8]| serde_json::from_slice::<ClaimRequest>(body).unwrap().memory_bytes;
    let (claiming, _) = listener.accept().unwrap();
    let (path, body) = call(&claiming);
    assert_eq!((path.as_str(), memory(&body)), ("/v1/work/claims", 512 << 20));
    answer(claiming, "200 OK", &serde_json::to_string(&grant()).unwrap());
    // The first slice's file is fetched and never comes; meanwhile there is one more question, and no third.
    let calls = [(); 2].map(|()| listener.accept().unwrap().0);
    let asked: Vec<(String, Vec<u8>)> = calls.iter().map(call).collect();
    let second: Vec<_> = asked
        .iter()
        .filter(|(path, _)| path == "/v1/work/claims")
        .collect();
    assert_eq!(second.len(), 1, "{asked:?}");
    assert_eq!(memory(&second[0].1), (512 << 20) - grant().memory_bytes);
    terminate(&worker);
    let (refusing, _) = listener.accept().unwrap();
    let (path, _) = call(&refusing);
    assert!(path.ends_with("/refuse"), "{path}");
    answer(refusing, "204 No Content", "");
    assert_eq!(worker.wait().unwrap().code(), Some(i32::from(EXIT_DRAINED)));
}
