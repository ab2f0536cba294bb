//! Whose objects an installation takes, and by what it knows its own again: labels of what it makes, its field manager, the names
//! of its cluster-wide roles.
//!
//! Invariants: of two installations with different classes neither selects, writes or forgets what is the other's; what the
//! default class makes is called as it was before there were classes, so an upgrade finds it again.

use std::collections::BTreeMap;

use zkinfer_crds::k8s::{Classed, DEFAULT_CLASS};

use super::labels::{CLASS, COMPONENT, MANAGED_BY, MANAGER};

/// What the names of an installation begin with.
const OPERATOR: &str = "zkinfer-operator";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class(Option<String>);

impl Class {
    /// Of one installation among others.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(Some(name.to_owned()))
    }

    /// Whatever there is: one person runs all of it.
    #[must_use]
    pub const fn every() -> Self {
        Self(None)
    }

    /// Whether the object is its own.
    #[must_use]
    pub fn takes(&self, object: &impl Classed) -> bool {
        self.0.as_deref().is_none_or(|own| own == object.class())
    }

    /// What is said of it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.as_deref().unwrap_or(DEFAULT_CLASS)
    }

    /// The name, where it is not the default's.
    fn other(&self) -> Option<&str> {
        self.0.as_deref().filter(|name| *name != DEFAULT_CLASS)
    }

    /// A name that each installation of a cluster has for itself.
    #[must_use]
    pub fn called(&self, name: &str) -> String {
        match self.other() {
            Some(class) => format!("{name}-{class}"),
            None => name.to_owned(),
        }
    }

    /// The field manager, and the name under which events are written.
    #[must_use]
    pub fn manager(&self) -> String {
        self.called(OPERATOR)
    }

    /// Labels of a part of what it makes. The default class has none of its own.
    pub(super) fn labels(&self, component: &str) -> BTreeMap<String, String> {
        let always = [(MANAGED_BY, MANAGER), (COMPONENT, component)];
        let own = self.other().map(|class| (CLASS, class));
        let all = always.into_iter().chain(own);
        all.map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    /// Selects everything that the installation made.
    #[must_use]
    pub fn selector(&self) -> String {
        let managed = format!("{MANAGED_BY}={MANAGER}");
        match (&self.0, self.other()) {
            (None, _) => managed,
            (Some(_), None) => format!("{managed},!{CLASS}"),
            (Some(_), Some(class)) => format!("{managed},{CLASS}={class}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Of(&'static str);

    impl Classed for Of {
        fn class(&self) -> &str {
            self.0
        }
    }

    #[test]
    fn an_installation_takes_what_is_of_its_class_and_one_person_takes_all() {
        let (default, blue) = (Class::named(DEFAULT_CLASS), Class::named("blue"));
        assert!(default.takes(&Of("zkinfer")) && !default.takes(&Of("blue")));
        assert!(blue.takes(&Of("blue")) && !blue.takes(&Of("zkinfer")) && !blue.takes(&Of("blue-2")));
        assert!(Class::every().takes(&Of("zkinfer")) && Class::every().takes(&Of("blue")));
    }

    #[test]
    fn the_default_is_called_as_ever_and_no_two_are_called_alike() {
        let (default, blue) = (Class::named(DEFAULT_CLASS), Class::named("blue"));
        assert_eq!(default.manager(), "zkinfer-operator");
        assert_eq!(blue.manager(), "zkinfer-operator-blue");
        assert_eq!(default.labels("worker").get(CLASS), None);
        assert_eq!(blue.labels("worker")["zkinfer.dev/controller-class"], "blue");
        assert_eq!(blue.labels("worker").len(), default.labels("worker").len() + 1);
        assert_eq!(
            default.selector(),
            "app.kubernetes.io/managed-by=zkinfer,!zkinfer.dev/controller-class"
        );
        assert_eq!(
            blue.selector(),
            "app.kubernetes.io/managed-by=zkinfer,zkinfer.dev/controller-class=blue"
        );
        assert_eq!(Class::every().selector(), "app.kubernetes.io/managed-by=zkinfer");
    }
}
