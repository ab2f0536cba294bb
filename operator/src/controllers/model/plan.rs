//! What a Model needs next: a chain of named questions, the first that is not answered decides.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use zkinfer_crds::Digest;
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::k8s::model::{ModelStatus, Synthetic, condition, reason};
use zkinfer_crds::k8s::{Truth, is_true};
use zkml::systems;

use super::observed::{CompileState, Observed, SourceState};
use super::status;
use crate::fleet::{Finding, Mends};
use crate::runs::{Use, loaded_bytes, too_large};

/// What to do beside writing the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start the compiler.
    Compile,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The status to write, if it says something else than before.
    pub status: ModelStatus,
    /// What to start.
    pub action: Option<Action>,
    /// The Model will not become ready without a change of it.
    pub failed: bool,
}

/// Decides.
#[must_use]
pub fn plan(observed: &Observed<'_>, now: &Time) -> Plan {
    let mut to = status::Writer::new(observed, now);
    let digest = match source(observed) {
        Ok(digest) => digest,
        Err(Obstacle {
            reason,
            message,
            failed,
        }) => {
            to.not_compiled(Truth::False, reason, &message);
            return planned(to, observed, None, failed);
        }
    };
    to.status.model_digest = Some(digest);
    let budget = f64::from(observed.spec.quantization.error_budget_millionths) / 1e6;
    if budget > observed.max_error {
        to.budget_above_operator(budget, observed.max_error);
        return planned(to, observed, None, true);
    }
    let quantization = &observed.spec.quantization;
    if quantization.synthetic == Synthetic::Refuse && quantization.calibration.is_none() {
        to.no_calibration();
        return planned(to, observed, None, true);
    }
    let setup = match (
        systems::of(observed.spec.proof_system).needs_srs(),
        observed.setup,
    ) {
        (false, _) => None,
        (true, Ok(Some(setup))) => Some(setup),
        (true, Ok(None)) => {
            to.no_setup(observed.spec.proof_system);
            return planned(to, observed, None, true);
        }
        (true, Err(srs)) => {
            to.setup_not_allowed(&srs);
            return planned(to, observed, None, true);
        }
    };
    let (action, failed) = match &observed.compile {
        CompileState::None => {
            to.not_compiled(Truth::Unknown, reason::COMPILING, "the compiler is starting");
            (Some(Action::Compile), false)
        }
        CompileState::Running(progress) | CompileState::Silent(progress) => {
            to.not_compiled(Truth::Unknown, reason::COMPILING, progress);
            (None, false)
        }
        // Requests wait: what is in the way is not in the Model.
        CompileState::Blocked(finding) => {
            to.not_compiled(Truth::Unknown, finding.reason, &finding.message);
            (None, false)
        }
        CompileState::Crashed(message) => {
            to.not_compiled(Truth::False, reason::COMPILE_FAILED, message);
            (None, true)
        }
        CompileState::Done(CompileOutcome::Failed(failure)) => {
            to.failed(failure, observed.spec.quantization.calibration.as_ref());
            (None, true)
        }
        CompileState::Done(CompileOutcome::Compiled(report)) => {
            to.compiled(report, setup, &observed.spec.quantization);
            // Each of its manifests is loaded by itself.
            let needs = report
                .each()
                .map(|report| loaded_bytes(&report))
                .max()
                .unwrap_or(0);
            if needs > observed.model_memory {
                to.too_large_for_operator(&too_large(needs, observed.model_memory, Use::Models));
            }
            (None, !is_true(&to.status.conditions, condition::READY))
        }
    };
    planned(to, observed, action, failed)
}

fn planned(
    mut to: status::Writer<'_>,
    observed: &Observed<'_>,
    action: Option<Action>,
    failed: bool,
) -> Plan {
    let ready = is_true(&to.status.conditions, condition::READY);
    to.source_changed(observed.changed.as_deref());
    to.recompiling(observed.old_version && !ready && !failed);
    let blocked = |finding: &Finding| finding.mends == Mends::Person;
    let stalled = failed || matches!(&observed.compile, CompileState::Blocked(f) if blocked(f));
    to.stalled(stalled);
    to.consent(observed.bad_consent.as_deref());
    to.not_watched(observed.unseen.as_deref());
    to.objectives(&observed.objectives);
    Plan {
        status: to.status,
        action,
        failed,
    }
}

/// Why a Model does not go on.
struct Obstacle {
    reason: &'static str,
    message: String,
    /// Waiting will not help.
    failed: bool,
}

/// Is the ONNX file here, and is it the one that was asked for?
fn source(observed: &Observed<'_>) -> Result<Digest, Obstacle> {
    let waiting = |reason, message: &str| Obstacle {
        reason,
        message: message.to_owned(),
        failed: false,
    };
    let failed = |reason, message: String| Obstacle {
        reason,
        message,
        failed: true,
    };
    let digest = match &observed.source {
        SourceState::NotFound(m) => return Err(waiting(reason::SOURCE_NOT_FOUND, m)),
        SourceState::Unavailable(m) => return Err(waiting(reason::SOURCE_UNAVAILABLE, m)),
        SourceState::NotAllowed(m) => return Err(failed(reason::SOURCE_NOT_ALLOWED, m.clone())),
        SourceState::TooLarge(m) => return Err(failed(reason::SOURCE_TOO_LARGE, m.clone())),
        SourceState::Found(digest) => *digest,
    };
    if let Some(pinned) = observed.spec.sha256.filter(|pinned| *pinned != digest) {
        return Err(failed(
            reason::DIGEST_MISMATCH,
            format!("the file is {digest}, the spec pins {pinned}"),
        ));
    }
    observed
        .calibration
        .as_ref()
        .map_err(|m| waiting(reason::INVALID_CALIBRATION, m))?;
    Ok(digest)
}
