//! What is said of a compiler that has failed and has no pod any more.

/// Kubernetes' reason where a Job took longer than it may.
const OUT_OF_TIME: &str = "DeadlineExceeded";

/// Why a Job failed, what its compiler said last, and the way out where it ran out of time.
pub(super) fn without_a_pod(why: &str, said: Option<String>) -> String {
    let said = said.map(|said| format!("; it last said: {said}"));
    let more = why
        .contains(OUT_OF_TIME)
        .then_some(". Give it more by compiler.seconds of the Validator");
    format!(
        "the compiler's Job failed: {why}{}{}",
        said.unwrap_or_default(),
        more.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_that_ran_out_of_time_says_what_it_did_last_and_where_more_is_given() {
        let why = "DeadlineExceeded: Job was active longer than specified deadline";
        let told = without_a_pod(why, Some("calibrating: 12 of 32".to_owned()));
        assert_eq!(
            told,
            format!(
                "the compiler's Job failed: {why}; it last said: calibrating: 12 of 32. Give it more by compiler.seconds of the Validator"
            )
        );
        assert_eq!(
            without_a_pod("BackoffLimitExceeded", None),
            "the compiler's Job failed: BackoffLimitExceeded"
        );
    }
}
