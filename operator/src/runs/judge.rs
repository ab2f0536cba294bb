//! Whether a proved answer may be called right: `verify`'s rule, applied by the operator before a request succeeds.
//!
//! Invariant: what passes here passes `prover-worker verify` with the flags that [`Judgement::flags`] names: the bound
//! here is 1 % less than the one that is told.

use zkinfer_crds::float_wire::Coarse;
use zkml::accuracy::{
    Answer, CANCELLED, DEFAULT_MAX_ERROR_MILLIONTHS, Rule, judge, names_classes, output_error,
};

use crate::reference::FloatAnswer;

/// Of a bound, what may be used: floats that were added in another order are no reason to refuse a receipt.
const SPARE: f64 = 0.99;

/// What the answers of a request must keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// The smaller of the Model's error budget and the greatest error that the settings in force accept.
    pub max_error: f64,
    /// By output: its natural magnitude, as the Model's status has it.
    pub output_scale: Vec<f64>,
    /// Whether classes are compared.
    pub compare_top1: bool,
}

impl Terms {
    /// For a Model with this budget, at an operator with this bound.
    #[must_use]
    pub fn new(budget_millionths: u32, max_error: f64, output_scale: &[f64], compare_top1: bool) -> Self {
        Self {
            max_error: max_error.min(f64::from(budget_millionths) / 1e6),
            output_scale: output_scale.to_vec(),
            compare_top1,
        }
    }
}

/// An output as it is proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name in the model.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u32>,
    /// Its values.
    pub values: Vec<f64>,
}

/// How an answer was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The greatest error of any output, in millionths, rounded up.
    pub error_millionths: u64,
    /// By input, where all are right: the greatest error of any output of its answer.
    pub errors_millionths: Vec<u64>,
    /// Why the answer may not be called right, with both values.
    pub refusal: Option<String>,
    /// What `verify` must be told to accept it.
    pub flags: Vec<String>,
    /// Whether the first output is scores of classes, the greatest of which is the answer.
    pub scores: bool,
}

impl Judgement {
    /// Judges the proved outputs by the float model's.
    #[must_use]
    pub fn new(terms: &Terms, proved: &[Output], float: &FloatAnswer) -> Self {
        Self::of_rows(terms, &[(proved, float)])
    }

    /// Judges the proved outputs of several inputs, each by what the float model answers to it: no error is small because another
    /// input's values are large. All must be right, by the same flags.
    #[must_use]
    pub fn of_rows(terms: &Terms, rows: &[(&[Output], &FloatAnswer)]) -> Self {
        let mut judged: Vec<Row<'_>> = Vec::new();
        let mut errors = Vec::new();
        for (at, (proved, float)) in rows.iter().enumerate() {
            let refused = match Row::new(proved, float) {
                Ok(row) => match row.judged(terms) {
                    (error, None) => {
                        errors.push(error);
                        judged.push(row);
                        continue;
                    }
                    (error, Some(why)) => (error, why),
                },
                Err(why) => (f64::INFINITY, why),
            };
            return Self::refused(refused.0, of_row(at, rows.len(), &refused.1));
        }
        if judged.is_empty() {
            return Self::refused(f64::INFINITY, "there is no answer to judge".to_owned());
        }
        // What `verify` takes unless it is told otherwise, and the least that it must be told.
        let default = f64::from(DEFAULT_MAX_ERROR_MILLIONTHS) / 1e6;
        let accepts = |max_error: f64, scale: &[f64], top1| {
            let all = rule(max_error, scale, top1);
            judged.iter().all(|row| row.accepted(&all, max_error))
        };
        let mut flags = Vec::new();
        let top1 = accepts(terms.max_error, &terms.output_scale, true);
        if !top1 {
            flags.push("--no-top1".to_owned());
        }
        let own_scale = terms.output_scale.as_slice();
        let ways = [
            (default, &[][..]),
            (default, own_scale),
            (terms.max_error, &[][..]),
            (terms.max_error, own_scale),
        ];
        // The last way is the one by which it was judged.
        let least = ways
            .into_iter()
            .find(|(max_error, scale)| accepts(*max_error, scale, top1));
        let (max_error, scale) = least.unwrap_or((terms.max_error, own_scale));
        if !scale.is_empty() {
            let scales: Vec<String> = scale.iter().map(f64::to_string).collect();
            flags.push(format!("--output-scale={}", scales.join(",")));
        }
        if max_error > default {
            flags.push(format!("--max-error={max_error}"));
        }
        let first = judged.first().and_then(|row| row.answers.first());
        Self {
            error_millionths: millionths(errors.iter().fold(0.0, |most: f64, error| most.max(*error))),
            errors_millionths: errors.iter().map(|error| millionths(*error)).collect(),
            refusal: None,
            flags,
            scores: terms.compare_top1 && first.is_some_and(|a| !a.exact && names_classes(a.shape)),
        }
    }

    fn refused(error: f64, why: String) -> Self {
        Self {
            error_millionths: millionths(error),
            errors_millionths: Vec::new(),
            refusal: Some(why),
            flags: Vec::new(),
            scores: false,
        }
    }
}

/// What is said of one input, which is named where there are several.
pub(super) fn of_row(at: usize, rows: usize, what: &str) -> String {
    match rows {
        1 => what.to_owned(),
        _ => format!("row {at} of the {rows} inputs, from 0: {what}"),
    }
}

/// A rule with its spare.
fn rule(max_error: f64, output_scale: &[f64], compare_top1: bool) -> Rule {
    Rule {
        max_error: SPARE * max_error,
        output_scale: output_scale.to_vec(),
        compare_top1,
    }
}

/// The answer to one input.
struct Row<'a> {
    answers: Vec<Answer<'a>>,
    bare_settled: bool,
    coarse: Option<&'a Coarse>,
}

impl<'a> Row<'a> {
    /// Puts what is proved beside what the float model answers, if it answers as many outputs.
    fn new(proved: &'a [Output], answer: &'a FloatAnswer) -> Result<Self, String> {
        let (float, exact, coarse) = (&answer.outputs, &answer.exact, answer.coarse.as_ref());
        if proved.len() != float.len() {
            let (ours, theirs) = (proved.len(), float.len());
            return Err(format!("{ours} outputs are proved, the float model has {theirs}"));
        }
        let answers = proved
            .iter()
            .zip(float)
            // Of which nothing is said, that must be the same.
            .zip(exact.iter().chain(std::iter::repeat(&true)))
            .map(|((output, float), &exact)| Answer {
                name: &output.name,
                shape: &output.shape,
                got: &output.values,
                float,
                exact,
            })
            .collect();
        Ok(Self {
            answers,
            bare_settled: answer.bare_settled,
            coarse,
        })
    }

    /// Its error, and why it is not right.
    fn judged(&self, terms: &Terms) -> (f64, Option<String>) {
        let own = rule(terms.max_error, &terms.output_scale, terms.compare_top1);
        let verdict = judge(&own, &self.answers);
        let why = if let Some(other) = &verdict.other_value {
            Some(format!(
                "output `{}` is {} at {}, the float model's {}, and whole numbers must be the same",
                other.output, other.got, other.at, other.float
            ))
        } else if let Some(other) = &verdict.other_class {
            Some(format!(
                "output `{}` is greatest at {}, the float model's at {}",
                other.output, other.got, other.float
            ))
        } else if !verdict.accepted() {
            Some(too_far(&own, &self.answers, verdict.error))
        } else {
            let coarse = self.coarse.filter(|_| !self.harmless(terms.max_error, true));
            coarse.map(|coarse| {
                format!(
                    "{} tensors are too coarse for this input, the first is `{}`: these alone put the answer {:.3e} off, at \
                     most {:.3e} is accepted",
                    coarse.count,
                    coarse.tensor,
                    coarse.error,
                    CANCELLED * own.max_error
                )
            })
        };
        (verdict.error, why)
    }

    /// Whether errors of coarse tensors that cancel on this input do no harm, by `verify`'s bound.
    fn harmless(&self, max_error: f64, scaled: bool) -> bool {
        self.coarse.is_none_or(|c| {
            let error = if scaled { c.error } else { c.bare_error };
            error <= CANCELLED * SPARE * max_error
        })
    }

    /// Whether it is right by another rule, which has its spare already. Without scales of the outputs `verify` asks the float model
    /// without them, too, and that may have no answer then.
    fn accepted(&self, rule: &Rule, max_error: f64) -> bool {
        let scaled = !rule.output_scale.is_empty();
        (scaled || self.bare_settled)
            && judge(rule, &self.answers).accepted()
            && self.harmless(max_error, scaled)
    }
}

/// In millionths, rounded up; an infinite error is the greatest number that is told.
fn millionths(error: f64) -> u64 {
    (error * 1e6).ceil().clamp(0.0, 1e15) as u64
}

/// Names the value that is furthest from the float model's.
fn too_far(rule: &Rule, answers: &[Answer<'_>], error: f64) -> String {
    let scale = |at: usize| rule.output_scale.get(at).copied().unwrap_or(0.0);
    let worst = answers
        .iter()
        .enumerate()
        .max_by(|(a, x), (b, y)| {
            let of = |at, answer: &Answer<'_>| output_error(answer.got, answer.float, scale(at));
            of(*a, x).total_cmp(&of(*b, y))
        })
        .map(|(_, answer)| answer);
    let Some(answer) = worst else {
        return "there are no outputs".to_owned();
    };
    let far = |at: &usize| {
        let difference = (answer.got[*at] - answer.float[*at]).abs();
        // What is not a number is furthest.
        if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        }
    };
    let count = answer.got.len().min(answer.float.len());
    let at = (0..count).max_by(|a, b| far(a).total_cmp(&far(b)));
    let values = at.map_or_else(
        || {
            format!(
                "{} values, the float model {}",
                answer.got.len(),
                answer.float.len()
            )
        },
        |at| format!("{} at {at}, the float model {}", answer.got[at], answer.float[at]),
    );
    format!(
        "output `{}` has {values}: the error is {error:.3e}, at most {:.3e} is accepted",
        answer.name, rule.max_error
    )
}

#[cfg(test)]
mod tests;
