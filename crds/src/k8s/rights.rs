//! Who may do what with which kinds: the rules of every Role and ClusterRole of ours, each list once. The manifests and the chart
//! hold what is made of it; the roles themselves, and to whom they are bound, stand there.
//!
//! Invariants: the operator has the rights that it uses and no others, which a test with the API server's audit log sees to; what
//! a kind's own file says of it ([`Rights`]) is said nowhere else.

use std::borrow::Cow;
use std::fmt::Write as _;

use kube::Resource;

use super::GROUP;
use crate::generated::{FillError, filled};

/// Who may do what with the objects of a kind. Whoever may view a namespace may read them there, and the operator follows them
/// and writes their status: that is what a kind is.
#[derive(Debug, Clone, Copy)]
pub struct Rights {
    /// What the operator does with them beside that.
    pub operator: &'static [Beside],
    /// Which of the people of a namespace write them.
    pub writers: Writers,
}

/// A right of the operator that it does not have over every kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    /// Kubernetes' words for it.
    pub verbs: &'static [&'static str],
    /// What for.
    pub why: &'static str,
}

/// Who writes the objects of a kind, of those who may write anything in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Whoever may edit the namespace.
    Editors,
    /// Only who administers it, and why.
    Administrators(&'static str),
}

macro_rules! rights {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        /// Every kind of ours, by its resource.
        fn ours() -> Vec<(Cow<'static, str>, Rights)> {
            vec![$((super::$kind::plural(&()), super::$file::RIGHTS)),*]
        }
    };
}

crate::kinds!(rights);

/// A list of rules, which one or several roles have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// What the operator does with the objects of a namespace.
    Objects,
    /// What it asks of the whole cluster.
    Reviews,
    /// What it does in its own namespace.
    Own,
    /// What `view` includes.
    View,
    /// What `edit` includes beside that.
    Edit,
    /// What `admin` includes beside that.
    Admin,
    /// For uploads with a kubeconfig that holds a certificate.
    Upload,
}

impl Rules {
    /// All of them, with what the chart says of each.
    const ALL: [(Self, &'static str); 7] = [
        (
            Self::Objects,
            "What the operator does with the objects of a namespace.",
        ),
        (
            Self::Reviews,
            "Whose token is it, and may they? Neither is of a namespace.",
        ),
        (
            Self::Own,
            "In the operator's own namespace: the key of claim tokens, the tokens of compilers, and who of several operators acts.",
        ),
        (Self::View, "What view includes."),
        (Self::Edit, "What edit includes beside that."),
        (Self::Admin, "What admin includes beside that."),
        (
            Self::Upload,
            "For uploads with a kubeconfig that holds a certificate.",
        ),
    ];

    /// What it is called in the marks of files, and in the chart.
    const fn name(self) -> &'static str {
        match self {
            Self::Objects => "zkinfer.rules.objects",
            Self::Reviews => "zkinfer.rules.reviews",
            Self::Own => "zkinfer.rules.own",
            Self::View => "zkinfer.rules.view",
            Self::Edit => "zkinfer.rules.edit",
            Self::Admin => "zkinfer.rules.admin",
            Self::Upload => "zkinfer.rules.upload",
        }
    }

    fn rules(self) -> Vec<Rule> {
        match self {
            Self::Objects => followed()
                .into_iter()
                .chain(OBJECTS.iter().map(Rule::of))
                .collect(),
            Self::Reviews => REVIEWS.iter().map(Rule::of).collect(),
            Self::Own => OWN.iter().map(Rule::of).collect(),
            Self::View => of_ours("", resources(|_| true), READ).into_iter().collect(),
            Self::Edit => {
                let editors = resources(|rights| rights.writers == Writers::Editors);
                of_ours("", editors, WRITE).into_iter().collect()
            }
            Self::Admin => by(|rights| match rights.writers {
                Writers::Administrators(why) => vec![(why, WRITE)],
                Writers::Editors => Vec::new(),
            }),
            Self::Upload => UPLOAD.iter().map(Rule::of).collect(),
        }
    }
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];

/// A rule as it stands in a table here.
struct Said {
    why: &'static str,
    group: &'static str,
    resources: &'static [&'static str],
    names: &'static [&'static str],
    verbs: &'static [&'static str],
}

/// What the operator does with the objects of Kubernetes in a namespace.
const OBJECTS: &[Said] = &[
    Said {
        why: "Models, calibration data and inputs, one at a time by name.",
        group: "",
        resources: &["configmaps"],
        names: &[],
        verbs: &["get"],
    },
    Said {
        why: "Who may see the models of a namespace: ConfigMaps of this one name.",
        group: "",
        resources: &["configmaps"],
        names: &[super::CONSENT_CONFIG_MAP],
        verbs: &["list", "watch"],
    },
    Said {
        why: "Workers and compilers.",
        group: "batch",
        resources: &["jobs"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "delete"],
    },
    Said {
        why: "Why workers do not start: read while they are to come.",
        group: "",
        resources: &["pods", "events"],
        names: &[],
        verbs: &["list"],
    },
    Said {
        why: "",
        group: "apps",
        resources: &["deployments"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch"],
    },
    Said {
        why: "",
        group: "",
        resources: &["serviceaccounts"],
        names: &[],
        verbs: &["create", "patch"],
    },
    Said {
        why: "",
        group: "networking.k8s.io",
        resources: &["networkpolicies"],
        names: &[],
        verbs: &["create", "patch"],
    },
    Said {
        why: "",
        group: "events.k8s.io",
        resources: &["events"],
        names: &[],
        verbs: &["create", "patch"],
    },
];

/// What it asks about whoever calls.
const REVIEWS: &[Said] = &[
    Said {
        why: "",
        group: "authentication.k8s.io",
        resources: &["tokenreviews"],
        names: &[],
        verbs: &["create"],
    },
    Said {
        why: "",
        group: "authorization.k8s.io",
        resources: &["subjectaccessreviews"],
        names: &[],
        verbs: &["create"],
    },
];

/// What it does in its own namespace.
const OWN: &[Said] = &[
    Said {
        why: "",
        group: "",
        resources: &["secrets"],
        names: &[],
        verbs: &["create"],
    },
    Said {
        why: "",
        group: "",
        resources: &["secrets"],
        names: &[
            "zkinfer-token-key",
            "zkinfer-validator-key",
            super::common::HOTKEY_SECRET,
        ],
        verbs: &["get"],
    },
    Said {
        why: "Who of several operators acts.",
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &[],
        verbs: &["create"],
    },
    Said {
        why: "",
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &["zkinfer-operator"],
        verbs: &["get", "update"],
    },
];

/// `artifacts` are no objects, only files in the store.
const UPLOAD: &[Said] = &[Said {
    why: "",
    group: GROUP,
    resources: &["artifacts"],
    names: &[],
    verbs: &["create"],
}];

/// A rule as it is written.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    why: &'static str,
    group: &'static str,
    resources: Vec<Cow<'static, str>>,
    names: &'static [&'static str],
    verbs: &'static [&'static str],
}

impl Rule {
    fn of(said: &Said) -> Self {
        Self {
            why: said.why,
            group: said.group,
            resources: said.resources.iter().map(|r| Cow::Borrowed(*r)).collect(),
            names: said.names,
            verbs: said.verbs,
        }
    }

    fn write(&self, text: &mut String, indent: usize) {
        let mut line = |line: std::fmt::Arguments<'_>| {
            // Nothing fails to be written into a text.
            let _ = writeln!(text, "{:indent$}{line}", "");
        };
        if !self.why.is_empty() {
            line(format_args!("# {}", self.why));
        }
        let group = if self.group.is_empty() { "\"\"" } else { self.group };
        line(format_args!("- apiGroups: [{group}]"));
        line(format_args!("  resources: [{}]", self.resources.join(", ")));
        if !self.names.is_empty() {
            line(format_args!("  resourceNames: [{}]", self.names.join(", ")));
        }
        line(format_args!("  verbs: [{}]", self.verbs.join(", ")));
    }
}

/// The resources of the kinds of which this holds.
fn resources(which: impl Fn(&Rights) -> bool) -> Vec<Cow<'static, str>> {
    let kinds = ours().into_iter().filter(|(_, rights)| which(rights));
    kinds.map(|(resource, _)| resource).collect()
}

/// One rule over these resources of ours; none where there are none.
fn of_ours(
    why: &'static str,
    resources: Vec<Cow<'static, str>>,
    verbs: &'static [&'static str],
) -> Option<Rule> {
    (!resources.is_empty()).then_some(Rule {
        why,
        group: GROUP,
        resources,
        names: &[],
        verbs,
    })
}

/// A rule for each reason that kinds give, over those that give the same one for the same verbs.
fn by(gives: impl Fn(&Rights) -> Vec<(&'static str, &'static [&'static str])>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (resource, rights) in ours() {
        for (why, verbs) in gives(&rights) {
            match rules.iter_mut().find(|r| (r.why, r.verbs) == (why, verbs)) {
                Some(rule) => rule.resources.push(resource.clone()),
                None => rules.extend(of_ours(why, vec![resource.clone()], verbs)),
            }
        }
    }
    rules
}

/// What the operator does with our kinds.
fn followed() -> Vec<Rule> {
    let all = resources(|_| true);
    let statuses = all.iter().map(|r| format!("{r}/status").into()).collect();
    let beside = by(|rights| rights.operator.iter().map(|b| (b.why, b.verbs)).collect());
    let first = of_ours("", all, &["list", "watch"]).into_iter();
    first
        .chain(beside)
        .chain(of_ours("", statuses, &["patch"]))
        .collect()
}

/// A list of rules as YAML.
#[must_use]
pub fn rules(list: Rules, indent: usize) -> String {
    let mut text = String::new();
    for rule in list.rules() {
        rule.write(&mut text, indent);
    }
    if text.is_empty() {
        text = format!("{:indent$}[]\n", "");
    }
    text
}

/// A manifest with its lists of rules as they are.
///
/// # Errors
/// A mark with a name that no list has, or without its end.
pub fn manifest(text: &str) -> Result<String, FillError> {
    filled(text, |name, indent| {
        let (list, _) = Rules::ALL.into_iter().find(|(list, _)| list.name() == name)?;
        Some(rules(list, indent))
    })
}

/// The lists as the chart's templates include them.
#[must_use]
pub fn chart() -> String {
    let head = "{{/*\n\
                Generated from crds/src/k8s/rights.rs: `ZKINFER_UPDATE=1 cargo test -p zkinfer-crds`. Do not edit.\n\n\
                The rights, each list once: cluster-wide they are in ClusterRoles, with `namespaces` in a Role of each namespace.\n\
                */}}\n";
    let mut text = head.to_owned();
    for (list, says) in Rules::ALL {
        let (name, rules) = (list.name(), rules(list, 0));
        text += &format!("\n{{{{/* {says} */}}}}\n{{{{- define \"{name}\" -}}}}\n{rules}{{{{- end }}}}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(list: Rules) -> serde_json::Value {
        serde_yaml::from_str(&rules(list, 2)).unwrap()
    }

    #[test]
    fn every_list_is_written_as_rules_of_kubernetes() {
        for (list, _) in Rules::ALL {
            let rules = yaml(list);
            let rules = rules.as_array().unwrap();
            assert_eq!(rules.len(), list.rules().len(), "{list:?}");
            for (written, rule) in rules.iter().zip(list.rules()) {
                assert_eq!(written["apiGroups"], serde_json::json!([rule.group]));
                assert_eq!(written["resources"], serde_json::json!(rule.resources));
                assert_eq!(written["verbs"], serde_json::json!(rule.verbs));
                assert_eq!(written.get("resourceNames").is_some(), !rule.names.is_empty());
            }
        }
    }

    #[test]
    fn the_operator_follows_every_kind_and_writes_its_status_and_no_spec_but_what_is_erased() {
        for (resource, rights) in ours() {
            let on = |resource: &str| -> Vec<&str> {
                let rules = Rules::Objects.rules();
                let rules = rules.iter().filter(|r| r.resources.iter().any(|r| r == resource));
                rules.flat_map(|r| r.verbs.iter().copied()).collect()
            };
            let beside = rights.operator.iter().flat_map(|b| b.verbs.iter().copied());
            let expected: Vec<&str> = ["list", "watch"].into_iter().chain(beside).collect();
            assert_eq!(on(&resource), expected, "{resource}");
            assert_eq!(on(&format!("{resource}/status")), ["patch"]);
            // A client that erases a request has its input taken out of the object.
            let erases = resource == "inferencerequests";
            assert!(
                !expected.contains(&"update"),
                "{resource}: only people write a spec"
            );
            assert_eq!(
                expected.contains(&"patch"),
                erases,
                "{resource}: only people write a spec"
            );
        }
    }

    #[test]
    fn every_kind_is_read_by_viewers_and_written_by_editors_or_administrators() {
        let has = |list: Rules, resource: &str| {
            let rules = list.rules();
            rules.iter().any(|r| r.resources.iter().any(|r| r == resource))
        };
        for (resource, _) in ours() {
            assert!(has(Rules::View, &resource), "{resource}");
            assert_ne!(
                has(Rules::Edit, &resource),
                has(Rules::Admin, &resource),
                "{resource}"
            );
        }
        // Its author chooses the image of pods.
        assert!(has(Rules::Admin, "minerpools"));
        for right in [Rules::Edit, Rules::Admin, Rules::View, Rules::Upload] {
            let reads_status = |r: &Rule| r.resources.iter().any(|r| r.contains("status"));
            assert!(!right.rules().iter().any(reads_status), "{right:?}");
        }
    }

    #[test]
    fn whatever_is_not_of_every_kind_has_its_reason() {
        for (resource, rights) in ours() {
            assert!(
                rights
                    .operator
                    .iter()
                    .all(|b| !b.why.is_empty() && !b.verbs.is_empty()),
                "{resource}"
            );
            if let Writers::Administrators(why) = rights.writers {
                assert!(!why.is_empty(), "{resource}");
            }
        }
    }
}
