//! What a controller knows of its objects beside what the API server has.
//!
//! Invariant: everything here can be rebuilt from the API server and the artifact store; nothing is true because it is
//! here. Guards end with their statements: nothing is awaited under one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A record per key.
pub struct Records<K, R>(Mutex<BTreeMap<K, R>>);

impl<K, R> Default for Records<K, R> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, R> Records<K, R> {
    /// All of them.
    pub fn lock(&self) -> MutexGuard<'_, BTreeMap<K, R>> {
        lock(&self.0)
    }
}

/// Locks; nothing that panics leaves anything half done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
