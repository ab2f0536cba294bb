//! The Kubernetes API: group `zkinfer.dev`, version `v1alpha1`.
//!
//! Invariant: one schema decides. What the API server checks, defaults and refuses is what [`crds`] says, and
//! [`parse_documents`] checks files against the same schema, so YAML means the same with and without a cluster.
//!
//! Every field of a spec that has a default has it in the schema; the operator never writes a spec.

pub mod common;
pub mod conditions;
mod definitions;
pub mod documents;
pub mod inference_request;
pub mod miner_pool;
pub mod model;
pub mod request_status;
mod schema;

pub use common::{ConfigMapKey, Cpu, Deadline, Memory};
pub use conditions::{Truth, find_condition, is_true, same_conditions, set_condition};
pub use definitions::{crd_yaml, crds};
pub use documents::{Document, DocumentError, parse_documents};
pub use inference_request::{InferenceRequest, InferenceRequestSpec, InferenceRequestStatus, RequestPhase};
pub use miner_pool::{MinerPool, MinerPoolSpec, MinerPoolStatus};
pub use model::{Model, ModelSpec, ModelStatus};

/// The API group.
pub const GROUP: &str = "zkinfer.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";
/// The category: `kubectl get zkinfer`.
pub const CATEGORY: &str = "zkinfer";

/// A module of string constants and the list of them all, so that a test can go through them.
macro_rules! string_consts {
    ($(#[$doc:meta])* pub mod $module:ident { $($(#[$item:meta])* $name:ident = $text:literal;)+ }) => {
        $(#[$doc])*
        pub mod $module {
            $($(#[$item])* pub const $name: &str = $text;)+
            /// All of them.
            pub const ALL: &[&str] = &[$($name),+];
        }
    };
}
pub(crate) use string_consts;
