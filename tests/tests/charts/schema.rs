//! The schemas of values: closed everywhere, and of a pool's fields what the definition of MinerPool says.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use zkinfer_tests::helm::chart;
use zkinfer_tests::local::repository;

fn schema(name: &str) -> Value {
    let text = std::fs::read_to_string(chart(name).join("values.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The schema of a MinerPool's spec, as it is installed.
fn spec() -> Value {
    spec_of("minerpools")
}

/// The schema of a kind's spec, as it is installed.
fn spec_of(kinds: &str) -> Value {
    let path = repository().join(format!("crds/yaml/{kinds}.zkinfer.dev.yaml"));
    let crd: Value = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A schema with the definition that it refers to.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(to) => root.pointer(to.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    }
}

/// Names alone: what a value may be, the API server says.
#[test]
fn the_values_take_the_settings_that_a_validator_has_and_no_others() {
    fn same(values: &Value, installed: &Value, path: &str) {
        let (values, installed) = (&values["properties"], &installed["properties"]);
        assert_eq!(keys(values), keys(installed), "{path}");
        for (name, installed) in installed.as_object().unwrap() {
            let path = format!("{path}.{name}");
            if installed["properties"].is_object() {
                same(&values[name], installed, &path);
            } else if installed["items"]["properties"].is_object() {
                same(&values[name]["items"], &installed["items"], &path);
            }
        }
    }
    let values = schema("zkinfer")["properties"]["validator"]["properties"]["spec"].clone();
    let mut installed = spec_of("validators");
    // The installation's class is the chart's `controllerClass`.
    let class = installed["properties"]
        .as_object_mut()
        .unwrap()
        .remove("controllerClass");
    assert!(class.is_some());
    same(&values, &installed, "validator.spec");
}

#[test]
fn no_object_of_the_values_takes_a_name_that_it_does_not_know() {
    fn walk(schema: &Value, path: &str) {
        let Some(map) = schema.as_object() else { return };
        if map.contains_key("properties") && map.contains_key("type") {
            assert_eq!(map["additionalProperties"], false, "{path} is open");
        } else if schema["type"] == "object" && path != "#/properties/global" {
            assert!(map["additionalProperties"].is_object(), "{path} is open");
        }
        for (key, value) in map {
            let path = format!("{path}/{key}");
            match key.as_str() {
                "properties" | "definitions" => {
                    for (name, child) in value.as_object().unwrap() {
                        walk(child, &format!("{path}/{name}"));
                    }
                }
                "items" | "additionalProperties" => walk(value, &path),
                _ => {}
            }
        }
    }
    for name in ["zkinfer", "zkinfer-miner"] {
        walk(&schema(name), "#");
    }
}

#[test]
fn the_schema_knows_every_value_and_no_other() {
    for name in ["zkinfer", "zkinfer-miner"] {
        let values = std::fs::read_to_string(chart(name).join("values.yaml")).unwrap();
        let values: Value = serde_yaml::from_str(&values).unwrap();
        let schema = schema(name);
        let mut known = keys(&schema["properties"]);
        // Of the chart of which this one may be a part.
        assert!(known.remove("global"));
        assert_eq!(known, keys(&values), "{name}");
    }
}

#[test]
fn an_entry_may_have_every_field_of_a_minerpool() {
    let (spec, schema) = (spec(), schema("zkinfer-miner"));
    let entry = keys(&schema["definitions"]["pool"]["properties"]);
    let of_pool = keys(&spec["properties"]);
    assert!(of_pool.is_subset(&entry), "{of_pool:?} {entry:?}");
    let own: BTreeSet<&str> = [
        "name",
        "count",
        "namespace",
        "namespacePrefix",
        "createNamespace",
        "keepNamespace",
        "namespaceLabels",
        "namespaceAnnotations",
        "labels",
        "annotations",
        "quota",
        "limitRange",
        "networkPolicies",
    ]
    .into();
    assert_eq!(entry.difference(&of_pool).copied().collect::<BTreeSet<_>>(), own);
    // What names one pool is no default.
    let defaults = keys(&schema["properties"]["defaults"]["properties"]);
    let one: BTreeSet<&str> = [
        "name",
        "count",
        "identity",
        "possession",
        "hotkey",
        "hotkeyBinding",
        "keyRotations",
    ]
    .into();
    assert_eq!(entry.difference(&defaults).copied().collect::<BTreeSet<_>>(), one);
    assert!(defaults.is_subset(&entry));
}

/// Of each field: what both say with a keyword is the same, but that an empty text means absent in values.
#[test]
fn the_fields_of_a_pool_have_the_bounds_and_patterns_of_the_definition() {
    const BOUNDS: [&str; 8] = [
        "minimum",
        "maximum",
        "maxLength",
        "maxItems",
        "maxProperties",
        "pattern",
        "enum",
        "type",
    ];
    fn same(root: &Value, ours: &Value, theirs: &Value, path: &str) {
        let ours = resolved(root, ours);
        for keyword in BOUNDS {
            let (a, b) = (&ours[keyword], &theirs[keyword]);
            match keyword {
                // A number or a text there, one of the two here.
                "type" if theirs["x-kubernetes-int-or-string"] == true => {
                    assert_eq!(a, &json!(["string", "integer"]), "{path}");
                }
                "type" if ours["enum"].is_array() => {}
                "pattern" if path == "spec.image" => {
                    let inner = b
                        .as_str()
                        .unwrap()
                        .strip_prefix('^')
                        .unwrap()
                        .strip_suffix('$')
                        .unwrap();
                    assert_eq!(a, &json!(format!("^({inner})?$")), "{path}");
                }
                // Ours is stricter: a name of a namespace.
                "pattern" | "maxLength" if path == "spec.allowedNamespaces[]" => {}
                _ if b.is_null() => {}
                "minimum" | "maximum" => assert_eq!(a.as_f64(), b.as_f64(), "{path} {keyword}"),
                _ => assert_eq!(a, b, "{path} {keyword}"),
            }
        }
        for (name, theirs) in theirs["properties"].as_object().into_iter().flatten() {
            let ours = &resolved(root, ours)["properties"][name];
            assert!(!ours.is_null(), "{path}.{name} is missing");
            same(root, ours, theirs, &format!("{path}.{name}"));
        }
        if theirs["items"].is_object() {
            same(root, &ours["items"], &theirs["items"], &format!("{path}[]"));
        }
    }
    let (spec, schema) = (spec(), schema("zkinfer-miner"));
    for (name, theirs) in spec["properties"].as_object().unwrap() {
        let ours = &schema["definitions"]["pool"]["properties"][name];
        same(&schema, ours, theirs, &format!("spec.{name}"));
    }
}

#[test]
fn the_defaults_of_the_values_are_those_of_the_definition() {
    let values = std::fs::read_to_string(chart("zkinfer-miner").join("values.yaml")).unwrap();
    let values: Value = serde_yaml::from_str(&values).unwrap();
    for (name, field) in spec()["properties"].as_object().unwrap() {
        if !field["default"].is_null() {
            assert_eq!(values["defaults"][name], field["default"], "{name}");
        }
    }
}
