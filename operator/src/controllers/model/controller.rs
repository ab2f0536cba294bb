//! What runs the Models' controller is told here.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::Controller as Watching;
use kube::runtime::controller::Action as Requeue;
use zkinfer_crds::k8s::Model;

use super::apply;
use super::records::Models;
use crate::controllers::{Controlled, Controller, Making};
use crate::world::ReconcileError;

impl Controlled for Model {
    type Controller = Models;
}

impl Controller for Models {
    type Object = Model;

    const CONCURRENCY: u16 = 2;

    fn make(making: &mut Making) -> Arc<Self> {
        let given = making.given();
        Arc::new(Self::new(Arc::clone(&given.world), given.srs_file.clone()))
    }

    /// Everything that says who may serve was listed anew.
    fn listed(&self) {
        self.tell(None);
    }

    /// Who may see the Model no more has slices of it.
    fn seen(&self, model: &Model) {
        self.tell(Some(model));
    }

    /// Requests that wait for it have to know.
    fn gone(&self, model: &Model) {
        let (namespace, name) = (model.namespace(), model.name_any());
        let uid = model.uid().unwrap_or_default();
        self.records().remove(&uid);
        self.world.metrics.slo(&apply::model_of(model), None);
        self.world
            .wake_requests(|r| Some(r.model_namespace()) == namespace && r.spec.model_ref.name == name);
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            if let Err(error) = world.artifacts.delete_model(&uid).await {
                tracing::warn!(model = name, %error, "its report is not removed");
            }
        });
    }

    fn watching(&self, controller: Watching<Model>) -> Watching<Model> {
        controller
    }

    async fn reconcile(model: Arc<Model>, models: Arc<Self>) -> Result<Requeue, ReconcileError> {
        apply::reconcile(model, models).await
    }
}
