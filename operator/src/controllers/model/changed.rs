//! Whether a Model's ConfigMaps hold what it was compiled from. A Model's source never changes: one that holds something else
//! by now is told of, and nothing else happens.
//!
//! Invariant: a ConfigMap is read again only when its version is another; there is no watch of ConfigMaps.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::{ConfigMapKey, Model};

use crate::artifacts::CompiledRecord;
use crate::cluster::Context;
use crate::sources;

/// How often a Model's ConfigMaps are looked at.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// What was seen of the ConfigMaps at the last look.
#[derive(Debug, Clone, Default)]
pub struct SourceLook {
    at: Option<Instant>,
    versions: Vec<Option<String>>,
    changed: Option<String>,
}

/// Whether a Model has ConfigMaps to look at.
pub(super) fn has_config_maps(object: &Model) -> bool {
    config_maps(object).iter().any(Option::is_some)
}

/// Those of the model and of the calibration data.
fn config_maps(object: &Model) -> [Option<&ConfigMapKey>; 2] {
    let calibration = object.spec.quantization.calibration.as_ref();
    [
        object.spec.source.config_map.as_ref(),
        calibration.and_then(|c| c.config_map.as_ref()),
    ]
}

/// Which file is another by now, in a sentence. What cannot be read just now is as it was; what is gone is no other.
pub(super) async fn look(ctx: &Context, object: &Model, known: &CompiledRecord) -> Option<String> {
    let maps = config_maps(object);
    if maps.iter().all(Option::is_none) {
        return None;
    }
    let uid = object.uid().unwrap_or_default();
    let last = ctx
        .models()
        .get(&uid)
        .map(|m| m.source_look.clone())
        .unwrap_or_default();
    if last.at.is_some_and(|at| at.elapsed() < EVERY) {
        return last.changed;
    }
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), &namespace);
    let mut versions = Vec::new();
    for map in maps {
        versions.push(match map {
            None => None,
            Some(map) => match api.get_metadata_opt(&map.name).await {
                Ok(found) => found.and_then(|m| m.metadata.resource_version),
                Err(_) => return last.changed,
            },
        });
    }
    let changed = if last.at.is_some() && last.versions == versions {
        last.changed
    } else {
        compare(ctx, object, known, &namespace).await
    };
    if let Some(record) = ctx.models().get_mut(&uid) {
        record.source_look = SourceLook {
            at: Some(Instant::now()),
            versions,
            changed: changed.clone(),
        };
    }
    changed
}

async fn compare(ctx: &Context, object: &Model, known: &CompiledRecord, namespace: &str) -> Option<String> {
    let spec = &object.spec;
    if let Some(at) = &spec.source.config_map
        && let Ok(bytes) = sources::model(ctx, &ctx.artifacts, namespace, &spec.source).await
        && let Some(told) = other(namespace, at, &bytes, known.onnx.digest)
    {
        return Some(told);
    }
    let calibration = spec.quantization.calibration.as_ref()?;
    let at = calibration.config_map.as_ref()?;
    let (_, bytes) = sources::calibration(ctx, &ctx.artifacts, namespace, calibration)
        .await
        .ok()?;
    other(namespace, at, &bytes, known.calibration.as_ref()?.digest)
}

fn other(namespace: &str, at: &ConfigMapKey, bytes: &[u8], was: Digest) -> Option<String> {
    let is = Digest::of(bytes);
    (is != was).then(|| {
        format!(
            "key `{}` of ConfigMap {namespace}/{} is {is} by now; this Model was compiled from {was} and stays so: for the new \
             file make a Model of another name (kustomize's configMapGenerator and a name with a version do), or put the old \
             file back",
            at.key, at.name
        )
    })
}
