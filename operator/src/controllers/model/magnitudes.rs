//! What errors are measured beside: the natural magnitude of each output, as the compiler reports it.
//!
//! Invariant: a compiler decides nothing by it. Where the Model states the magnitudes they are the Model's; else none is more than
//! what the output's integers can hold, since they hold all that calibration has seen.

use zkml::graph::TensorInfo;
use zkml::manifest::Manifest;

/// How many times what its integers hold an output's magnitude may be: it is measured on floats, before they are rounded.
const SPARE: f64 = 2.0;
/// What texts make of a number that is written and read again.
const SAME: f64 = 1e-9;

/// Whether the magnitudes that a report has are those that were asked for, or may have been measured.
///
/// # Errors
/// Which one is not, in a sentence.
pub(super) fn check(said: &[f64], manifest: &Manifest, asked: &[f64]) -> Result<(), String> {
    let outputs: Vec<&TensorInfo> = manifest
        .outputs
        .iter()
        .filter_map(|id| manifest.tensor(*id))
        .collect();
    if asked.is_empty() && said.is_empty() {
        return Ok(());
    }
    if said.len() != outputs.len() {
        let (said, outputs) = (said.len(), outputs.len());
        return Err(format!(
            "its report has magnitudes of {said} outputs, and the model has {outputs}"
        ));
    }
    for (at, (info, said)) in outputs.iter().zip(said).enumerate() {
        let name = &info.name;
        match asked.get(at) {
            Some(asked) if (said - asked).abs() <= SAME * asked.abs() => {}
            Some(asked) => {
                return Err(format!(
                    "its report measures errors of output `{name}` beside {said}, and outputScale is {asked}"
                ));
            }
            None => {
                let most = info.range.lo().unsigned_abs().max(info.range.hi().unsigned_abs());
                let most = most as f64 * info.step();
                // Not a number is not at most anything.
                if !(0.0..=SPARE * most).contains(said) {
                    return Err(format!(
                        "its report measures errors of output `{name}` beside {said}, and the output's integers hold at most {most}"
                    ));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::ProofSystem;
    use zkml_compile::compile::{CompileOptions, compile, plan};

    use super::*;

    const MODEL: &[u8] = include_bytes!("../../../../tests/models/wine.onnx");

    #[test]
    fn a_compiler_may_not_measure_errors_beside_what_it_likes() {
        let options = CompileOptions {
            error_budget_millionths: 200_000,
            ..CompileOptions::new(ProofSystem::SumcheckWhir)
        };
        let plan = plan(MODEL, None, &options).unwrap();
        let made = compile(&plan, &plan.setup(None).unwrap(), &|_| ()).unwrap();
        let measured = plan.accuracy.output_scale.clone();
        assert!(measured[0] > 0.0);
        assert_eq!(check(&measured, &made.manifest, &[]), Ok(()));
        let refused = |said: &[f64], asked: &[f64]| check(said, &made.manifest, asked).unwrap_err();
        for said in [1e6 * measured[0], -1.0, f64::NAN, f64::INFINITY] {
            let why = refused(&[said], &[]);
            assert!(
                why.contains("and the output's integers hold at most"),
                "{said}: {why}"
            );
        }
        assert!(refused(&[1.0, 1.0], &[]).contains("magnitudes of 2 outputs"));
        // What the Model states is the Model's to say, and nobody else's.
        assert_eq!(check(&[1e9], &made.manifest, &[1e9]), Ok(()));
        let why = refused(&measured, &[1e9]);
        assert!(why.contains("and outputScale is 1000000000"), "{why}");
        assert!(refused(&[], &[1e9]).contains("magnitudes of 0 outputs"));
    }
}
