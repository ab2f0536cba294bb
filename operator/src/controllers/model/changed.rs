//! Whether a Model's ConfigMaps hold what it was compiled from. A Model's source never changes: one that holds something else
//! by now is told of, and nothing else happens.
//!
//! Invariant: a ConfigMap is read again only when its version is another; there is no watch of ConfigMaps.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use zkinfer_crds::Digest;
use zkinfer_crds::k8s::{ConfigMapKey, Model};

use super::records::SourceLook;
use crate::artifacts::CompiledRecord;
use crate::sources;
use crate::world::World;

/// How often a Model's ConfigMaps are looked at.
pub(super) const EVERY: Duration = Duration::from_secs(30);

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

/// Which file is another by now, in a sentence, from what was seen at the last look. What cannot be read just now is as it
/// was; what is gone is no other.
pub(super) async fn look(
    world: &World,
    object: &Model,
    known: &CompiledRecord,
    last: SourceLook,
) -> SourceLook {
    let maps = config_maps(object);
    if maps.iter().all(Option::is_none) {
        return SourceLook {
            changed: None,
            ..last
        };
    }
    if last.at.is_some_and(|at| at.elapsed() < EVERY) {
        return last;
    }
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<ConfigMap> = Api::namespaced(world.client.clone(), &namespace);
    let mut versions = Vec::new();
    for map in maps {
        versions.push(match map {
            None => None,
            Some(map) => match api.get_metadata_opt(&map.name).await {
                Ok(found) => found.and_then(|m| m.metadata.resource_version),
                Err(_) => return last,
            },
        });
    }
    let changed = if last.at.is_some() && last.versions == versions {
        last.changed
    } else {
        compare(world, object, known, &namespace).await
    };
    SourceLook {
        at: Some(Instant::now()),
        versions,
        changed,
    }
}

async fn compare(world: &World, object: &Model, known: &CompiledRecord, namespace: &str) -> Option<String> {
    let spec = &object.spec;
    if let Some(at) = &spec.source.config_map
        && let Ok(bytes) = sources::model(world, &world.artifacts, namespace, &spec.source).await
        && let Some(told) = other(namespace, at, &bytes, known.onnx.digest)
    {
        return Some(told);
    }
    let calibration = spec.quantization.calibration.as_ref()?;
    let at = calibration.config_map.as_ref()?;
    let (_, bytes) = sources::calibration(world, &world.artifacts, namespace, calibration)
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
