//! Who may call what, and read what; what is wrong with a call is named.

use zkinfer_crds::wire::MAX_BODY_BYTES;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_worker_whose_token_is_not_known() {
    let world = World::new(&[ALPHA]).await;
    let granted = world.grant(ALPHA).await.manifest.digest;
    for token in ["", "secret", &worker("gamma"), &worker(ALPHA).to_uppercase()] {
        let refused = is(401, "UnknownToken");
        assert_eq!(problem(world.claim(token, 0).await).await, refused, "{token:?}");
        assert_eq!(
            problem(world.blob(token, granted).await).await,
            refused,
            "{token:?}"
        );
    }
    let url = format!("http://{}/v1/work/claims", world.address);
    let without = world.client.post(url).json(&claim_request(0)).send();
    assert_eq!(problem(without.await.unwrap()).await, is(401, "UnknownToken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn gives_a_slice_to_a_pool_of_the_request_and_nothing_to_another() {
    let world = World::new(&[ALPHA]).await;
    let response = world.claim(&worker(BETA), 0).await;
    assert_eq!(response.status(), 204);
    assert!(response.bytes().await.unwrap().is_empty());
    let first = world.grant(ALPHA).await;
    assert_eq!(
        (first.request, first.identity, first.attempt),
        (REQUEST, identity(ALPHA), 1)
    );
    let second = world.grant(ALPHA).await;
    assert_ne!((first.slice, first.claim), (second.slice, second.claim));
    assert_ne!(first.statement, second.statement);
    assert_eq!(
        world.claim(&worker(ALPHA), 0).await.status(),
        204,
        "every slice is claimed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_read_only_by_a_pool_that_it_was_granted_to() {
    let world = World::new(&[ALPHA]).await;
    let report = &files().report;
    let (alpha, beta) = (worker(ALPHA), worker(BETA));
    let absent = is(404, "NotFound");
    assert_eq!(
        problem(world.blob(&alpha, report.graph.digest).await).await,
        absent
    );
    let grant = world.grant(ALPHA).await;
    let file = |role| grant.files.get(role).unwrap().blob();
    let (key, points) = (file(FileRole::ProvingKey), file(FileRole::Setup));
    for blob in [&grant.manifest, &grant.graph, &grant.inputs, &key, &points] {
        assert_eq!(problem(world.blob(&beta, blob.digest).await).await, absent);
        let response = world.blob(&alpha, blob.digest).await;
        assert_eq!(response.status(), 200);
        let bytes = response.bytes().await.unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (blob.digest, blob.size));
    }
    let of_role = |role| report.slices.iter().filter_map(move |s| s.files.get(role));
    let never = of_role(FileRole::ProvingKey).map(|file| file.digest);
    let mut never = never.filter(|digest| *digest != key.digest);
    assert_eq!(
        problem(world.blob(&alpha, never.next().unwrap()).await).await,
        absent,
        "of a slice that was not granted"
    );
    assert_eq!(grant.files.get(FileRole::VerifyingKey), None);
    for verifying in of_role(FileRole::VerifyingKey) {
        assert_eq!(
            problem(world.blob(&alpha, verifying.digest).await).await,
            absent,
            "what a verifier takes"
        );
    }
    let nowhere = Digest::of(b"nowhere");
    assert_eq!(problem(world.blob(&alpha, nowhere).await).await, absent);
    assert_eq!(problem(world.blob(&alpha, "no-digest").await).await, absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claims_token_is_good_for_its_claim_only() {
    let world = World::new(&[ALPHA]).await;
    let (mine, other) = (world.grant(ALPHA).await, world.grant(ALPHA).await);
    let mixed = ClaimGrant {
        token: mine.token.clone(),
        ..other.clone()
    };
    assert_eq!(
        problem(world.submit(&mixed, "proof").await).await,
        is(401, "OtherClaim")
    );
    assert_eq!(
        problem(world.refuse(&mixed, "Draining").await).await,
        is(401, "OtherClaim")
    );
    let no_claim = world.call(Method::PUT, "/v1/work/claims/x/proof", &mine.token);
    assert_eq!(
        problem(no_claim.send().await.unwrap()).await,
        is(401, "OtherClaim")
    );
    // Neither kind of token stands in for the other, and a changed one is none.
    let changed = format!("{}x", mine.token);
    for token in [worker(ALPHA), changed] {
        let with = ClaimGrant {
            token,
            ..mine.clone()
        };
        assert_eq!(
            problem(world.submit(&with, "proof").await).await,
            is(401, "UnknownToken")
        );
        assert_eq!(
            problem(world.refuse(&with, "Draining").await).await,
            is(401, "UnknownToken")
        );
    }
    assert_eq!(
        problem(world.claim(&mine.token, 0).await).await,
        is(401, "UnknownToken")
    );
    let blob = world.blob(&mine.token, mine.graph.digest).await;
    assert_eq!(problem(blob).await, is(401, "UnknownToken"));
    world.nothing_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_what_is_wrong_with_a_call() {
    let world = World::new(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let alpha = worker(ALPHA);
    let refuse = format!("/v1/work/claims/{}/refuse", grant.claim);
    let said = async |method: Method, path: &str, token: &str, body: String| {
        let call = world.call(method, path, token).body(body);
        problem(call.send().await.unwrap()).await
    };
    let claims = "/v1/work/claims";
    for path in [
        "/",
        "/v1",
        "/v2/work/claims",
        "/v1/work/claims/",
        "/v1/work/blobs",
    ] {
        assert_eq!(
            said(Method::GET, path, &alpha, String::new()).await,
            is(404, "UnknownPath"),
            "{path}"
        );
    }
    let blob = format!("/v1/work/blobs/{}", grant.graph.digest);
    for (method, path) in [
        (Method::GET, claims),
        (Method::DELETE, blob.as_str()),
        (Method::POST, &proof_path(grant.claim)),
        (Method::PUT, refuse.as_str()),
    ] {
        assert_eq!(
            said(method, path, &alpha, String::new()).await,
            is(405, "UnknownMethod"),
            "{path}"
        );
    }
    // A path that is no text is a path like another.
    let odd = |path: &str| path.replace("{}", "%ff%fe");
    assert_eq!(
        said(Method::GET, &odd("/v1/work/blobs/{}"), &alpha, String::new()).await,
        is(404, "NotFound")
    );
    assert_eq!(
        said(Method::GET, &odd("/v1/work/blobs/{}"), "who", String::new()).await,
        is(401, "UnknownToken")
    );
    for (method, path) in [
        (Method::PUT, "/v1/work/claims/{}/proof"),
        (Method::POST, "/v1/work/claims/{}/refuse"),
    ] {
        assert_eq!(
            said(method, &odd(path), &grant.token, String::new()).await,
            is(401, "OtherClaim")
        );
    }
    let changed = |key: &str, value: Value| {
        let mut request = claim_request(0);
        request[key] = value;
        request.to_string()
    };
    let invalid = is(400, "InvalidBody");
    for text in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        claim_request(0).to_string() + "x",
        changed("vorker", json!("w")),
        changed("memoryBytes", json!(-1)),
        changed("parameters", json!(["groth16"])),
        changed("request", json!("no uid")),
        changed("worker", json!("w".repeat(257))),
    ] {
        assert_eq!(
            said(Method::POST, claims, &alpha, text.clone()).await,
            invalid,
            "{text}"
        );
    }
    for refusal in [
        json!({ "reason": "Bored", "message": "" }),
        json!({ "reason": "Draining" }),
        json!({ "reason": "Draining", "message": "", "more": 1 }),
        json!({ "reason": "Draining", "message": "m".repeat(257) }),
    ] {
        let text = refusal.to_string();
        assert_eq!(
            said(Method::POST, &refuse, &grant.token, text).await,
            invalid,
            "{refusal}"
        );
    }
    let long = changed("worker", json!("w".repeat(MAX_BODY_BYTES)));
    assert_eq!(
        said(Method::POST, claims, &alpha, long).await,
        is(413, "TooLarge")
    );
    world.nothing_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pools_right_to_read_ends_with_the_request() {
    let world = World::new(&[ALPHA]).await;
    let inputs = world.grant(ALPHA).await.inputs.digest;
    assert_eq!(world.blob(&worker(ALPHA), inputs).await.status(), 200);
    world.dispatcher.remove(REQUEST, false);
    assert_eq!(
        problem(world.blob(&worker(ALPHA), inputs).await).await,
        is(404, "NotFound")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_see_a_request_no_more_loses_its_claim_and_its_files_and_is_not_to_blame() {
    let world = World::new(&[ALPHA, BETA]).await;
    let grant = world.grant(ALPHA).await;
    assert_eq!(world.blob(&worker(ALPHA), grant.graph.digest).await.status(), 200);
    let only = |name: &str| {
        [ServedBy {
            namespace: "default".to_owned(),
            identity: Some(identity(name)),
        }]
    };
    world.consent("elsewhere", &only(BETA));
    let end = world.end_of(&grant).await;
    assert_eq!(
        (end.blame(), &end),
        (Some(Blame::Nobody), &AttemptEnd::ConsentWithdrawn)
    );
    for blob in [&grant.manifest, &grant.graph, &grant.inputs] {
        let refused = problem(world.blob(&worker(ALPHA), blob.digest).await).await;
        assert_eq!(refused, is(404, "NotFound"));
    }
    assert_eq!(
        problem(world.submit(&grant, "proof").await).await,
        is(410, "ClaimOver")
    );
    assert_eq!(world.claim(&worker(ALPHA), 0).await.status(), 204);
    let mut of_the_request = claim_request(0);
    of_the_request["request"] = json!(REQUEST);
    let call = world.call(Method::POST, "/v1/work/claims", &worker(ALPHA));
    let told = call.json(&of_the_request).send().await.unwrap();
    assert_eq!(
        problem(told).await,
        is(410, "Over"),
        "its Job has nothing to wait for"
    );
    // The other pool takes it, and keeps it while nothing changes for it.
    let other = world.grant(BETA).await;
    assert_eq!(other.slice, grant.slice);
    world.consent("elsewhere", &[only(ALPHA), only(BETA)].concat());
    assert_eq!(world.blob(&worker(BETA), other.graph.digest).await.status(), 200);
    // It may again: what it was granted before it may read again, and it is given more.
    assert_eq!(world.blob(&worker(ALPHA), grant.graph.digest).await.status(), 200);
    assert_ne!(world.grant(ALPHA).await.slice, other.slice);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_lets_no_other_namespaces_pool_in() {
    let world = World::new(&[ALPHA]).await;
    world.consent("elsewhere", &[]);
    assert_eq!(world.claim(&worker(ALPHA), 0).await.status(), 204);
}
