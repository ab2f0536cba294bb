//! A pool by its name, cheap to copy. In tokens, claim records and the ledger it stands as `namespace/name`.

use std::fmt;
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use serde::{Deserialize, Serialize};
use zkinfer_crds::k8s::MinerPool;

/// See the module.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct PoolId {
    namespace: Arc<str>,
    name: Arc<str>,
}

/// What is no `namespace/name`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no pool: it names no namespace")]
pub struct BadPoolId(String);

impl PoolId {
    /// Names a pool.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The namespace: who may do as they like in it owns the pool.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> ObjectRef<MinerPool> {
        ObjectRef::new(&self.name).within(&self.namespace)
    }
}

impl From<&MinerPool> for PoolId {
    fn from(pool: &MinerPool) -> Self {
        Self {
            namespace: pool.namespace().unwrap_or_default().into(),
            name: pool.name_any().into(),
        }
    }
}

impl TryFrom<String> for PoolId {
    type Error = BadPoolId;

    fn try_from(text: String) -> Result<Self, BadPoolId> {
        match text.split_once('/') {
            Some((namespace, name)) => Ok(Self::new(namespace, name)),
            None => Err(BadPoolId(text)),
        }
    }
}

impl From<PoolId> for String {
    fn from(id: PoolId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_read_as_it_is_written() {
        let pool = PoolId::new("miners", "alpha");
        let text = serde_json::to_string(&pool).unwrap();
        assert_eq!(text, r#""miners/alpha""#);
        assert_eq!(serde_json::from_str::<PoolId>(&text).unwrap(), pool);
        assert!(serde_json::from_str::<PoolId>(r#""alpha""#).is_err());
    }
}
