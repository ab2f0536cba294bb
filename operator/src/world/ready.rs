//! What of the operator has come up.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kube::Resource;
use zkinfer_crds::k8s;

/// How often something that nobody tells of is looked at while the operator starts.
pub const LOOK: Duration = Duration::from_millis(20);

macro_rules! parts {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        /// A part of the operator that comes up by itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Part {
            $(
                #[doc = concat!("Every ", stringify!($kind), " is known.")]
                $kind,
            )*
            /// Every Job is known.
            Jobs,
            /// Every list of who may serve is known.
            Consents,
            /// The gateway answers.
            Gateway,
        }

        /// The lists that the API server gives, each by its resource.
        fn lists() -> Vec<(Part, Cow<'static, str>)> {
            vec![
                $((Part::$kind, k8s::$kind::plural(&())),)*
                (Part::Jobs, "jobs".into()),
                (Part::Consents, "configmaps zkinfer-consent".into()),
            ]
        }
    };
}

zkinfer_crds::kinds!(parts);

// Each part is a bit, and the gateway is the last of them.
const _: () = assert!((Part::Gateway as u32) < u32::BITS);

impl Part {
    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// What has come up.
#[derive(Debug, Default)]
pub struct Ready(AtomicU32);

impl Ready {
    /// It has come up.
    pub fn set(&self, part: Part) {
        self.0.fetch_or(part.bit(), Ordering::SeqCst);
    }

    /// Whether it has.
    #[must_use]
    pub fn is(&self, part: Part) -> bool {
        self.0.load(Ordering::SeqCst) & part.bit() != 0
    }

    /// What the API server has not listed yet.
    #[must_use]
    pub fn missing(&self) -> Vec<Cow<'static, str>> {
        let missing = lists().into_iter().filter(|(part, _)| !self.is(*part));
        missing.map(|(_, name)| name).collect()
    }

    /// Waits until these have.
    pub async fn wait(&self, parts: &[Part]) {
        while !parts.iter().all(|part| self.is(*part)) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the API server has listed everything.
    pub async fn wait_for_lists(&self) {
        let lists: Vec<Part> = lists().into_iter().map(|(part, _)| part).collect();
        self.wait(&lists).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_every_list_that_has_not_come_by_its_resource() {
        let ready = Ready::default();
        let all = [
            "models",
            "inferencerequests",
            "minerpools",
            "validators",
            "jobs",
            "configmaps zkinfer-consent",
        ];
        for resource in all {
            assert!(ready.missing().iter().any(|m| m == resource), "{resource}");
        }
        ready.set(Part::Model);
        ready.set(Part::Gateway);
        assert!(ready.is(Part::Model) && ready.is(Part::Gateway) && !ready.is(Part::Jobs));
        assert!(!ready.missing().iter().any(|m| m == "models"));
        for (part, _) in lists() {
            ready.set(part);
        }
        assert!(ready.missing().is_empty());
    }

    #[tokio::test]
    async fn the_gateway_is_no_list_to_wait_for_and_each_list_is() {
        let ready = Ready::default();
        let lists = lists();
        for (part, _) in &lists[1..] {
            ready.set(*part);
        }
        let waited = tokio::time::timeout(LOOK * 3, ready.wait_for_lists()).await;
        assert!(waited.is_err(), "{} is missing", lists[0].1);
        ready.set(lists[0].0);
        ready.wait_for_lists().await;
        assert!(!ready.is(Part::Gateway));
    }
}
