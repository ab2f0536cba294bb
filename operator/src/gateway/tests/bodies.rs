//! Bodies that are too large, too slow or broken off.

use super::*;

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
