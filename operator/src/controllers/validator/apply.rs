//! Writes a Validator's status.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action as Requeue;
use zkinfer_crds::k8s::Validator;

use super::benchmarks::step;
use super::gather::totals;
use super::news::news;
use super::observed::{Observed, Place};
use super::plan::plan;
use super::records::Validators;
use crate::clock::now;
use crate::scoring::told;
use crate::world::{ReconcileError, lock};

/// What is counted is told so often.
const COUNT: Duration = Duration::from_secs(30);

/// One reconciliation.
///
/// # Errors
/// The API server; it is tried again.
pub async fn reconcile(object: Arc<Validator>, ctx: Arc<Validators>) -> Result<Requeue, ReconcileError> {
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Requeue::await_change());
    }
    let (decided, rules) = (ctx.decided().clone(), ctx.world.in_force.get());
    let own = ctx.world.workers.namespace.as_str();
    let uid = object.uid().unwrap_or_default();
    let does_rule = matches!(&decided.ruling, Some((ruling, _)) if *ruling == uid);
    let mut again = COUNT;
    let benchmarks = match rules.benchmarks.as_ref().filter(|_| does_rule) {
        Some(spec) => {
            let stepped = step(&ctx, &object, spec).await?;
            again = again.min(stepped.again);
            Some((stepped.told, stepped.totals))
        }
        None => None,
    };
    if does_rule && benchmarks.is_none() {
        ctx.world.metrics.benchmarks_paused(false);
    }
    let weights = rules.weights.as_ref().map(|_| ctx.world.weights.get());
    let place = match &decided.ruling {
        Some((ruling, _)) if *ruling == uid => Place::Rules {
            problem: decided.problem.as_deref(),
            settings: rules.spec.as_ref(),
            held: ctx.world.ledger_held.as_deref(),
            scoring: told(&rules.scoring),
            totals: totals(&ctx.world),
            ledger: lock(&ctx.world.ledger_end).clone(),
            nearly_full: ctx.world.usage.nearly_full(&rules.quotas),
            benchmarks,
            weights: weights.as_ref(),
        },
        Some((_, name)) if object.namespace().as_deref() == Some(own) => Place::Superseded(name),
        _ => Place::Elsewhere(own),
    };
    let old = object.status.clone().unwrap_or_default();
    let observed = Observed {
        generation: object.metadata.generation,
        status: &old,
        place,
    };
    let status = plan(&observed, &now());
    if status != old && ctx.world.write_status(&*object, &status).await? {
        ctx.world.events.tell_all(&*object, news(&old, &status)).await;
    }
    Ok(match does_rule {
        true => Requeue::requeue(again),
        false => Requeue::await_change(),
    })
}
