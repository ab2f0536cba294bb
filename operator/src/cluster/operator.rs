//! The operator, put together: what all controllers share, and each of them, made and run.
//!
//! Invariant: every kind in the list `kinds!` has a store, a wake and a controller, and is waited for at the start; none of them is
//! named here.

use std::sync::Arc;

use zkinfer_crds::k8s;

use super::drive::drive;
use super::settings::Stop;
use crate::controllers::{Controlled, Given, Making};
use crate::world::{Feeds, Part, World};

macro_rules! operator {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        /// See the module.
        pub(super) struct Operator {
            pub(super) world: Arc<World>,
            $(pub(super) $all: Arc<<k8s::$kind as Controlled>::Controller>,)*
        }

        impl Operator {
            /// Nothing is known yet.
            pub(super) fn new(given: Given) -> Self {
                let world = Arc::clone(&given.world);
                let mut making = Making::new(given);
                Self {
                    world,
                    $($all: making.of(),)*
                }
            }

            /// Runs the controllers until the operator is told to stop and their last reconciliations have ended.
            pub(super) async fn control(&self, feeds: Feeds, stop: &Stop) {
                futures::join!($(
                    drive(&self.$all, &self.world, (Part::$kind, stringify!($kind)), feeds.$all, stop)
                ),*);
            }
        }
    };
}

zkinfer_crds::kinds!(operator);
