//! Has a run judged by the float model's answer, once it is there.
//!
//! Invariant: a reference that is away, slow or out of memory is asked again, ever more seldom, as long as somebody needs
//! its answer.

use std::sync::{Arc, Weak};
use std::time::Duration;

use zkinfer_client::Pauses;

use super::run::Run;
use crate::artifacts::Artifacts;
use crate::reference::{Question, Reference, ReferenceError};

/// Before it is asked again.
const AGAIN: Pauses = Pauses::new(Duration::from_millis(250), Duration::from_secs(15));

/// Has a run judged as soon as the float answer is there; `news` is called when that, or why it is not there, is
/// known. Ends with the run.
pub fn follow(
    reference: &Reference,
    run: &Arc<Run>,
    artifacts: &Artifacts,
    news: impl Fn() + Send + Sync + 'static,
) {
    let (reference, artifacts) = (reference.clone(), artifacts.clone());
    let (question, run): (Arc<Question>, Weak<Run>) = (Arc::new(run.question()), Arc::downgrade(run));
    tokio::spawn(async move {
        let mut failures = 0u32;
        while run.strong_count() > 0 {
            let answer = reference.answer(&question, &artifacts).await;
            let again = matches!(answer, Err(ReferenceError::Unavailable(_)));
            let Some(run) = run.upgrade() else { return };
            if let Err(error) = &answer {
                tracing::warn!(request = %run.uid, %error, "no float answer");
            }
            run.answered(answer);
            drop(run);
            news();
            if !again {
                return;
            }
            failures = failures.saturating_add(1);
            tokio::time::sleep(AGAIN.after(failures)).await;
        }
    });
}
