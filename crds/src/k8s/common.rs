//! What more than one kind uses: references, and the texts that mean an amount.
//!
//! Invariant: an amount is positive and its schema's pattern, or the rule in its place, accepts exactly what its parser accepts, so an
//! object that the API server stored can always be read.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The Secret of the validator's hotkey that the operator may read without a Role of its own.
pub const HOTKEY_SECRET: &str = "zkinfer-hotkey";
/// Under which key of the Secret the hotkey's seed stands: `0x` and 64 hexadecimal digits.
pub const HOTKEY_SECRET_KEY: &str = "seed";

/// Why an amount did not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not {expected}")]
pub struct AmountError {
    /// What would have been right, in words.
    pub expected: &'static str,
    /// What was given, shortened.
    pub got: String,
}

/// An amount as people write it: `cpu: 1` is a number in YAML, and pods take it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Number(u64),
}

/// With `$number` a whole number stands for itself, as in pods.
macro_rules! amount {
    ($(#[$doc:meta])* $name:ident, $pattern:literal, $expected:literal, $parse:path, $number:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name(String);

        impl $name {
            /// The pattern that the API server checks.
            pub const PATTERN: &'static str = $pattern;

            /// The text as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = AmountError;
            fn from_str(text: &str) -> Result<Self, AmountError> {
                match $parse(text) {
                    Some(_) => Ok(Self(text.to_owned())),
                    None => Err(AmountError { expected: $expected, got: text.chars().take(80).collect() }),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                match Written::deserialize(d)? {
                    Written::Text(text) => text.parse(),
                    Written::Number(number) => number.to_string().parse(),
                }
                .map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                if $number {
                    json_schema!({
                        "type": "string", "maxLength": 24, "pattern": $pattern, "minimum": 1,
                        "x-kubernetes-int-or-string": true,
                    })
                } else {
                    json_schema!({ "type": "string", "maxLength": 24, "pattern": $pattern })
                }
            }
        }
    };
}

amount!(
    /// Memory as Kubernetes writes it, in whole units: `512Mi`, `2G`, `1073741824`.
    Memory,
    "^[1-9][0-9]{0,14}(k|M|G|T|Ki|Mi|Gi|Ti)?$",
    "an amount of memory such as 512Mi",
    parse_memory,
    true
);
amount!(
    /// Processor time as Kubernetes writes it: `2`, `500m`, `1.5`.
    Cpu,
    r"^([1-9][0-9]{0,6}m?|(0|[1-9][0-9]{0,3})\.[0-9]{0,2}[1-9])$",
    "an amount of processor time such as 2, 500m or 1.5",
    parse_cpu,
    true
);
amount!(
    /// A length of time in hours, minutes and seconds, in this order: `1h`, `90s`, `1h30m`. The longest is 7 days.
    Deadline,
    "^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$",
    "a length of time such as 1h30m, more than 0 and at most 7 days",
    parse_deadline,
    false
);

impl Memory {
    /// The number of bytes; stops at the largest `u64`.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        parse_memory(&self.0).unwrap_or(u64::MAX)
    }
}

impl Cpu {
    /// Thousandths of a core.
    #[must_use]
    pub fn millicores(&self) -> u64 {
        parse_cpu(&self.0).unwrap_or(u64::MAX)
    }
}

/// The longest deadline, in seconds.
pub const MAX_DEADLINE_SECONDS: u64 = 7 * 24 * 3600;

impl Deadline {
    /// The number of seconds.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        parse_deadline(&self.0).unwrap_or(MAX_DEADLINE_SECONDS)
    }

    /// The same as a standard duration.
    #[must_use]
    pub fn duration(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.seconds())
    }
}

/// Splits off the leading digits; at most `max` of them, and no leading zero if `strict`.
fn digits(text: &str, max: usize, strict: bool) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if number.is_empty() || number.len() > max || (strict && number.starts_with('0')) {
        return None;
    }
    Some((number.parse().ok()?, rest))
}

fn parse_memory(text: &str) -> Option<u64> {
    let (number, unit) = digits(text, 15, true)?;
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    Some(number.saturating_mul(factor))
}

fn parse_cpu(text: &str) -> Option<u64> {
    let Some((whole, fraction)) = text.split_once('.') else {
        return match digits(text, 7, true)? {
            (cores, "") => Some(cores * 1000),
            (millicores, "m") => Some(millicores),
            _ => None,
        };
    };
    let (cores, "") = digits(whole, 4, whole != "0")? else {
        return None;
    };
    let (_, "") = digits(fraction, 3, false)? else {
        return None;
    };
    if fraction.ends_with('0') {
        return None;
    }
    Some(cores * 1000 + format!("{fraction:0<3}").parse::<u64>().ok()?)
}

fn parse_deadline(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut seconds = 0u64;
    for (unit, max, factor) in [('h', 5, 3600), ('m', 6, 60), ('s', 7, 1)] {
        if let Some((number, tail)) = digits(rest, max, false)
            && let Some(tail) = tail.strip_prefix(unit)
        {
            seconds += number * factor;
            rest = tail;
        }
    }
    (rest.is_empty() && (1..=MAX_DEADLINE_SECONDS).contains(&seconds)).then_some(seconds)
}

/// A key of a ConfigMap in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKey {
    /// The ConfigMap's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key, in `data` or `binaryData`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn amounts_mean_what_kubernetes_means() {
        assert_eq!("512Mi".parse::<Memory>().unwrap().bytes(), 512 << 20);
        assert_eq!("2G".parse::<Memory>().unwrap().bytes(), 2_000_000_000);
        assert_eq!("999999999999999Ti".parse::<Memory>().unwrap().bytes(), u64::MAX);
        for (text, millicores) in [
            ("2", 2000),
            ("500m", 500),
            ("1.5", 1500),
            ("0.25", 250),
            ("0.005", 5),
        ] {
            assert_eq!(text.parse::<Cpu>().unwrap().millicores(), millicores, "{text}");
        }
        for (text, seconds) in [
            ("1h", 3600),
            ("90s", 90),
            ("1h30m", 5400),
            ("1h1m1s", 3661),
            ("168h", 604_800),
        ] {
            assert_eq!(text.parse::<Deadline>().unwrap().seconds(), seconds, "{text}");
        }
    }

    #[test]
    fn a_whole_number_is_an_amount_as_in_pods_and_no_other_number_is() {
        let cpu = |json| serde_json::from_value::<Cpu>(json).map(|c| c.millicores()).ok();
        assert_eq!(cpu(serde_json::json!(2)), Some(2000));
        assert_eq!(cpu(serde_json::json!("2")), Some(2000));
        for no in [
            serde_json::json!(0),
            serde_json::json!(-1),
            serde_json::json!(1.5),
            serde_json::json!(true),
        ] {
            assert_eq!(cpu(no.clone()), None, "{no}");
        }
        assert!(serde_json::from_value::<Deadline>(serde_json::json!(60)).is_err());
    }

    #[test]
    fn the_pattern_accepts_what_the_parser_accepts() {
        let texts = [
            "",
            "0",
            "1",
            "01",
            "1m",
            "0m",
            "0.0",
            "0.5",
            "1.5",
            "1.50",
            "00.5",
            ".5",
            "5.",
            "1.2345",
            "12345.5",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1e3",
            "512Mi",
            "512mi",
            "5Pi",
            "1Ki",
            "1k",
            "1K",
            "0Mi",
            "99999999",
            "1.5Gi",
            "1234567m",
            "12345678m",
            "1234567890123456",
            "١",
        ];
        let (memory, cpu) = (
            Regex::new(Memory::PATTERN).unwrap(),
            Regex::new(Cpu::PATTERN).unwrap(),
        );
        for text in texts {
            assert_eq!(
                memory.is_match(text),
                text.parse::<Memory>().is_ok(),
                "memory {text:?}"
            );
            assert_eq!(cpu.is_match(text), text.parse::<Cpu>().is_ok(), "cpu {text:?}");
        }
        // The deadline's range is a CEL rule, so its pattern alone accepts more.
        let deadline = Regex::new(Deadline::PATTERN).unwrap();
        for text in [
            "1h", "1m", "1s", "1h1s", "01h", "1m1h", "1", "h", "1d", "1.5h", "-1h", "1h ", "123456h",
        ] {
            assert_eq!(
                deadline.is_match(text),
                text.parse::<Deadline>().is_ok(),
                "deadline {text:?}"
            );
        }
        for text in ["", "0s", "0h0m0s", "169h", "168h1s", "9999999s"] {
            assert!(
                deadline.is_match(text) && text.parse::<Deadline>().is_err(),
                "deadline {text:?}"
            );
        }
    }
}
