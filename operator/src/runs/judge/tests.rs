use super::*;

fn terms(max_error: f64, scale: f64) -> Terms {
    Terms {
        max_error,
        output_scale: vec![scale],
        compare_top1: true,
    }
}

fn answer(outputs: Vec<Vec<f64>>) -> FloatAnswer {
    FloatAnswer {
        exact: vec![false; outputs.len()],
        outputs,
        bare_settled: true,
        coarse: None,
    }
}

fn output(values: &[f64]) -> Vec<Output> {
    vec![Output {
        name: "y".to_owned(),
        shape: vec![1, values.len() as u32],
        values: values.to_vec(),
    }]
}

fn judged(terms: &Terms, proved: &[f64], float: &[f64]) -> Judgement {
    Judgement::new(terms, &output(proved), &answer(vec![float.to_vec()]))
}

#[test]
fn an_answer_within_the_bound_and_its_spare_is_accepted_and_no_other() {
    let terms = terms(0.01, 0.0);
    assert_eq!(judged(&terms, &[1.0098, 0.0], &[1.0, 0.0]).refusal, None);
    let refused = judged(&terms, &[1.00995, 0.0], &[1.0, 0.0]);
    let why = refused.refusal.unwrap();
    assert!(why.contains("1.00995 at 0, the float model 1"), "{why}");
    assert!((9950..=9951).contains(&refused.error_millionths));
}

#[test]
fn the_smaller_of_budget_and_bound_counts() {
    assert_eq!(Terms::new(5_000, 0.01, &[], true).max_error, 0.005);
    assert_eq!(Terms::new(50_000, 0.01, &[], true).max_error, 0.01);
}

#[test]
fn another_class_is_refused_with_both() {
    let why = judged(&terms(0.5, 0.0), &[1.0, 1.1], &[1.1, 1.0])
        .refusal
        .unwrap();
    assert_eq!(why, "output `y` is greatest at 1, the float model's at 0");
    let lenient = Terms {
        compare_top1: false,
        ..terms(0.1, 0.0)
    };
    let accepted = judged(&lenient, &[1.0, 1.001], &[1.001, 1.0]);
    assert_eq!(
        (accepted.refusal, accepted.flags),
        (None, vec!["--no-top1".to_owned()])
    );
}

#[test]
fn only_scores_name_a_class() {
    let scores = |compare_top1, exact, shape: &[u32]| {
        let terms = Terms {
            compare_top1,
            ..terms(0.01, 0.0)
        };
        let len = shape.iter().product::<u32>() as usize;
        let (values, mut proved) = (vec![1.0; len], output(&vec![1.0; len]));
        proved[0].shape = shape.to_vec();
        let float = FloatAnswer {
            exact: vec![exact],
            ..answer(vec![values])
        };
        Judgement::new(&terms, &proved, &float).scores
    };
    assert!(scores(true, false, &[1, 3]));
    assert!(!scores(false, false, &[1, 3]));
    assert!(!scores(true, true, &[1, 3]));
    for shape in [&[1, 1][..], &[3], &[3, 4], &[1, 3, 4]] {
        assert!(!scores(true, false, shape), "{shape:?}");
    }
}

#[test]
fn another_whole_number_is_refused_with_both() {
    let label = |got: f64| {
        let proved = [Output {
            name: "label".to_owned(),
            shape: vec![1],
            values: vec![got],
        }];
        let float = FloatAnswer {
            exact: vec![true],
            ..answer(vec![vec![999.0]])
        };
        Judgement::new(&terms(0.5, 1e6), &proved, &float)
    };
    assert_eq!((label(999.0).refusal, label(999.0).flags), (None, vec![]));
    assert_eq!(
        label(998.0).refusal.unwrap(),
        "output `label` is 998 at 0, the float model's 999, and whole numbers must be the same"
    );
}

#[test]
fn the_flags_are_the_least_that_verify_must_be_told() {
    for (max_error, scale, proved, float, flags) in [
        (0.01, 1.0, [1.001, 0.0], [1.0, 0.0], vec![]),
        // Near 0 only the natural magnitude makes it small.
        (0.01, 1.0, [0.011, 0.0], [0.01, 0.0], vec!["--output-scale=1"]),
        (0.1, 0.0, [1.05, 0.0], [1.0, 0.0], vec!["--max-error=0.1"]),
        (
            0.1,
            2.0,
            [0.6, 0.0],
            [0.5, 0.0],
            vec!["--output-scale=2", "--max-error=0.1"],
        ),
    ] {
        let judged = judged(&terms(max_error, scale), &proved, &float);
        assert_eq!(judged.refusal, None, "{proved:?}");
        assert_eq!(judged.flags, flags, "{proved:?}");
    }
}

#[test]
fn verify_is_told_the_scale_without_which_the_float_model_has_no_answer() {
    let hangs = FloatAnswer {
        bare_settled: false,
        ..answer(vec![vec![0.01, 0.0]])
    };
    let judged = Judgement::new(&terms(0.01, 1.0), &output(&[0.01, 0.0]), &hangs);
    assert_eq!(
        (judged.refusal, judged.flags),
        (None, vec!["--output-scale=1".to_owned()])
    );
    // One of several is enough.
    let (large, proved) = (answer(vec![vec![1.0, 0.0]]), output(&[1.0, 0.0]));
    let near = output(&[0.01, 0.0]);
    let rows = [(proved.as_slice(), &large), (near.as_slice(), &hangs)];
    assert_eq!(
        Judgement::of_rows(&terms(0.01, 1.0), &rows).flags,
        ["--output-scale=1"]
    );
}

#[test]
fn each_of_several_answers_is_judged_by_itself_and_all_by_the_same_flags() {
    let (large, near_zero, far) = ([100.0, 0.0], [0.011, 0.0], [0.5, 0.0]);
    let floats = [[100.1, 0.0], [0.01, 0.0], [1.0, 0.0]].map(|values| answer(vec![values.to_vec()]));
    let proved = [large, near_zero, far].map(|values| output(&values));
    let terms = terms(0.01, 1.0);
    let of = |rows: &[usize]| {
        let rows: Vec<_> = rows
            .iter()
            .map(|&at| (proved[at].as_slice(), &floats[at]))
            .collect();
        Judgement::of_rows(&terms, &rows)
    };
    let both = of(&[0, 1]);
    assert_eq!(both.refusal, None);
    // Each by its own size; of the two the second alone asks for the scale.
    assert_eq!(both.errors_millionths, [1_000, 1_000]);
    assert_eq!(both.error_millionths, 1_000);
    assert_eq!(of(&[0]).flags, Vec::<String>::new());
    assert_eq!(both.flags, ["--output-scale=1"]);
    // Beside the first it would be next to nothing.
    let refused = of(&[0, 2, 1]);
    let why = refused.refusal.unwrap();
    assert!(
        why.starts_with("row 1 of the 3 inputs, from 0: output `y` has 0.5 at 0, the float model 1"),
        "{why}"
    );
    assert_eq!(refused.error_millionths, 500_000);
    assert!(of(&[]).refusal.is_some());
}

#[test]
fn what_is_not_finite_or_not_there_is_refused() {
    for float in [vec![vec![f64::NAN, 0.0]], vec![vec![1.0]], vec![]] {
        let judged = Judgement::new(&terms(1e9, 1e9), &output(&[1.0, 0.0]), &answer(float));
        assert!(judged.refusal.is_some(), "{judged:?}");
        assert_eq!(judged.error_millionths, 1_000_000_000_000_000);
    }
}

#[test]
fn coarse_tensors_whose_errors_cancel_are_refused_by_verifys_bound() {
    let coarse = |error: f64, bare_error: f64| FloatAnswer {
        coarse: Some(Coarse {
            tensor: "conv1".to_owned(),
            count: 2,
            error,
            bare_error,
        }),
        ..answer(vec![vec![1.0, 0.0]])
    };
    let judged = |float: &FloatAnswer| Judgement::new(&terms(0.01, 1.0), &output(&[1.0, 0.0]), float);
    let harmless = judged(&coarse(0.0395, 0.0395));
    assert_eq!((harmless.refusal, harmless.flags), (None, vec![]));
    let why = judged(&coarse(0.0397, 0.0397)).refusal.unwrap();
    assert!(
        why.contains("2 tensors are too coarse for this input, the first is `conv1`"),
        "{why}"
    );
    // `verify` has to be told the scale with which it does no harm.
    let scaled = judged(&coarse(0.01, 0.5));
    assert_eq!(
        (scaled.refusal, scaled.flags),
        (None, vec!["--output-scale=1".to_owned()])
    );
}
