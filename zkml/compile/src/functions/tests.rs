//! Rows against floats over their whole ranges, and against golden digests.

use zkml::graph::IntRange;
use zkml::graph::scale::power_of_two;

use super::table::EXPONENTS_IN;
use super::*;

/// Every function of the list, with parameters that are met.
fn all() -> Vec<Function> {
    let mut all = vec![
        Function::new(&erf::ERF, &[]),
        Function::gelu(),
        Function::new(&sigmoid::SIGMOID, &[]),
        Function::swish(1.0),
        Function::swish(1.702),
        Function::swish(-0.5),
        Function::inverse_power(0.5, 1.0, 0.0),
        Function::inverse_power(0.5, 1.0 / 768.0, 1e-5),
        Function::inverse_power(0.75, 2e-5, 1.0),
        Function::inverse_power(1.0, 1.0, 0.0),
        Function::exp_of_negatives(),
        Function::exp_from(15),
        Function::exp_from(31),
        Function::log_from_one(),
        Function::reciprocal_from_one(),
    ];
    let text = |value: &str| tract_onnx::pb::AttributeProto {
        name: "approximate".into(),
        r#type: AttributeType::String as i32,
        s: value.as_bytes().to_vec(),
        ..Default::default()
    };
    for (op, attributes) in [
        ("Gelu", vec![text("tanh")]),
        ("Exp", vec![]),
        ("HardSwish", vec![]),
        ("LeakyRelu", vec![]),
        ("Tanh", vec![]),
        ("Elu", vec![]),
        ("HardSigmoid", vec![]),
        ("Softsign", vec![]),
        ("Abs", vec![]),
        ("Celu", vec![]),
        ("Cos", vec![]),
        ("Log", vec![]),
        ("Mish", vec![]),
        ("Reciprocal", vec![]),
        ("Selu", vec![]),
        ("Sin", vec![]),
        ("Softplus", vec![]),
        ("Sqrt", vec![]),
        ("ThresholdedRelu", vec![]),
        ("Acos", vec![]),
        ("Acosh", vec![]),
        ("Asin", vec![]),
        ("Asinh", vec![]),
        ("Atan", vec![]),
        ("Atanh", vec![]),
        ("Ceil", vec![]),
        ("Cosh", vec![]),
        ("Floor", vec![]),
        ("Round", vec![]),
        ("Shrink", vec![]),
        ("Shrink", vec![number("bias", 1.5), number("lambd", 1.25)]),
        ("Sign", vec![]),
        ("Sinh", vec![]),
        ("Tan", vec![]),
    ] {
        all.push(of(op, attributes).unwrap());
    }
    let powers = [2.0, 3.0, 4.0, 0.5, -1.0, -2.0, 1.7, -0.3, 0.0];
    all.extend(powers.map(|p| Function::power(p).unwrap()));
    for divisor in [1.0, 0.75, -1.5, 3.0] {
        all.extend([false, true].map(|sign_of_x| Function::modulo(divisor, sign_of_x).unwrap()));
    }
    all
}

fn number(name: &str, f: f32) -> tract_onnx::pb::AttributeProto {
    tract_onnx::pb::AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float as i32,
        f,
        ..Default::default()
    }
}

fn of(op: &str, attribute: Vec<tract_onnx::pb::AttributeProto>) -> Result<Function, String> {
    read(&NodeProto {
        op_type: op.into(),
        attribute,
        ..NodeProto::default()
    })
    .unwrap()
}

/// Rows at a scale, each within a part of a step of the float function, beside the clamp's ends.
fn follows_the_floats(function: &Function, index: IntRange, (e_in, e_out, bits): (i16, i16, u8), most: f64) {
    let rows = function.rows(index, e_in, e_out, bits).unwrap();
    rows.table.check().unwrap();
    assert_eq!(rows.table.index_range(), Some(index));
    let ends = IntRange::signed(bits);
    let mut clamped = false;
    for (v, &row) in (index.lo()..).zip(rows.table.columns[0].iter()) {
        let value = function.of(v as f64 * power_of_two((-e_in).into()));
        // Where there is no value, as at a pole, the row is the clamp's lower end.
        let none = value.is_nan() || (v == 0 && value.is_infinite());
        let exact = if none {
            f64::NEG_INFINITY
        } else {
            value * power_of_two(e_out.into())
        };
        let end = exact.clamp(ends.lo() as f64, ends.hi() as f64);
        // Half a step beyond an end is rounded away from it.
        clamped |= (end - exact).abs() >= 0.5;
        let exact = if exact.is_finite() { exact } else { end };
        let name = function.name();
        // A float has 53 bits itself.
        let most = most + exact.abs() * 1e-15;
        assert!(
            (row as f64 - end).abs() <= most,
            "{name} at {v} · 2^-{e_in}: {row} for {exact}"
        );
    }
    assert_eq!(rows.clamped, clamped, "{}", function.name());
}

#[test]
fn rows_are_the_nearest_values_over_the_whole_range() {
    let half = 0.5 + 1e-6;
    for function in all() {
        for scale in [
            (12, 14, 16),
            (13, 12, 16),
            (8, 10, 16),
            (16, 15, 16),
            (20, 24, 24),
            (0, 2, 12),
        ] {
            follows_the_floats(&function, IntRange::signed(16), scale, half);
        }
        follows_the_floats(&function, IntRange::unsigned(12), (8, 14, 20), half);
        follows_the_floats(&function, IntRange::signed(8), (4, 6, 8), half);
        // At the finest scale a row has more digits than are exact in a step of the arithmetic.
        follows_the_floats(&function, IntRange::signed(16), (12, 24, 32), 0.51);
    }
}

#[test]
fn every_scale_within_the_limits_has_rows() {
    let mut extreme: Vec<Function> = all();
    for parameter in [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45, 0.0, -0.0] {
        extreme.push(Function::swish(parameter));
        extreme.push(Function::new(&leaky_relu::LEAKY_RELU, &[parameter]));
        extreme.push(Function::inverse_power(parameter, parameter, -parameter));
        extreme.push(Function::inverse_power(-1.5, 1.0, parameter));
        extreme.push(Function::new(&elu::ELU, &[parameter]));
        extreme.push(Function::new(
            &hard_sigmoid::HARD_SIGMOID,
            &[parameter, -parameter],
        ));
        let shrink = [number("lambd", -parameter), number("bias", parameter)];
        extreme.push(of("Shrink", shrink.to_vec()).unwrap());
        extreme.extend(Function::power(parameter.into()));
        extreme.extend(
            [false, true]
                .into_iter()
                .flat_map(|of_x| Function::modulo(parameter.into(), of_x)),
        );
    }
    extreme.extend([64.0, -64.0, 63.9, -63.9].map(|p| Function::power(p).unwrap()));
    for function in extreme {
        for e_in in EXPONENTS_IN {
            for (e_out, bits) in [(-24, 2), (-24, 32), (24, 2), (24, 32)] {
                let rows = function.rows(IntRange::signed(4), e_in, e_out, bits).unwrap();
                rows.table.check().unwrap();
            }
        }
        for (e_in, e_out) in [(-8, -24), (-8, 24), (48, -24), (48, 24)] {
            for index in [IntRange::signed(16), IntRange::unsigned(16)] {
                function.rows(index, e_in, e_out, 32).unwrap();
            }
        }
    }
}

/// What has no value is the end of every table, also of one in the greatest steps, and great values are rounded to these.
#[test]
fn values_far_beyond_a_million_have_rows() {
    let bits = 16;
    let log = Function::log().rows(IntRange::signed(8), 4, -24, bits).unwrap();
    assert!(log.clamped);
    // From -128 on: 0 is the 129th.
    let column = &log.table.columns[0];
    assert_eq!((column[0], column[128], column[129]), (-32768, -32768, 0));
    let cube = Function::power(3.0).unwrap();
    let rows = cube.rows(IntRange::signed(12), -2, -24, bits).unwrap();
    assert!(!rows.clamped);
    for (v, got) in (-2048i64..).zip(rows.table.columns[0].iter()) {
        let expected = ((4 * v) as f64).powi(3) / 16_777_216.0;
        assert!((*got as f64 - expected).abs() <= 0.5, "{v}: {got} {expected}");
    }
}

#[test]
fn scales_outside_the_limits_are_refused_by_name() {
    let sigmoid = Function::new(&sigmoid::SIGMOID, &[]);
    let refused = |index, e_in, e_out, bits| {
        let refused = sigmoid.rows(index, e_in, e_out, bits);
        refused.unwrap_err().to_string()
    };
    let index = IntRange::signed(8);
    assert!(refused(IntRange::signed(17), 0, 0, 8).contains("17 bits"));
    assert!(refused(index, -9, 0, 8).contains("argument is -9"));
    assert!(refused(index, 49, 0, 8).contains("argument is 49"));
    assert!(refused(index, 0, -25, 8).contains("value is -25"));
    assert!(refused(index, 0, 25, 8).contains("value is 25"));
    assert!(refused(index, 0, 0, 1).contains("1 bits") && refused(index, 0, 0, 33).contains("33 bits"));
}

#[test]
fn attributes_are_those_of_onnx() {
    let float = number;
    let text = |s: &[u8]| tract_onnx::pb::AttributeProto {
        name: "approximate".into(),
        r#type: AttributeType::String as i32,
        s: s.to_vec(),
        ..Default::default()
    };
    assert_eq!(of("LeakyRelu", vec![]).unwrap().name(), "leaky_relu/1(0.01)");
    assert_eq!(
        of("LeakyRelu", vec![float("alpha", 0.2)]).unwrap().name(),
        "leaky_relu/1(0.2)"
    );
    assert_eq!(
        of("Shrink", vec![float("bias", 1.0)]).unwrap().name(),
        "shrink/1(0.5, 1)"
    );
    assert_eq!(Function::power(0.5).unwrap().name(), "pow/1(0.5)");
    assert_eq!(Function::power(-0.0), Function::power(0.0));
    for beyond in [64.5, -65.0, f64::NAN, f64::INFINITY] {
        let refused = Function::power(beyond).unwrap_err();
        assert!(refused.contains("its exponent is"), "{refused}");
    }
    for divisor in [0.0, f64::NAN, f64::INFINITY, 1e300, 0.1] {
        let refused = Function::modulo(divisor, true).unwrap_err();
        assert!(refused.contains("its divisor is"), "{refused}");
    }
    assert_eq!(of("Swish", vec![]), Ok(Function::swish(1.0)));
    assert_eq!(of("Gelu", vec![]), Ok(Function::gelu()));
    assert_eq!(of("Gelu", vec![text(b"tanh")]).unwrap().name(), "gelu_tanh/1");
    assert!(
        of("Gelu", vec![text(b"\xff")])
            .unwrap_err()
            .contains("approximate")
    );
    assert!(
        of("LeakyRelu", vec![float("alpha", f32::NAN)])
            .unwrap_err()
            .contains("not finite")
    );
    let twice = of("LeakyRelu", vec![float("alpha", 0.2), float("alpha", 0.3)]);
    assert!(twice.unwrap_err().contains("given twice"));
    let mut referring = float("alpha", 0.2);
    referring.ref_attr_name = "slope".into();
    assert!(of("LeakyRelu", vec![referring]).unwrap_err().contains("refers"));
    let mut integer = float("alpha", 0.0);
    integer.r#type = AttributeType::Int as i32;
    assert!(
        of("LeakyRelu", vec![integer])
            .unwrap_err()
            .contains("another type")
    );
    assert!(read(&NodeProto::default()).is_none());
}

#[test]
fn the_list_is_in_order_and_names_each_operator_once() {
    let names: Vec<_> = operators().iter().map(|o| o.onnx).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted);
}

/// So that none is without a digest below.
#[test]
fn every_function_of_the_list_is_tried_here() {
    let tried: std::collections::BTreeSet<_> = all().iter().map(|f| f.rule.name).collect();
    for operator in operators() {
        let function = of(operator.onnx, vec![]).unwrap();
        assert!(tried.contains(function.rule.name), "{}", operator.onnx);
    }
}

/// Digests of tables: another one is another function, and whoever has a manifest that names it finds it no more. A rule whose
/// rows change gets another version.
#[test]
fn the_rows_are_those_of_their_version() {
    let mut now = String::new();
    for function in all() {
        let mut bytes = Vec::new();
        for (index, e_in, e_out, bits) in [
            (IntRange::signed(16), 12, 14, 16),
            (IntRange::signed(16), 13, 24, 32),
            (IntRange::unsigned(15), 10, 8, 16),
            (IntRange::signed(12), 8, 10, 12),
            (IntRange::signed(8), 4, 6, 8),
            (IntRange::signed(16), -8, -8, 24),
            (IntRange::signed(16), 48, 24, 24),
        ] {
            let rows = function.rows(index, e_in, e_out, bits).unwrap();
            bytes.extend(rows.table.digest().to_string().bytes());
        }
        now += &format!("{} {}\n", function.name(), zkinfer_crds::Digest::of(&bytes));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/functions/golden.txt");
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    assert_eq!(now, std::fs::read_to_string(path).unwrap_or_default());
}
