//! What was checked, sentence by sentence, and what was not.

use serde::Serialize;

/// What became of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It was checked and holds.
    Holds,
    /// It was checked and does not hold: the receipt is invalid.
    Fails,
    /// It was not checked, and the verdict says nothing of it.
    NotChecked,
}

/// One check in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// What became of it.
    pub outcome: Outcome,
    /// A full sentence.
    pub text: String,
}

/// All that was checked of a receipt.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// In the order of checking. Checking ends with the first that fails, except that every slice is looked at.
    pub sentences: Vec<Sentence>,
    /// Greatest error of the output against the float model, relative to max(1, max |y|); with `--model` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_vs_float: Option<f64>,
}

impl Report {
    /// Valid: something was checked, and nothing fails.
    #[must_use]
    pub fn valid(&self) -> bool {
        self.sentences.iter().any(|s| s.outcome == Outcome::Holds)
            && self.sentences.iter().all(|s| s.outcome != Outcome::Fails)
    }

    pub(super) fn holds(&mut self, text: impl Into<String>) {
        self.sentences.push(Sentence {
            outcome: Outcome::Holds,
            text: text.into(),
        });
    }

    pub(super) fn fails(&mut self, text: impl Into<String>) {
        self.sentences.push(Sentence {
            outcome: Outcome::Fails,
            text: text.into(),
        });
    }

    pub(super) fn not_checked(&mut self, text: impl Into<String>) {
        self.sentences.push(Sentence {
            outcome: Outcome::NotChecked,
            text: text.into(),
        });
    }
}
