//! What is shown, and to whom which parts of it.

use std::sync::Arc;

use kube::runtime::reflector::Store;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, Validator};

use super::compiled::Compiled;
use super::floats::Floats;
use super::ledger::LedgerView;
use crate::artifacts::Artifacts;
use crate::gateway::Clients;

/// What is shown.
#[derive(Clone)]
pub struct Shown {
    /// The requests, as the watches have them.
    pub requests: Store<InferenceRequest>,
    /// The Models.
    pub models: Store<Model>,
    /// The pools.
    pub pools: Store<MinerPool>,
    /// The Validators.
    pub validators: Store<Validator>,
    /// Receipts and graphs.
    pub artifacts: Artifacts,
    /// Who may see what.
    pub clients: Clients,
    /// What is known of compiled Models.
    pub compiled: Arc<dyn Compiled>,
    /// What the float model says.
    pub floats: Arc<dyn Floats>,
    /// The class of the objects that this installation takes.
    pub class: String,
    /// The ledger.
    pub ledger: Arc<dyn LedgerView>,
}

/// The lists that somebody may see of a namespace, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sees {
    pub(super) requests: Part,
    pub(super) models: bool,
    pub(super) pools: bool,
}

/// How much of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Nothing,
    /// What is counted of them all: no request, and no Model by its name.
    Counts,
    Everything,
}

impl Sees {
    /// What everybody sees, where the Validator lets everybody look.
    pub(super) const PUBLIC: Self = Self {
        requests: Part::Counts,
        models: false,
        pools: true,
    };
}
