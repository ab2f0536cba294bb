//! Has a run judged by the float model's answer, once it is there.
//!
//! Invariant: a reference that is away, slow or out of memory is asked again, ever more seldom, as long as somebody needs
//! its answer.

use std::sync::{Arc, Weak};
use std::time::Duration;

use zkinfer_client::Pauses;

use super::judge::of_row;
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
    let questions: Vec<Arc<Question>> = run.questions().into_iter().map(Arc::new).collect();
    let run: Weak<Run> = Arc::downgrade(run);
    tokio::spawn(async move {
        let mut failures = 0u32;
        // Those to the first inputs: what is answered is not asked again.
        let mut answers = Vec::new();
        while run.strong_count() > 0 {
            let mut error = None;
            while let Some(question) = questions.get(answers.len()).filter(|_| run.strong_count() > 0) {
                match reference.answer(question, &artifacts).await {
                    Ok(answer) => answers.push(answer),
                    Err(ReferenceError::Refused(why)) => {
                        let why = of_row(answers.len(), questions.len(), &why);
                        error = Some(ReferenceError::Refused(why));
                        break;
                    }
                    Err(away) => {
                        error = Some(away);
                        break;
                    }
                }
            }
            let again = matches!(error, Some(ReferenceError::Unavailable(_)));
            let Some(run) = run.upgrade() else { return };
            if let Some(error) = &error {
                tracing::warn!(request = %run.uid, %error, "no float answer");
            }
            run.answered(match error {
                Some(error) => Err(error),
                None => Ok(std::mem::take(&mut answers)),
            });
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
