//! Who answers for a call: what is shared is shared between callers.
//!
//! Invariant: nobody becomes several callers by what they may make themselves: ServiceAccounts and pools of a namespace are one
//! caller, since whoever may make one of them may make many.

use crate::dispatch::PoolId;

/// Whoever answers for a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caller(Owner);

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Owner {
    Namespace(String),
    User(String),
}

impl Caller {
    /// Whoever may do as they like in this namespace.
    #[must_use]
    pub fn namespace(namespace: &str) -> Self {
        Self(Owner::Namespace(namespace.to_owned()))
    }

    /// A pool's workers.
    #[must_use]
    pub fn pool(pool: &PoolId) -> Self {
        Self::namespace(pool.namespace())
    }

    /// A user, by the API server's name.
    #[must_use]
    pub fn user(name: &str) -> Self {
        let account = name.strip_prefix("system:serviceaccount:");
        match account.and_then(|account| account.split_once(':')) {
            Some((namespace, _)) => Self::namespace(namespace),
            None => Self(Owner::User(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_and_pools_of_a_namespace_are_one_caller_and_people_are_each_their_own() {
        let account = |of: &str, name: &str| Caller::user(&format!("system:serviceaccount:{of}:{name}"));
        assert_eq!(account("a", "one"), account("a", "two"));
        assert_eq!(account("a", "one"), Caller::pool(&PoolId::new("a", "own")));
        assert_ne!(account("a", "one"), account("b", "one"));
        assert_ne!(Caller::user("alice"), Caller::user("bob"));
        // Whoever is called as a namespace is not it.
        assert_ne!(Caller::user("a"), Caller::namespace("a"));
    }
}
