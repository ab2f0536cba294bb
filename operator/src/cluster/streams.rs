//! The parts of kube's runtime that are still unstable, all in one place: watches that tell of deletions, and
//! reconciliations that are asked for from inside.

use std::fmt::Debug;
use std::hash::Hash;

use futures::{StreamExt, TryStreamExt};
use kube::runtime::controller::Config;
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{Controller, WatchStreamExt};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedReceiver;

/// A store that will be filled by the controller that is made from its writer.
pub(super) fn store<K>() -> (Store<K>, Writer<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    reflector::store()
}

/// A controller of `K` that also reconciles what comes from `asked`; it tells when the store holds every object, and, before
/// anything is reconciled, of every object that is as it was not before or is deleted. (`Store::wait_until_ready` is of no use
/// here: of several who wait it wakes the last one, and the controller waits.)
pub(super) fn controller<K>(
    api: Api<K>,
    writer: Writer<K>,
    asked: UnboundedReceiver<ObjectRef<K>>,
    concurrency: u16,
    listed: impl Fn() + Send + 'static,
    changed: impl Fn(&K) + Send + 'static,
    deleted: impl Fn(&K) + Send + 'static,
) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let reader = writer.as_reader();
    let events = watcher(api, watcher::Config::default().any_semantic())
        .default_backoff()
        // Nothing reads them, and they are the larger half of an object.
        .modify(|object| object.meta_mut().managed_fields = None)
        .reflect(writer)
        .inspect_ok(move |event| match event {
            Event::InitDone => listed(),
            Event::Delete(object) => deleted(object),
            Event::InitApply(object) | Event::Apply(object) => changed(object),
            Event::Init => {}
        })
        .touched_objects();
    let asked = futures::stream::unfold(asked, |mut asked| async move {
        asked.recv().await.map(|object| (object, asked))
    });
    Controller::for_stream(events, reader)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(asked.boxed())
}
