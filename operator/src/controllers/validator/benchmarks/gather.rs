//! What is known of the Models that are benchmarked, and of the benchmarks that there are.

use std::sync::Arc;

use kube::ResourceExt;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::{CompileOutcome, CompileReport};
use zkinfer_crds::k8s::inference_request::{RequestPhase, condition, reason};
use zkinfer_crds::k8s::validator::{BenchmarkModel, Benchmarks};
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, find_condition, is_true, miner_pool, model};

use super::super::made::{Benchmark, End, Latest};
use super::plan::Candidate;
use crate::controllers::pool::identity_of;
use crate::controllers::request::Requests;

/// What is said of a Model that the operator has not looked at yet.
const UNKNOWN: &str = "it is being looked at";
/// Why a Model that is ready is not benchmarked.
const NO_POOL: &str = "no MinerPool with warm workers that serves its namespace and may see it is Ready";

/// What `take` makes of a Model that can be benchmarked and of what was compiled of it, or why it cannot be.
pub(super) fn compiled<T>(
    ctx: &Requests,
    namespace: &str,
    name: &str,
    take: impl FnOnce(&Arc<Model>, &CompileReport, Option<Digest>) -> T,
) -> Result<T, String> {
    if !ctx.world.scope.sees(namespace) {
        return Err("this operator does not watch its namespace".to_owned());
    }
    let found = ctx.world.model(namespace, name);
    let found = found.filter(|m| m.metadata.deletion_timestamp.is_none());
    let model = found.ok_or("there is no such Model")?;
    let conditions = model.status.as_ref().map_or(&[][..], |s| s.conditions.as_slice());
    if !is_true(conditions, model::condition::READY) {
        let ready = find_condition(conditions, model::condition::READY);
        let because = ready.map_or("nothing is known of it yet", |c| c.reason.as_str());
        return Err(format!("it is not Ready ({because})"));
    }
    let records = ctx.models.records();
    let record = records.get(model.uid().as_deref().unwrap_or_default());
    let known = record
        .filter(|r| r.known.good)
        .and_then(|r| r.known.outcome.as_ref());
    let known = known.ok_or(UNKNOWN)?;
    match &known.outcome {
        CompileOutcome::Compiled(report) => {
            let calibration = known.calibration.as_ref().map(|blob| blob.digest);
            Ok(take(&model, report, calibration))
        }
        CompileOutcome::Failed(_) => Err("it cannot be compiled".to_owned()),
    }
}

/// Predicted microseconds of all slices.
fn work(report: &CompileReport) -> u64 {
    report.slices.iter().map(|s| s.predicted_micros).sum()
}

/// The Models of the spec, in its order.
pub(super) fn candidates(ctx: &Requests, spec: &Benchmarks) -> Vec<Candidate> {
    let candidate = |of: &BenchmarkModel| {
        let found = compiled(ctx, &of.namespace, &of.name, |model, report, _| {
            let memory = report.slices.iter().map(|s| s.predicted_memory_bytes).max();
            (Arc::clone(model), work(report), memory.unwrap_or(0))
        });
        let known = !matches!(&found, Err(why) if why == UNKNOWN);
        let usable = found.and_then(|(model, work, memory)| match pool_for(ctx, &model, memory) {
            true => Ok(work),
            false => Err(NO_POOL.to_owned()),
        });
        Candidate {
            namespace: of.namespace.clone(),
            name: of.name.clone(),
            weight: of.weight,
            work: usable,
            known,
        }
    };
    spec.models.iter().map(candidate).collect()
}

/// Whether there is a pool for it: what serves and consents to the requests beside the Model.
fn pool_for(ctx: &Requests, model: &Model, memory: u64) -> bool {
    let namespace = model.namespace().unwrap_or_default();
    let consent = ctx.world.consent_of(model);
    let fits = |pool: &Arc<MinerPool>| {
        let own = pool.namespace().unwrap_or_default();
        let status = pool.status.as_ref();
        status.is_some_and(|s| is_true(&s.conditions, miner_pool::condition::READY))
            && !pool.spec.drain
            && pool.spec.warm > 0
            && pool.spec.serves(&own, &namespace)
            && pool.spec.resources.memory.bytes() >= memory
            && consent.refusal(&own, || identity_of(pool)).is_none()
    };
    ctx.world.stores.pools.state().iter().any(fits)
}

/// The benchmarks of a Validator, by number; with the one that was made last, which the watch may not have yet.
pub(super) fn there(ctx: &Requests, validator: &str, latest: Option<&Latest>, now: u64) -> Vec<Benchmark> {
    let requests = ctx.world.stores.requests.state();
    let own = ctx.world.workers.namespace.as_str();
    let ours = requests
        .iter()
        .filter(|r| r.is_benchmark() && r.namespace().as_deref() == Some(own));
    let mut all: Vec<(u64, &InferenceRequest)> = ours
        .filter_map(|request| {
            let note = ctx.benchmark_note(request)?;
            (note.validator == validator).then_some((note.number, &**request))
        })
        .collect();
    all.sort_by_key(|(number, _)| *number);
    let mut there: Vec<Benchmark> = all
        .iter()
        .map(|(number, request)| benchmark(request, *number))
        .collect();
    // The rate goes by the last one's work.
    if let (Some(last), Some((_, request))) = (there.last_mut(), all.last()) {
        let name = &request.spec.model_ref.name;
        let found = compiled(ctx, &request.model_namespace(), name, |_, report, _| work(report));
        last.work = found.unwrap_or_default();
    }
    let last = there.last().map_or(0, |b| b.number);
    let unseen = latest.filter(|l| l.validator == validator && l.benchmark.number > last && l.is_fresh(now));
    there.extend(unseen.map(|latest| latest.benchmark.clone()));
    there
}

fn benchmark(request: &InferenceRequest, number: u64) -> Benchmark {
    let status = request.status.as_ref();
    let ready = status.and_then(|s| find_condition(&s.conditions, condition::READY));
    let why = || ready.map_or_else(String::new, |c| format!("{}: {}", c.reason, c.message));
    let end = match status.map(|s| s.phase) {
        Some(RequestPhase::Succeeded) => Some(End::Succeeded),
        // That nobody was free in time says nothing of it.
        Some(RequestPhase::Failed) if ready.is_some_and(|c| c.reason == reason::DEADLINE_EXCEEDED) => {
            Some(End::GivenUp)
        }
        Some(RequestPhase::Failed) => Some(End::Failed(why())),
        Some(RequestPhase::Cancelled | RequestPhase::Erased) => Some(End::GivenUp),
        Some(RequestPhase::Pending | RequestPhase::Compiling | RequestPhase::Proving) | None => None,
    };
    let created = request.creation_timestamp().map_or(0, |at| at.0.as_millisecond());
    Benchmark {
        number,
        name: request.name_any(),
        created: u64::try_from(created).unwrap_or_default(),
        work: 0,
        end,
    }
}
