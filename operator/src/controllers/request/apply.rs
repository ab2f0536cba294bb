//! Carries a request's plan out: queues and stops runs, writes the status, then tells of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Preconditions};
use kube::runtime::controller::Action as Requeue;
use kube::runtime::events::EventType;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::inference_request::{RequestPhase, reason};
use zkinfer_crds::k8s::{InferenceRequest, InferenceRequestStatus};

use super::erase::erase;
use super::gather;
use super::line::Turn;
use super::news::{Urgency, news, urgency};
use super::observed::{ModelState, Observed, RunState};
use super::plan::{Action, Plan, plan};
use super::records::Requests;
use super::room::MADE_WAY;
use super::settle::settle;
use super::start::{look, start};
use super::status::{self, refreshed};
use crate::clock::now;
use crate::traces;
use crate::world::{Part, ReconcileError, is_too_large};

/// What is not there yet is looked for again after this.
const AGAIN: Duration = Duration::from_secs(3);
/// Room in memory is told of, and asked for again after this.
const ROOM: Duration = Duration::from_secs(15);
/// A place in the line is looked at again after this, and ever more seldom further behind.
const PLACE: Duration = Duration::from_secs(3);
const PLACE_MOST: Duration = Duration::from_secs(60);
/// A Model that is being loaded is looked for again after this.
const SOON: Duration = Duration::from_millis(100);

/// One reconciliation.
///
/// # Errors
/// The API server or the store; it is tried again.
pub async fn reconcile(object: Arc<InferenceRequest>, ctx: Arc<Requests>) -> Result<Requeue, ReconcileError> {
    let result = reconciled(&object, &ctx).await;
    let uid = object.uid().and_then(|u| u.parse::<RequestUid>().ok());
    // One that could not begin keeps nobody else from it until it is tried again.
    if let (Err(_), Some(uid)) = (&result, uid)
        && ctx.runs().get(&uid).is_none_or(|record| record.run.is_none())
    {
        ctx.leave(uid);
        ctx.leave_room(uid);
    }
    result
}

async fn reconciled(object: &Arc<InferenceRequest>, ctx: &Arc<Requests>) -> Result<Requeue, ReconcileError> {
    let Some(uid) = object.uid().and_then(|u| u.parse::<RequestUid>().ok()) else {
        return Ok(Requeue::await_change());
    };
    let seen = object.status.clone().unwrap_or_default();
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::await_change());
    }
    if ctx.unwritable().contains(&uid) {
        return Ok(Requeue::await_change());
    }
    if let Some(stated) = object
        .spec
        .input
        .erased
        .as_ref()
        .filter(|_| seen.erased.is_none())
    {
        ctx.leave_room(uid);
        return erase(ctx, object, uid, (stated, seen)).await;
    }
    if seen.phase.is_over() {
        ctx.looked.lock().remove(&uid);
        ctx.parked.lock().remove(&uid);
        ctx.leave_room(uid);
        ctx.leave(uid);
        ctx.world.dispatcher.remove(uid, ended_by_itself(&seen));
        let rows = ctx.runs().get(&uid).map(|r| r.view.recent.clone());
        // While claims of it are open its side may still say who may see it.
        if ctx.world.dispatcher.counts(uid).is_none() {
            ctx.runs().remove(&uid);
        }
        let generation = object.metadata.generation;
        let status = status::told(&refreshed(&seen, generation), rows.unwrap_or_default());
        if status != seen {
            ctx.world.write_status(&**object, &status).await?;
        }
        return expire(ctx, object, &seen).await;
    }
    // The watch may be behind: what was written last counts.
    let written = ctx.runs().get(&uid).and_then(|r| r.written.clone());
    let old = written
        .as_ref()
        .map_or_else(|| seen, |(status, _)| status.clone());
    if old.phase.is_over() {
        return Ok(Requeue::await_change());
    }
    let mut status = old.clone();
    let created = object.metadata.creation_timestamp.clone().unwrap_or_else(now);
    // Asked before anything is looked at: what comes to be known meanwhile is not in what was found.
    let all_known = [Part::Model, Part::MinerPool, Part::Consents]
        .into_iter()
        .all(|part| ctx.world.ready.is(part));
    let mut run = settle(ctx, uid, gather::run(ctx, uid)).await;
    let model = gather::model(ctx, object);
    let mut turn = None;
    let no_benchmark = ctx.no_benchmark(object);
    // A start changes what is known, and so do a look, a turn and a new beginning: that is planned for at once, and written once.
    for _ in 0..5 {
        let observed = Observed {
            spec: &object.spec,
            generation: object.metadata.generation,
            created: &created,
            status: &status,
            model: model.clone(),
            pools: gather::pools(ctx, object),
            looked: gather::looked(ctx, uid, &model),
            run: run.clone(),
            store: ctx.world.store.problem(),
            unseen: gather::unseen(ctx, object),
            turn: turn.clone(),
            no_benchmark: no_benchmark.clone(),
        };
        let Plan { status: next, action } = plan(&observed, &now());
        status = next;
        match action {
            Some(Action::Look) => run = look(ctx, object, uid).await?,
            Some(Action::Ask) => {
                let begun = status.phase == RequestPhase::Proving;
                turn = Some(ctx.turn(object, uid, begun));
            }
            Some(Action::Start(pools)) => {
                run = start(ctx, object, uid, pools, &status).await?;
                // Nothing was started, so nothing was accepted.
                if matches!(
                    run,
                    RunState::InputNotFound(_) | RunState::NoRoom { .. } | RunState::Refused { .. }
                ) {
                    status = old.clone();
                }
            }
            Some(Action::Park) => {
                ctx.park(uid);
                run = match object.spec.suspend {
                    true => RunState::None,
                    // Who waits takes its room first.
                    false => RunState::NoRoom {
                        reason: reason::RUN_MEMORY_FULL,
                        message: MADE_WAY.to_owned(),
                    },
                };
            }
            Some(Action::Retarget(pools)) => {
                ctx.world.dispatcher.retarget(uid, pools.clone());
                if let Some(record) = ctx.runs().get_mut(&uid) {
                    record.view.pools = pools;
                }
                ctx.world.fleet.notify_one();
                break;
            }
            Some(Action::Stop) => {
                ctx.world.dispatcher.remove(uid, ended_by_itself(&status));
                break;
            }
            Some(Action::StartOver) => {
                tracing::info!("its Model was compiled again: it begins anew");
                ctx.world.artifacts.delete_request(uid).await?;
            }
            None => break,
        }
    }
    let waits = matches!(turn, Some(Turn::Waits(_)));
    if status.phase.is_over() {
        status.benchmark_seed = ctx.benchmark_seed(object);
    }
    if status.phase.is_over() || !(waits || matches!(run, RunState::Active(_))) {
        ctx.leave(uid);
    }
    if !matches!(run, RunState::NoRoom { .. }) {
        ctx.leave_room(uid);
    }
    if matches!(run, RunState::Active(_)) {
        ctx.world.dispatcher.suspend(uid, object.spec.suspend);
    } else if all_known && model != ModelState::Unknown {
        ctx.looked_at(uid);
    }
    let since = written.map_or(Duration::MAX, |(_, at)| at.elapsed());
    let write = match urgency(&old, &status) {
        Urgency::Nothing => false,
        Urgency::Progress => since >= ctx.world.pace.slices,
        Urgency::Now => true,
    };
    let written = match write {
        true => ctx.world.write_status(&**object, &status).await,
        false => Ok(false),
    };
    let written = match written {
        Err(error) if is_too_large(&error) => return too_large(ctx, object, uid).await,
        written => written?,
    };
    if written && let Some(record) = ctx.runs().get_mut(&uid) {
        record.written = Some((status.clone(), Instant::now()));
    }
    if status.phase.is_over() {
        // Before anybody is told: workers that wait for its slices hear at once that it is over.
        ctx.world.dispatcher.remove(uid, ended_by_itself(&status));
        ctx.world.fleet.notify_one();
    }
    if written {
        ctx.world.events.tell_all(&**object, news(&old, &status)).await;
        let benchmark = object.is_benchmark() && no_benchmark.is_none();
        ctx.world.metrics.request(benchmark, &old, &status);
        traces::request(object, uid, &old, &status);
    }
    if status.phase.is_over() {
        return Ok(Requeue::await_change());
    }
    let pace = ctx.world.pace.slices;
    let unwritten = (!write && since < pace).then(|| pace - since);
    let mut next = next_look(object, &status, &run, unwritten);
    if model == ModelState::Unknown && run == RunState::None && !object.spec.suspend {
        next = next.min(SOON);
    }
    Ok(Requeue::requeue(next))
}

/// Nobody has called it off: who holds a claim of it is held to it.
fn ended_by_itself(status: &InferenceRequestStatus) -> bool {
    !matches!(status.phase, RequestPhase::Cancelled | RequestPhase::Erased)
}

/// Ends a request beside whose spec its status does not fit: with the shortest status, and where not even that fits with
/// an event alone. It is not tried again: a spec does not change.
async fn too_large(
    ctx: &Requests,
    object: &InferenceRequest,
    uid: RequestUid,
) -> Result<Requeue, ReconcileError> {
    ctx.world.dispatcher.remove(uid, false);
    ctx.runs().remove(&uid);
    ctx.world.fleet.notify_one();
    let told = status::too_large(object.metadata.generation, &now());
    match ctx.world.write_status(object, &told).await {
        Ok(_) => {}
        Err(error) if is_too_large(&error) => {
            tracing::warn!("{}", status::TOO_LARGE);
            ctx.unwritable().insert(uid);
        }
        Err(error) => return Err(error.into()),
    }
    let reason = reason::OBJECT_TOO_LARGE;
    ctx.world
        .events
        .tell(object, EventType::Warning, reason, "Plan", status::TOO_LARGE)
        .await;
    Ok(Requeue::await_change())
}

/// When to look without being woken: at the deadline, and earlier for what nobody tells of, or what is to be written after
/// `unwritten`.
fn next_look(
    object: &InferenceRequest,
    status: &InferenceRequestStatus,
    run: &RunState,
    unwritten: Option<Duration>,
) -> Duration {
    let created = object.creation_timestamp().map_or(0, |t| t.0.as_second());
    let deadline = created + object.spec.deadline.seconds() as i64;
    let left = (deadline - now().0.as_second()).max(0) as u64;
    let mut next = Duration::from_secs(left) + Duration::from_millis(50);
    match run {
        RunState::NoRoom {
            reason: reason::RUN_MEMORY_FULL,
            ..
        } => next = next.min(ROOM),
        RunState::InputNotFound(_) | RunState::NoRoom { .. } => next = next.min(AGAIN),
        _ => {}
    }
    // Its place changes with everybody's; its turn is told.
    if let Some(place) = &status.queue {
        let longer = Duration::from_millis(u64::from(place.position) * 10);
        next = next.min((PLACE + longer).min(PLACE_MOST));
    }
    // Whatever keeps its receipt from being written.
    if let RunState::Active(view) = run
        && view.counts.total > 0
        && view.counts.verified == view.counts.total
    {
        next = next.min(AGAIN);
    }
    if let (RunState::Active(_), Some(left), Some(_)) = (run, unwritten, &status.slices) {
        next = next.min(left);
    }
    next
}

/// Deletes a request whose time after its end is over.
async fn expire(
    ctx: &Requests,
    object: &InferenceRequest,
    status: &InferenceRequestStatus,
) -> Result<Requeue, ReconcileError> {
    let (Some(ttl), Some(finished)) = (object.spec.ttl_seconds_after_finished, &status.finished_at) else {
        return Ok(Requeue::await_change());
    };
    let left = finished.0.as_second() + i64::from(ttl) - now().0.as_second();
    if left > 0 {
        return Ok(Requeue::requeue(Duration::from_secs(left as u64)));
    }
    let api: Api<InferenceRequest> =
        Api::namespaced(ctx.world.client.clone(), &object.namespace().unwrap_or_default());
    let this_one = DeleteParams {
        preconditions: Some(Preconditions {
            uid: object.uid(),
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    match api.delete(&object.name_any(), &this_one).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
        Err(e) => return Err(e.into()),
    }
    Ok(Requeue::await_change())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_calls_a_request_off_calls_off_what_is_being_proved_of_it() {
        let ended = |phase| {
            ended_by_itself(&InferenceRequestStatus {
                phase,
                ..InferenceRequestStatus::default()
            })
        };
        // A wrong answer fails its request.
        assert!(ended(RequestPhase::Failed) && ended(RequestPhase::Succeeded));
        assert!(!ended(RequestPhase::Cancelled) && !ended(RequestPhase::Erased));
    }
}
