//! Whether a run has ended, and how.
//!
//! Invariant: no request succeeds unless every slice is verified and the answer was judged by the float model's.

use zkinfer_crds::k8s::inference_request::reason;

use super::observed::RunEnd;
use crate::runs::{Float, Judgement, Run};

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub enum Ends {
    /// It goes on; where all slices are verified and the float model's answer cannot be had: why.
    No(Option<String>),
    /// It ended without a receipt.
    Failed(RunEnd),
    /// Its receipt may be written.
    Receipt(Judgement),
}

/// Asks, with what the queue knows: why the run cannot succeed any more, and whether every slice is verified.
#[must_use]
pub fn ends(run: &Run, failure: Option<String>, all_verified: bool) -> Ends {
    decide(run.float(), failure, all_verified)
}

fn decide(float: Float, failure: Option<String>, all_verified: bool) -> Ends {
    if let Some(message) = failure {
        return Ends::Failed(RunEnd::failed(reason::TOO_MANY_ATTEMPTS, message));
    }
    match float {
        // Not before every slice is proved: what miners do meanwhile is of no use to anybody.
        Float::Judged(Judgement {
            refusal: Some(message),
            error_millionths,
            ..
        }) => Ends::Failed(RunEnd::Failed {
            reason: reason::ACCURACY_EXCEEDED,
            message,
            error_millionths: Some(error_millionths),
        }),
        Float::Refused(why) => {
            let message = format!("the float model has no answer to this input: {why}");
            Ends::Failed(RunEnd::failed(reason::INVALID_INPUT, message))
        }
        Float::Judged(judgement) if all_verified => Ends::Receipt(judgement),
        Float::Unavailable(why) if all_verified => Ends::No(Some(why)),
        Float::Judged(_) | Float::Unavailable(_) | Float::Asked => Ends::No(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(refusal: Option<&str>) -> Float {
        Float::Judged(Judgement {
            error_millionths: 12_000,
            errors_millionths: Vec::new(),
            refusal: refusal.map(str::to_owned),
            flags: Vec::new(),
            scores: false,
        })
    }

    #[test]
    fn only_an_answer_that_was_judged_right_has_a_receipt() {
        let away = Float::Unavailable("away".to_owned());
        for (float, all, expected) in [
            (Float::Asked, true, Ends::No(None)),
            (away.clone(), false, Ends::No(None)),
            (away, true, Ends::No(Some("away".to_owned()))),
            (judged(None), false, Ends::No(None)),
        ] {
            assert_eq!(decide(float, None, all), expected);
        }
        assert!(matches!(decide(judged(None), None, true), Ends::Receipt(_)));
    }

    #[test]
    fn a_wrong_answer_ends_the_request_at_once_with_its_error() {
        for all in [false, true] {
            let Ends::Failed(RunEnd::Failed {
                reason,
                message,
                error_millionths,
            }) = decide(judged(Some("0.5, not 0.6")), None, all)
            else {
                panic!("it goes on");
            };
            assert_eq!((reason, message.as_str()), ("AccuracyExceeded", "0.5, not 0.6"));
            assert_eq!(error_millionths, Some(12_000));
        }
    }
}
