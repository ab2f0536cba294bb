//! What an InferenceRequest needs next: a chain of named questions, the first that is not answered decides.
//!
//! GitOps applies objects in any order: whatever is not there yet is a reason to wait until the deadline, never a
//! failure. What cannot become right by waiting fails at once, by name.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zkinfer_crds::k8s::inference_request::{InferenceRequestStatus, RequestPhase, reason};

use super::fitting::{fitting, no_fitting_pool, targets};
use super::line::Turn;
use super::observed::{ModelState, Observed, RunEnd, RunState};
use super::status::Writer;
use crate::dispatch::PoolId;

/// Models that a message names.
const NAMED_MODELS: usize = 6;

/// What to do beside writing the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look at the input: nobody can prove it yet, and what is wrong with it no pool mends; or how many inputs there are says
    /// which manifest answers them.
    Look,
    /// Ask whether it may begin: as many may be at work as the limits allow.
    Ask,
    /// Evaluate the model on the input and queue the slices, for these pools.
    Start(Vec<PoolId>),
    /// Give the slices that are left to these pools: others than before fit.
    Retarget(Vec<PoolId>),
    /// Take the slices out of the queue.
    Stop,
    /// Take them out until the request is begun again, and let go of what its run holds in memory.
    Park,
    /// Forget all claims and proofs: they are of a manifest that counts no more.
    StartOver,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The status to write, if it says something else than before.
    pub status: InferenceRequestStatus,
    /// What to start or stop.
    pub action: Option<Action>,
}

/// Decides.
#[must_use]
pub fn plan(observed: &Observed<'_>, now: &Time) -> Plan {
    let mut to = Writer::new(observed, now);
    if observed.status.phase.is_over() {
        return Plan {
            status: to.status,
            action: None,
        };
    }
    let running = matches!(observed.run, RunState::Active(_));
    let stop = running.then_some(Action::Stop);
    if let RunState::Active(view) | RunState::Ended(view, _) = &observed.run {
        to.progress(view);
    }
    if let RunState::Ended(_, end) = &observed.run {
        match end {
            RunEnd::Receipt {
                receipt,
                output,
                batch,
                error_millionths,
                verify,
            } => {
                (to.status.batch, to.status.answers) = batch.clone();
                to.succeeded(receipt, output, *error_millionths, verify);
            }
            RunEnd::Failed {
                reason,
                message,
                error_millionths,
            } => {
                to.status.error_vs_float_millionths = *error_millionths;
                to.failed(reason, message);
            }
        }
        return Plan {
            status: to.status,
            action: None,
        };
    }
    if observed.spec.cancel {
        to.cancelled();
        return Plan {
            status: to.status,
            action: stop,
        };
    }
    if let Some(why) = &observed.no_benchmark {
        to.failed(reason::NOT_A_BENCHMARK, why);
        return Plan {
            status: to.status,
            action: stop,
        };
    }
    let deadline = observed.spec.deadline.seconds();
    if now.0.as_second() - observed.created.0.as_second() >= deadline as i64 {
        let waited_for = to.ready_message();
        let message = format!("not done within {}; last: {waited_for}", observed.spec.deadline);
        to.failed(reason::DEADLINE_EXCEEDED, &message);
        return Plan {
            status: to.status,
            action: stop,
        };
    }
    // Whatever would be looked at is not there to be looked at, which says nothing of it.
    if let Some(why) = &observed.store {
        to.without_store(why);
        return Plan {
            status: to.status,
            action: None,
        };
    }
    // Nothing is known of the Model: nothing new can be said of what needs it.
    if observed.model == ModelState::Unknown && observed.run == RunState::None && !observed.spec.suspend {
        return Plan {
            status: observed.status.clone(),
            action: None,
        };
    }
    let action = match &observed.run {
        RunState::Refused { reason, message } => {
            to.failed(reason, message);
            None
        }
        // Whoever holds a claim may still deliver. Afterwards nothing comes of what is held in memory for it.
        RunState::Active(view) if observed.spec.suspend => {
            to.suspended();
            view.is_idle().then_some(Action::Park)
        }
        // What is being verified is.
        RunState::Active(view) if view.makes_way && view.counts.proved == 0 => {
            to.proving();
            Some(Action::Park)
        }
        RunState::Active(view) => {
            let pools = targets(observed, view);
            to.proving();
            if let Some(why) = &view.no_float {
                to.without_float(why);
            } else if pools.is_empty() {
                to.without_pools(&no_fitting_pool(observed));
            }
            (pools != view.pools).then_some(Action::Retarget(pools))
        }
        // It is looked for again at the next look.
        RunState::InputNotFound(message) => {
            to.waiting(RequestPhase::Pending, reason::INPUT_NOT_FOUND, message);
            None
        }
        // As above, or when what is at work has ended.
        RunState::NoRoom { reason, message } => {
            to.waiting(RequestPhase::Pending, reason, message);
            None
        }
        RunState::None | RunState::Ended(..) => start(observed, &mut to),
    };
    Plan {
        status: to.status,
        action,
    }
}

/// Is everything there that a start needs?
fn start(observed: &Observed<'_>, to: &mut Writer<'_>) -> Option<Action> {
    if observed.spec.suspend {
        to.waiting(RequestPhase::Pending, reason::SUSPENDED, "spec.suspend is set");
        return None;
    }
    let name = &observed.spec.model_ref.name;
    if observed.status.phase == RequestPhase::Proving && began_with_another(observed) {
        to.start_over(&format!("Model `{name}` was compiled again"));
        return Some(Action::StartOver);
    }
    let model = match &observed.model {
        // Asked before.
        ModelState::Unknown => return None,
        ModelState::NotFound(others) => {
            let message = no_model(name, others, observed);
            to.waiting(RequestPhase::Pending, reason::MODEL_NOT_FOUND, &message);
            return None;
        }
        ModelState::Compiling(message) => {
            to.waiting(
                RequestPhase::Compiling,
                reason::MODEL_COMPILING,
                &format!("Model `{name}`: {message}"),
            );
            return None;
        }
        ModelState::Recompiling(message) => {
            to.waiting(
                RequestPhase::Pending,
                reason::MODEL_COMPILING,
                &format!("Model `{name}` is compiled again: {message}"),
            );
            return None;
        }
        ModelState::NotReady(message) => {
            to.waiting(
                RequestPhase::Pending,
                reason::MODEL_NOT_READY,
                &format!("Model `{name}`: {message}"),
            );
            return None;
        }
        ModelState::Failed(message) => {
            to.failed(reason::MODEL_FAILED, &format!("Model `{name}`: {message}"));
            return None;
        }
        ModelState::Ready { model, .. } => *model,
    };
    // Which of several manifests it is, and what memory that needs, is known once the inputs are counted.
    let Some(manifest) = observed.manifest() else {
        return Some(Action::Look);
    };
    let pools = fitting(observed, manifest.memory_bytes);
    // What was begun before a restart goes on without a pool too: workers of pools that are drained may end what they
    // hold.
    if pools.is_empty() && observed.status.phase != RequestPhase::Proving {
        if observed.looked.is_none() {
            return Some(Action::Look);
        }
        to.waiting(
            RequestPhase::Pending,
            reason::NO_FITTING_POOL,
            &no_fitting_pool(observed),
        );
        return None;
    }
    match &observed.turn {
        None => return Some(Action::Ask),
        Some(Turn::Waits(place)) => {
            to.queued(place);
            return None;
        }
        Some(Turn::Begins) => {}
    }
    to.accepted(model, manifest.manifest);
    Some(Action::Start(pools))
}

/// That a Model is waited for, and what to do where its name is wrong: a request's spec never changes.
fn no_model(name: &str, others: &[String], observed: &Observed<'_>) -> String {
    let named = others.iter().take(NAMED_MODELS).map(|o| format!("`{o}`"));
    let named = named.collect::<Vec<_>>().join(", ");
    let there = match others.len() {
        0 => "there is none at all in it".to_owned(),
        n if n <= NAMED_MODELS => format!("it has {named}"),
        n => format!("it has {named} and {} more", n - NAMED_MODELS),
    };
    format!(
        "there is no Model `{name}` in this request's namespace yet; {there}. The request waits for it, at most {} from its \
         creation; if the name is wrong, delete the request and make it again. A Model of another controllerClass than the request's, \
         `{}`, is none",
        observed.spec.deadline, observed.spec.controller_class
    )
}

/// Is what was begun before a restart of another manifest than the Model has now, or will have?
fn began_with_another(observed: &Observed<'_>) -> bool {
    match &observed.model {
        ModelState::Recompiling(_) => true,
        ModelState::Ready { manifests, .. } => {
            let began = observed.status.manifest_digest;
            began.is_some_and(|began| manifests.iter().all(|view| view.manifest != began))
        }
        _ => false,
    }
}
