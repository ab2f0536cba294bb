//! The objects in memory, and how they have changed.
//!
//! Invariants: each change has a version of its own, in order, which is its object's `resourceVersion`; what changes nothing
//! is no change. An object that is gone takes along those that it owned. Nothing is awaited under the lock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::Rng;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::kinds::Kind;
use super::refused::Refused;
use crate::clock::now;
use crate::local::names::random_uid;

/// Changes that are remembered for those who watch; who is further behind lists anew.
const REMEMBERED: usize = 512;
/// Events that are kept: the oldest go.
const EVENTS: usize = 1000;

/// Which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::local) struct Id {
    pub(in crate::local) kind: Kind,
    pub(in crate::local) namespace: String,
    pub(in crate::local) name: String,
}

impl Id {
    pub(in crate::local) fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}/{}", self.kind.types().1, self.namespace, self.name)
    }
}

/// What has become of an object, in the API's words.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) what: &'static str,
    pub(super) id: Id,
    pub(super) object: Arc<Value>,
}

#[derive(Default)]
struct Inner {
    version: u64,
    objects: BTreeMap<Id, Arc<Value>>,
    log: VecDeque<Change>,
}

/// See the module.
pub(in crate::local) struct Store {
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(in crate::local) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of changes, by their version.
    pub(in crate::local) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(in crate::local) fn get(&self, id: &Id) -> Option<Arc<Value>> {
        self.lock().objects.get(id).cloned()
    }

    /// All of a kind, of a namespace or of all; and the version.
    pub(in crate::local) fn list(&self, kind: Kind, namespace: Option<&str>) -> (u64, Vec<Arc<Value>>) {
        let inner = self.lock();
        let first = Id::new(kind, namespace.unwrap_or_default(), "");
        let wanted = |id: &Id| id.kind == kind && namespace.is_none_or(|n| n == id.namespace);
        let found = inner.objects.range(first..).take_while(|(id, _)| wanted(id));
        (inner.version, found.map(|(_, o)| Arc::clone(o)).collect())
    }

    /// All of a kind, typed.
    pub(in crate::local) fn all<K: serde::de::DeserializeOwned>(&self, kind: Kind) -> Vec<K> {
        let (_, all) = self.list(kind, None);
        all.iter().filter_map(|o| K::deserialize(&**o).ok()).collect()
    }

    /// What has changed after a version; `None` where that is not remembered.
    pub(super) fn since(&self, version: u64) -> Option<Vec<Change>> {
        let inner = self.lock();
        let oldest = inner.log.front().map_or(inner.version + 1, |c| c.version);
        let known = version + 1 >= oldest && version <= inner.version;
        known.then(|| {
            inner
                .log
                .iter()
                .filter(|c| c.version > version)
                .cloned()
                .collect()
        })
    }

    /// Makes an object; a uid that it has is kept.
    pub(in crate::local) fn create(
        &self,
        kind: Kind,
        namespace: &str,
        mut object: Value,
    ) -> Result<Arc<Value>, Refused> {
        let meta = &mut object["metadata"];
        if let (None, Some(prefix)) = (meta["name"].as_str(), meta["generateName"].as_str()) {
            meta["name"] = json!(format!("{prefix}{:05x}", rand::thread_rng().r#gen::<u32>() >> 12));
        }
        meta["namespace"] = json!(namespace);
        let mut object = kind.admit(object)?;
        let meta = &mut object["metadata"];
        let name = meta["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Refused::invalid("metadata.name: is required"));
        }
        if meta["uid"].as_str().is_none() {
            meta["uid"] = json!(random_uid());
        }
        meta["creationTimestamp"] = json!(now());
        meta["generation"] = json!(1);
        let id = Id::new(kind, namespace, &name);
        let mut inner = self.lock();
        if inner.objects.contains_key(&id) {
            return Err(Refused::exists(&id.to_string()));
        }
        let made = inner.put(id, "ADDED", object);
        if kind == Kind::Event {
            inner.forget_events();
        }
        self.tell(inner);
        Ok(made)
    }

    /// Changes an object. `change` is given it as it is; what only the server writes stays whatever it does.
    pub(in crate::local) fn update(
        &self,
        id: &Id,
        change: impl FnOnce(&mut Value) -> Result<(), Refused>,
    ) -> Result<Arc<Value>, Refused> {
        let mut inner = self.lock();
        let old = inner.objects.get(id).cloned();
        let old = old.ok_or_else(|| Refused::not_found(id.to_string()))?;
        let mut new = (*old).clone();
        change(&mut new)?;
        for field in [
            "name",
            "namespace",
            "uid",
            "creationTimestamp",
            "generation",
            "deletionTimestamp",
        ] {
            match old["metadata"].get(field) {
                Some(value) => new["metadata"][field] = value.clone(),
                None => remove(&mut new["metadata"], field),
            }
        }
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if new == *old {
            return Ok(old);
        }
        if new["spec"] != old["spec"] {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            new["metadata"]["generation"] = json!(generation);
        }
        let leaves = new["metadata"]["deletionTimestamp"].is_string() && !has_finalizers(&new);
        let object = if leaves {
            inner.remove(id, new)
        } else {
            inner.put(id.clone(), "MODIFIED", new)
        };
        self.tell(inner);
        Ok(object)
    }

    /// Sets an object's status, as far as it differs.
    pub(in crate::local) fn set_status(&self, id: &Id, status: Value) -> Result<Arc<Value>, Refused> {
        self.update(id, |object| {
            object["status"] = status;
            Ok(())
        })
    }

    /// Deletes an object, or marks it where somebody has to finish first.
    pub(in crate::local) fn delete(&self, id: &Id, uid: Option<&str>) -> Result<Arc<Value>, Refused> {
        let mut inner = self.lock();
        let old = inner.objects.get(id).cloned();
        let old = old.ok_or_else(|| Refused::not_found(id.to_string()))?;
        if uid.is_some_and(|uid| old["metadata"]["uid"] != uid) {
            return Err(Refused::conflict(format!("{id} is another by now")));
        }
        let mut object = (*old).clone();
        let gone = if has_finalizers(&object) {
            if object["metadata"]["deletionTimestamp"].is_string() {
                return Ok(old);
            }
            object["metadata"]["deletionTimestamp"] = json!(now());
            inner.put(id.clone(), "MODIFIED", object)
        } else {
            inner.remove(id, object)
        };
        self.tell(inner);
        Ok(gone)
    }

    fn tell(&self, inner: MutexGuard<'_, Inner>) {
        let version = inner.version;
        drop(inner);
        self.changed.send_replace(version);
    }
}

impl Inner {
    fn log(&mut self, what: &'static str, id: Id, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let change = Change {
            version: self.version,
            what,
            id,
            object: Arc::clone(&object),
        };
        self.log.push_back(change);
        if self.log.len() > REMEMBERED {
            self.log.pop_front();
        }
        object
    }

    fn put(&mut self, id: Id, what: &'static str, object: Value) -> Arc<Value> {
        let object = self.log(what, id.clone(), object);
        self.objects.insert(id, Arc::clone(&object));
        object
    }

    fn remove(&mut self, id: &Id, object: Value) -> Arc<Value> {
        self.objects.remove(id);
        let gone = self.log("DELETED", id.clone(), object);
        let uid = &gone["metadata"]["uid"];
        let owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|o| o["uid"] == *uid))
        };
        let owned: Vec<Id> = self
            .objects
            .iter()
            .filter(|(_, o)| owned(o))
            .map(|(id, _)| id.clone())
            .collect();
        for id in owned {
            if let Some(object) = self.objects.get(&id).cloned() {
                self.remove(&id, (*object).clone());
            }
        }
        gone
    }

    fn forget_events(&mut self) {
        let version = |o: &Value| o["metadata"]["resourceVersion"].as_str()?.parse::<u64>().ok();
        let events = self.objects.iter().filter(|(id, _)| id.kind == Kind::Event);
        let events: Vec<_> = events.map(|(id, o)| (version(o), id.clone())).collect();
        if events.len() > EVENTS
            && let Some((_, oldest)) = events.into_iter().min()
        {
            self.objects.remove(&oldest);
        }
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Value::Object(object) = object {
        object.remove(field);
    }
}

fn has_finalizers(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|f| !f.is_empty())
}
