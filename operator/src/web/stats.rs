//! What is counted: pure functions of objects and the time.
//!
//! Invariants: every list is bounded, and says of how many it is a part; what is counted follows from the objects that are
//! there, so it is right again after a restart, and tells nothing of what was deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use serde::Serialize;
use zkinfer_crds::k8s::request_status::{SliceCounts, SliceVerdict};
use zkinfer_crds::k8s::{
    InferenceRequest, MinerPool, Model, RequestPhase, find_condition, holds, inference_request, miner_pool,
    model,
};

/// The minutes of the chart.
pub(super) const MINUTES: i64 = 60;
/// Most rows of each list.
pub(super) const MOST_REQUESTS: usize = 200;
pub(super) const MOST_MODELS: usize = 500;
pub(super) const MOST_POOLS: usize = 2000;

/// Of requests.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestStats {
    pub(super) count: usize,
    pub(super) phases: BTreeMap<String, usize>,
    /// By minute, the latest last: made, succeeded, ended otherwise.
    pub(super) per_minute: Vec<[u32; 3]>,
    /// From creation to success.
    pub(super) latency: Spread,
    /// Of these, from creation to the first slice that was queued, and from there to success.
    pub(super) waiting: Spread,
    pub(super) proving: Spread,
    /// Of the requests that are not over.
    pub(super) slices: SliceCounts,
    /// Of the verified proofs of all Models: from claim to proof, what verifying took in microseconds, and their size.
    pub(super) proof_millis: Spread,
    pub(super) verify_micros: Spread,
    pub(super) proof_bytes: Spread,
    pub(super) proofs: Vec<Proofs>,
    pub(super) latest: Vec<RequestRow>,
}

impl RequestStats {
    /// Without whatever is told of one request or of one Model.
    pub(super) fn counts(&self) -> Self {
        Self {
            count: self.count,
            phases: self.phases.clone(),
            per_minute: self.per_minute.clone(),
            latency: self.latency,
            waiting: self.waiting,
            proving: self.proving,
            slices: self.slices,
            proof_millis: self.proof_millis,
            verify_micros: self.verify_micros,
            proof_bytes: self.proof_bytes,
            proofs: Vec::new(),
            latest: Vec::new(),
        }
    }
}

/// Times, or bytes, of many.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Spread {
    pub(super) count: usize,
    pub(super) p50: u64,
    pub(super) p95: u64,
    pub(super) p99: u64,
    pub(super) most: u64,
}

impl Spread {
    pub(super) fn of(mut all: Vec<u64>) -> Self {
        all.sort_unstable();
        // The least that so many percent do not exceed.
        let at = |percent: usize| {
            all.get((all.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
        };
        Self {
            count: all.len(),
            p50: at(50).unwrap_or_default(),
            p95: at(95).unwrap_or_default(),
            p99: at(99).unwrap_or_default(),
            most: all.last().copied().unwrap_or_default(),
        }
    }
}

/// Verified proofs of a Model, as far as the requests' statuses have them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proofs {
    pub(super) namespace: String,
    pub(super) model: String,
    pub(super) millis: Spread,
    pub(super) verify_micros: Spread,
    pub(super) bytes: Spread,
}

/// Of verified proofs, one of each for a proof that says it.
#[derive(Default)]
struct Measured {
    millis: Vec<u64>,
    verify_micros: Vec<u64>,
    bytes: Vec<u64>,
}

/// A request in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestRow {
    namespace: String,
    name: String,
    pub(super) model: String,
    /// The operator made it, because nobody asked.
    benchmark: bool,
    phase: RequestPhase,
    reason: String,
    created: i64,
    finished: Option<i64>,
    verified: u32,
    total: u32,
    version: String,
}

fn millis(time: &Time) -> i64 {
    time.0.as_millisecond()
}

fn reason(conditions: &[Condition], type_: &str) -> String {
    find_condition(conditions, type_).map_or_else(String::new, |c| c.reason.clone())
}

/// Counts requests.
pub(super) fn requests(all: &[Arc<InferenceRequest>], now: i64) -> RequestStats {
    let mut stats = RequestStats {
        count: all.len(),
        per_minute: vec![[0; 3]; MINUTES as usize],
        ..RequestStats::default()
    };
    let minute = now.div_euclid(60_000);
    let (mut latencies, mut waited, mut proved) = (Vec::new(), Vec::new(), Vec::new());
    let mut proofs: BTreeMap<(String, String), Measured> = BTreeMap::new();
    let mut rows = Vec::with_capacity(all.len());
    for request in all {
        let status = request.status.clone().unwrap_or_default();
        let created = request.creation_timestamp().map_or(0, |t| millis(&t));
        let finished = status.finished_at.as_ref().map(millis);
        *stats.phases.entry(status.phase.to_string()).or_default() += 1;
        let mut counted = |at: i64, column: usize| {
            let place = MINUTES - 1 - (minute - at.div_euclid(60_000));
            let place = usize::try_from(place).ok();
            if let Some(cell) = place.and_then(|p| stats.per_minute.get_mut(p)) {
                cell[column] += 1;
            }
        };
        counted(created, 0);
        let succeeded = status.phase == RequestPhase::Succeeded;
        if let Some(at) = finished {
            counted(at, if succeeded { 1 } else { 2 });
            if succeeded {
                let between = |from: i64, to: i64| u64::try_from(to - from).unwrap_or_default();
                latencies.push(between(created, at));
                if let Some(began) = status.started_at.as_ref().map(millis) {
                    waited.push(between(created, began));
                    proved.push(between(began, at));
                }
            }
        }
        let counts = status.slices.unwrap_or_default();
        if !status.phase.is_over() {
            let sum = &mut stats.slices;
            sum.total = sum.total.saturating_add(counts.total);
            sum.queued = sum.queued.saturating_add(counts.queued);
            sum.claimed = sum.claimed.saturating_add(counts.claimed);
            sum.proved = sum.proved.saturating_add(counts.proved);
            sum.verified = sum.verified.saturating_add(counts.verified);
        }
        let namespace = request.namespace().unwrap_or_default();
        let verified = status
            .recent_slices
            .iter()
            .filter(|row| row.verdict == SliceVerdict::Verified);
        for row in verified {
            let key = (request.model_namespace(), request.spec.model_ref.name.clone());
            let measured = proofs.entry(key).or_default();
            measured.millis.push(row.millis);
            measured.verify_micros.extend(row.verify_micros);
            measured.bytes.extend(row.bytes);
        }
        rows.push(RequestRow {
            namespace,
            name: request.name_any(),
            model: request.spec.model_ref.name.clone(),
            benchmark: request.is_benchmark(),
            phase: status.phase,
            reason: reason(&status.conditions, inference_request::condition::READY),
            created,
            finished,
            verified: counts.verified,
            total: counts.total,
            version: request.resource_version().unwrap_or_default(),
        });
    }
    rows.sort_by(|a, b| (b.created, &a.namespace, &a.name).cmp(&(a.created, &b.namespace, &b.name)));
    rows.truncate(MOST_REQUESTS);
    stats.latest = rows;
    stats.latency = Spread::of(latencies);
    (stats.waiting, stats.proving) = (Spread::of(waited), Spread::of(proved));
    let all = |of: fn(&Measured) -> &Vec<u64>| Spread::of(proofs.values().flat_map(of).copied().collect());
    stats.proof_millis = all(|m| &m.millis);
    stats.verify_micros = all(|m| &m.verify_micros);
    stats.proof_bytes = all(|m| &m.bytes);
    let proofs = proofs.into_iter().map(|((namespace, model), of)| Proofs {
        namespace,
        model,
        millis: Spread::of(of.millis),
        verify_micros: Spread::of(of.verify_micros),
        bytes: Spread::of(of.bytes),
    });
    stats.proofs = proofs.take(MOST_MODELS).collect();
    stats
}

/// Of Models.
#[derive(Debug, Serialize)]
pub(super) struct ModelStats {
    pub(super) count: usize,
    pub(super) list: Vec<ModelRow>,
}

/// A Model in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModelRow {
    namespace: String,
    pub(super) name: String,
    ready: bool,
    reason: String,
    system: String,
    slices: u32,
    predicted_millis: u64,
    error_millionths: Option<u64>,
    budget_millionths: u32,
    version: String,
}

/// Counts Models.
pub(super) fn models(all: &[Arc<Model>]) -> ModelStats {
    let row = |of: &Arc<Model>| {
        let status = of.status.clone().unwrap_or_default();
        let ready = find_condition(&status.conditions, model::condition::READY);
        ModelRow {
            namespace: of.namespace().unwrap_or_default(),
            name: of.name_any(),
            ready: ready.is_some_and(holds),
            reason: ready.map_or_else(String::new, |c| c.reason.clone()),
            system: of.spec.proof_system.to_string(),
            slices: status.slice_count.unwrap_or_default(),
            predicted_millis: status.slices.iter().map(|s| s.predicted_millis).sum(),
            error_millionths: status.accuracy.map(|a| a.max_abs_error_millionths),
            budget_millionths: of.spec.quantization.error_budget_millionths,
            version: of.resource_version().unwrap_or_default(),
        }
    };
    let mut list: Vec<ModelRow> = all.iter().map(row).collect();
    list.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    list.truncate(MOST_MODELS);
    ModelStats {
        count: all.len(),
        list,
    }
}

/// Of pools.
#[derive(Debug, Serialize)]
pub(super) struct PoolStats {
    pub(super) count: usize,
    /// The best first.
    pub(super) list: Vec<PoolRow>,
}

/// A pool in the leaderboard.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolRow {
    namespace: String,
    pub(super) name: String,
    identity: Option<String>,
    pub(super) ready: bool,
    reason: String,
    score_millionths: Option<u32>,
    work_millis: u64,
    success_millionths: Option<u32>,
    verified: u64,
    invalid: u64,
    late: u64,
    lost: u64,
    p50_millis: Option<u64>,
    p95_millis: Option<u64>,
}

/// Counts pools.
pub(super) fn pools(all: &[Arc<MinerPool>]) -> PoolStats {
    let row = |of: &Arc<MinerPool>| {
        let status = of.status.clone().unwrap_or_default();
        let ready = find_condition(&status.conditions, miner_pool::condition::READY);
        let claims = status.claims.unwrap_or_default();
        PoolRow {
            namespace: of.namespace().unwrap_or_default(),
            name: of.name_any(),
            identity: status.identity.map(|identity| identity.to_string()),
            ready: ready.is_some_and(holds),
            reason: ready.map_or_else(String::new, |c| c.reason.clone()),
            score_millionths: status.score_millionths,
            work_millis: status.work_delivered.unwrap_or_default(),
            success_millionths: status.success_millionths,
            verified: claims.verified,
            invalid: claims.invalid,
            late: claims.late,
            lost: claims.lost,
            p50_millis: status.p50_millis,
            p95_millis: status.p95_millis,
        }
    };
    let mut list: Vec<PoolRow> = all.iter().map(row).collect();
    let order = |p: &PoolRow| (p.score_millionths, p.work_millis);
    list.sort_by(|a, b| {
        let best_first = order(b).cmp(&order(a));
        best_first.then_with(|| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)))
    });
    list.truncate(MOST_POOLS);
    PoolStats {
        count: all.len(),
        list,
    }
}
