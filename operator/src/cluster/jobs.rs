//! Follows the operator's Jobs.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use k8s_openapi::api::batch::v1::Job;
use kube::api::Api;
use kube::core::{PartialObjectMeta, PartialObjectMetaExt};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};

use crate::fleet::{JobState, JobView, Purpose};
use crate::world::{Part, World, follow, named};

/// Follows the operator's Jobs by their metadata, and reads the status of those that change, for ever.
pub(super) async fn run(ctx: Arc<World>) {
    let client = ctx.client.clone();
    let selector = ctx.workers.class.selector();
    let mut listed = BTreeSet::new();
    let mut events = follow(
        &ctx.scope,
        "jobs",
        move |place| {
            let config = watcher::Config::default().labels(&selector).any_semantic();
            watcher(place.api::<PartialObjectMeta<Job>>(&client), config)
        },
        |namespace, name| Some(named(namespace, name).into_response_partial()),
    );
    loop {
        match events.try_next().await {
            Ok(Some(Event::Init)) => listed.clear(),
            Ok(Some(Event::InitApply(meta))) => {
                listed.insert((meta.namespace().unwrap_or_default(), meta.name_any()));
                look(&ctx, &meta).await;
            }
            Ok(Some(Event::InitDone)) => {
                ctx.jobs.retain(&listed);
                ctx.ready.set(Part::Jobs);
                ctx.fleet.notify_one();
            }
            Ok(Some(Event::Apply(meta))) => look(&ctx, &meta).await,
            Ok(Some(Event::Delete(meta))) => {
                let gone = ctx
                    .jobs
                    .remove(&meta.namespace().unwrap_or_default(), &meta.name_any());
                wake(&ctx, gone.as_ref());
            }
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, "watching Jobs"),
        }
    }
}

/// The watch brings metadata only: whether a Job has ended is read.
async fn look(ctx: &World, meta: &PartialObjectMeta<Job>) {
    let (namespace, name) = (meta.namespace().unwrap_or_default(), meta.name_any());
    let api: Api<Job> = Api::namespaced(ctx.client.clone(), &namespace);
    match api.get_opt(&name).await {
        Ok(Some(job)) if job.meta().uid == meta.metadata.uid => {
            if let Some(view) = JobView::of(&job) {
                ctx.jobs.insert(view.clone(), ctx.started.elapsed());
                wake(ctx, Some(&view));
            }
        }
        // The next event tells more.
        Ok(_) => {}
        Err(error) => tracing::warn!(namespace, name, %error, "a Job cannot be read"),
    }
}

fn wake(ctx: &World, job: Option<&JobView>) {
    match job.map(|j| (&j.purpose, &j.state)) {
        Some((Purpose::Compile { model, .. }, _)) => {
            ctx.wake.model(ObjectRef::new(&model.1).within(&model.0));
        }
        Some((Purpose::Prove { .. }, JobState::Running)) => {}
        Some((Purpose::Prove { .. }, _)) | None => ctx.fleet.notify_one(),
    }
}
