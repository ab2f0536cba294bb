//! What Prometheus reads. Whoever has something to count says so here; nothing is asked from here.
//!
//! A metric is a field with its name and help, and a method.

use std::sync::Mutex;
use std::time::Duration;

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use zkinfer_crds::k8s::request_status::SliceCounts;
use zkinfer_crds::k8s::{InferenceRequestStatus, RequestPhase};

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
    phase: &'static str,
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
    registry: Mutex<Registry>,
}

/// Registers a metric, and returns it.
fn family<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("zkinfer");
        let r = &mut registry;
        Self {
            reconciles: family(
                r,
                "reconciles",
                "Reconciliations by kind and result",
                Family::default(),
            ),
            reconcile_seconds: family(
                r,
                "reconcile_duration_seconds",
                "How long reconciliations took",
                Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            ),
            writes: family(
                r,
                "api_writes",
                "Writing calls to the API server",
                Family::default(),
            ),
            attempts: family(
                r,
                "claims",
                "Ended claims by pool and verdict, each counted once",
                Family::default(),
            ),
            proof_seconds: family(
                r,
                "proof_duration_seconds",
                "From claim to proof, of verified claims",
                Histogram::new(exponential_buckets(0.01, 2.0, 18)),
            ),
            proof_bytes: family(
                r,
                "proof_bytes",
                "Size of verified proofs",
                Histogram::new(exponential_buckets(1024.0, 2.0, 10)),
            ),
            requests: family(r, "requests", "Requests that ended, by phase", Family::default()),
            slices: family(
                r,
                "slices",
                "Slices of queued requests by state",
                Family::default(),
            ),
            jobs: family(r, "jobs", "Jobs of the operator that exist", Gauge::default()),
            store_up: family(
                r,
                "store_up",
                "Whether the artifact store takes and gives: 1, or 0",
                Gauge::default(),
            ),
            namespace_up: family(
                r,
                "namespace_up",
                "Whether a namespace of --namespaces may be read: 1, or 0",
                Family::default(),
            ),
            model_bytes: family(
                r,
                "model_memory_bytes",
                "Memory that loaded models take, by the operator's account",
                Gauge::default(),
            ),
            registry: Mutex::new(registry),
        }
    }
}

impl Metrics {
    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A reconciliation of an object of this kind has ended.
    pub fn reconciled(&self, kind: &'static str, took: Duration, ok: bool) {
        let ok = if ok { "true" } else { "false" };
        self.reconciles.get_or_create(&Reconcile { kind, ok }).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// A call to the API server; reviews write nothing.
    pub fn called(&self, method: &Method, path: &str) {
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

    /// A claim has ended, with this verdict.
    pub fn claim(&self, pool: String, verdict: &'static str) {
        self.attempts.get_or_create(&Verdict { pool, verdict }).inc();
    }

    /// A proof was verified: how long after its claim it came, and its size.
    pub fn proof(&self, elapsed: Duration, bytes: u64) {
        self.proof_seconds.observe(elapsed.as_secs_f64());
        self.proof_bytes.observe(bytes as f64);
    }

    /// A status was written.
    pub fn request(&self, old: &InferenceRequestStatus, new: &InferenceRequestStatus) {
        if old.phase.is_over() {
            return;
        }
        let phase = match new.phase {
            RequestPhase::Succeeded => "Succeeded",
            RequestPhase::Failed => "Failed",
            RequestPhase::Cancelled => "Cancelled",
            RequestPhase::Pending | RequestPhase::Compiling | RequestPhase::Proving => return,
        };
        self.requests.get_or_create(&Phase { phase }).inc();
    }

    /// Slices of all queued requests.
    pub fn slices(&self, counts: SliceCounts) {
        for (state, n) in [
            ("queued", counts.queued),
            ("claimed", counts.claimed),
            ("proved", counts.proved),
            ("verified", counts.verified),
        ] {
            self.slices.get_or_create(&State { state }).set(i64::from(n));
        }
    }

    /// Jobs that exist.
    pub fn jobs(&self, jobs: usize) {
        self.jobs.set(jobs as i64);
    }

    /// Whether the artifact store takes and gives.
    pub fn store(&self, up: bool) {
        self.store_up.set(i64::from(up));
    }

    /// Whether a namespace that the operator was told may be read.
    pub fn namespace(&self, namespace: &str, up: bool) {
        let namespace = namespace.to_owned();
        self.namespace_up
            .get_or_create(&Namespace { namespace })
            .set(i64::from(up));
    }

    /// Memory that loaded models take.
    pub fn model_bytes(&self, bytes: u64) {
        self.model_bytes.set(bytes as i64);
    }

    /// Everything, in the text format.
    ///
    /// # Errors
    /// A metric that cannot be written.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.lock())?;
        Ok(text)
    }
}
