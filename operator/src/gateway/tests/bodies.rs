//! Bodies that are too large, too slow or broken off, and those for which others leave no room.

use axum::body::Body;
use axum::http::HeaderMap;
use tokio::io::AsyncRead;

use super::*;

/// The status of an answer that has begun.
async fn status(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = [0; 12];
    let read = timeout(PATIENCE, stream.read_exact(&mut bytes)).await;
    read.expect("no answer").unwrap();
    String::from_utf8_lossy(&bytes[9..]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_cap_is_cut_off() {
    let world = World::new(&[ALPHA]).await;
    let cap = MAX_ENVELOPE_BYTES;
    // A length that is stated is enough: not one byte is waited for.
    let stated = world.grant(ALPHA).await;
    assert_eq!(stated.max_bytes, cap);
    let call = world.call(Method::PUT, &proof_path(stated.claim), &stated.token);
    let call = call.header("content-length", cap + 1);
    let response = call.body(body(stream::pending())).send().await.unwrap();
    assert_eq!(problem(response).await, is(413, "TooLarge"));
    assert_eq!(world.end_of(&stated).await, AttemptEnd::TooLarge);
    // Without one, the stream is cut off as it passes the cap, though it would go on.
    let chunked = world.grant(ALPHA).await;
    let chunk = Bytes::from(vec![0; cap as usize / 8]);
    let full = stream::repeat(chunk).take(8).map(Ok);
    let more = stream::iter([Ok(Bytes::from_static(b"x"))]).chain(stream::pending());
    let response = world.submit(&chunked, body(full.chain(more))).await;
    assert_eq!(problem(response).await, is(413, "TooLarge"));
    assert_eq!(world.end_of(&chunked).await, AttemptEnd::TooLarge);
    // At the cap it is read, and judged.
    let whole = world.grant(ALPHA).await;
    assert_eq!(world.submit(&whole, vec![0; cap as usize]).await.status(), 201);
    assert!(matches!(world.end_of(&whole).await, AttemptEnd::Invalid(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_given_up() {
    let world = World::idle(LONG_LEASE, Duration::from_secs(1)).await;
    world.add(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let proof = world.prove(ALPHA, &grant).await;
    // It never pauses for long, but as a whole it would take minutes.
    let drops = stream::unfold(0u8, |n| async move {
        sleep(Duration::from_millis(100)).await;
        Some((Ok(Bytes::from(vec![n])), n.wrapping_add(1)))
    });
    let begun = Instant::now();
    let response = world.submit(&grant, body(drops)).await;
    assert_eq!(problem(response).await, is(408, "TooSlow"));
    assert!(
        begun.elapsed() >= Duration::from_millis(900) && begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    world.nothing_ended().await;
    assert_eq!(world.submit(&grant, proof).await.status(), 201);
    assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_body_burns_nothing() {
    let world = World::new(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let proof = world.prove(ALPHA, &grant).await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        proof_path(grant.claim),
        grant.token,
        proof.len()
    );
    // Cut off as a whole, then only its sending side, so that the gateway is heard to have noticed.
    let mut dropped = TcpStream::connect(world.address).await.unwrap();
    dropped.write_all(head.as_bytes()).await.unwrap();
    dropped.write_all(&proof[..proof.len() / 2]).await.unwrap();
    drop(dropped);
    let mut half = TcpStream::connect(world.address).await.unwrap();
    half.write_all(head.as_bytes()).await.unwrap();
    half.write_all(&proof[..proof.len() / 2]).await.unwrap();
    half.shutdown().await.unwrap();
    let mut heard = String::new();
    let read = timeout(PATIENCE, half.read_to_string(&mut heard)).await;
    assert!(read.expect("the gateway hangs up").is_ok());
    assert!(
        heard.starts_with("HTTP/1.1 400 ") && heard.contains("BrokenOff"),
        "{heard:?}"
    );
    world.nothing_ended().await;
    assert_eq!(world.submit(&grant, proof).await.status(), 201);
    assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_claim_that_is_over_has_no_body_read() {
    let world = World::new(&[ALPHA]).await;
    let over = world.grant(ALPHA).await;
    assert_eq!(world.refuse(&over, "Draining").await.status(), 204);
    let _ = world.end_of(&over).await;
    for _ in 0..200 {
        // Not one byte of the body is waited for.
        assert_eq!(status(&mut world.stall(&over).await).await, "410");
    }
    assert_eq!(
        problem(world.refuse(&over, "Draining").await).await,
        is(410, "ClaimOver")
    );
    // Once a proof has come its claim is answered for ever.
    let grant = world.grant(ALPHA).await;
    let proof = world.prove(ALPHA, &grant).await;
    assert_eq!(world.submit(&grant, proof.clone()).await.status(), 201);
    assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
    assert_eq!(world.submit(&grant, proof).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_fills_the_room_with_bodies_that_do_not_come_holds_up_nobody() {
    let world = World::new(&[ALPHA, RIVAL]).await;
    let held = world.grant(RIVAL).await;
    let mut stalled = Vec::new();
    for _ in 0..200 {
        stalled.push(world.stall(&held).await);
    }
    // A namespace of users has the rest.
    let others = Caller::namespace("others");
    let rest = (0..128).map(|_| {
        let (bodies, others) = (world.bodies.clone(), others.clone());
        tokio::spawn(async move {
            let never = Body::from_stream(stream::pending::<Chunks>());
            let max = MAX_ENVELOPE_BYTES as usize;
            bodies.read(&others, &HeaderMap::new(), never, max).await.err()
        })
    });
    let rest: Vec<_> = rest.collect();
    // What has been coming for a while gives way.
    sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    let grant = world.grant(ALPHA).await;
    let claimed = begun.elapsed();
    let proof = world.prove(ALPHA, &grant).await;
    let begun = Instant::now();
    assert_eq!(world.submit(&grant, proof).await.status(), 201);
    let submitted = begun.elapsed();
    let soon = Duration::from_secs(2);
    assert!(claimed < soon && submitted < soon, "{claimed:?} {submitted:?}");
    assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
    rest.iter().for_each(tokio::task::JoinHandle::abort);
}

/// How a claim ends whose proof finds no room, because this caller has all of it.
async fn ends_without_room(holder: &Caller) -> AttemptEnd {
    let world = World::idle(Duration::from_secs(2), Duration::from_millis(300)).await;
    world.add(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let all = world
        .bodies
        .read(holder, &HeaderMap::new(), Body::from("x"), 64 << 20)
        .await;
    let all = all.ok().unwrap();
    assert_eq!(
        problem(world.submit(&grant, "proof").await).await,
        is(503, "Busy")
    );
    let end = world.end_of(&grant).await;
    drop(all);
    end
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_refused_for_want_of_room_costs_its_miner_nothing_unless_the_room_is_its_own() {
    let end = ends_without_room(&Caller::namespace("others")).await;
    assert_eq!(end.blame(), Some(Blame::Operator), "{end:?}");
    let end = ends_without_room(&Caller::pool(&pool(ALPHA))).await;
    assert_eq!(end, AttemptEnd::LeaseExpired);
}
