//! What is shown, and to whom which parts of it.

use std::sync::Arc;

use kube::runtime::reflector::Store;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model, Validator};

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
    pub(super) requests: bool,
    pub(super) models: bool,
    pub(super) pools: bool,
}
