//! One operator writes. A second one, which somebody started by raising `replicas`, waits until the first is gone.
//!
//! Invariants: whoever acts holds the Lease `zkinfer-operator`, and ends within [`RENEWED`] of not being able to renew it,
//! before anybody else may take it; nobody's clock is compared with another's: a Lease is old when this process has seen
//! it unchanged for long enough.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use super::settings::{RunError, Stop, stopped};
use crate::specs::labels;

const NAME: &str = "zkinfer-operator";
/// A Lease that was not renewed for so long is anybody's.
const EXPIRES: Duration = Duration::from_secs(15);
/// Who has not renewed its Lease for so long ends.
const RENEWED: Duration = Duration::from_secs(10);
/// How often it is renewed, and looked at by who waits.
const EVERY: Duration = Duration::from_secs(3);

/// What is seen of the Lease, and since when it has looked so.
struct Seen {
    renewed: Option<MicroTime>,
    holder: Option<String>,
    since: Instant,
}

/// The right to act.
pub(super) struct Leadership {
    api: Api<Lease>,
    /// This process; the same name again after a restart of the container.
    name: String,
}

impl Leadership {
    pub(super) fn new(client: &Client, namespace: &str) -> Self {
        // A pod's host name is the pod's name.
        let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let name = std::env::var("HOSTNAME").ok().or_else(host);
        let name = name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty());
        Self {
            api: Api::namespaced(client.clone(), namespace),
            name: name.unwrap_or_else(|| format!("process-{}", std::process::id())),
        }
    }

    /// Waits for the right to act; `false` if the operator was told to stop before.
    ///
    /// # Errors
    /// An API server that refuses; one that is away is waited for.
    pub(super) async fn acquire(&self, stop: &Stop) -> Result<bool, RunError> {
        let mut seen: Option<Seen> = None;
        let mut told = false;
        loop {
            match self.attempt(&mut seen).await {
                Ok(true) => return Ok(true),
                Ok(false) if !told => {
                    let holder = seen.as_ref().and_then(|s| s.holder.clone()).unwrap_or_default();
                    tracing::warn!(
                        holder,
                        "another operator is at work: this one stands by until it is gone"
                    );
                    told = true;
                }
                Ok(false) => {}
                Err(kube::Error::Api(status)) if [401, 403].contains(&status.code) => {
                    return Err(RunError::Api(Box::new(kube::Error::Api(status))));
                }
                Err(error) => tracing::warn!(%error, "the Lease cannot be read"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stopped(stop.clone()) => return Ok(false),
            }
        }
    }

    /// Renews the Lease for ever; returns when it may be somebody else's soon, and nothing must be written any more.
    pub(super) async fn keep(&self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < RENEWED {
            tokio::time::sleep(EVERY).await;
            let mut seen = None;
            let began = Instant::now();
            let left = RENEWED.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.attempt(&mut seen)).await {
                Ok(Ok(true)) => renewed = began,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => tracing::warn!(%error, "the Lease was not renewed"),
                Err(_) => tracing::warn!("the Lease was not renewed in time"),
            }
        }
    }

    /// Gives the Lease back, so that the next one need not wait.
    pub(super) async fn release(&self) {
        let Ok(Some(mut lease)) = self.api.get_opt(NAME).await else {
            return;
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(self.name.as_str()) {
            spec.holder_identity = None;
            // Whoever waits finds out by itself otherwise.
            let _ = self.api.replace(NAME, &PostParams::default(), &lease).await;
        }
    }

    /// Takes or renews the Lease if it is free, its own or old.
    async fn attempt(&self, seen: &mut Option<Seen>) -> Result<bool, kube::Error> {
        let found = self.api.get_opt(NAME).await?;
        let Some(mut lease) = found else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(NAME.to_owned()),
                    labels: Some([(labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned())].into()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.held(0)),
            };
            return taken(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let now = Seen {
            renewed: spec.renew_time.clone(),
            holder: spec.holder_identity.clone().filter(|h| !h.is_empty()),
            since: Instant::now(),
        };
        let same = seen
            .take()
            .filter(|s| s.renewed == now.renewed && s.holder == now.holder);
        let now = same.unwrap_or(now);
        let free = is_free(now.holder.as_deref(), &self.name, now.since.elapsed());
        let other = now.holder.as_deref() != Some(self.name.as_str());
        *seen = Some(now);
        if !free {
            return Ok(false);
        }
        let times = spec
            .lease_transitions
            .unwrap_or(0)
            .saturating_add(i32::from(other));
        lease.spec = Some(LeaseSpec {
            acquire_time: if other {
                Some(MicroTime(Timestamp::now()))
            } else {
                spec.acquire_time
            },
            ..self.held(times)
        });
        taken(self.api.replace(NAME, &PostParams::default(), &lease).await)
    }

    fn held(&self, times: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.name.clone()),
            lease_duration_seconds: Some(EXPIRES.as_secs() as i32),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(times),
            ..LeaseSpec::default()
        }
    }
}

/// Somebody who was quicker has changed or made it: theirs counts.
fn taken(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_free(holder: Option<&str>, own: &str, unchanged: Duration) -> bool {
    holder.is_none_or(|holder| holder == own) || unchanged >= EXPIRES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_free_when_nobody_s_one_s_own_or_old() {
        assert!(is_free(None, "a", Duration::ZERO));
        assert!(is_free(Some("a"), "a", Duration::ZERO));
        assert!(!is_free(Some("b"), "a", EXPIRES - Duration::from_secs(1)));
        assert!(is_free(Some("b"), "a", EXPIRES));
        assert!(
            RENEWED + EVERY < EXPIRES,
            "who lost it has ended before somebody takes it"
        );
    }
}
