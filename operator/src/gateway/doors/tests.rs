//! Connections over TCP, with times that a test can wait for.

use std::net::SocketAddr;
use std::time::Instant;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const TIMES: Times = Times {
    head: Duration::from_millis(400),
    write: Duration::from_millis(400),
};
const MOST: usize = 64;

/// `/known` is of somebody, `/open` of anybody; `/large` is larger than what lies between two ends.
fn router() -> Router {
    let open = || std::future::ready("open");
    let of_somebody = || {
        known(&Caller::user("somebody"));
        std::future::ready("known")
    };
    let large = || {
        known(&Caller::user("somebody"));
        std::future::ready(vec![0u8; 64 << 20])
    };
    Router::new()
        .route("/open", get(open))
        .route("/known", get(of_somebody))
        .route("/large", get(large))
        .route(
            "/wait",
            post(async || {
                known(&Caller::user("somebody"));
                std::future::pending::<()>().await;
            }),
        )
}

async fn served(house: &Arc<House>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve_within(
        TIMES,
        Arc::clone(house),
        listener,
        router(),
        std::future::pending(),
    );
    tokio::spawn(serving);
    address
}

async fn send(stream: &mut TcpStream, path: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
}

/// The whole of an answer that says how long it is; what there is of it where the connection ends before.
async fn heard(stream: &mut TcpStream) -> String {
    let whole = |said: &str| {
        let (head, body) = said.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))?;
        (body.len() >= length.parse().ok()?).then_some(())
    };
    let (mut said, mut bytes) = (String::new(), [0; 4096]);
    while whole(&said).is_none() {
        match timeout(PATIENCE, stream.read(&mut bytes))
            .await
            .expect("no answer")
        {
            Ok(read) if read > 0 => said.push_str(&String::from_utf8_lossy(&bytes[..read])),
            _ => break,
        }
    }
    said
}

/// How long until the other side has closed it; what comes before is dropped.
async fn closed(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut bytes = [0; 4096];
    let until = async { while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    timeout(PATIENCE, until).await.expect("the connection stays");
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_before_a_head_inside_one_and_between_two_ends_the_connection() {
    let address = served(&House::new(MOST)).await;
    for begun in [
        "",
        "GET /known HTTP/1.1\r\nx-slow: ",
        "GET /known HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let after = closed(&mut stream).await;
        assert!(
            after >= TIMES.head / 2 && after < PATIENCE / 2,
            "{begun:?}: {after:?}"
        );
    }
    // Who drips has no more time than who is silent.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begun = Instant::now();
    stream
        .write_all(b"GET /known HTTP/1.1\r\nx-slow: ")
        .await
        .unwrap();
    while stream.write_all(b"x").await.is_ok() {
        sleep(TIMES.head / 20).await;
        assert!(begun.elapsed() < PATIENCE, "the connection stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_known_is_answered_once_on_a_connection_and_who_is_known_keeps_it() {
    let house = House::new(MOST);
    let address = served(&house).await;
    for path in ["/open", "/nowhere"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        send(&mut stream, path).await;
        assert!(heard(&mut stream).await.contains("connection: close"), "{path}");
        let after = closed(&mut stream).await;
        assert!(after < TIMES.head, "{path}: {after:?}");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        send(&mut stream, "/known").await;
        let answer = heard(&mut stream).await;
        assert!(
            answer.contains("200 OK") && !answer.contains("connection: close"),
            "{answer}"
        );
        sleep(TIMES.head / 2).await;
    }
    // Whoever was known has to be so each time.
    send(&mut stream, "/nowhere").await;
    assert!(heard(&mut stream).await.contains("connection: close"));
    assert!(closed(&mut stream).await < TIMES.head);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_of_an_answer_does_not_keep_it() {
    let address = served(&House::new(MOST)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, "/large").await;
    sleep(TIMES.write * 4).await;
    // What lay between the two is there still; the rest never comes.
    let mut taken = 0;
    let mut bytes = vec![0; 1 << 16];
    let reading = async {
        while let Ok(read) = stream.read(&mut bytes).await {
            if read == 0 {
                break;
            }
            taken += read;
        }
    };
    timeout(PATIENCE, reading).await.expect("the connection stays");
    assert!(taken < 64 << 20, "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_are_answered_and_stay_keep_nobody_out() {
    let house = House::new(MOST);
    let address = served(&house).await;
    // A caller who is known, and more calls than the house holds by somebody who is not.
    let mut at_work = TcpStream::connect(address).await.unwrap();
    send(&mut at_work, "/known").await;
    assert!(heard(&mut at_work).await.contains("known"));
    let mut strangers = Vec::new();
    for _ in 0..4 * MOST {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        strangers.push(stream);
    }
    let mut new = TcpStream::connect(address).await.unwrap();
    send(&mut new, "/known").await;
    assert!(heard(&mut new).await.contains("known"), "the house is full");
    send(&mut at_work, "/known").await;
    assert!(heard(&mut at_work).await.contains("known"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_does_not_fill_the_house() {
    let house = House::new(MOST);
    let address = served(&house).await;
    let mut greedy = Vec::new();
    for _ in 0..2 * MOST {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = b"POST /wait HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
        // Who had to go may be told before the whole head is sent.
        let _ = stream.write_all(head).await;
        greedy.push(stream);
    }
    let mut new = TcpStream::connect(address).await.unwrap();
    send(&mut new, "/open").await;
    assert!(heard(&mut new).await.contains("open"), "the house is full");
}
