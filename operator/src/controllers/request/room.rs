//! A request's room in the operator's memory: who has none waits, and whose work does not go on makes way.
//!
//! Invariants: no input is read and no graph evaluated but in room that was taken for it; nobody who is waited for holds room, or a
//! model, for longer than [`STALLED`] without a slice that is verified, whatever keeps it.

use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::inference_request::reason;
use zkinfer_crds::k8s::{InferenceRequest, InferenceRequestStatus};

use super::observed::RunState;
use super::records::{Requests, RunRecord};
use crate::runs::{Asker, CompiledModel, Needs, Room, RoomError, Run, Share};
use crate::world::Reached;

/// A run of which no slice is verified for so long makes way for who waits; of slices that take longer, for three times as long as the
/// longest is predicted to.
const STALLED: Duration = Duration::from_secs(60);
const TIMES: u32 = 3;

/// Of so many manifests is known what a request needs.
const KNOWN: usize = 4096;

/// What is said of a request that has made way.
pub(super) const MADE_WAY: &str =
    "no slice of it was verified for a while, and others waited for memory: it goes on when there is room";

/// How long a run may be without a slice that is verified before it makes way.
pub(super) fn patience(run: &Run) -> Duration {
    let predicted = run.model.report.slices.iter().map(|s| s.predicted_micros).max();
    patience_of(Duration::from_micros(predicted.unwrap_or(0)))
}

fn patience_of(predicted: Duration) -> Duration {
    predicted.saturating_mul(TIMES).max(STALLED)
}

impl RunRecord {
    /// Whether nothing has come of it for longer than anybody has to wait for that.
    fn is_stalled(&self, now: Instant) -> bool {
        let stalled = |run: &Run| now.saturating_duration_since(self.moved) >= patience(run);
        self.run.as_deref().is_some_and(stalled) && !self.view.makes_way
    }
}

impl Requests {
    /// Room for a request.
    #[expect(
        clippy::result_large_err,
        reason = "it is what becomes of the run, and asked once a request"
    )]
    pub(super) fn room(
        &self,
        object: &InferenceRequest,
        uid: RequestUid,
        bytes: u64,
    ) -> Result<Room, RunState> {
        let asker = Asker {
            uid,
            namespace: object.namespace().unwrap_or_default(),
            benchmark: object.is_benchmark(),
        };
        let taken = self.world.rooms.take(&asker, bytes);
        taken.map_err(|error| self.no_room(object, uid, error))
    }

    /// Why a request has no room: it waits for it, or is never begun.
    pub(super) fn no_room(&self, object: &InferenceRequest, uid: RequestUid, error: RoomError) -> RunState {
        let message = error.to_string();
        let share = match error {
            RoomError::TooLarge { .. } => {
                return RunState::Refused {
                    reason: reason::TOO_LARGE_FOR_OPERATOR,
                    message,
                };
            }
            RoomError::Full { share, .. } => share,
        };
        self.awaiting_room.lock().insert(uid, ObjectRef::from_obj(object));
        let own = object.namespace();
        self.make_way(uid, |key| share == Share::All || key.namespace == own);
        RunState::NoRoom {
            reason: reason::RUN_MEMORY_FULL,
            message,
        }
    }

    /// Whether its namespace has room in the store for what a request leaves there; what was begun goes on, and what the operator
    /// asks itself is no namespace's.
    ///
    /// # Errors
    /// The quota that is reached.
    pub(super) fn may_begin(
        &self,
        object: &InferenceRequest,
        status: &InferenceRequestStatus,
    ) -> Result<(), Reached> {
        if status.started_at.is_some() || object.is_benchmark() {
            return Ok(());
        }
        let rules = self.world.in_force.get();
        let namespace = object.namespace().unwrap_or_default();
        self.world.usage.may_begin(&rules.quotas, &namespace)
    }

    /// What a request of this model needs, from now on known of its manifest.
    pub(super) fn needs_of(&self, model: &CompiledModel) -> Needs {
        let mut known = self.needs.lock();
        // Whichever is forgotten is found again when it is loaded next.
        if known.len() >= KNOWN {
            known.clear();
        }
        let of = || Needs::of(model);
        *known.entry(model.report.manifest.digest).or_insert_with(of)
    }

    /// Of the runs of these requests that have stalled the one that has for longest makes way for this request. One that is over is
    /// held for those who may still deliver to it, and has waited for them long enough.
    pub(super) fn make_way(&self, uid: RequestUid, of: impl Fn(&ObjectRef<InferenceRequest>) -> bool) {
        let now = Instant::now();
        let (other, key, over) = {
            let mut runs = self.runs();
            let others = runs.iter_mut().filter(|(other, _)| **other != uid);
            let stalled = others.filter(|(_, r)| of(&r.key) && r.is_stalled(now));
            let Some((other, record)) = stalled.min_by_key(|(_, r)| r.moved) else {
                return;
            };
            record.view.makes_way = true;
            let over = match &record.state {
                RunState::Active(_) => None,
                _ => record.run.take(),
            };
            (*other, record.key.clone(), over)
        };
        if over.is_some() {
            self.world.dispatcher.remove(other, false);
        } else {
            self.world.wake.request(key);
        }
    }

    /// A request waits for no room any more.
    pub(super) fn leave_room(&self, uid: RequestUid) {
        if self.awaiting_room.lock().remove(&uid).is_some() {
            self.world.rooms.leave(uid);
        }
    }

    /// There is room for a request that waits for it.
    pub(super) fn has_room(&self, uid: RequestUid) {
        let key = self.awaiting_room.lock().get(&uid).cloned();
        if let Some(key) = key {
            self.world.wake.request(key);
        }
    }

    /// Lets go of all that a run holds; it is begun again from what is in the store.
    pub(super) fn park(&self, uid: RequestUid) {
        let run = self.runs().get_mut(&uid).and_then(|record| {
            record.state = RunState::None;
            record.view.makes_way = false;
            record.run.take()
        });
        self.world.dispatcher.remove(uid, false);
        self.parked.lock().insert(uid, ());
        // Whoever waits for its room is told when nobody holds it any more.
        drop(run);
        self.world.fleet.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_waited_for_has_a_minute_or_three_times_the_longest_prediction() {
        assert_eq!(patience_of(Duration::from_millis(300)), STALLED);
        assert_eq!(patience_of(Duration::from_secs(50)), Duration::from_secs(150));
    }
}
