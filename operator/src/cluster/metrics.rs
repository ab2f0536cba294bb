//! What Prometheus reads.

use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use zkinfer_crds::k8s::InferenceRequestStatus;

use super::Context;
use crate::dispatch::{Attempt, Cause};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconcile {
    kind: &'static str,
    ok: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    method: &'static str,
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    pool: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Namespace {
    namespace: String,
}

/// See the module.
pub struct Metrics {
    registry: Mutex<Registry>,
    reconciles: Family<Reconcile, Counter>,
    reconcile_seconds: Histogram,
    writes: Family<Write, Counter>,
    attempts: Family<Verdict, Counter>,
    proof_seconds: Histogram,
    proof_bytes: Histogram,
    requests: Family<Phase, Counter>,
    slices: Family<State, Gauge>,
    jobs: Gauge,
    store_up: Gauge,
    namespace_up: Family<Namespace, Gauge>,
    model_bytes: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("zkinfer");
        let metrics = Self {
            reconciles: Family::default(),
            reconcile_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            writes: Family::default(),
            attempts: Family::default(),
            proof_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 18)),
            proof_bytes: Histogram::new(exponential_buckets(1024.0, 2.0, 10)),
            requests: Family::default(),
            slices: Family::default(),
            jobs: Gauge::default(),
            store_up: Gauge::default(),
            namespace_up: Family::default(),
            model_bytes: Gauge::default(),
            registry: Mutex::default(),
        };
        registry.register(
            "reconciles",
            "Reconciliations by kind and result",
            metrics.reconciles.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "How long reconciliations took",
            metrics.reconcile_seconds.clone(),
        );
        registry.register(
            "api_writes",
            "Writing calls to the API server",
            metrics.writes.clone(),
        );
        registry.register(
            "claims",
            "Ended claims by pool and verdict, each counted once",
            metrics.attempts.clone(),
        );
        registry.register(
            "proof_duration_seconds",
            "From claim to proof, of verified claims",
            metrics.proof_seconds.clone(),
        );
        registry.register(
            "proof_bytes",
            "Size of verified proofs",
            metrics.proof_bytes.clone(),
        );
        registry.register(
            "requests",
            "Requests that ended, by phase",
            metrics.requests.clone(),
        );
        registry.register(
            "slices",
            "Slices of queued requests by state",
            metrics.slices.clone(),
        );
        registry.register("jobs", "Jobs of the operator that exist", metrics.jobs.clone());
        registry.register(
            "store_up",
            "Whether the artifact store takes and gives: 1, or 0",
            metrics.store_up.clone(),
        );
        registry.register(
            "namespace_up",
            "Whether a namespace of --namespaces may be read: 1, or 0",
            metrics.namespace_up.clone(),
        );
        registry.register(
            "model_memory_bytes",
            "Memory that loaded models take, by the operator's account",
            metrics.model_bytes.clone(),
        );
        *metrics.lock() = registry;
        metrics
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn reconciled(&self, kind: &'static str, took: Duration, ok: bool) {
        let ok = if ok { "true" } else { "false" };
        self.reconciles.get_or_create(&Reconcile { kind, ok }).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// A call to the API server; reviews write nothing.
    pub(super) fn called(&self, method: &Method, path: &str) {
        let method = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => return,
        };
        let mut parts = path
            .trim_start_matches('/')
            .split('/')
            .skip_while(|p| *p != "namespaces");
        // Cluster-wide are only reviews.
        let Some(resource) = parts.nth(2) else { return };
        self.writes
            .get_or_create(&Write {
                method,
                resource: resource.to_owned(),
            })
            .inc();
    }

    pub(super) fn attempt(&self, attempt: &Attempt, first: bool) {
        if !first {
            return;
        }
        let labels = Verdict {
            pool: attempt.pool.to_string(),
            verdict: attempt.end.cause().map_or("Verified", Cause::word),
        };
        self.attempts.get_or_create(&labels).inc();
        if attempt.end.cause().is_none() {
            self.proof_seconds.observe(attempt.elapsed.as_secs_f64());
            self.proof_bytes.observe(attempt.bytes.unwrap_or_default() as f64);
        }
    }

    /// A status was written.
    pub fn request(&self, old: &InferenceRequestStatus, new: &InferenceRequestStatus) {
        if new.phase.is_over() && !old.phase.is_over() {
            let phase = new.phase.to_string();
            self.requests.get_or_create(&Phase { phase }).inc();
        }
    }

    /// Everything, in the text format.
    pub(super) fn text(&self, ctx: &Context) -> Result<String, std::fmt::Error> {
        let mut all = crate::dispatch::SliceCounts::default();
        for counts in ctx
            .dispatcher
            .uids()
            .into_iter()
            .filter_map(|uid| ctx.dispatcher.counts(uid))
        {
            all.queued += counts.queued;
            all.claimed += counts.claimed;
            all.proved += counts.proved;
            all.verified += counts.verified;
        }
        for (state, n) in [
            ("queued", all.queued),
            ("claimed", all.claimed),
            ("proved", all.proved),
            ("verified", all.verified),
        ] {
            self.slices.get_or_create(&State { state }).set(i64::from(n));
        }
        self.jobs.set(ctx.jobs.all().len() as i64);
        self.store_up.set(i64::from(ctx.store.problem().is_none()));
        for namespace in ctx.scope.namespaces().into_iter().flatten() {
            let up = i64::from(ctx.scope.is_readable(namespace));
            let namespace = namespace.clone();
            self.namespace_up.get_or_create(&Namespace { namespace }).set(up);
        }
        self.model_bytes.set(ctx.shelf.bytes() as i64);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.lock())?;
        Ok(text)
    }
}
