//! Who may serve a Model's requests, and so see its weights and their inputs: decided from documents alone.
//!
//! Invariants: of three lists the first that exists decides, whatever is in it: the Model's own, its namespace's, the
//! installation's, which the Validator has. One that cannot be read is a list of nobody, and says so. Pools of the Model's own namespace,
//! which is that of its requests too, always may. That a pool serves a namespace is its own half and counts for nothing
//! here.

use k8s_openapi::api::core::v1::ConfigMap;
use zkinfer_crds::Identity;
use zkinfer_crds::k8s::{CONSENT_CONFIG_MAP, CONSENT_KEY, ServedBy, parse_served_by};

/// What a namespace's ConfigMap says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// A list.
    List(Vec<ServedBy>),
    /// It is there and cannot be read: why.
    Unreadable(String),
}

impl Listing {
    /// Reads a ConfigMap `zkinfer-consent`.
    #[must_use]
    pub fn of(map: &ConfigMap) -> Self {
        let text = map.data.as_ref().and_then(|data| data.get(CONSENT_KEY));
        match text.map(|text| parse_served_by(text)) {
            Some(Ok(list)) => Self::List(list),
            Some(Err(why)) => Self::Unreadable(format!("data.{CONSENT_KEY}: {why}")),
            None => Self::Unreadable(format!("it has no data.{CONSENT_KEY}")),
        }
    }
}

/// The installation's list of who may serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Where it is.
    pub at: String,
    /// The list.
    pub list: Vec<ServedBy>,
}

/// Which pools may serve the requests of one Model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The Model's namespace.
    own: String,
    said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Nobody has said anything.
    Nothing,
    /// A list, and where it is.
    List(String, Vec<ServedBy>),
    /// Where the list is that cannot be read, and why.
    Unreadable(String, String),
    /// Whoever runs the pools themselves: all of them may.
    Runner,
}

/// Where a list may be that decides beside the Model's own.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'a> {
    /// Of the Model's namespace.
    pub own: Option<&'a Listing>,
    /// The installation's.
    pub installation: Option<&'a Installation>,
}

/// Decides for the Model `namespace`/`name`, which itself says `served_by`.
#[must_use]
pub fn decide(namespace: &str, name: &str, served_by: Option<&[ServedBy]>, lists: &Lists<'_>) -> Consent {
    let map = |of: &str, listing: &Listing| {
        let at = format!("ConfigMap {of}/{CONSENT_CONFIG_MAP}");
        match listing {
            Listing::List(list) => Said::List(at, list.clone()),
            Listing::Unreadable(why) => Said::Unreadable(at, why.clone()),
        }
    };
    let said = match (served_by, lists.own, lists.installation) {
        (Some(list), _, _) => Said::List(format!("spec.{CONSENT_KEY} of Model `{name}`"), list.to_vec()),
        (None, Some(own), _) => map(namespace, own),
        (None, None, Some(installation)) => Said::List(installation.at.clone(), installation.list.clone()),
        (None, None, None) => Said::Nothing,
    };
    Consent {
        own: namespace.to_owned(),
        said,
    }
}

impl Consent {
    /// Of whoever runs the pools themselves, where nobody has written a list.
    #[must_use]
    pub fn or_of_the_runner(self) -> Self {
        match self.said {
            Said::Nothing => Self {
                said: Said::Runner,
                ..self
            },
            _ => self,
        }
    }

    /// It is that of whoever runs the pools.
    #[must_use]
    pub fn is_of_the_runner(&self) -> bool {
        self.said == Said::Runner
    }

    /// Whether a pool of this namespace, whose proven or derived identity is this, may be given slices and their files.
    #[must_use]
    pub fn allows(&self, namespace: &str, identity: &Identity) -> bool {
        self.refusal(namespace, || *identity).is_none()
    }

    /// Why such a pool may not; `None` where it may. The identity is asked for only where it matters: whether it is proven
    /// takes a signature's time.
    #[must_use]
    pub fn refusal(&self, namespace: &str, identity: impl FnOnce() -> Identity) -> Option<String> {
        if namespace == self.own {
            return None;
        }
        match &self.said {
            Said::Runner => None,
            Said::List(at, list) => {
                let mut of_namespace = list
                    .iter()
                    .filter(|entry| entry.namespace == namespace)
                    .peekable();
                if of_namespace.peek().is_none() {
                    return Some(format!("{at} does not name namespace `{namespace}`"));
                }
                if of_namespace.clone().any(|entry| entry.identity.is_none()) {
                    return None;
                }
                let identity = identity();
                let meant = of_namespace.any(|entry| entry.identity == Some(identity));
                (!meant).then(|| {
                    format!("{at} names other identities in namespace `{namespace}`, not its own, {identity}")
                })
            }
            Said::Unreadable(at, why) => Some(format!(
                "{at} cannot be read ({why}), so pools of namespace `{}` alone may serve",
                self.own
            )),
            Said::Nothing => Some(format!(
                "nobody has consented to it: name namespace `{namespace}` in the Model's spec.{CONSENT_KEY}, or in \
                 ConfigMap {}/{CONSENT_CONFIG_MAP}",
                self.own
            )),
        }
    }

    /// Where the list is that decides, and the namespaces that it names; none where there is no list.
    #[must_use]
    pub fn list(&self) -> Option<(&str, impl Iterator<Item = &str>)> {
        match &self.said {
            Said::List(at, list) => Some((at, list.iter().map(|entry| entry.namespace.as_str()))),
            Said::Nothing | Said::Unreadable(..) | Said::Runner => None,
        }
    }

    /// What is wrong with the list that decides.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match &self.said {
            Said::Unreadable(at, why) => Some(format!(
                "{at}: {why}; until it is mended only pools of namespace `{}` may serve",
                self.own
            )),
            Said::Nothing | Said::List(..) | Said::Runner => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Identity = Identity::new([1; 32]);
    const OTHER: Identity = Identity::new([2; 32]);

    fn entry(namespace: &str, identity: Option<Identity>) -> ServedBy {
        ServedBy {
            namespace: namespace.to_owned(),
            identity,
        }
    }

    fn list(namespace: &str) -> Listing {
        Listing::List(vec![entry(namespace, None)])
    }

    fn of_all(namespace: &str) -> Installation {
        Installation {
            at: "spec.consent of Validator system/one".to_owned(),
            list: vec![entry(namespace, None)],
        }
    }

    fn decided(
        model: Option<&[ServedBy]>,
        own: Option<&Listing>,
        installation: Option<&Installation>,
    ) -> Consent {
        let lists = Lists { own, installation };
        decide("home", "digits", model, &lists)
    }

    /// The namespaces of those that may, of all that any test names.
    fn may(consent: &Consent) -> Vec<&'static str> {
        let all = ["home", "a", "b", "c", "system"];
        all.into_iter().filter(|n| consent.allows(n, &ME)).collect()
    }

    #[test]
    fn the_first_list_that_exists_decides_and_the_own_namespace_always_may() {
        let (a, b, c) = ([entry("a", None)], list("b"), of_all("c"));
        assert_eq!(may(&decided(Some(&a), Some(&b), Some(&c))), ["home", "a"]);
        assert_eq!(may(&decided(None, Some(&b), Some(&c))), ["home", "b"]);
        assert_eq!(may(&decided(None, None, Some(&c))), ["home", "c"]);
        assert_eq!(may(&decided(None, None, None)), ["home"]);
        // An empty list is a list.
        assert_eq!(may(&decided(Some(&[]), Some(&b), Some(&c))), ["home"]);
        let empty = Listing::List(Vec::new());
        assert_eq!(may(&decided(None, Some(&empty), Some(&c))), ["home"]);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_one_of_nobody_and_is_told() {
        let bad = Listing::Unreadable("data.servedBy: no".to_owned());
        let c = of_all("c");
        let consent = decided(None, Some(&bad), Some(&c));
        assert_eq!(may(&consent), ["home"], "the next list does not stand in for it");
        assert!(
            consent
                .problem()
                .unwrap()
                .starts_with("ConfigMap home/zkinfer-consent: data.servedBy: no")
        );
        let why = consent.refusal("c", || ME).unwrap();
        assert!(why.contains("cannot be read (data.servedBy: no)"), "{why}");
        assert_eq!(decided(None, None, Some(&c)).problem(), None);
    }

    #[test]
    fn an_entry_with_an_identity_is_for_this_miner_alone() {
        let consent = decided(Some(&[entry("a", Some(ME))]), None, None);
        assert!(consent.allows("a", &ME));
        let why = consent.refusal("a", || OTHER).unwrap();
        assert!(why.contains("other identities in namespace `a`"), "{why}");
        assert!(
            !consent.allows("b", &ME),
            "the miner's pools elsewhere are not meant"
        );
        let both = decided(Some(&[entry("a", Some(ME)), entry("a", Some(OTHER))]), None, None);
        assert!(both.allows("a", &OTHER));
        assert!(consent.allows("home", &OTHER));
    }

    #[test]
    fn no_entry_is_a_wildcard() {
        for pattern in ["*", "", "a*", "?"] {
            assert_eq!(may(&decided(Some(&[entry(pattern, None)]), None, None)), ["home"]);
        }
    }

    #[test]
    fn whoever_runs_the_pools_consents_unless_somebody_wrote_a_list() {
        let consent = decided(None, None, None).or_of_the_runner();
        assert!(consent.is_of_the_runner());
        assert_eq!(may(&consent), ["home", "a", "b", "c", "system"]);
        let bad = Listing::Unreadable(String::new());
        for consent in [decided(Some(&[]), None, None), decided(None, Some(&bad), None)] {
            assert_eq!(may(&consent.or_of_the_runner()), ["home"]);
        }
    }

    #[test]
    fn reads_the_key_of_the_config_map_and_no_other() {
        let map = |key: &str, text: &str| ConfigMap {
            data: Some([(key.to_owned(), text.to_owned())].into()),
            ..ConfigMap::default()
        };
        assert_eq!(Listing::of(&map("servedBy", "- namespace: a")), list("a"));
        for bad in [
            map("servedby", "- namespace: a"),
            map("servedBy", "- a"),
            ConfigMap::default(),
        ] {
            assert!(matches!(Listing::of(&bad), Listing::Unreadable(_)));
        }
    }
}
