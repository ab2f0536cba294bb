//! What runs the Validators' controller is told here.

use std::sync::Arc;

use kube::runtime::Controller as Watching;
use kube::runtime::controller::Action as Requeue;
use zkinfer_crds::k8s::Validator;

use super::apply;
use super::records::Validators;
use crate::controllers::request::Requests;
use crate::controllers::{Controlled, Controller, Making};
use crate::world::ReconcileError;

impl Controlled for Validator {
    type Controller = Validators;
}

impl Controller for Validators {
    type Object = Validator;

    const CONCURRENCY: u16 = 1;

    fn make(making: &mut Making) -> Arc<Self> {
        Arc::new(Self::new(making.of::<Requests>()))
    }

    /// What is listed is in force before anything is reconciled.
    fn listed(&self) {
        self.decide();
    }

    fn seen(&self, _: &Validator) {
        // While the first list is read nobody knows which is the oldest.
        if self.world.ready.is(crate::world::Part::Validator) {
            self.decide();
        }
    }

    fn gone(&self, _: &Validator) {
        self.decide();
    }

    fn watching(&self, controller: Watching<Validator>) -> Watching<Validator> {
        controller
    }

    async fn reconcile(validator: Arc<Validator>, validators: Arc<Self>) -> Result<Requeue, ReconcileError> {
        apply::reconcile(validator, validators).await
    }
}
