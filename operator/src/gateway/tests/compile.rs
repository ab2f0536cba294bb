//! What compilers hand in.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt;
use zkinfer_crds::wire::{BlobRef, CompileTask, Problem};

use super::*;
use crate::artifacts::Artifacts;
use crate::dispatch::{CompileToken, Dispatcher, TokenKey};

/// Waits for every result.
struct Waiting;

impl Compilations for Waiting {
    fn wanted(&self, _: &CompileToken) -> bool {
        true
    }

    fn progress(&self, _: &CompileToken, _: String) {}

    fn reported(&self, _: &CompileToken) {}
}

fn task() -> CompileTask {
    let model = BlobRef {
        digest: Digest::of(b"model"),
        size: 5,
    };
    serde_json::from_value(json!({
        "model": model, "proofSystem": ProofSystem::SumcheckWhir, "errorBudgetMillionths": 1, "compareTop1": true,
        "parallelism": 1,
    }))
    .unwrap()
}

/// The answer to a file that is handed in under the digest of `named`.
async fn handed_in(named: &[u8], body: Body) -> (u16, String) {
    let dispatcher = Dispatcher::new(
        Artifacts::memory(),
        TokenKey::new([3; 32]),
        (PATIENCE, PATIENCE),
        1,
    );
    let token = dispatcher.seal_compile(&CompileToken {
        model: ("n".to_owned(), "m".to_owned()),
        uid: "uid".to_owned(),
        key: Digest::of(b"key"),
        task: task(),
    });
    let router = Gateway::new(dispatcher, Arc::new(StaticTokens::default()))
        .with_compilations(Arc::new(Waiting))
        .with_body_time(Duration::from_millis(500))
        .router();
    let call = Request::builder()
        .method("PUT")
        .uri(format!("/v1/compile/blobs/{}", Digest::of(named)))
        .header("authorization", format!("Bearer {token}"))
        .body(body);
    let answer = timeout(PATIENCE, router.oneshot(call.unwrap())).await;
    let answer = answer.expect("no answer").unwrap();
    let status = answer.status().as_u16();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
    let problem = serde_json::from_slice::<Problem>(&body);
    (status, problem.map(|problem| problem.reason).unwrap_or_default())
}

#[tokio::test]
async fn a_file_that_stops_coming_is_given_up_and_one_that_breaks_off_or_is_another_is_told_so() {
    let chunk = || Ok(Bytes::from_static(b"file"));
    let stalls = stream::iter([chunk()]).chain(stream::pending::<Chunks>());
    assert_eq!(
        handed_in(b"file", Body::from_stream(stalls)).await,
        is(408, "TooSlow")
    );
    // It takes longer than the time, and never pauses for so long.
    let slowly = stream::unfold(0, async |n| {
        sleep(Duration::from_millis(100)).await;
        (n < 8).then(|| (Chunks::Ok(Bytes::from_static(b"x")), n + 1))
    });
    assert_eq!(
        handed_in(b"xxxxxxxx", Body::from_stream(slowly)).await,
        (201, String::new())
    );
    let breaks = stream::iter([chunk(), Err(std::io::Error::other("gone"))]);
    assert_eq!(
        handed_in(b"file", Body::from_stream(breaks)).await,
        is(400, "BrokenOff")
    );
    assert_eq!(
        handed_in(b"other", Body::from("file")).await,
        is(422, "OtherDigest")
    );
}
