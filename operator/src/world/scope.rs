//! Which objects the operator watches: of its class, in all namespaces or in those that it was told, and which of these it may
//! not read.
//!
//! Invariants: its own namespace is always one of them; of every other object outside nothing is read, written or listed; an
//! object of another class is in no store, so nothing is ever decided about it; a namespace that may not be read is told of and
//! asked for again, and holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use zkinfer_crds::k8s::Classed;

use crate::metrics::Metrics;
use crate::specs::Class;

/// The Role, and its binding, that the operator has in each namespace that it was told.
const ROLE: &str = "zkinfer-operator-objects";

/// The ClusterRole, and its binding, that it has otherwise.
const CLUSTER_ROLE: &str = "zkinfer-operator";

/// See the module.
#[derive(Debug)]
pub struct Scope {
    /// Whose objects.
    class: Class,
    /// Absent: every namespace.
    namespaces: Option<BTreeSet<String>>,
    /// What may not be listed, and where.
    refused: Mutex<BTreeSet<Refused>>,
}

/// A namespace, or none for the whole cluster, and a resource.
type Refused = (Option<String>, String);

/// Where a watch is: in a namespace, or everywhere.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In the whole cluster.
    Everywhere,
    /// In one namespace.
    In(&'a str),
}

impl Place<'_> {
    fn namespace(self) -> Option<String> {
        match self {
            Self::Everywhere => None,
            Self::In(namespace) => Some(namespace.to_owned()),
        }
    }

    /// What is missing where something is refused.
    fn lacks(self, class: &Class) -> String {
        match self {
            Self::Everywhere => {
                let role = class.called(CLUSTER_ROLE);
                format!("ClusterRole or ClusterRoleBinding `{role}` is missing or lacks it")
            }
            Self::In(_) => {
                let role = class.called(ROLE);
                format!(
                    "Role or RoleBinding `{role}` is missing in this namespace or lacks it, or there is no such namespace"
                )
            }
        }
    }

    /// The API of a kind there.
    pub fn api<K>(self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Everywhere => Api::all(client.clone()),
            Self::In(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

impl Scope {
    /// Those that were told, and the operator's own; every namespace where none was told.
    #[must_use]
    pub fn new(own: &str, told: &[String], class: Class) -> Self {
        let all = || told.iter().cloned().chain([own.to_owned()]).collect();
        Self {
            class,
            namespaces: (!told.is_empty()).then(all),
            refused: Mutex::default(),
        }
    }

    fn refused(&self) -> MutexGuard<'_, BTreeSet<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The namespaces; absent: every one.
    #[must_use]
    pub const fn namespaces(&self) -> Option<&BTreeSet<String>> {
        self.namespaces.as_ref()
    }

    /// Whether objects of this namespace are seen.
    #[must_use]
    pub fn sees(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.contains(namespace))
    }

    /// Whether the object is this installation's.
    #[must_use]
    pub fn takes(&self, object: &impl Classed) -> bool {
        self.class.takes(object)
    }

    /// The class, as people call it.
    #[must_use]
    pub fn class(&self) -> &str {
        self.class.name()
    }

    /// What is missing where something is refused.
    pub(super) fn lacks(&self, place: Place<'_>) -> String {
        place.lacks(&self.class)
    }

    /// What somebody is told who counts on what is in these namespaces; `None` where all of them are seen.
    #[must_use]
    pub fn unseen<'a>(&self, named: impl Iterator<Item = &'a str>) -> Option<String> {
        let outside: BTreeSet<&str> = named.filter(|n| !self.sees(n)).collect();
        let seen = self.namespaces.as_ref()?;
        (!outside.is_empty()).then(|| {
            format!(
                "this operator does not watch {} (--namespaces={}): pools there are not seen and get no slices",
                quoted(outside.into_iter()),
                seen.iter().map(String::as_str).collect::<Vec<_>>().join(",")
            )
        })
    }

    /// A list or watch was refused; whether that is news.
    pub(super) fn refuse(&self, place: Place<'_>, resource: &str) -> bool {
        self.refused().insert((place.namespace(), resource.to_owned()))
    }

    /// It was not; whether that is news. Asked with each event, and nearly always nothing is refused.
    pub(super) fn grant(&self, place: Place<'_>, resource: &str) -> bool {
        let mut refused = self.refused();
        !refused.is_empty() && refused.remove(&(place.namespace(), resource.to_owned()))
    }

    /// Whether objects of this resource may not be read in the namespace, as far as was tried.
    #[must_use]
    pub fn refuses(&self, namespace: &str, resource: &str) -> bool {
        let of = |of: &Option<String>| of.as_deref().is_none_or(|of| of == namespace);
        self.refused().iter().any(|(at, what)| of(at) && what == resource)
    }

    /// Whether everything in this namespace may be read, as far as was tried.
    #[must_use]
    pub fn is_readable(&self, namespace: &str) -> bool {
        !self
            .refused()
            .iter()
            .any(|(of, _)| of.as_deref() == Some(namespace))
    }

    /// Says which of the namespaces that it was told may be read.
    pub fn count(&self, metrics: &Metrics) {
        for namespace in self.namespaces().into_iter().flatten() {
            metrics.namespace(namespace, self.is_readable(namespace));
        }
    }

    /// What is wrong, by namespace: what may not be read there, and what to do.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut by_namespace: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        for (namespace, resource) in self.refused().iter().cloned() {
            by_namespace.entry(namespace).or_default().push(resource);
        }
        let told = |(namespace, resources): (Option<String>, Vec<String>)| {
            let resources = resources.join(", ");
            match namespace {
                Some(namespace) => format!(
                    "namespace `{namespace}` is not served: {resources} may not be listed there. {}",
                    self.lacks(Place::In(&namespace))
                ),
                None => format!("{resources} may not be listed. {}", self.lacks(Place::Everywhere)),
            }
        };
        by_namespace.into_iter().map(told).collect()
    }
}

/// `a`, `b` and `c`.
fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|n| format!("`{n}`")).collect();
    match names.split_last() {
        Some((last, [])) => format!("namespace {last}"),
        Some((last, rest)) => format!("namespaces {} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::k8s::DEFAULT_CLASS;

    use super::*;

    fn scope(told: &[&str]) -> Scope {
        let told: Vec<String> = told.iter().map(|n| (*n).to_owned()).collect();
        Scope::new("system", &told, Class::named(DEFAULT_CLASS))
    }

    #[test]
    fn nothing_told_is_everything_and_the_own_namespace_is_always_in() {
        let all = scope(&[]);
        assert!(all.namespaces().is_none() && all.sees("any"));
        assert_eq!(all.unseen(["any"].into_iter()), None);
        let some = scope(&["b", "a", "b"]);
        let seen: Vec<&String> = some.namespaces().unwrap().iter().collect();
        assert_eq!(seen, ["a", "b", "system"]);
        assert!(some.sees("a") && some.sees("system") && !some.sees("c") && !some.sees(""));
    }

    #[test]
    fn who_counts_on_a_namespace_outside_is_told_which() {
        let some = scope(&["a"]);
        assert_eq!(some.unseen(["a", "system"].into_iter()), None);
        let one = some.unseen(["a", "c"].into_iter()).unwrap();
        assert!(one.contains("namespace `c` (--namespaces=a,system)"), "{one}");
        let more = some.unseen(["d", "c", "d", "e"].into_iter()).unwrap();
        assert!(more.contains("namespaces `c`, `d` and `e` ("), "{more}");
    }

    #[test]
    fn a_namespace_is_readable_again_once_everything_in_it_is() {
        let some = scope(&["a", "b"]);
        let b = Place::In("b");
        assert!(some.refuse(b, "models") && !some.refuse(b, "models"));
        assert!(some.refuse(b, "jobs"));
        assert!(some.is_readable("a") && !some.is_readable("b"));
        assert!(some.refuses("b", "jobs") && !some.refuses("a", "jobs") && !some.refuses("b", "pods"));
        let [problem] = &some.problems()[..] else {
            panic!("one namespace");
        };
        for words in ["`b`", "jobs, models", "Role", "`zkinfer-operator-objects`"] {
            assert!(problem.contains(words), "{words}: {problem}");
        }
        assert!(some.grant(b, "models") && !some.is_readable("b"));
        assert!(some.grant(b, "jobs") && !some.grant(b, "jobs"));
        assert!(some.is_readable("b") && some.problems().is_empty());
        let all = scope(&[]);
        assert!(all.refuse(Place::Everywhere, "models") && all.is_readable("b"));
        assert!(all.problems()[0].contains("ClusterRole"), "{:?}", all.problems());
    }

    #[test]
    fn another_class_is_told_of_its_own_roles() {
        let blue = Scope::new("system", &["a".to_owned()], Class::named("blue"));
        assert_eq!(blue.class(), "blue");
        blue.refuse(Place::In("a"), "models");
        let problems = blue.problems();
        assert!(
            problems[0].contains("`zkinfer-operator-objects-blue`"),
            "{problems:?}"
        );
    }
}
