//! Objects that a viewer makes.
//!
//! Invariants: the API server makes them for the viewer's own token, so that its rules of who may what, and of what may be,
//! are those of `kubectl`; nobody has a body read before it is known that they may make such an object in that namespace; what
//! the operator writes (status, owners, finalizers) nobody states here.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use kube::Resource;
use kube::api::{Api, PostParams};
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, Model};

use super::front::{Front, MODELS, REQUESTS, bearer};
use super::refused::Refused;
use super::views;
use crate::gateway::{Caller, Held, Object, Peer, ReadError, take_upload};

/// The largest object that is read: inputs are inline.
pub(super) const MAX_OBJECT: usize = 3 << 20;

/// A Model, as it was made.
pub(super) async fn model(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path(namespace): Path<String>,
    body: Body,
) -> Result<Response, Refused> {
    let made: Model = make(&front, (&headers, from), MODELS, &namespace, body).await?;
    Ok(created(&views::model(&made)))
}

/// A request, as it was made.
pub(super) async fn request(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path(namespace): Path<String>,
    body: Body,
) -> Result<Response, Refused> {
    let made: InferenceRequest = make(&front, (&headers, from), REQUESTS, &namespace, body).await?;
    Ok(created(&views::request(&made)))
}

/// A file that an object of this namespace may name from then on: a model, calibration data, an input.
pub(super) async fn upload(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path(to): Path<(String, String)>,
    body: Body,
) -> Response {
    let shown = front.shown;
    take_upload(shown.clients, shown.artifacts, (&headers, from), to, body).await
}

async fn make<K>(
    front: &Front,
    (headers, from): (&HeaderMap, Peer),
    resource: &'static str,
    namespace: &str,
    body: Body,
) -> Result<K, Refused>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    front.may_create((headers, from), resource, namespace).await?;
    if !front.shown.clients.directory.sees(namespace) {
        let message = format!("this operator does not watch namespace `{namespace}` (--namespaces)");
        return Err(Refused::forbidden(message));
    }
    let caller = front.caller(bearer(headers)?, from).await?;
    let (body, _room) = read_object(front, &caller, headers, body).await?;
    let object = object::<K>(&body, namespace, &front.shown.class)?;
    let client = front.maker.client(bearer(headers)?);
    let client = client.map_err(|e| Refused::unavailable(&e))?;
    let made = Api::<K>::namespaced(client, namespace)
        .create(&PostParams::default(), &object)
        .await;
    made.map_err(|e| match e {
        kube::Error::Api(status) => Refused::by_server(status.code, &status.reason, &status.message),
        e => Refused::unavailable(&e),
    })
}

/// The body, with room for what it becomes, which takes several times its bytes.
pub(super) async fn read_object(
    front: &Front,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Held, Object), Refused> {
    let body = read(front, caller, headers, body).await?;
    let bodies = &front.shown.clients.bodies;
    let room = bodies.object(caller, &body).await.map_err(unread)?;
    Ok((body, room))
}

/// The body, once there is room for it.
async fn read(front: &Front, caller: &Caller, headers: &HeaderMap, body: Body) -> Result<Held, Refused> {
    let type_ = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if type_ != Some("application/json") {
        return Err(Refused::invalid_body("the body is not application/json"));
    }
    let bodies = &front.shown.clients.bodies;
    bodies
        .read(caller, headers, body, MAX_OBJECT)
        .await
        .map_err(unread)
}

fn unread(error: ReadError) -> Refused {
    match error {
        ReadError::TooLarge => {
            Refused::body_too_large(format!("the object has more than {MAX_OBJECT} bytes"))
        }
        ReadError::TooSlow | ReadError::BrokenOff => Refused::invalid_body(error.to_string()),
        ReadError::NoRoom | ReadError::OwnRoom => Refused::busy(&error),
    }
}

/// The object as it is asked for: in this namespace, and of this installation unless it says otherwise.
fn object<K>(bytes: &[u8], namespace: &str, class: &str) -> Result<K, Refused>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let kind = K::kind(&()).into_owned();
    let invalid = |why: String| Refused::invalid_body(format!("{kind}: {why}"));
    let mut value: Value = serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))?;
    if value["kind"] != json!(kind) || value["apiVersion"] != json!(K::api_version(&())) {
        let version = K::api_version(&());
        return Err(invalid(format!("the body is not a {kind} of {version}")));
    }
    if let Some(spec) = value["spec"].as_object_mut() {
        spec.entry("controllerClass").or_insert_with(|| json!(class));
    }
    let Value::Object(fields) = &mut value else {
        return Err(invalid("the body is no object".to_owned()));
    };
    fields.remove("status");
    let mut object: K = serde_json::from_value(value).map_err(|e| invalid(e.to_string()))?;
    let meta = object.meta_mut();
    match meta.namespace.get_or_insert_with(|| namespace.to_owned()) {
        own if own == namespace => {}
        own => {
            let message = format!("metadata.namespace is `{own}`, and the call is for `{namespace}`");
            return Err(invalid(message));
        }
    }
    meta.owner_references = None;
    meta.finalizers = None;
    meta.managed_fields = None;
    Ok(object)
}

fn created(view: &Value) -> Response {
    let type_ = [(CONTENT_TYPE, "application/json")];
    (StatusCode::CREATED, type_, view.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(change: impl FnOnce(&mut Value)) -> Result<InferenceRequest, Refused> {
        let mut value = json!({
            "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "name": "r" },
            "spec": {
                "modelRef": { "name": "m" },
                "input": { "inline": { "x": { "shape": [1], "data": [0.5] } } },
            },
        });
        change(&mut value);
        object(value.to_string().as_bytes(), "n", "second")
    }

    #[test]
    fn an_object_is_of_the_calls_namespace_and_of_this_installation_and_states_nothing_that_is_not_its_makers()
     {
        let made = request(|value| {
            value["status"] = json!({ "phase": "Succeeded" });
            value["metadata"]["finalizers"] = json!(["a/b"]);
        });
        let made = made.unwrap();
        assert_eq!(made.metadata.namespace.as_deref(), Some("n"));
        assert_eq!(made.spec.controller_class, "second");
        assert_eq!((made.status, made.metadata.finalizers), (None, None));
        let own = request(|value| value["spec"]["controllerClass"] = json!("first"));
        assert_eq!(own.unwrap().spec.controller_class, "first");
    }

    #[test]
    fn what_is_no_such_object_is_refused() {
        let refused = |change: fn(&mut Value)| request(change).is_err();
        assert!(refused(|value| value["kind"] = json!("Model")));
        assert!(refused(|value| value["apiVersion"] = json!("v1")));
        assert!(refused(|value| value["metadata"]["namespace"] = json!("other")));
        assert!(refused(|value| value["spec"]["surprise"] = json!(1)));
        assert!(refused(|value| value["spec"] = json!([1])));
        for text in ["", "[]", "1", "null", "\"x\"", "{", "[[[["] {
            assert!(object::<Model>(text.as_bytes(), "n", "c").is_err(), "{text}");
        }
    }
}
