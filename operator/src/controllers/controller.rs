//! What a kind's folder says of its controller, and what controllers are made of.
//!
//! Invariants: nothing has a default, so a kind whose folder leaves something out does not compile; every controller is made once,
//! before any object is seen, and before those that ask it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use kube::Resource;
use kube::core::NamespaceResourceScope;
use kube::runtime::Controller as Watching;
use kube::runtime::controller::Action as Requeue;
use serde::de::DeserializeOwned;
use zkinfer_crds::k8s::Classed;
use zkinfer_crds::wire::BlobRef;

use crate::runs::Outbox;
use crate::scoring::Totals;
use crate::world::{ReconcileError, World};

/// A kind that the operator controls: every one in the list `kinds!`.
pub trait Controlled:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Classed
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Its controller.
    type Controller: Controller<Object = Self>;
}

/// The controller of a kind.
pub trait Controller: Send + Sync + Sized + 'static {
    /// The kind.
    type Object: Controlled<Controller = Self>;

    /// Reconciliations at once.
    const CONCURRENCY: u16;

    /// The controller, which knows nothing yet. Others that it asks it has from [`Making::of`].
    fn make(making: &mut Making) -> Arc<Self>;

    /// Every object was listed, at the start or anew. Called before anything is reconciled, as the next two are.
    fn listed(&self);

    /// An object is as it was not before: what cannot wait for its turn.
    fn seen(&self, object: &Self::Object);

    /// An object was deleted. One that disappeared while the operator was away is never told of.
    fn gone(&self, object: &Self::Object);

    /// What else than its objects it is woken by, such as what they own.
    fn watching(&self, controller: Watching<Self::Object>) -> Watching<Self::Object>;

    /// One reconciliation.
    ///
    /// # Errors
    /// The API server or the store; it is tried again.
    fn reconcile(
        object: Arc<Self::Object>,
        controller: Arc<Self>,
    ) -> impl Future<Output = Result<Requeue, ReconcileError>> + Send;
}

/// What the operator was given for its controllers.
pub struct Given {
    /// What all controllers share.
    pub world: Arc<World>,
    /// The trusted setup's file for compilers; absent: the development setup, or none.
    pub srs_file: Option<BlobRef>,
    /// What the ledger adds up to.
    pub ledger: Totals,
    /// The socket of `prover-worker reference`.
    pub reference_socket: PathBuf,
    /// Where receipts go beside the store; absent: nowhere.
    pub outbox: Option<Arc<dyn Outbox>>,
}

/// Controllers that are being made. One that asks another has it made first; none asks back, since no two folders here may use
/// each other.
pub struct Making {
    given: Given,
    made: BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Making {
    /// None is made yet.
    #[must_use]
    pub fn new(given: Given) -> Self {
        Self {
            given,
            made: BTreeMap::new(),
        }
    }

    /// What they are made of.
    #[must_use]
    pub const fn given(&self) -> &Given {
        &self.given
    }

    /// The controller of this type: the same, whoever asks.
    pub fn of<C: Controller>(&mut self) -> Arc<C> {
        let made = self.made.get(&TypeId::of::<C>()).cloned();
        if let Some(made) = made.and_then(|made| made.downcast::<C>().ok()) {
            return made;
        }
        let new = C::make(self);
        let any: Arc<dyn Any + Send + Sync> = Arc::<C>::clone(&new);
        self.made.insert(TypeId::of::<C>(), any);
        new
    }
}
