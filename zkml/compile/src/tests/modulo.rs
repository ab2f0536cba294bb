//! Mod and fmod: as the reference's in floats, and exact of whole numbers.

use tract_onnx::pb::tensor_proto::DataType;
use zkml::graph::Profile;

use super::given::{agrees, said};
use super::onnx::{Onnx, given_ports, int};
use super::recipes::{agrees_with_the_reference, by_the_file};
use super::whole::PROFILES;
use crate::import::import;

fn fmod() -> Vec<tract_onnx::pb::AttributeProto> {
    vec![int("fmod", 1)]
}

#[test]
fn a_rest_of_floats_has_the_sign_of_what_is_divided() {
    let by_constants = Onnx::new(&[2, 3])
        .constant("c", &[3], vec![0.75, -1.5, 2.0])
        .node("Mod", &["x", "c"], "y", fmod())
        .bytes();
    let by_computed = Onnx::new(&[2, 3])
        .input("k", &[3])
        .node("Mod", &["x", "k"], "y", fmod())
        .bytes();
    let of_constant = Onnx::new(&[2, 3])
        .constant("c", &[2, 1], vec![5.5, -7.25])
        .node("Mod", &["c", "x"], "y", fmod())
        .bytes();
    for (name, bytes) in [
        ("constants", &by_constants),
        ("computed", &by_computed),
        ("constant", &of_constant),
    ] {
        agrees_with_the_reference(name, bytes);
    }
    // Away from jumps.
    let samples = |x: [f64; 6]| vec![x.to_vec()];
    let (x, other) = (
        [1.1, -4.0, 3.3, -1.9, 2.6, -5.2],
        [-2.0, 1.2, 0.4, 3.4, -2.2, 5.0],
    );
    let (_, held) = by_the_file(&by_constants, &[samples(x), samples(other)], Profile::P16);
    agrees(&by_constants, &held, &samples(x), 1e-3);
    let both = |x: [f64; 6]| vec![x.to_vec(), vec![0.8, -1.7, 2.3]];
    let (_, held) = by_the_file(&by_computed, &[both(x), both(other)], Profile::P16);
    agrees(&by_computed, &held, &both(x), 2e-3);
    let zero = vec![x.to_vec(), vec![0.8, 0.0, 2.3]];
    assert!(said(&held, &zero).is_err(), "a divisor of 0 has no value");
}

#[test]
fn a_rest_of_whole_numbers_is_exact() {
    let made = |divisors: &[i64], sign_of_x: bool| {
        let mut onnx = Onnx::new(&[divisors.len() as i64]).integers("c", divisors).node(
            "Mod",
            &["x", "c"],
            "y",
            vec![int("fmod", i64::from(sign_of_x))],
        );
        onnx.output_of_int64();
        given_ports(onnx, &[("x", DataType::Int64 as i32, &[divisors.len() as i64])])
    };
    let divisors = [3, -3, 1, 7, -10, 64];
    let all = |x: i64| vec![vec![x as f64; divisors.len()]];
    for sign_of_x in [false, true] {
        let bytes = made(&divisors, sign_of_x);
        for profile in PROFILES {
            let (_, held) = by_the_file(&bytes, &[all(100), all(-100)], profile);
            for x in -100..=100 {
                agrees(&bytes, &held, &all(x), 0.0);
            }
        }
    }
    let refused = |divisors: &[i64]| import(&made(divisors, false)).unwrap_err().to_string();
    assert!(refused(&[0]).contains("a division by 0"), "{}", refused(&[0]));
    assert!(
        refused(&[1 << 16, 1]).contains("up to 2^15"),
        "{}",
        refused(&[1 << 16, 1])
    );
    let many: Vec<i64> = (1..12).collect();
    assert!(refused(&many).contains("more than 8 different divisors"));
}
