//! The objects that the operator makes: pure functions of a resource and the operator's settings, without a client.
//!
//! Invariants: every pod is one that the namespace's restricted Pod Security takes; no pod of a miner or of the compiler
//! has a token for the API server; a child is owned by an object of its own namespace, never across namespaces.

mod benchmark;
mod class;
mod compile_job;
pub mod labels;
mod network_policy;
mod placing;
mod pod;
mod service_account;
mod warm;
mod worker_job;

#[cfg(test)]
mod tests;

pub use benchmark::{BENCHMARK, benchmark, no_benchmark};
pub use class::Class;
pub use compile_job::{CompileJob, CompileSettings, compile_job, compile_secret};
pub use network_policy::network_policy;
pub use service_account::{pool_of, service_account, service_account_name};
pub use warm::warm_workers;
pub use worker_job::{JobFor, worker_job};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use zkinfer_crds::k8s::MinerPool;

/// The audience of the tokens that workers present.
pub const TOKEN_AUDIENCE: &str = "zkinfer-gateway";

/// What every worker's pod is made with.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The gateway's address as the pods see it.
    pub gateway: String,
    /// The operator's namespace: there the gateway is.
    pub namespace: String,
    /// Whose pools they are.
    pub class: Class,
    /// The collector that workers tell of their spans; absent: none.
    pub otlp_endpoint: Option<String>,
}

/// The pool as owner and controller of an object in its namespace; `None` for a pool that was never created.
fn owner(pool: &MinerPool) -> Option<Vec<OwnerReference>> {
    pool.controller_owner_ref(&()).map(|owner| vec![owner])
}
