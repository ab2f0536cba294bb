//! Runs a kind's controller: each reconciliation in its time, counted, and tried again ever more seldom while it fails.
//!
//! Invariant: a reconciliation that hangs holds neither its controller nor the operator's end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::runtime::controller::Action as Requeue;
use kube::runtime::reflector::ObjectRef;
use tracing::Instrument as _;
use zkinfer_client::Pauses;

use super::about::reconciling;
use super::settings::{Stop, stopped};
use crate::controllers::Controller;
use crate::world::{self, Feed, Part, ReconcileError, World};

/// One reconciliation may take so long; reading a large model takes seconds.
const RECONCILE_TIME: Duration = Duration::from_secs(120);
/// Before a reconciliation that failed is tried again.
const RETRY: Pauses = Pauses::new(Duration::from_secs(2), Duration::from_secs(30));

/// Runs the controller of a kind until the operator is told to stop and its last reconciliation has ended.
pub(super) async fn drive<C: Controller>(
    kept: &Arc<C>,
    world: &Arc<World>,
    (part, kind): (Part, &'static str),
    feed: Feed<C::Object>,
    stop: &Stop,
) {
    let (relisted, listed_in) = (Arc::clone(kept), Arc::clone(world));
    let (seen, gone) = (Arc::clone(kept), Arc::clone(kept));
    let controller = world::controller(
        world::objects(&world.client, &world.scope, feed.writer.as_reader()),
        feed.writer,
        feed.asked,
        C::CONCURRENCY,
        move || {
            relisted.listed();
            listed_in.ready.set(part);
        },
        move |object| seen.seen(object),
        move |object| gone.gone(object),
    );
    let controller = kept.watching(controller);
    let failures = Arc::new(Failures::default());
    let counted = Arc::clone(&failures);
    let (metrics, at_work) = (Arc::clone(&world.metrics), world.at_work.clone());
    let waits_in = Arc::clone(world);
    let reconcile = move |object: Arc<C::Object>, kept: Arc<C>| {
        let name = ObjectRef::from_obj(&*object).to_string();
        let about = reconciling(kind, &*object);
        let (reconciled, working) = (C::reconcile(object, kept), at_work.begin());
        let (failures, metrics) = (Arc::clone(&counted), Arc::clone(&metrics));
        let world = Arc::clone(&waits_in);
        async move {
            let _working = working;
            // Nothing is decided by settings that nobody has chosen.
            world.settings_are_known().await;
            let began = Instant::now();
            let result = tokio::time::timeout(RECONCILE_TIME, reconciled)
                .await
                .unwrap_or(Err(ReconcileError::TooSlow));
            metrics.reconciled(kind, began.elapsed(), result.is_ok());
            match &result {
                Ok(_) => failures.forget(&name),
                Err(error) => {
                    let times = failures.count(&name);
                    // What goes on failing is told ever more seldom.
                    if times.is_power_of_two() {
                        tracing::warn!(%error, times, "reconciling");
                    }
                }
            }
            result
        }
        .instrument(about)
    };
    let again = move |object: Arc<C::Object>, _: &ReconcileError, _: Arc<C>| {
        let times = failures.times(&ObjectRef::from_obj(&*object).to_string());
        Requeue::requeue(RETRY.after(times))
    };
    controller
        .graceful_shutdown_on(stopped(stop.clone()))
        .run(reconcile, again, Arc::clone(kept))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// How often in a row the reconciliations of an object have failed.
#[derive(Default)]
struct Failures(std::sync::Mutex<BTreeMap<String, u32>>);

impl Failures {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn forget(&self, name: &str) {
        self.all().remove(name);
    }

    fn count(&self, name: &str) -> u32 {
        let mut all = self.all();
        let times = all.entry(name.to_owned()).or_default();
        *times = times.saturating_add(1);
        *times
    }

    fn times(&self, name: &str) -> u32 {
        self.all().get(name).copied().unwrap_or(1)
    }
}

/// What `work` gives, unless it is still at work so long after it was told to stop.
pub(super) async fn ends_in_time<T>(
    work: impl Future<Output = T>,
    stopped: impl Future<Output = ()>,
    limit: Duration,
) -> Option<T> {
    let late = async {
        stopped.await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        done = work => Some(done),
        () = late => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_again_and_again_is_tried_ever_more_seldom_and_never_given_up() {
        let failures = Failures::default();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            pauses.push(RETRY.mean(failures.count("a")).as_secs());
        }
        assert_eq!(pauses[..5], [2, 4, 8, 16, 30]);
        assert!(pauses[5..].iter().all(|p| *p == 30));
        failures.forget("a");
        assert_eq!(failures.count("a"), 1);
    }

    #[tokio::test]
    async fn a_reconciliation_that_hangs_does_not_hold_the_operator_beyond_its_grace() {
        let (told, limit) = (|| std::future::ready(()), Duration::from_millis(30));
        let began = Instant::now();
        let hung = ends_in_time(std::future::pending::<()>(), told(), limit).await;
        assert!(hung.is_none() && began.elapsed() >= limit);
        let at_work = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            7
        };
        assert_eq!(
            ends_in_time(at_work, told(), Duration::from_secs(60)).await,
            Some(7)
        );
    }
}
