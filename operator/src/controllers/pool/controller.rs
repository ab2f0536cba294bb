//! What runs the pools' controller is told here.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use kube::core::PartialObjectMeta;
use kube::runtime::Controller as Watching;
use kube::runtime::controller::Action as Requeue;
use kube::runtime::watcher::{self, watcher};
use zkinfer_crds::k8s::MinerPool;

use super::apply;
use super::facts::facts;
use super::records::Pools;
use crate::controllers::{Controlled, Controller, Making};
use crate::dispatch::PoolId;
use crate::world::{ReconcileError, follow, owning};

impl Controlled for MinerPool {
    type Controller = Pools;
}

impl Controller for Pools {
    type Object = MinerPool;

    const CONCURRENCY: u16 = 4;

    fn make(making: &mut Making) -> Arc<Self> {
        let given = making.given();
        Arc::new(Self::new(Arc::clone(&given.world), given.ledger.clone()))
    }

    fn listed(&self) {}

    /// Workers ask all the time.
    fn seen(&self, pool: &MinerPool) {
        self.world.dispatcher.know(&PoolId::from(pool), facts(pool));
    }

    /// Requests that it was to serve go to others.
    fn gone(&self, pool: &MinerPool) {
        let id = PoolId::from(pool);
        self.records().remove(&id);
        self.world.dispatcher.forget(&id);
        self.world.wake_requests(|_| true);
        self.world.fleet.notify_one();
    }

    /// Its warm workers are a Deployment.
    fn watching(&self, controller: Watching<MinerPool>) -> Watching<MinerPool> {
        let client = self.world.client.clone();
        let selector = self.world.workers.class.selector();
        let deployments = follow(
            &self.world.scope,
            "deployments",
            move |place| {
                let managed = watcher::Config::default().labels(&selector);
                watcher(place.api::<PartialObjectMeta<Deployment>>(&client), managed)
            },
            // What has disappeared unseen wakes nobody, as in one watch.
            |_, _| None,
        );
        owning(controller, deployments)
    }

    async fn reconcile(pool: Arc<MinerPool>, pools: Arc<Self>) -> Result<Requeue, ReconcileError> {
        apply::reconcile(pool, pools).await
    }
}
