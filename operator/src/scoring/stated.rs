//! The scoring rule that a Validator states.
//!
//! Invariant: what a Validator leaves out is the rule's own; what the rule cannot take is never in force, and is named by its field.

use std::collections::BTreeMap;

use zkinfer_crds::k8s::validator::{RuleInForce, Scoring, ScoringRule};
use zkinfer_scoring::{Constants, Rule, RuleName};

/// The rule that a spec states.
///
/// # Errors
/// What is wrong with it, by field.
pub fn stated(spec: &Scoring) -> Result<Rule, String> {
    let name = match spec.rule {
        ScoringRule::SpeedSizeAccuracy => RuleName::SpeedSizeAccuracy,
        ScoringRule::DeliveredWork => RuleName::DeliveredWork,
        ScoringRule::ResponseCurve => RuleName::ResponseCurve,
    };
    let own = name.constants();
    let long = |stated: Option<u32>, own: u64| stated.map_or(own, u64::from);
    let constants = Constants {
        window_hours: long(spec.window_hours, own.window_hours),
        half_life_minutes: long(spec.half_life_minutes, own.half_life_minutes),
        least_work: long(spec.least_work_micros, own.least_work),
        cold_start: long(spec.cold_start, own.cold_start),
        skip_hours: long(spec.skip_hours, own.skip_hours),
        fault_millionths: spec.fault_millionths.unwrap_or(own.fault_millionths),
        power_millionths: spec.power_millionths.unwrap_or(own.power_millionths),
        owner_cap_millionths: spec.owner_cap_millionths.unwrap_or(own.owner_cap_millionths),
        speed_millionths: spec.speed_millionths.unwrap_or(own.speed_millionths),
        owners: owners(spec)?,
    };
    Rule::new(name, constants).map_err(|e| format!("scoring: {e}"))
}

/// Who owns which namespace: each is one owner's.
fn owners(spec: &Scoring) -> Result<BTreeMap<String, String>, String> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for (i, group) in spec.owners.iter().enumerate() {
        for namespace in &group.namespaces {
            if let Some(other) = owners.insert(namespace.clone(), group.name.clone()) {
                return Err(format!(
                    "scoring.owners[{i}]: namespace `{namespace}` is listed twice, of `{other}` and of `{}`",
                    group.name
                ));
            }
        }
    }
    Ok(owners)
}

/// What is told of a rule.
#[must_use]
pub fn told(rule: &Rule) -> RuleInForce {
    RuleInForce {
        rule: rule.name().word().to_owned(),
        version: rule.name().version(),
        digest: rule.digest(),
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;
    use serde_json::{Value, json};
    use zkinfer_crds::k8s::Validator;

    use super::*;

    fn of(json: Value) -> Result<Rule, String> {
        stated(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn a_validator_has_every_rule_by_its_name_and_leaves_its_constants_alone() {
        let known: Vec<_> = ScoringRule::ALL.iter().map(|rule| rule.as_str()).collect();
        assert_eq!(known, RuleName::ALL.map(RuleName::word));
        for name in RuleName::ALL {
            assert_eq!(of(json!({ "rule": name.word() })), Ok(name.into()));
        }
        assert_eq!(of(json!({})), Ok(Rule::default()));
    }

    #[test]
    fn what_is_stated_is_the_rules_and_changes_its_digest() {
        let rule = of(json!({
            "rule": "DeliveredWork", "windowHours": 48, "coldStart": 5, "ownerCapMillionths": 500_000,
            "owners": [{ "name": "acme", "namespaces": ["a", "b"] }],
        }))
        .unwrap();
        let constants = rule.constants();
        assert_eq!(
            (
                constants.window_hours,
                constants.cold_start,
                constants.owner_cap_millionths
            ),
            (48, 5, 500_000)
        );
        assert_eq!(constants.half_life_minutes, 120, "the rule's own");
        assert_eq!(constants.owners["b"], "acme");
        assert_ne!(told(&rule).digest, told(&RuleName::DeliveredWork.into()).digest);
    }

    #[test]
    fn what_the_schema_lets_through_the_rule_takes() {
        let definition = serde_json::to_value(Validator::crd()).unwrap();
        let at = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/scoring/properties";
        let fields = definition.pointer(at).and_then(Value::as_object).unwrap();
        let mut bounded = 0;
        for (field, of_field) in fields {
            for bound in ["minimum", "maximum"] {
                if let Some(number) = of_field[bound].as_f64() {
                    let stated = json!({ field.as_str(): number as u64 });
                    assert!(of(stated).is_ok(), "{field} {bound} {number}");
                    bounded += 1;
                }
            }
        }
        assert!(bounded >= 18, "{bounded}");
    }

    #[test]
    fn a_namespace_of_two_owners_is_named() {
        let error = of(json!({ "owners": [
            { "name": "acme", "namespaces": ["a", "b"] }, { "name": "else", "namespaces": ["b"] },
        ] }))
        .unwrap_err();
        assert_eq!(
            error,
            "scoring.owners[1]: namespace `b` is listed twice, of `acme` and of `else`"
        );
    }
}
