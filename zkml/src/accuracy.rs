//! How far an answer is from the float model's, and whether that is near enough.
//!
//! Invariant: nothing that whoever made the answer chose decides here: the rule is the judge's own. A value that is not
//! finite is infinitely wrong. One rule for calibration, for the operator and for `verify`, so that what one of them
//! accepts the next accepts too.

/// The greatest error that a judge accepts who says nothing else, in millionths: 1 %. What a model promises unless its owner says
/// otherwise is ten times less ([`DEFAULT_ERROR_BUDGET_MILLIONTHS`](zkinfer_crds::wire::DEFAULT_ERROR_BUDGET_MILLIONTHS)), in
/// the same measure.
pub const DEFAULT_MAX_ERROR_MILLIONTHS: u32 = 10_000;

/// Off by more than this share of its greatest float value a tensor is coarse on an input. One number for all profiles: the
/// profile is the manifest's.
pub const COARSE: f64 = 0.125;

/// How many times the judge's greatest error the coarse tensors alone may put the answer off, where the rest brings it
/// back. Once is what an answer may be off, once more is rounding elsewhere, and the double of that leaves room for chance.
pub const CANCELLED: f64 = 4.0;

/// What a judge accepts.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The greatest error of any output, as [`output_error`] measures it.
    pub max_error: f64,
    /// By output: its natural magnitude, in units of the float model's output. Outputs beyond the list have 0.
    pub output_scale: Vec<f64>,
    /// Whether an output of shape `[1, n]`, n ≥ 2, must have its greatest value where the float model has it.
    pub compare_top1: bool,
}

/// One output of the model, as proved (dequantised) and as the float model has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer<'a> {
    /// Its name in the model.
    pub name: &'a str,
    /// Its shape.
    pub shape: &'a [u32],
    /// The integers' values.
    pub got: &'a [f64],
    /// The float model's.
    pub float: &'a [f64],
    /// Whether the model says that they are whole numbers or yes and no: then they must be the same.
    pub exact: bool,
}

/// Another whole number than the float model's.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherValue {
    /// The output.
    pub output: String,
    /// Its place there, row-major.
    pub at: usize,
    /// The answer's.
    pub got: f64,
    /// The float model's.
    pub float: f64,
}

/// Another class than the float model's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherClass {
    /// The output.
    pub output: String,
    /// Where the answer's greatest value is.
    pub got: usize,
    /// Where the float model's is.
    pub float: usize,
}

/// An answer against the float model.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The greatest error of any output that need not be exact.
    pub error: f64,
    /// The first value that is another where it must be the same.
    pub other_value: Option<OtherValue>,
    /// The first output with another class, where the rule compares classes.
    pub other_class: Option<OtherClass>,
    /// The rule's bound.
    pub max_error: f64,
}

impl Verdict {
    /// Whether the rule accepts the answer.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.error <= self.max_error && self.other_class.is_none() && self.other_value.is_none()
    }
}

/// Judges an answer: every output of the model, in its order.
#[must_use]
pub fn judge(rule: &Rule, answers: &[Answer<'_>]) -> Verdict {
    let (mut error, mut other_class, mut other_value) = (0f64, None, None);
    for (at, answer) in answers.iter().enumerate() {
        // What is not finite, or of another length, is no value to compare.
        if answer.exact && output_error(answer.got, answer.float, f64::MAX).is_finite() {
            other_value = other_value.or_else(|| other(answer));
            continue;
        }
        let scale = rule.output_scale.get(at).copied().unwrap_or(0.0);
        error = error.max(output_error(answer.got, answer.float, scale));
        if rule.compare_top1 && other_class.is_none() && names_classes(answer.shape) {
            let (got, float) = (top1(answer.got), top1(answer.float));
            if let (Some(got), Some(float)) = (got, float) {
                let output = answer.name.to_owned();
                other_class = (got != float).then_some(OtherClass { output, got, float });
            }
        }
    }
    Verdict {
        error,
        other_value,
        other_class,
        max_error: rule.max_error,
    }
}

/// The first value that is not the float model's.
fn other(answer: &Answer<'_>) -> Option<OtherValue> {
    let differs = |(_, (got, float)): &(usize, (&f64, &f64))| got != float;
    let mut values = answer.got.iter().zip(answer.float).enumerate();
    values.find(differs).map(|(at, (&got, &float))| OtherValue {
        output: answer.name.to_owned(),
        at,
        got,
        float,
    })
}

/// `max |got − float| / max(max |float|, scale)`: the error of one output, relative to its own size or to its natural
/// magnitude, whichever is greater, so that a regression near 0 is not refused. Infinite where a value is not finite, the
/// lengths differ, or something is divided by nothing.
#[must_use]
pub fn output_error(got: &[f64], float: &[f64], scale: f64) -> f64 {
    let finite = got.iter().chain(float).chain([&scale]).all(|v| v.is_finite());
    if got.len() != float.len() || !finite {
        return f64::INFINITY;
    }
    let greatest = float.iter().fold(scale.max(0.0), |m, v| m.max(v.abs()));
    let difference = got.iter().zip(float).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
    if difference == 0.0 {
        0.0
    } else {
        // By nothing, or beyond what f64 holds: infinite either way.
        let error = difference / greatest;
        if error.is_nan() { f64::INFINITY } else { error }
    }
}

/// Whether a tensor of this shape holds one score per class.
#[must_use]
pub fn names_classes(shape: &[u32]) -> bool {
    matches!(shape, [1, n] if *n >= 2)
}

/// Index of the greatest value, the lowest on ties.
#[must_use]
pub fn top1(values: &[f64]) -> Option<usize> {
    (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best })
}

/// How far the greatest value is above the next, as a share of what [`output_error`] measures errors by: an answer with an error
/// below half of it has the same greatest value. None where there are not two values, or one is not finite.
#[must_use]
pub fn top_margin(float: &[f64], scale: f64) -> Option<f64> {
    if float.len() < 2 || float.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for &v in float {
        if v > first {
            (first, second) = (v, first);
        } else {
            second = second.max(v);
        }
    }
    let greatest = float.iter().fold(scale.max(0.0), |m, v| m.max(v.abs()));
    // All 0: nothing is above anything.
    Some(if greatest > 0.0 {
        (first - second) / greatest
    } else {
        0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(max_error: f64, scale: f64) -> Rule {
        Rule {
            max_error,
            output_scale: vec![scale],
            compare_top1: true,
        }
    }

    fn answer<'a>(shape: &'a [u32], got: &'a [f64], float: &'a [f64]) -> Answer<'a> {
        Answer {
            name: "y",
            shape,
            got,
            float,
            exact: false,
        }
    }

    #[test]
    fn an_error_is_relative_to_the_output_itself_or_to_its_natural_magnitude() {
        assert_eq!(output_error(&[1.0, 3.0], &[1.0, 4.0], 0.0), 0.25);
        assert_eq!(output_error(&[0.001], &[0.0], 1.0), 0.001);
        assert_eq!(output_error(&[0.0; 8], &[0.001; 8], 0.0), 1.0);
        assert_eq!(output_error(&[0.0], &[0.0], 0.0), 0.0);
        assert_eq!(output_error(&[1e-9], &[0.0], 0.0), f64::INFINITY);
    }

    #[test]
    fn what_is_not_finite_or_of_another_length_is_infinitely_wrong() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for (got, float, scale) in [(bad, 0.0, 1.0), (0.0, bad, 1.0), (bad, bad, 1.0), (0.0, 0.0, bad)] {
                assert_eq!(output_error(&[got], &[float], scale), f64::INFINITY);
            }
        }
        assert_eq!(output_error(&[1.0], &[1.0, 1.0], 1.0), f64::INFINITY);
        assert_eq!(output_error(&[f64::MAX], &[f64::MIN], 0.0), f64::INFINITY);
        let rule = rule(1e9, 1.0);
        assert!(!judge(&rule, &[answer(&[1], &[f64::NAN], &[0.0])]).accepted());
    }

    #[test]
    fn another_class_is_refused_whatever_the_error() {
        let (got, float) = ([1.0, 1.0 + 1e-9], [1.0 + 1e-9, 1.0]);
        let verdict = judge(&rule(0.5, 0.0), &[answer(&[1, 2], &got, &float)]);
        let other = verdict.other_class.clone().unwrap();
        assert_eq!((other.got, other.float), (1, 0));
        assert!(verdict.error < 1e-8 && !verdict.accepted());
        for shape in [&[2][..], &[2, 1], &[1, 1, 2]] {
            assert!(judge(&rule(0.5, 0.0), &[answer(shape, &got, &float)]).accepted());
        }
        let lenient = Rule {
            compare_top1: false,
            ..rule(0.5, 0.0)
        };
        assert!(judge(&lenient, &[answer(&[1, 2], &got, &float)]).accepted());
    }

    #[test]
    fn no_error_below_half_of_the_margin_changes_the_class() {
        assert_eq!(top_margin(&[1.0, 4.0, 3.0], 0.0), Some(0.25));
        assert_eq!(top_margin(&[1.0, 4.0, 3.0], 8.0), Some(0.125));
        assert_eq!(top_margin(&[2.0, 2.0], 0.0), Some(0.0));
        assert_eq!(top_margin(&[0.0, 0.0], 0.0), Some(0.0));
        assert_eq!(top_margin(&[-1.0, -3.0], 0.0), Some(2.0 / 3.0));
        for none in [&[][..], &[1.0], &[1.0, f64::NAN]] {
            assert_eq!(top_margin(none, 1.0), None);
        }
        let float = [1.0, 4.0, 3.0];
        let margin = top_margin(&float, 0.0).unwrap();
        for (share, same) in [(0.49, true), (0.51, false)] {
            let off = share * margin * 4.0;
            let got = [1.0, 4.0 - off, 3.0 + off];
            assert!(output_error(&got, &float, 0.0) <= share * margin + 1e-12);
            assert_eq!(top1(&got) == top1(&float), same, "{share}");
        }
    }

    #[test]
    fn whole_numbers_are_the_same_or_wrong() {
        let label = |got: &[f64], float: &[f64]| {
            let (got, float) = (got.to_vec(), float.to_vec());
            let answer = Answer {
                exact: true,
                ..answer(&[2], &got, &float)
            };
            judge(&rule(0.5, 1e9), &[answer])
        };
        assert!(label(&[999.0, 0.0], &[999.0, 0.0]).accepted());
        let verdict = label(&[999.0, 1.0], &[999.0, 2.0]);
        assert!(!verdict.accepted() && verdict.error == 0.0);
        let other = verdict.other_value.unwrap();
        assert_eq!((other.at, other.got, other.float), (1, 1.0, 2.0));
        for (got, float) in [
            (&[f64::NAN; 2][..], &[0.0; 2][..]),
            (&[0.0], &[0.0, 0.0]),
            (&[], &[0.0]),
        ] {
            assert!(!label(got, float).accepted());
        }
    }

    #[test]
    fn the_worst_output_decides() {
        let good = answer(&[1], &[1.0], &[1.0]);
        let bad = answer(&[1], &[1.1], &[1.0]);
        let verdict = judge(&rule(0.05, 0.0), &[good, bad, good]);
        assert!((verdict.error - 0.1).abs() < 1e-12 && !verdict.accepted());
    }
}
