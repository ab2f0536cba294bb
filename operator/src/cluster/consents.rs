//! Follows the ConfigMaps `zkinfer-consent`, and tells whom a change concerns.
//!
//! Invariant: a change is in force for open claims and files before anything is reconciled.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event, watcher};
use zkinfer_crds::k8s::CONSENT_CONFIG_MAP;

use super::operator::Operator;
use crate::consent::Listing;
use crate::world::{Consents, Part, follow, named};

/// ConfigMaps are up to 1 MiB: so many are read at once.
const PAGE: u32 = 8;

/// The list of this namespace is another, or all are.
fn lists_changed(ctx: &Operator, namespace: Option<&str>) {
    let world = &ctx.world;
    let concerned = |own: Option<&str>| Consents::concerns(namespace, own);
    ctx.requests
        .consent_again(|r| concerned(r.key.namespace.as_deref()));
    world.wake_requests(|r| concerned(r.metadata.namespace.as_deref()));
    let models = world.stores.models.state();
    for model in models
        .iter()
        .filter(|m| concerned(m.metadata.namespace.as_deref()))
    {
        world.wake.model(ObjectRef::from_obj(&**model));
    }
}

/// Follows the ConfigMaps of this one name, for ever.
pub(super) async fn run(ctx: Arc<Operator>) {
    let client = ctx.world.client.clone();
    let mut listed = BTreeMap::new();
    let mut events = follow(
        &ctx.world.scope,
        "configmaps zkinfer-consent",
        move |place| {
            let config = watcher::Config::default()
                .fields(&format!("metadata.name={CONSENT_CONFIG_MAP}"))
                .page_size(PAGE);
            watcher(place.api::<ConfigMap>(&client), config)
        },
        |namespace, name| {
            Some(ConfigMap {
                metadata: named(namespace, name),
                ..ConfigMap::default()
            })
        },
    );
    let read = |map: &ConfigMap| {
        let (namespace, listing) = (map.namespace().unwrap_or_default(), Listing::of(map));
        if let Listing::Unreadable(why) = &listing {
            tracing::warn!(
                namespace,
                why,
                "ConfigMap {CONSENT_CONFIG_MAP} cannot be read: it consents to nobody"
            );
        }
        // It was the installation's once.
        let world = &ctx.world;
        if namespace == world.workers.namespace && world.in_force.get().consent.is_none() {
            tracing::warn!(
                namespace,
                "ConfigMap {CONSENT_CONFIG_MAP} of the operator's own namespace says who serves Models of that namespace, and of no \
                 other: what is to hold for all is `consent` of the Validator"
            );
        }
        (namespace, listing)
    };
    let consents = &ctx.world.consents;
    loop {
        let changed = match events.try_next().await {
            Ok(Some(Event::Init)) => {
                listed.clear();
                continue;
            }
            Ok(Some(Event::InitApply(map))) => {
                let (namespace, listing) = read(&map);
                listed.insert(namespace, listing);
                continue;
            }
            Ok(Some(Event::InitDone)) => {
                consents.replace(mem::take(&mut listed));
                ctx.world.ready.set(Part::Consents);
                None
            }
            Ok(Some(Event::Apply(map))) => {
                let (namespace, listing) = read(&map);
                consents.set(&namespace, listing);
                Some(namespace)
            }
            Ok(Some(Event::Delete(map))) => {
                let namespace = map.namespace().unwrap_or_default();
                consents.remove(&namespace);
                Some(namespace)
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "watching the ConfigMaps {CONSENT_CONFIG_MAP}");
                continue;
            }
        };
        lists_changed(&ctx, changed.as_deref());
    }
}
