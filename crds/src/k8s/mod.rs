//! The Kubernetes API: group `zkinfer.dev`, version `v1alpha1`.
//!
//! Invariant: one schema decides. What the API server checks, defaults and refuses is what [`crds`] says, and
//! [`parse_documents`] checks files against the same schema, so YAML means the same with and without a cluster.
//!
//! Every field of a spec that has a default has it in the schema; the operator writes no spec, but
//! that it takes the input out of a request which a client erases.

pub mod class;
pub mod common;
pub mod conditions;
pub mod consent;
mod definitions;
pub mod documents;
pub mod erasure;
pub mod pods;
pub mod pool_pod;
mod possession;
mod reference;
pub mod request_status;
pub mod rights;
mod schema;

pub use class::{Classed, DEFAULT_CLASS, is_class};
pub use common::{ConfigMapKey, Cpu, Deadline, Memory};
pub use conditions::{Truth, find_condition, holds, is_true, same_conditions, set_condition};
pub use consent::{CONSENT_CONFIG_MAP, CONSENT_KEY, ServedBy, is_namespace, parse_served_by};
pub use definitions::{crd_yaml, crds, kustomization};
pub use documents::{Document, DocumentError, Problem, parse_document, parse_documents};
pub use erasure::{ErasedInput, Erasure, LAST_APPLIED, erasing};
pub use inference_request::{InferenceRequestSpec, InferenceRequestStatus, RequestPhase};
pub use miner_pool::{MinerPoolSpec, MinerPoolStatus};
pub use model::{ModelSpec, ModelStatus};
pub use possession::possession_message;
pub use reference::reference;
pub use validator::{ValidatorSpec, ValidatorStatus};

/// The API group.
pub const GROUP: &str = "zkinfer.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";
/// The category: `kubectl get zkinfer`.
pub const CATEGORY: &str = "zkinfer";

/// The closed list of the group's kinds, in the order of the README: a type; its file in this folder; the operator's words for one
/// of them, which its controller's folder is called by, and for all. Handed to a macro of the caller's: modules, definitions,
/// documents, rights and the reference's words here, and in the operator stores, wakes, controllers and local mode are made of it.
#[doc(hidden)]
#[macro_export]
macro_rules! kinds {
    ($make:ident) => {
        $make! {
            /// A model.
            Model(model, model, models),
            /// A request.
            InferenceRequest(inference_request, request, requests),
            /// A pool.
            MinerPool(miner_pool, pool, pools),
            /// The settings of an installation.
            Validator(validator, validator, validators),
        }
    };
}

macro_rules! modules {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        $(
            pub mod $file;
            pub use $file::$kind;
        )*
    };
}

crate::kinds!(modules);

/// A word of the API with what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The word, as it is in an object.
    pub value: &'static str,
    /// What it means, as in the source: lines joined, each with a space before it.
    doc: &'static str,
}

impl Word {
    /// What it means, in a sentence.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        self.doc.trim_start()
    }
}

/// A module of string constants and the lists of them all: the words, for tests that go through them, and the words
/// with their docs, for the reference.
macro_rules! string_consts {
    ($(#[$doc:meta])* pub mod $module:ident { $($(#[doc = $text:literal])+ $name:ident = $value:literal;)+ }) => {
        $(#[$doc])*
        pub mod $module {
            $($(#[doc = $text])+ pub const $name: &str = $value;)+
            /// All of them.
            pub const ALL: &[&str] = &[$($name),+];
            /// All of them with what they mean.
            pub const WORDS: &[$crate::k8s::Word] =
                &[$($crate::k8s::Word { value: $name, doc: concat!($($text),+) }),+];
        }
    };
}
pub(crate) use string_consts;
