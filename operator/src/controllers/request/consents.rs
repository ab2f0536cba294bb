//! Who may see a run, and what becomes of it when that is somebody else.
//!
//! Invariant: a change is in force for open claims and files before anything is reconciled.

use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::{InferenceRequest, Model};

use super::records::{Requests, RunRecord};
use crate::consent::Consent;
use crate::world::lock;

impl Requests {
    /// Who may serve a request of this Model; absent: of the one that was there when the request was begun.
    #[must_use]
    pub fn consent_for(&self, request: &InferenceRequest, model: Option<&Model>) -> Consent {
        if let Some(model) = model {
            return self.world.consent_of(model);
        }
        let uid = request.metadata.uid.as_deref().and_then(|uid| uid.parse().ok());
        let served_by =
            uid.and_then(|uid: RequestUid| self.runs().get(&uid).and_then(|r| r.served_by.clone()));
        let namespace = request.model_namespace();
        self.world
            .consents
            .decide(&namespace, &request.spec.model_ref.name, served_by.as_deref())
    }

    /// Tells the dispatcher who may see a run; whether that is something else than before. What a Model said last counts
    /// on when it is gone.
    pub fn consent_to(&self, uid: RequestUid) -> bool {
        let _deciding = lock(&self.deciding);
        let consent = {
            let mut runs = self.runs();
            let Some(record) = runs.get_mut(&uid) else {
                return false;
            };
            let namespace = record.model_namespace.as_str();
            if let Some(model) = self.world.model(namespace, &record.model) {
                record.served_by.clone_from(&model.spec.served_by);
            }
            let served_by = record.served_by.as_deref();
            self.world.consents.decide(namespace, &record.model, served_by)
        };
        self.world.dispatcher.consent(uid, consent)
    }

    /// A Model is as it was not before.
    pub fn model_seen(&self, model: &Model) {
        let name = model.metadata.name.as_deref().unwrap_or_default();
        let namespace = model.metadata.namespace.as_deref().unwrap_or_default();
        self.consent_again(|r| r.model_namespace == namespace && r.model == name);
    }

    /// What says who may serve these runs was read anew.
    pub fn consent_again(&self, which: impl Fn(&RunRecord) -> bool) {
        let runs: Vec<_> = {
            let runs = self.runs();
            let which = runs.iter().filter(|(_, r)| which(r));
            which.map(|(uid, r)| (*uid, r.key.clone())).collect()
        };
        for (uid, key) in runs {
            if self.consent_to(uid) {
                self.world.wake.request(key);
            }
        }
    }
}
