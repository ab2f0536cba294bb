//! What is public stands in the transcript before anything else.

use zkinfer_crds::Digest;

use super::transcript::{Label, Recorder, Transcript};

/// Absorbs all that is public: the statement first, then the key (relations, weights, tables, parameters), then every value.
pub(super) fn absorb<R: Recorder>(
    transcript: &mut Transcript<R>,
    statement: &Digest,
    key: &Digest,
    inputs: &[&[i64]],
    outputs: &[&[i64]],
) {
    transcript.digest(Label::Statement, statement);
    transcript.digest(Label::Key, key);
    for values in inputs.iter().chain(outputs) {
        transcript.values(Label::Public, values);
    }
}
