//! What of the operator has come up.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How often something that nobody tells of is looked at while the operator starts.
pub const LOOK: Duration = Duration::from_millis(20);

/// A part of the operator that comes up by itself.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// Every Model is known.
    Models = 1,
    /// Every request is known.
    Requests = 2,
    /// Every pool is known.
    Pools = 4,
    /// Every Job is known.
    Jobs = 8,
    /// The gateway answers.
    Gateway = 16,
    /// Every list of who may serve is known.
    Consents = 32,
}

/// What has come up.
#[derive(Debug, Default)]
pub struct Ready(AtomicU8);

impl Ready {
    /// It has come up.
    pub fn set(&self, part: Part) {
        self.0.fetch_or(part as u8, Ordering::SeqCst);
    }

    /// Whether it has.
    #[must_use]
    pub fn is(&self, part: Part) -> bool {
        self.0.load(Ordering::SeqCst) & part as u8 != 0
    }

    /// What the API server has not listed yet.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let lists = [
            (Part::Models, "models"),
            (Part::Requests, "inferencerequests"),
            (Part::Pools, "minerpools"),
            (Part::Jobs, "jobs"),
            (Part::Consents, "configmaps zkinfer-consent"),
        ];
        lists
            .into_iter()
            .filter(|(part, _)| !self.is(*part))
            .map(|(_, name)| name)
            .collect()
    }

    /// Waits until these have.
    pub async fn wait(&self, parts: &[Part]) {
        while !parts.iter().all(|part| self.is(*part)) {
            tokio::time::sleep(LOOK).await;
        }
    }
}
