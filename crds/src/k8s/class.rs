//! Which installation of a cluster an object is for: `spec.controllerClass`, which every kind has.
//!
//! A field of the spec, and not a label: the API server checks its form, gives it a default and keeps it as it is, and whoever may
//! change an object's labels cannot hand it, with all that it has come to, to another operator.
//!
//! Invariant: an object has exactly one class from its creation to its end, so no two operators of different classes ever act on
//! the same one.

use crate::kinds;

/// The class of an object, and of an operator, that says none.
pub const DEFAULT_CLASS: &str = "zkinfer";
/// The longest name of a class: names of cluster-wide roles and of field managers end with it.
pub const MAX_CLASS: usize = 32;

/// Whether this can be a class: a label of DNS, not too long.
#[must_use]
pub fn is_class(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.len() <= MAX_CLASS
        && bytes.first().is_some_and(|c| plain(*c))
        && bytes.last().is_some_and(|c| plain(*c))
        && bytes.iter().all(|c| plain(*c) || *c == b'-')
}

pub(super) fn default_class() -> String {
    DEFAULT_CLASS.to_owned()
}

/// An object of a class.
pub trait Classed {
    /// The class.
    fn class(&self) -> &str;
}

macro_rules! classed {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        $(
            impl Classed for super::$kind {
                fn class(&self) -> &str {
                    &self.spec.controller_class
                }
            }
        )*

        #[cfg(test)]
        fn named() -> Vec<&'static str> {
            vec![$(stringify!($kind)),*]
        }
    };
}

kinds!(classed);

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt;
    use serde_json::json;

    use super::*;
    use crate::k8s;

    #[test]
    fn a_class_is_a_label_of_dns_of_at_most_32_characters() {
        for good in ["zkinfer", "a", "0", "blue-2", &"a".repeat(MAX_CLASS)] {
            assert!(is_class(good), "{good}");
        }
        for bad in [
            "",
            "-",
            "a-",
            "-a",
            "Blue",
            "a.b",
            "a_b",
            "ä",
            &"a".repeat(MAX_CLASS + 1),
        ] {
            assert!(!is_class(bad), "{bad}");
        }
        assert!(is_class(DEFAULT_CLASS));
    }

    #[test]
    fn every_kind_has_the_field_with_the_same_form_and_default_and_it_stays() {
        macro_rules! definitions {
            ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
                vec![$(k8s::$kind::crd()),*]
            };
        }
        let definitions = crate::kinds!(definitions);
        assert_eq!(definitions.len(), named().len());
        for definition in definitions {
            let definition = serde_json::to_value(definition).unwrap();
            let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let field = &schema["properties"]["spec"]["properties"]["controllerClass"];
            let kind = &definition["spec"]["names"]["kind"];
            assert_eq!(field["default"], DEFAULT_CLASS, "{kind}");
            assert_eq!(field["maxLength"], MAX_CLASS, "{kind}");
            assert_eq!(field["pattern"], "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "{kind}");
            let rule = &field["x-kubernetes-validations"][0];
            assert_eq!(rule["rule"], "self == oldSelf", "{kind}");
            assert_eq!(rule["message"], "controllerClass is immutable", "{kind}");
        }
    }

    #[test]
    fn an_object_that_says_nothing_is_of_the_default_class() {
        let request = |spec: serde_json::Value| -> k8s::InferenceRequest {
            serde_json::from_value(json!({
                "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "name": "r" },
                "spec": spec,
            }))
            .unwrap()
        };
        let input = json!({ "artifact": crate::Digest::of(b"") });
        let plain = request(json!({ "modelRef": { "name": "m" }, "input": input }));
        assert_eq!(plain.class(), DEFAULT_CLASS);
        let blue = request(json!({ "modelRef": { "name": "m" }, "input": input, "controllerClass": "blue" }));
        assert_eq!(blue.class(), "blue");
    }
}
