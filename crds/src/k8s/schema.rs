//! What the API server does to an object on its way in, for files: drop nulls, fill in defaults, check the schema,
//! run the CEL rules.
//!
//! Invariant: it reads the same schema that is installed, and a test fails when that schema uses a keyword that is
//! not read here. Stricter than the server in one point: an unknown field is an error, as with
//! `kubectl apply --validate=strict`, not dropped.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::core::cel::{Validator, apply_defaults};
use regex::Regex;
use serde_json::Value;

use super::definitions::crds;

/// One thing that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `spec.source.url`; empty for the whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// A kind's schema, typed for the checks and as JSON for defaults and CEL.
struct Kind {
    name: String,
    typed: JSONSchemaProps,
    json: Value,
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kinds = crds().into_iter().filter_map(|crd| {
        let version = crd.spec.versions.into_iter().next()?;
        let typed = version.schema?.open_api_v3_schema?;
        let json = serde_json::to_value(&typed).ok()?;
        Some(Kind {
            name: crd.spec.names.kind,
            typed,
            json,
        })
    });
    kinds.collect()
});

/// The names of the kinds.
pub(super) fn kind_names() -> Vec<&'static str> {
    KINDS.iter().map(|k| k.name.as_str()).collect()
}

/// Takes an object with `metadata` and `spec` in; gives it back with defaults, or all that is wrong with it.
pub(super) fn admit(kind: &str, mut object: Value) -> Result<Value, Vec<Problem>> {
    let Some(kind) = KINDS.iter().find(|k| k.name == kind) else {
        return Err(vec![Problem {
            field: "kind".to_owned(),
            message: format!("unknown kind {kind}"),
        }]);
    };
    let Some(spec_schema) = kind.typed.properties.as_ref().and_then(|p| p.get("spec")) else {
        return Err(vec![Problem {
            field: "spec".to_owned(),
            message: "the kind has no spec".to_owned(),
        }]);
    };
    let Some(spec) = object.get_mut("spec") else {
        return Err(vec![Problem {
            field: "spec".to_owned(),
            message: "is required".to_owned(),
        }]);
    };
    normalise(spec_schema, spec);
    let object = apply_defaults(&kind.json, &object);
    let mut problems = Vec::new();
    check(spec_schema, &object["spec"], "spec", &mut problems);
    // Rules may assume what the schema says, so they run only on what fits it.
    if problems.is_empty()
        && let Err(errors) = Validator::new().validate(&kind.json, &object, None)
    {
        problems.extend(errors.into_iter().map(|e| Problem {
            field: e.field_path,
            message: e.message,
        }));
    }
    if problems.is_empty() {
        Ok(object)
    } else {
        Err(problems)
    }
}

/// Drops nulls where no null is allowed, and writes `1.0` as `1` where an integer is meant.
fn normalise(schema: &JSONSchemaProps, value: &mut Value) {
    let nullable = |s: Option<&JSONSchemaProps>| s.is_some_and(|s| s.nullable == Some(true));
    match value {
        Value::Object(map) => {
            map.retain(|key, v| !v.is_null() || nullable(child(schema, key)));
            for (key, v) in map {
                if let Some(schema) = child(schema, key) {
                    normalise(schema, v);
                }
            }
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                items.iter_mut().for_each(|item| normalise(schema, item));
            }
        }
        Value::Number(number) if schema.x_kubernetes_int_or_string == Some(true) && number.is_u64() => {
            *value = number.to_string().into();
        }
        Value::Number(number) if schema.type_.as_deref() == Some("integer") && number.is_f64() => {
            // Below 2^53 every float is exact, so the text names the same integer.
            if let Some(integer) = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15)
                && let Ok(integer) = format!("{integer:.0}").parse::<i64>()
            {
                *value = integer.into();
            }
        }
        _ => {}
    }
}

/// The schema of a field or of a map's value.
fn child<'a>(schema: &'a JSONSchemaProps, key: &str) -> Option<&'a JSONSchemaProps> {
    if let Some(property) = schema.properties.as_ref().and_then(|p| p.get(key)) {
        return Some(property);
    }
    match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(value)) => Some(value),
        _ => None,
    }
}

fn check(schema: &JSONSchemaProps, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    let mut wrong = |message: String| {
        problems.push(Problem {
            field: path.to_owned(),
            message,
        })
    };
    // A number that stands for an amount is a text by now.
    let text = schema.x_kubernetes_int_or_string == Some(true);
    let expected = schema
        .type_
        .as_deref()
        .unwrap_or(if text { "string" } else { "object" });
    let fits = match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    };
    let absent = value.is_null() && schema.nullable == Some(true);
    if !(fits || absent) {
        return wrong(format!("must be of type {expected}, is {}", shown(value)));
    }
    if let Some(allowed) = &schema.enum_
        && !allowed.iter().any(|a| a.0 == *value)
    {
        let allowed: Vec<String> = allowed.iter().map(|a| shown(&a.0)).collect();
        wrong(format!(
            "must be one of {}, is {}",
            allowed.join(", "),
            shown(value)
        ));
    }
    match value {
        Value::String(text) => check_text(schema, text, &mut wrong),
        Value::Number(number) => {
            let n = number.as_f64().unwrap_or(f64::NAN);
            // Unsigned integers of the types are `int64` in the schema, so they stop there too.
            if expected == "integer" && !number.is_i64() || schema.maximum.is_some_and(|max| n > max) {
                wrong(format!(
                    "must be at most {}, is {number}",
                    schema.maximum.unwrap_or(i64::MAX as f64)
                ));
            }
            if let Some(min) = schema.minimum.filter(|&min| n < min) {
                wrong(format!("must be at least {min}, is {number}"));
            }
        }
        Value::Array(items) => {
            check_count(
                "entries",
                items.len(),
                schema.min_items,
                schema.max_items,
                &mut wrong,
            );
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                for (i, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{i}]"), problems);
                }
            }
        }
        Value::Object(map) => {
            check_count(
                "entries",
                map.len(),
                schema.min_properties,
                schema.max_properties,
                &mut wrong,
            );
            for name in schema
                .required
                .iter()
                .flatten()
                .filter(|name| !map.contains_key(*name))
            {
                problems.push(Problem {
                    field: format!("{path}.{name}"),
                    message: "is required".to_owned(),
                });
            }
            for (key, item) in map {
                let path = format!("{path}.{key}");
                match child(schema, key) {
                    Some(schema) => check(schema, item, &path, problems),
                    None => {
                        let known: Vec<&str> = schema
                            .properties
                            .iter()
                            .flat_map(|p| p.keys())
                            .map(String::as_str)
                            .collect();
                        let message = format!("unknown field; there are {}", known.join(", "));
                        problems.push(Problem { field: path, message });
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_text(schema: &JSONSchemaProps, text: &str, wrong: &mut impl FnMut(String)) {
    let length = text.chars().count();
    check_count("characters", length, schema.min_length, schema.max_length, wrong);
    if let Some(pattern) = &schema.pattern
        && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(text))
    {
        wrong(format!("must match {pattern}, is {}", shown(&text.into())));
    }
}

fn check_count(what: &str, n: usize, min: Option<i64>, max: Option<i64>, wrong: &mut impl FnMut(String)) {
    let count = i64::try_from(n).unwrap_or(i64::MAX);
    if let Some(min) = min.filter(|&min| count < min) {
        wrong(format!("must have at least {min} {what}, has {count}"));
    }
    if let Some(max) = max.filter(|&max| count > max) {
        wrong(format!("must have at most {max} {what}, has {count}"));
    }
}

/// A value for a message, at most 80 characters of it.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => {
            let text = scalar.to_string();
            if text.chars().count() <= 80 {
                text
            } else {
                text.chars().take(77).chain("...".chars()).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keywords that are checked above, applied by `apply_defaults` or the validator, or mean nothing for a value.
    const KNOWN: &[&str] = &[
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "nullable",
        "default",
        "format",
        "description",
        "title",
        "x-kubernetes-validations",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
    ];

    fn walk(schema: &Value, path: &str) {
        for (keyword, value) in schema.as_object().unwrap() {
            assert!(
                KNOWN.contains(&keyword.as_str()),
                "{path}: keyword {keyword} is not checked"
            );
            match keyword.as_str() {
                "properties" => {
                    for (name, child) in value.as_object().unwrap() {
                        walk(child, &format!("{path}.{name}"));
                    }
                }
                "items" | "additionalProperties" => walk(value, &format!("{path}[]")),
                "pattern" => assert!(Regex::new(value.as_str().unwrap()).is_ok(), "{path}"),
                "format" => assert!(
                    ["int32", "int64", "double", "date-time"].contains(&value.as_str().unwrap()),
                    "{path}: format {value}"
                ),
                _ => {}
            }
        }
    }

    #[test]
    fn the_schemas_use_only_keywords_that_are_checked() {
        assert_eq!(
            kind_names(),
            ["Model", "InferenceRequest", "MinerPool", "Validator"]
        );
        for kind in KINDS.iter() {
            walk(&kind.json, &kind.name);
        }
    }

    #[test]
    fn a_32_bit_number_has_its_bounds_in_the_schema() {
        // The server does not enforce `format`, and the types read 32 bits.
        fn walk(schema: &Value, path: &str) {
            if schema["format"] == "int32" {
                assert!(
                    schema["minimum"].is_number() && schema["maximum"].is_number(),
                    "{path}"
                );
            }
            for (name, child) in schema["properties"].as_object().into_iter().flatten() {
                walk(child, &format!("{path}.{name}"));
            }
        }
        for kind in KINDS.iter() {
            walk(&kind.json["properties"]["spec"], &kind.name);
        }
    }
}
