//! The parts of kube's runtime that are still unstable, all in one place: watches that tell of deletions, reconciliations
//! that are asked for from inside, and one watch in each namespace where the operator may not watch all.

use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::future::ready;
use futures::stream::{BoxStream, select_all, unfold};
use futures::{Stream, StreamExt, TryStreamExt};
use kube::api::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::controller::Config;
use kube::runtime::reflector::{self, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{Controller, WatchStreamExt};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::UnboundedReceiver;
use zkinfer_client::Pauses;
use zkinfer_crds::k8s::Classed;

use super::merge::Merge;
use super::scope::{Place, Scope};

/// Before what was refused is asked for again.
const AGAIN: Pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(30));

/// What a watch brings.
pub type Watch<K> = BoxStream<'static, Result<Event<K>, watcher::Error>>;

/// A store that will be filled by the controller that is made from its writer.
pub fn store<K>() -> (Store<K>, Writer<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    reflector::store()
}

/// The watch of `resource` that `watch` makes of a place: of one for the whole cluster, or of one for each namespace, which
/// then look like one. `last` is an object as it was last seen, or as much of it as its deletion needs.
pub fn follow<K, S>(
    scope: &Arc<Scope>,
    resource: impl Into<Cow<'static, str>>,
    watch: impl Fn(Place<'_>) -> S + Send + Sync + 'static,
    last: impl Fn(&str, &str) -> Option<K> + Send + 'static,
) -> Watch<K>
where
    K: Resource<DynamicType = ()> + Send + 'static,
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
{
    let resource = resource.into();
    let Some(namespaces) = scope.namespaces() else {
        let scope = Arc::clone(scope);
        let events = watch(Place::Everywhere).default_backoff();
        return events
            .inspect(move |item| match item {
                Ok(event) => granted(&scope, Place::Everywhere, &resource, event),
                Err(error) if is_forbidden(error) => refused(&scope, Place::Everywhere, &resource, error),
                Err(_) => {}
            })
            .boxed();
    };
    let watch = Arc::new(watch);
    let each = namespaces
        .iter()
        .map(|namespace| in_namespace(namespace.clone(), Arc::clone(&watch)).boxed());
    let start = (select_all(each), Merge::new(namespaces.iter()), last);
    let scope = Arc::clone(scope);
    unfold(start, move |(mut events, mut merge, last)| {
        let (scope, resource) = (Arc::clone(&scope), resource.clone());
        async move {
            loop {
                if let Some(event) = merge.next(&last) {
                    return Some((Ok(event), (events, merge, last)));
                }
                let (namespace, item) = events.next().await?;
                match item {
                    Ok(event) => {
                        granted(&scope, Place::In(&namespace), &resource, &event);
                        merge.event(&namespace, event);
                    }
                    Err(error) if is_forbidden(&error) => {
                        refused(&scope, Place::In(&namespace), &resource, &error);
                        merge.refused(&namespace);
                    }
                    Err(error) => return Some((Err(error), (events, merge, last))),
                }
            }
        }
    })
    .boxed()
}

/// As much of an object as tells which one it was.
pub fn named(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

/// A watch of one namespace. What was refused is listed anew: kube's watch would go on without a word, and nobody would know
/// that it may be read again.
fn in_namespace<K, S>(
    namespace: String,
    watch: Arc<impl Fn(Place<'_>) -> S + Send + Sync + 'static>,
) -> impl Stream<Item = (String, Result<Event<K>, watcher::Error>)> + Send + 'static
where
    K: Resource<DynamicType = ()> + Send + 'static,
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
{
    let nothing: (Option<Watch<K>>, u32) = (None, 0);
    unfold(nothing, move |(open, refused)| {
        let (watch, namespace) = (Arc::clone(&watch), namespace.clone());
        async move {
            let mut events = match open {
                Some(events) => events,
                None => {
                    tokio::time::sleep(AGAIN.after(refused)).await;
                    watch(Place::In(&namespace)).default_backoff().boxed()
                }
            };
            let item = events.next().await?;
            let next = match &item {
                Err(error) if is_forbidden(error) => (None, refused.saturating_add(1)),
                Ok(Event::InitDone) => (Some(events), 0),
                _ => (Some(events), refused),
            };
            Some(((namespace, item), next))
        }
    })
}

/// It may be read, by what the API server has sent.
fn granted<K>(scope: &Scope, place: Place<'_>, resource: &str, event: &Event<K>) {
    // `Init` comes before anything is asked.
    if !matches!(event, Event::Init) && scope.grant(place, resource) {
        tracing::info!(?place, resource, "may be read now");
    }
}

/// It may not; told once, and in `/readyz` for as long as it is so.
fn refused(scope: &Scope, place: Place<'_>, resource: &str, error: &watcher::Error) {
    if scope.refuse(place, resource) {
        tracing::warn!(?place, resource, %error, "may not be read: {}", scope.lacks(place));
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == 403,
        _ => false,
    }
}

/// Everything of a kind, of the operator's class, whose objects are kept in a store. What is of another class goes no further.
pub fn objects<K>(client: &Client, scope: &Arc<Scope>, store: Store<K>) -> Watch<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Classed
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static,
{
    let client = client.clone();
    let own = Arc::clone(scope);
    follow(
        scope,
        K::plural(&()),
        move |place| {
            let all = watcher(place.api::<K>(&client), watcher::Config::default().any_semantic());
            let own = Arc::clone(&own);
            all.try_filter(move |event| ready(is_own(&own, event)))
        },
        move |namespace, name| {
            let last = store.get(&ObjectRef::new(name).within(namespace))?;
            Some((*last).clone())
        },
    )
}

/// Whether an event is of one of the operator's own objects, or of the watch itself.
fn is_own<K: Classed>(scope: &Scope, event: &Event<K>) -> bool {
    match event {
        Event::Init | Event::InitDone => true,
        Event::InitApply(object) | Event::Apply(object) | Event::Delete(object) => scope.takes(object),
    }
}

/// A controller of `K` that also reconciles what comes from `asked`; it tells when the store holds every object, and, before
/// anything is reconciled, of every object that is as it was not before or is deleted. (`Store::wait_until_ready` is of no use
/// here: of several who wait it wakes the last one, and the controller waits.)
pub fn controller<K>(
    events: Watch<K>,
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
    let events = events
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
    let asked = unfold(asked, |mut asked| async move {
        asked.recv().await.map(|object| (object, asked))
    });
    Controller::for_stream(events, reader)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(asked.boxed())
}

/// The controller, woken also by what its objects own.
pub fn owning<K, C>(controller: Controller<K>, owned: Watch<C>) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    C: Resource<DynamicType = ()> + Send + 'static,
{
    controller.owns_stream(owned.touched_objects())
}
