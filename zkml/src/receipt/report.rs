//! What was checked, sentence by sentence, and what was not.

use serde::Serialize;

use crate::accuracy::Verdict;

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

/// What the verdict speaks of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// The input is the requester's own.
    pub own_input: bool,
    /// The manifest was qualified on the verifier's own data.
    pub qualified: bool,
    /// Of a batch: how many of its rows answer inputs that the requester gave; the rest fill it up.
    pub rows: Option<usize>,
}

/// The answer against the float model.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Its error and class, and the greatest error that the verifier accepts.
    pub verdict: Verdict,
    /// The outputs' natural magnitudes by which it was judged; outputs beyond the list have 0.
    pub output_scale: Vec<f64>,
}

/// All that was checked of a receipt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// In the order of checking. Checking ends with the first that fails, except that every slice is looked at, and an
    /// answer that is wrong is looked at from every side.
    pub sentences: Vec<Sentence>,
    /// The answer against the float model; with a model only.
    pub judged: Option<Judged>,
    /// What the verdict speaks of.
    pub scope: Scope,
}

impl Report {
    /// Valid: something was checked, and nothing fails.
    #[must_use]
    pub fn valid(&self) -> bool {
        self.sentences.iter().any(|s| s.outcome == Outcome::Holds)
            && self.sentences.iter().all(|s| s.outcome != Outcome::Fails)
    }

    /// The verdict in a sentence that claims no more than what was checked.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        let near = self.judged.is_some() || self.scope.qualified;
        match (self.valid(), self.scope.own_input, near) {
            (false, ..) => "The receipt is invalid.",
            (true, true, true) => "The receipt is valid.",
            (true, true, false) => {
                "The receipt is valid for the manifest's integers; how far they are from a float model was not checked."
            }
            (true, false, true) => {
                "The receipt is valid for the integers in it; whose input they are was not checked."
            }
            (true, false, false) => {
                "The receipt is valid for the integers in it; whose input they are, and how far the answer is from a float \
                 model's, was not checked."
            }
        }
    }

    /// A check that holds.
    pub fn holds(&mut self, text: impl Into<String>) {
        self.say(Outcome::Holds, text);
    }

    /// A check that does not hold: the receipt is invalid.
    pub fn fails(&mut self, text: impl Into<String>) {
        self.say(Outcome::Fails, text);
    }

    /// What was not checked.
    pub fn not_checked(&mut self, text: impl Into<String>) {
        self.say(Outcome::NotChecked, text);
    }

    fn say(&mut self, outcome: Outcome, text: impl Into<String>) {
        let text = text.into();
        self.sentences.push(Sentence { outcome, text });
    }
}

/// A magnitude for people: exactly where that is short, as a step's is, else to three digits.
#[must_use]
pub fn number(value: f64) -> String {
    let exactly = format!("{value}");
    match value.abs() {
        _ if exactly.len() <= 12 => exactly,
        1e-2..1e6 => format!("{value:.3}"),
        _ => format!("{value:.2e}"),
    }
}

/// A share of a tensor's greatest value for people.
#[must_use]
pub fn share(ratio: f64) -> String {
    match ratio {
        r if r.is_finite() && r < 1e4 => format!("{:.2} %", 100.0 * r),
        _ => "more than 1000000 %".to_owned(),
    }
}
