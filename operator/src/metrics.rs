//! What Prometheus reads. Whoever has something to count says so here; nothing is asked from here.
//!
//! A metric is a field, its name and help, and a method. Labels and type follow from the field; docs/install.md lists what is
//! registered ([`Metrics::table`]).

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use http::Method;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::request_status::SliceCounts;
use zkinfer_crds::k8s::{InferenceRequestStatus, Truth};
use zkinfer_spans::Context;

mod shapes;

use self::shapes::{
    Namespace, OfModel, OfNamespace, Phase, Reconcile, Shape, State, Stored, Trace, Verdict, Why, Write,
};

/// See the module.
pub struct Metrics {
    requests: Family<Phase, Counter>,
    benchmarks: Family<State, Counter>,
    benchmarks_paused: Gauge,
    slices: Family<State, Gauge>,
    attempts: Family<Verdict, Counter>,
    proof_seconds: HistogramWithExemplars<Trace>,
    proof_bytes: HistogramWithExemplars<Trace>,
    verify_seconds: HistogramWithExemplars<Trace>,
    jobs: Gauge,
    store_up: Gauge,
    store_bytes: Family<Stored, Gauge>,
    store_room: Gauge,
    namespace_bytes: Family<OfNamespace, Gauge>,
    namespace_quota: Family<OfNamespace, Gauge>,
    namespace_up: Family<Namespace, Gauge>,
    slo_met: Family<OfModel, Gauge>,
    model_bytes: Gauge,
    run_bytes: Gauge,
    weights_sent: Gauge,
    weights_failed: Family<Why, Counter>,
    reconciles: Family<Reconcile, Counter>,
    reconcile_seconds: Histogram,
    writes: Family<Write, Counter>,
    registry: Mutex<Registry>,
    table: String,
}

/// The prefix of every name.
const PREFIX: &str = "zkinfer";

/// What is registered, and the table of it.
struct Registered {
    registry: Registry,
    table: String,
}

/// Registers a metric, and returns it.
fn family<M: Metric + Shape + Clone>(r: &mut Registered, name: &str, help: &str, metric: M) -> M {
    r.registry.register(name, help, metric.clone());
    let labels: Vec<String> = M::LABELS.iter().map(|label| format!("`{label}`")).collect();
    let name = format!("{PREFIX}_{name}{}", M::SUFFIX);
    r.table += &format!("| `{name}` | {} | {} | {help} |\n", M::TYPE, labels.join(", "));
    metric
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registered = Registered {
            registry: Registry::with_prefix(PREFIX),
            table: "| metric | type | labels | is |\n|---|---|---|---|\n".to_owned(),
        };
        let r = &mut registered;
        let requests = family(
            r,
            "requests",
            "Requests that ended, without benchmarks: Succeeded, Failed, Cancelled, Erased",
            Family::default(),
        );
        let benchmarks = family(
            r,
            "benchmarks",
            "Benchmarks: made, and how they ended, Succeeded, Failed, Cancelled, Erased",
            Family::default(),
        );
        let benchmarks_paused = family(
            r,
            "benchmarks_paused",
            "Whether benchmarks are in the Validator and none is made now: 1, or 0",
            Gauge::default(),
        );
        let slices = family(
            r,
            "slices",
            "Slices of requests at work: queued, claimed, proved, verified",
            Family::default(),
        );
        let attempts = family(
            r,
            "claims",
            "Ended claims, each counted once: Verified, or the cause, such as InvalidProof, LeaseExpired",
            Family::default(),
        );
        let proof_seconds = family(
            r,
            "proof_duration_seconds",
            "From claim to proof, of verified claims",
            HistogramWithExemplars::new(exponential_buckets(0.01, 2.0, 18)),
        );
        let proof_bytes = family(
            r,
            "proof_bytes",
            "Size of verified proofs",
            HistogramWithExemplars::new(exponential_buckets(1024.0, 2.0, 10)),
        );
        let verify_seconds = family(
            r,
            "verification_duration_seconds",
            "Of verified proofs, what verifying took",
            HistogramWithExemplars::new(exponential_buckets(0.0001, 2.0, 14)),
        );
        let jobs = family(r, "jobs", "Jobs of the operator that exist", Gauge::default());
        let store_up = family(
            r,
            "store_up",
            "Whether the artifact store can be read and written: 1, or 0",
            Gauge::default(),
        );
        let store_bytes = family(
            r,
            "store_bytes",
            "What the artifact store holds, by what it is, at the last sweep",
            Family::default(),
        );
        let store_room = family(
            r,
            "store_room_bytes",
            "What the Validator says that the artifact store has room for; 0: nothing",
            Gauge::default(),
        );
        let namespace_bytes = family(
            r,
            "namespace_bytes",
            "What a namespace takes of the artifact store at the last sweep, of what it has a quota of: uploads, receipts, inputs",
            Family::default(),
        );
        let namespace_quota = family(
            r,
            "namespace_quota_bytes",
            "What it may take, by the Validator's quotas",
            Family::default(),
        );
        let namespace_up = family(
            r,
            "namespace_up",
            "Whether a namespace of --namespaces may be read: 1, or 0",
            Family::default(),
        );
        let slo_met = family(
            r,
            "slo_met",
            "Whether a Model's requests are answered as its spec.slo says: 1, or 0; of one that has none, or too few, nothing",
            Family::default(),
        );
        let model_bytes = family(
            r,
            "model_memory_bytes",
            "Memory that loaded models take, by the operator's account",
            Gauge::default(),
        );
        let run_bytes = family(
            r,
            "run_memory_bytes",
            "Memory that requests at work take, by the operator's account",
            Gauge::default(),
        );
        let weights_sent = family(
            r,
            "weights_published_timestamp_seconds",
            "When weights have left last, in Unix seconds; 0: never since the start",
            Gauge::default(),
        );
        let weights_failed = family(
            r,
            "weights_failures",
            "Weights that were due and have not left, by the reason of condition WeightsPublished",
            Family::default(),
        );
        let reconciles = family(
            r,
            "reconciles",
            "Reconciliations by kind and result",
            Family::default(),
        );
        let reconcile_seconds = family(
            r,
            "reconcile_duration_seconds",
            "How long reconciliations took",
            Histogram::new(exponential_buckets(0.001, 2.0, 16)),
        );
        let writes = family(
            r,
            "api_writes",
            "Writing calls to the API server",
            Family::default(),
        );
        Self {
            requests,
            benchmarks,
            benchmarks_paused,
            slices,
            attempts,
            proof_seconds,
            proof_bytes,
            verify_seconds,
            jobs,
            store_up,
            store_bytes,
            store_room,
            namespace_bytes,
            namespace_quota,
            namespace_up,
            slo_met,
            model_bytes,
            run_bytes,
            weights_sent,
            weights_failed,
            reconciles,
            reconcile_seconds,
            writes,
            registry: Mutex::new(registered.registry),
            table: registered.table,
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

    /// A proof was verified: how long after its claim it came, what verifying it took, its size, and whose it is. A trace's id is the request's uid, so an
    /// example leads to the request even where no collector is told of traces.
    pub fn proof(&self, elapsed: Duration, verifying: Option<Duration>, bytes: u64, request: RequestUid) {
        let trace = || {
            let trace_id = Context::of_request(request).trace_id();
            Some(Trace { trace_id })
        };
        let now = Some(SystemTime::now());
        self.proof_seconds.observe(elapsed.as_secs_f64(), trace(), now);
        self.proof_bytes.observe(bytes as f64, trace(), now);
        if let Some(took) = verifying {
            self.verify_seconds.observe(took.as_secs_f64(), trace(), now);
        }
    }

    /// A status was written, of a benchmark or of a request that somebody made.
    pub fn request(&self, benchmark: bool, old: &InferenceRequestStatus, new: &InferenceRequestStatus) {
        if old.phase.is_over() || !new.phase.is_over() {
            return;
        }
        let phase = new.phase.as_str();
        match benchmark {
            true => self.benchmarks.get_or_create(&State { state: phase }).inc(),
            false => self.requests.get_or_create(&Phase { phase }).inc(),
        };
    }

    /// A benchmark was made.
    pub fn benchmark(&self) {
        self.benchmarks.get_or_create(&State { state: "made" }).inc();
    }

    /// Whether none is made though the Validator has them.
    pub fn benchmarks_paused(&self, paused: bool) {
        self.benchmarks_paused.set(i64::from(paused));
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

    /// What the artifact store holds of blobs, of receipts and of segments of the ledger, and the room that it is said to have.
    pub fn stored(&self, [blobs, receipts, ledger]: [u64; 3], room: u64) {
        for (what, bytes) in [("blobs", blobs), ("receipts", receipts), ("ledger", ledger)] {
            self.store_bytes.get_or_create(&Stored { what }).set(bytes as i64);
        }
        self.store_room.set(room as i64);
    }

    /// What namespaces take of what they have a quota of, and how much that is; all others take nothing that is told.
    pub fn usage(&self, all: impl IntoIterator<Item = (String, &'static str, [u64; 2])>) {
        self.namespace_bytes.clear();
        self.namespace_quota.clear();
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        for (namespace, what, [taken, quota]) in all {
            let of = OfNamespace { namespace, what };
            self.namespace_bytes.get_or_create(&of).set(bytes(taken));
            self.namespace_quota.get_or_create(&of).set(bytes(quota));
        }
    }

    /// Whether a namespace that the operator was told may be read.
    pub fn namespace(&self, namespace: &str, up: bool) {
        let namespace = namespace.to_owned();
        self.namespace_up
            .get_or_create(&Namespace { namespace })
            .set(i64::from(up));
    }

    /// Whether a Model, by namespace and name, meets its objectives; anything but yes and no is nothing.
    pub fn slo(&self, (namespace, model): &(String, String), met: Option<Truth>) {
        let of = OfModel {
            model: format!("{namespace}/{model}"),
        };
        let met = match met {
            Some(Truth::True) => 1,
            Some(Truth::False) => 0,
            Some(Truth::Unknown) | None => {
                self.slo_met.remove(&of);
                return;
            }
        };
        self.slo_met.get_or_create(&of).set(met);
    }

    /// Memory that loaded models take, and requests at work.
    pub fn memory(&self, models: u64, runs: u64) {
        self.model_bytes.set(models as i64);
        self.run_bytes.set(runs as i64);
    }

    /// Weights have left, at this time in Unix milliseconds.
    pub fn weights_sent(&self, at: u64) {
        self.weights_sent
            .set(i64::try_from(at / 1000).unwrap_or(i64::MAX));
    }

    /// Weights were due, and have not left.
    pub fn weights(&self, reason: &'static str) {
        self.weights_failed.get_or_create(&Why { reason }).inc();
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

    /// All of them as a table in Markdown, in the order in which they are registered.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }
}

#[cfg(test)]
mod tests;
