//! `submit MODEL --input FILE` on a cluster.
//!
//! The same model file with the same options is the same Model, so that a second request finds its keys.

use std::path::PathBuf;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde_json::json;
use zkinfer_crds::k8s::request_status::{INPUT_FILE, MODEL_FILE};
use zkinfer_crds::k8s::{DEFAULT_CLASS, InferenceRequest, Model, RequestPhase};
use zkinfer_crds::{Digest, encode};

use super::follow::follow;
use super::{ClientError, Cluster};
use crate::answer;
use crate::local::{Objects, SubmitError, SubmitOptions, joined, submit_objects};
use crate::runs::quoted;

/// A ConfigMap holds no more.
const MAX_CONFIG_MAP: usize = 1_000_000;

/// What to submit, and how.
#[derive(Debug, Clone)]
pub struct ClusterSubmit {
    /// The files; the model may be the name of a Model that is there.
    pub what: SubmitOptions,
    /// Where to.
    pub cluster: Cluster,
    /// Which installation proves it; absent: that of the Model, or of the default class.
    pub class: Option<String>,
    /// Wait for the end.
    pub wait: bool,
    /// No progress on standard error.
    pub quiet: bool,
}

/// What became of it.
#[derive(Debug)]
pub struct Submitted {
    /// The request as it is now.
    pub request: InferenceRequest,
    /// The answer for people, once it has succeeded.
    pub answer: Option<String>,
    /// Why it has none, where it has ended without.
    pub failure: Option<String>,
}

/// Makes the objects; with `wait`, follows the request to its end.
///
/// # Errors
/// A file, or an API server that refuses.
pub async fn submit(options: &ClusterSubmit) -> Result<Submitted, ClientError> {
    // What is wrong with the files is told before anybody is asked.
    let input = joined(&options.what.inputs).map_err(SubmitError::from)?;
    let is_file = options.what.model.is_file();
    let objects = is_file.then(|| submit_objects(&options.what)).transpose()?;
    let (_, client, namespace) = options.cluster.connect().await?;
    let stated = options.class.as_deref();
    let (model, class) = if let Some(objects) = objects {
        let class = stated.unwrap_or(DEFAULT_CLASS).to_owned();
        let model = model_of_file(&client, &namespace, objects, &class).await?;
        (model, class)
    } else {
        let name = options.what.model.display().to_string();
        let class = class_of(&client, &namespace, &name, stated).await?;
        (name, class)
    };
    let request = request(&client, &namespace, (&model, &class), input).await?;
    if !options.quiet {
        eprintln!("inferencerequest.zkinfer.dev/{} created", request.name_any());
    }
    if !options.wait {
        return Ok(Submitted {
            request,
            answer: None,
            failure: None,
        });
    }
    let name = request.name_any();
    let request = follow(&client, &namespace, &request, options.quiet).await?;
    let full = format!("{namespace}/{name}");
    let status = request.status.clone().unwrap_or_default();
    if status.phase != RequestPhase::Succeeded {
        let failure = Some(answer::failure(&full, &request));
        return Ok(Submitted {
            request,
            answer: None,
            failure,
        });
    }
    // What it says of the budget and the proof system; who may not read Models is told the rest.
    let model: Option<Model> = Api::namespaced(client, &namespace)
        .get_opt(&model)
        .await
        .ok()
        .flatten();
    let verify = status.verify.as_deref().unwrap_or_default();
    let elsewhere = options
        .cluster
        .context
        .as_deref()
        .map(|context| format!(" --context {}", quoted(context)));
    let elsewhere = elsewhere.unwrap_or_default();
    let answer = answer::answer(
        &full,
        &request,
        model.as_ref(),
        Some(&format!(
            "operator receipt {name} -n {namespace}{elsewhere} -o {name}.cbor"
        )),
        &verify_it(verify, &options.what),
    );
    Ok(Submitted {
        request,
        answer: Some(answer),
        failure: None,
    })
}

/// How to check the receipt, with the caller's own files where they are known.
fn verify_it(verify: &str, what: &SubmitOptions) -> String {
    let path = |path: &PathBuf| quoted(&path.display().to_string());
    let model = what.model.is_file().then(|| path(&what.model));
    let inputs: Vec<String> = what.inputs.iter().map(path).collect();
    verify
        .replace(MODEL_FILE, model.as_deref().unwrap_or(MODEL_FILE))
        .replace(INPUT_FILE, &inputs.join(" --input "))
}

/// The class of a Model that is there: a request of another would not find it.
async fn class_of(
    client: &kube::Client,
    namespace: &str,
    name: &str,
    stated: Option<&str>,
) -> Result<String, ClientError> {
    let api: Api<Model> = Api::namespaced(client.clone(), namespace);
    let Some(model) = api.get_opt(name).await? else {
        let message = format!("`{name}` is neither a file nor a Model in namespace {namespace}");
        return Err(ClientError::Other(message));
    };
    let class = model.spec.controller_class;
    if let Some(stated) = stated.filter(|stated| *stated != class) {
        let message = format!("Model `{name}` is of controllerClass `{class}`, not `{stated}`");
        return Err(ClientError::Other(message));
    }
    Ok(class)
}

/// The Model of a file, made unless it is there.
async fn model_of_file(
    client: &kube::Client,
    namespace: &str,
    objects: Objects,
    class: &str,
) -> Result<String, ClientError> {
    let found = objects
        .models
        .into_iter()
        .next()
        .zip(objects.config_maps.into_iter().next());
    let Some(((_, mut model), (_, mut files))) = found else {
        return Err(ClientError::Other("there is no model to submit".to_owned()));
    };
    // The input is the request's, not the model's.
    if let Some(data) = files.binary_data.as_mut() {
        data.remove("input");
    }
    let size: usize = files.binary_data.iter().flatten().map(|(_, v)| v.0.len()).sum();
    if size > MAX_CONFIG_MAP {
        return Err(ClientError::Other(format!(
            "model and calibration data have {size} bytes, more than a ConfigMap holds: `operator upload` them, apply \
             a Model that names the digests, and submit by its name"
        )));
    }
    class.clone_into(&mut model.spec.controller_class);
    let all = encode(&(&files.binary_data, &model.spec));
    let name = format!("{}-{}", model.name_any(), &Digest::of(&all).hex()[..8]);
    for meta in [&mut files.metadata, &mut model.metadata] {
        *meta = kube::api::ObjectMeta {
            name: Some(name.clone()),
            ..kube::api::ObjectMeta::default()
        };
    }
    let rename = |at: &mut zkinfer_crds::k8s::ConfigMapKey| at.name.clone_from(&name);
    model.spec.source.config_map.iter_mut().for_each(rename);
    let calibration = model.spec.quantization.calibration.as_mut();
    calibration
        .and_then(|c| c.config_map.as_mut())
        .into_iter()
        .for_each(|at| at.name.clone_from(&name));
    files.immutable = Some(true);
    create_or_find(&Api::<ConfigMap>::namespaced(client.clone(), namespace), &files).await?;
    create_or_find(&Api::<Model>::namespaced(client.clone(), namespace), &model).await?;
    Ok(name)
}

async fn create_or_find<K>(api: &Api<K>, object: &K) -> Result<(), ClientError>
where
    K: serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    match api.create(&PostParams::default(), object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// The request with its input in a ConfigMap that goes when it goes.
async fn request(
    client: &kube::Client,
    namespace: &str,
    (model, class): (&str, &str),
    input: Vec<u8>,
) -> Result<InferenceRequest, ClientError> {
    if input.len() > MAX_CONFIG_MAP {
        return Err(ClientError::Other(format!(
            "the input has {} bytes, more than a ConfigMap holds: `operator upload` it, and apply an InferenceRequest \
             whose input names the digest",
            input.len()
        )));
    }
    let name = format!("{model}-{:05x}", rand::random::<u32>() & 0xf_ffff);
    let files = format!("{name}-input");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = ConfigMap {
        metadata: kube::api::ObjectMeta {
            name: Some(files.clone()),
            ..kube::api::ObjectMeta::default()
        },
        binary_data: Some([("input".to_owned(), ByteString(input))].into()),
        immutable: Some(true),
        ..ConfigMap::default()
    };
    maps.create(&PostParams::default(), &map).await?;
    let request: InferenceRequest = serde_json::from_value(json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "name": name },
        "spec": {
            "modelRef": { "name": model }, "input": { "configMap": { "name": files, "key": "input" } },
            "controllerClass": class,
        },
    }))
    .map_err(|e| ClientError::Other(e.to_string()))?;
    let api: Api<InferenceRequest> = Api::namespaced(client.clone(), namespace);
    let made = api.create(&PostParams::default(), &request).await?;
    let owner = json!({ "metadata": { "ownerReferences": [made.owner_ref(&())] } });
    maps.patch(&files, &PatchParams::default(), &Patch::Merge(owner))
        .await?;
    Ok(made)
}
