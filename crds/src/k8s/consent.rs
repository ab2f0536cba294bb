//! Who may serve a Model, and so see its weights and the inputs of its requests: the list and the texts that hold one.
//!
//! Invariant: no entry is a wildcard. An entry names one namespace, and may narrow that to one miner.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::words::Identity;

/// The ConfigMap that holds the list of a namespace's Models that state none.
pub const CONSENT_CONFIG_MAP: &str = "zkinfer-consent";
/// Its key.
pub const CONSENT_KEY: &str = "servedBy";
/// The most entries of a list.
pub const MAX_SERVED_BY: usize = 256;
/// The most bytes of a list's text.
const MAX_TEXT: usize = 64 << 10;
/// The longest name of a namespace.
const MAX_NAMESPACE: usize = 63;

/// Pools that may serve: of a namespace, or of one miner in it.
#[derive(KubeSchema, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServedBy {
    /// The pools' namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,
    /// Only pools of this miner: those whose `identity` is this one, and proven. Absent: every pool of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

/// Reads a list: YAML, as in `servedBy` of a Model.
///
/// # Errors
/// What is wrong with it, for people; nothing of it counts then.
pub fn parse_served_by(text: &str) -> Result<Vec<ServedBy>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("{} bytes; a list has at most {MAX_TEXT}", text.len()));
    }
    let list: Vec<ServedBy> =
        serde_yaml::from_str(text).map_err(|e| format!("not a list of {{namespace, identity}}: {e}"))?;
    if list.len() > MAX_SERVED_BY {
        return Err(format!(
            "{} entries; a list has at most {MAX_SERVED_BY}",
            list.len()
        ));
    }
    match list.iter().find(|entry| !is_namespace(&entry.namespace)) {
        Some(entry) => {
            let shown: String = entry.namespace.chars().take(MAX_NAMESPACE).collect();
            Err(format!(
                "`{shown}` is not a namespace's name; there are no wildcards"
            ))
        }
        None => Ok(list),
    }
}

/// Whether a namespace can have this name: a DNS label (RFC 1123).
#[must_use]
pub fn is_namespace(name: &str) -> bool {
    let inner = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=MAX_NAMESPACE).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_list_of_namespaces_and_miners() {
        let identity = format!("ed25519:{}", "2".repeat(64));
        let text = format!("- namespace: miner-alpha\n- {{namespace: beta, identity: \"{identity}\"}}\n");
        let list = parse_served_by(&text).unwrap();
        assert_eq!(list[0].namespace, "miner-alpha");
        assert_eq!(
            (list[0].identity, list[1].identity),
            (None, identity.parse().ok())
        );
        for nobody in ["[]", ""] {
            assert_eq!(parse_served_by(nobody).unwrap(), []);
        }
    }

    #[test]
    fn a_list_with_anything_wrong_is_none_and_says_what() {
        let many = "- namespace: a\n".repeat(MAX_SERVED_BY + 1);
        let long = "#".repeat(MAX_TEXT + 1);
        for (text, word) in [
            ("miner-alpha", "not a list"),
            ("- miner-alpha", "not a list"),
            ("- {namespace: a, identiti: x}", "identiti"),
            ("- {namespace: a, identity: \"ed25519:12\"}", "not a list"),
            ("- {identity: null}", "namespace"),
            ("- {namespace: a}\n- {namespace: '*'}", "`*`"),
            ("- {namespace: 'miner-*'}", "wildcards"),
            ("- {namespace: ''}", "``"),
            ("- {namespace: A}", "`A`"),
            ("- {namespace: a, namespace: b}", "duplicate"),
            ("[", "not a list"),
            (&many, "257 entries"),
            (&long, "bytes"),
        ] {
            let error = parse_served_by(text).unwrap_err();
            assert!(error.contains(word), "{text:.40}: {error}");
        }
    }
}
