//! Writing to the API server: statuses, then events.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::records::lock;
use crate::artifacts::ArtifactError;

/// The longest note of an event, in bytes.
const MAX_NOTE: usize = 1000;
/// How long after an event the same one is counted in it.
const FOLDED: Duration = Duration::from_secs(300);

/// Why a reconciliation failed; each is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server.
    #[error("the API server: {0}")]
    Api(Box<kube::Error>),
    /// The store.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A file that cannot be read just now.
    #[error("{0}")]
    Source(String),
    /// It took too long.
    #[error("it took too long")]
    TooSlow,
}

impl From<kube::Error> for ReconcileError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// Whether the API server cannot store the object because it would be too large.
#[must_use]
pub fn is_too_large(error: &kube::Error) -> bool {
    let too_large = |status: &kube::core::Status| status.code == 413 || status.message.contains("too large");
    matches!(error, kube::Error::Api(status) if too_large(status))
}

/// An event that a change is worth: type, reason, action, note.
pub type News = (EventType, String, &'static str, String);

/// The uid of an object, a reason and a note.
type Told = (String, String, String);

/// Who writes events. The same note again is counted in the event that there is; another note of the same reason is
/// another event, or nobody would ever read it.
pub struct Events {
    client: Client,
    reporter: Reporter,
    recorders: Mutex<HashMap<Told, (Recorder, Instant)>>,
}

impl Events {
    /// Writes in this name.
    #[must_use]
    pub fn new(client: Client, reporter: Reporter) -> Self {
        Self {
            client,
            reporter,
            recorders: Mutex::default(),
        }
    }

    fn recorder(&self, uid: String, reason: &str, note: Option<&str>) -> Recorder {
        let mut recorders = lock(&self.recorders);
        recorders.retain(|_, (_, used)| used.elapsed() < FOLDED);
        let key = (uid, reason.to_owned(), note.unwrap_or_default().to_owned());
        let fresh = || {
            (
                Recorder::new(self.client.clone(), self.reporter.clone()),
                Instant::now(),
            )
        };
        let (recorder, used) = recorders.entry(key).or_insert_with(fresh);
        *used = Instant::now();
        recorder.clone()
    }

    /// Tells people all of this of an object.
    pub async fn tell_all<K>(&self, object: &K, news: Vec<News>)
    where
        K: Resource<DynamicType = ()>,
    {
        for (type_, reason, action, note) in news {
            self.tell(object, type_, &reason, action, &note).await;
        }
    }

    /// Tells people what has happened to an object. An event that cannot be written is no reason to stop.
    pub async fn tell<K>(&self, object: &K, type_: EventType, reason: &str, action: &str, note: &str)
    where
        K: Resource<DynamicType = ()>,
    {
        let note = note[..note.floor_char_boundary(MAX_NOTE)].to_owned();
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: action.to_owned(),
            secondary: None,
        };
        let uid = object.uid().unwrap_or_default();
        let recorder = self.recorder(uid, reason, event.note.as_deref());
        if let Err(error) = recorder.publish(&event, &object.object_ref(&())).await {
            tracing::warn!(%error, reason, "an event was not written");
        }
    }
}

/// See [`super::World::write_status`].
pub(super) async fn patch_status<K, S>(
    client: &Client,
    manager: &str,
    object: &K,
    status: &S,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize,
{
    let api: Api<K> = Api::namespaced(client.clone(), &object.namespace().unwrap_or_default());
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "uid": object.uid() },
        "status": status,
    });
    let params = PatchParams::apply(manager).force();
    match api
        .patch_status(&object.name_any(), &params, &Patch::Apply(body))
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {
            tracing::info!(name = object.name_any(), "it is gone; its status is not written");
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    /// An API server that notes what it is called with, and takes it.
    fn api_server(calls: &Arc<Mutex<Vec<(http::Method, Value)>>>) -> Client {
        let calls = Arc::clone(calls);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let calls = Arc::clone(&calls);
            async move {
                let method = request.method().clone();
                let body = request.into_body().collect_bytes().await?;
                let object: Value = serde_json::from_slice(&body)?;
                calls.lock().unwrap().push((method, object));
                Ok::<_, tower::BoxError>(http::Response::new(Body::from(body.to_vec())))
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn what_is_said_anew_is_an_event_of_its_own_and_what_was_said_is_counted() {
        let calls = Arc::default();
        let events = Events::new(api_server(&calls), Reporter::from("zkinfer-operator"));
        let about = k8s_openapi::api::core::v1::ObjectReference {
            namespace: Some("default".to_owned()),
            ..Default::default()
        };
        let notes = ["slice 0 by a: no", "slice 2 by b: no", "slice 0 by a: no"];
        for note in notes {
            let event = Event {
                type_: EventType::Warning,
                reason: "InvalidProof".to_owned(),
                note: Some(note.to_owned()),
                action: "Verify".to_owned(),
                secondary: None,
            };
            let recorder = events.recorder("uid".to_owned(), &event.reason, event.note.as_deref());
            recorder.publish(&event, &about).await.unwrap();
        }
        let calls = calls.lock().unwrap();
        let said: Vec<_> = calls
            .iter()
            .map(|(m, o)| (m.as_str(), o["note"].as_str()))
            .collect();
        assert_eq!(said[..2], [("POST", Some(notes[0])), ("POST", Some(notes[1]))]);
        assert_eq!(said[2].0, "PATCH");
        assert_eq!(calls[2].1["series"]["count"], 2);
    }
}
