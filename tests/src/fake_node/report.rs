//! What a pod's life tells the API server.

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use tokio::time::sleep;

use super::{
    pod::{Life, RETRY},
    registry::Fate,
    status::{Report, State},
};

impl Life {
    /// Writes the status, until the API server has taken it or has no such pod any more.
    pub(super) async fn report(&self, state: &State, is_over: bool, failure: Option<(&'static str, String)>) {
        let report = Report {
            uid: &self.uid,
            container: &self.container.name,
            image: self.container.image.as_deref().unwrap_or_default(),
            started: self.started,
            restarts: self.restarts,
            state,
            last: self.last.as_ref(),
            is_over,
            failure,
        };
        let patch = Patch::Strategic(report.patch());
        while *self.fate.borrow() != Fate::Gone {
            match self
                .pods()
                .patch_status(&self.pod.name_any(), &PatchParams::default(), &patch)
                .await
            {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return,
                Err(error) => {
                    eprintln!("fake node: the status of {}: {error}", self.pod.name_any());
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Waits until the pod is to be deleted, deletes it for good, and waits until it is gone.
    pub(super) async fn wait_for_end(&mut self) {
        loop {
            let fate = *self.fate.borrow_and_update();
            if fate == Fate::Gone {
                return;
            }
            if fate != Fate::Live {
                let only_this = Preconditions {
                    uid: Some(self.uid.clone()),
                    resource_version: None,
                };
                let now = DeleteParams {
                    preconditions: Some(only_this),
                    ..DeleteParams::default().grace_period(0)
                };
                match self.pods().delete(&self.pod.name_any(), &now).await {
                    Ok(_) => {}
                    Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => return,
                    Err(_) => {
                        sleep(RETRY).await;
                        continue;
                    }
                }
            }
            // A finalizer may keep the object for a while; the watch tells when it is gone.
            if self.fate.changed().await.is_err() {
                return;
            }
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.pod.namespace().unwrap_or_default())
    }
}
