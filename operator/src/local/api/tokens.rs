//! Whose tokens are whose, and what they may: the reviews of local mode.
//!
//! Invariants: a token is known only to whom it was given; whoever runs it all may do everything, a pool's worker nothing but
//! what the gateway lets workers do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore;
use rand::rngs::OsRng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The person who runs it all, as reviews call them.
pub(in crate::local) const RUNNER: &str = "zkinfer:runner";

/// The tokens that were given out.
#[derive(Default)]
pub(in crate::local) struct Tokens {
    /// Users by SHA-256 of the token, so that a look-up takes no time that depends on a secret.
    users: Mutex<BTreeMap<[u8; 32], String>>,
}

impl Tokens {
    pub(in crate::local) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], String>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new token, which says whose it is, as those of a cluster do.
    pub(in crate::local) fn give(&self, user: &str) -> String {
        let mut secret = [0; 32];
        OsRng.fill_bytes(&mut secret);
        let claims = URL_SAFE_NO_PAD.encode(json!({ "sub": user }).to_string());
        let token = format!("e30.{claims}.{}", hex::encode(secret));
        self.lock().insert(hash(&token), user.to_owned());
        token
    }

    /// It is nobody's from now on.
    pub(in crate::local) fn take_back(&self, token: &str) {
        self.lock().remove(&hash(token));
    }

    /// Whose token it is.
    pub(in crate::local) fn user(&self, token: &str) -> Option<String> {
        self.lock().get(&hash(token)).cloned()
    }

    /// A TokenReview with its answer.
    pub(super) fn review(&self, mut review: Value) -> Value {
        let user = self.user(review["spec"]["token"].as_str().unwrap_or_default());
        review["status"] = match user {
            Some(user) => json!({
                "authenticated": true, "user": { "username": user }, "audiences": review["spec"]["audiences"],
            }),
            None => json!({ "authenticated": false }),
        };
        review
    }
}

/// A review of rights with its answer; whoever asks about themselves comes with a token of the runner.
pub(super) fn may(mut review: Value) -> Value {
    let user = review["spec"]["user"].as_str();
    let allowed = user.is_none_or(|user| user == RUNNER);
    review["status"] = json!({ "allowed": allowed });
    review
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
