//! The objects as the watches have them, and how to ask for a look at one.

use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc::UnboundedSender;
use zkinfer_crds::k8s::{InferenceRequest, MinerPool, Model};

/// The objects as the watches have them.
pub struct Stores {
    /// Models.
    pub models: Store<Model>,
    /// Requests.
    pub requests: Store<InferenceRequest>,
    /// Pools.
    pub pools: Store<MinerPool>,
}

/// Asks for reconciliations.
pub struct Wake {
    /// Of Models.
    pub models: UnboundedSender<ObjectRef<Model>>,
    /// Of requests.
    pub requests: UnboundedSender<ObjectRef<InferenceRequest>>,
    /// Of pools.
    pub pools: UnboundedSender<ObjectRef<MinerPool>>,
}

impl Wake {
    /// Of a Model. Nobody listens any more while the operator ends.
    pub fn model(&self, model: ObjectRef<Model>) {
        let _ = self.models.send(model);
    }

    /// Of a request.
    pub fn request(&self, request: ObjectRef<InferenceRequest>) {
        let _ = self.requests.send(request);
    }

    /// Of a pool.
    pub fn pool(&self, pool: ObjectRef<MinerPool>) {
        let _ = self.pools.send(pool);
    }
}
