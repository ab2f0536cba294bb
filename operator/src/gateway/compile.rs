//! The compiler's calls. The token names everything that it may read and under which key it reports; whether the result
//! is right is found out when it is loaded, because a compiler parses files of strangers.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use zkinfer_client::time_for;
use zkinfer_crds::Digest;
use zkinfer_crds::calls::compile::{Fetch, Progress, Put, Report, Task};
use zkinfer_crds::calls::{Call, Reason};
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::wire::CompileTask;

use super::auth::bearer;
use super::blob::send_blob;
use super::call::{Answer, Named, Routes, carrying};
use super::caller::Caller;
use super::doors::known;
use super::file::FileError;
use super::problem::Reject;
use super::shared::Gateway;
use crate::artifacts::{ArtifactError, CompiledName};
use crate::dispatch::CompileToken;

pub(super) fn router(gateway: Gateway) -> Router {
    Routes::new()
        .call(Task, task)
        .call(Fetch, get_blob)
        .call(Put, put_blob)
        .call(Progress, progress)
        .call(Report, report)
        .router(gateway)
}

/// Whoever owns the Model: a compiler does what its file makes it do.
fn caller(token: &CompileToken) -> Caller {
    Caller::namespace(&token.model.0)
}

fn token(gateway: &Gateway, headers: &HeaderMap) -> Result<CompileToken, Reject> {
    let token = bearer(headers).and_then(|t| gateway.dispatcher.open_compile(t).ok());
    let token = token.ok_or_else(Reject::unknown_token)?;
    known(&caller(&token));
    let wanted = gateway.compilations.as_ref().is_some_and(|c| c.wanted(&token));
    if wanted {
        Ok(token)
    } else {
        let message = "the model is gone, or was compiled meanwhile";
        Err(Reject::new(Reason::NotWanted, message))
    }
}

async fn task(State(gateway): State<Gateway>, headers: HeaderMap) -> Answer {
    let task = token(&gateway, &headers)?.task;
    Ok(carrying::<_, CompileTask>(Task, StatusCode::OK, &task))
}

fn not_found() -> Reject {
    Reject::new(Reason::NotFound, "no such blob belongs to this compilation")
}

fn digest(named: Named) -> Result<Digest, Reject> {
    let Path(digest) = named.map_err(|_| not_found())?;
    digest.parse().map_err(|_| not_found())
}

async fn get_blob(State(gateway): State<Gateway>, headers: HeaderMap, named: Named) -> Answer {
    let token = token(&gateway, &headers)?;
    let digest = digest(named)?;
    let task = &token.task;
    let named = [Some(&task.model), task.calibration.as_ref(), task.setup.as_ref()];
    if !named.into_iter().flatten().any(|b| b.digest == digest) {
        return Err(not_found());
    }
    send_blob::<Fetch>(gateway.dispatcher.artifacts(), &digest, not_found).await
}

async fn put_blob(State(gateway): State<Gateway>, headers: HeaderMap, named: Named, body: Body) -> Answer {
    let token = token(&gateway, &headers)?;
    let digest = digest(named)?;
    let wanted = (&digest, Put::MAX_BODY);
    // As long as the compiler waits for the answer.
    let time = time_for(Put::MAX_BODY);
    let (caller, artifacts) = (caller(&token), gateway.dispatcher.artifacts());
    let stored = gateway.bodies.store(&caller, artifacts, wanted, time, body);
    match stored.await {
        Ok(_) => Ok(StatusCode::CREATED.into_response()),
        Err(FileError::Store(e @ (ArtifactError::Damaged { .. } | ArtifactError::TooLarge { .. }))) => {
            Err(Reject::new(Reason::OtherDigest, e.to_string()))
        }
        Err(FileError::Store(e)) => Err(Reject::store(&e)),
        Err(FileError::Read(e)) => Err(e.into()),
    }
}

async fn progress(State(gateway): State<Gateway>, headers: HeaderMap, body: Body) -> Answer {
    let token = token(&gateway, &headers)?;
    let line = gateway
        .bodies
        .of::<Progress>(&caller(&token), &headers, body)
        .await?;
    let line = String::from_utf8_lossy(&line).trim().to_owned();
    if let Some(compilations) = &gateway.compilations {
        compilations.progress(&token, line);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn report(State(gateway): State<Gateway>, headers: HeaderMap, body: Body) -> Answer {
    let token = token(&gateway, &headers)?;
    let json = gateway
        .bodies
        .of::<Report>(&caller(&token), &headers, body)
        .await?;
    let unprocessable = |reason, message| Reject::with(StatusCode::UNPROCESSABLE_ENTITY, reason, message);
    let outcome =
        CompileOutcome::read(&json).map_err(|e| unprocessable(Reason::InvalidBody, e.to_string()))?;
    let artifacts = gateway.dispatcher.artifacts();
    if let CompileOutcome::Compiled(report) = &outcome {
        for blob in report.blobs() {
            if !artifacts.has_blob(&blob).await.map_err(|e| Reject::store(&e))? {
                let message = format!("{} was not handed in", blob.digest);
                return Err(unprocessable(Reason::BlobMissing, message));
            }
        }
    }
    artifacts
        .put_compiled(CompiledName::Key(&token.key), json.to_vec())
        .await
        .map_err(|e| Reject::store(&e))?;
    if let Some(compilations) = &gateway.compilations {
        compilations.reported(&token);
    }
    Ok(StatusCode::CREATED.into_response())
}
