//! Who may see anything of a request: its slices, and the files that they are proved from.
//!
//! Invariants: nobody is given a slice, or a file of one, whom the request's side does not let see it, and of a request of
//! which no consent is known nobody is. The queue holds the consents, so that none changes while slices are given; they
//! are looked at when a slice is given, to stand in for another or not, again before its worker is told, and at every
//! file. Who may not see a request is nobody to it: it is not waited for, gets no Job, and makes no claim a contested one.

use std::time::Duration;

use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid};

use super::PoolId;
use super::attempt::AttemptEnd;
use super::dispatcher::{Dispatcher, WorkerAuth, lock};
use super::queue::Queue;
use crate::consent::Consent;

impl Queue {
    /// Who may see a request from now on; open claims of others end, without blame, where no proof has come. It is said
    /// before the request is added. Whether something else was said before.
    pub fn consent(&mut self, uid: RequestUid, consent: Consent, now: Duration) -> bool {
        if self.consents.get(&uid) == Some(&consent) {
            return false;
        }
        self.consents.insert(uid, consent);
        self.withdraw(uid, now);
        true
    }

    /// Whether the request's side lets a pool of this identity see it.
    #[must_use]
    pub fn may_see(&self, uid: RequestUid, pool: &PoolId, identity: &Identity) -> bool {
        let consent = self.consents.get(&uid);
        consent.is_some_and(|consent| consent.allows(pool.namespace(), identity))
    }

    /// The same, of a pool as it is known.
    pub(super) fn lets_see(&self, uid: RequestUid, pool: &PoolId) -> bool {
        let standing = self.standings.get(pool);
        standing.is_some_and(|s| self.may_see(uid, pool, &s.facts.identity))
    }

    /// Ends the claims of pools that may not see a request any more, where no proof has come.
    pub(super) fn withdraw(&mut self, uid: RequestUid, now: Duration) {
        self.expire(now);
        let leases = self
            .find(uid)
            .into_iter()
            .flat_map(|r| r.slices.iter().flat_map(|s| &s.leases));
        let barred: Vec<ClaimId> = leases
            .filter(|l| l.submitted.is_none() && !self.may_see(uid, &l.pool, &l.identity))
            .map(|l| l.claim)
            .collect();
        for claim in barred {
            self.end(uid, claim, AttemptEnd::ConsentWithdrawn, now);
        }
    }
}

impl Dispatcher {
    /// Who may see a request from now on; open claims of others end, without blame. It is said before the request is
    /// added. Whether something else was said before.
    pub fn consent(&self, uid: RequestUid, consent: Consent) -> bool {
        let now = self.now();
        let news = lock(&self.state).queue.consent(uid, consent, now);
        if news {
            self.settle();
        }
        news
    }

    /// Whether the request's side lets a worker's pool see it.
    pub(super) fn may_see(&self, uid: RequestUid, auth: &WorkerAuth) -> bool {
        lock(&self.state).queue.may_see(uid, &auth.pool, &auth.identity)
    }

    /// Whether a blob was granted to a worker's pool, for a request that is still here and still lets it see that.
    #[must_use]
    pub fn may_read(&self, auth: &WorkerAuth, digest: &Digest) -> bool {
        let state = lock(&self.state);
        lock(&self.granted).iter().any(|(uid, pools)| {
            let granted = pools.get(&auth.pool).is_some_and(|blobs| blobs.contains(digest));
            granted && state.queue.may_see(*uid, &auth.pool, &auth.identity)
        })
    }
}
