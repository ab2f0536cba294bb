//! What runs the requests' controller is told here.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::Controller as Watching;
use kube::runtime::controller::Action as Requeue;
use zkinfer_crds::k8s::InferenceRequest;

use super::apply;
use super::records::Requests;
use crate::controllers::model::Models;
use crate::controllers::pool::Pools;
use crate::controllers::{Controlled, Controller, Making};
use crate::reference::Reference;
use crate::world::ReconcileError;

impl Controlled for InferenceRequest {
    type Controller = Requests;
}

impl Controller for Requests {
    type Object = InferenceRequest;

    /// They evaluate models.
    const CONCURRENCY: u16 = 8;

    fn make(making: &mut Making) -> Arc<Self> {
        let (models, pools) = (making.of::<Models>(), making.of::<Pools>());
        let given = making.given();
        let requests = Arc::new(Self::new(
            models,
            pools,
            Reference::new(given.reference_socket.clone()),
            given.outbox.clone(),
        ));
        // At once, and not when the Model's turn comes: a change of who may see it is in force before anything is reconciled.
        let told = Arc::downgrade(&requests);
        requests.models.on_news(move |model| {
            let Some(requests) = told.upgrade() else { return };
            match model {
                Some(model) => requests.model_seen(model),
                None => requests.consent_again(|_| true),
            }
        });
        let told = Arc::downgrade(&requests);
        requests.world.rooms.on_room(move |uid| {
            if let Some(requests) = told.upgrade() {
                requests.has_room(uid);
            }
        });
        requests
    }

    fn listed(&self) {
        self.hold_begun();
    }

    fn seen(&self, _: &InferenceRequest) {}

    fn gone(&self, request: &InferenceRequest) {
        let Some(uid) = request.uid().and_then(|uid| uid.parse().ok()) else {
            return;
        };
        self.world.dispatcher.remove(uid, false);
        self.forget(uid);
        self.world.fleet.notify_one();
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            if let Err(error) = world.artifacts.delete_request(uid).await {
                tracing::warn!(request = %uid, %error, "its artifacts are removed later");
            }
        });
    }

    fn watching(&self, controller: Watching<InferenceRequest>) -> Watching<InferenceRequest> {
        controller
    }

    async fn reconcile(
        request: Arc<InferenceRequest>,
        requests: Arc<Self>,
    ) -> Result<Requeue, ReconcileError> {
        apply::reconcile(request, requests).await
    }
}
