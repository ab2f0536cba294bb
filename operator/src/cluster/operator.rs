//! The operator, put together.

use std::sync::Arc;

use crate::controllers::model::Models;
use crate::controllers::pool::Pools;
use crate::controllers::request::Requests;
use crate::world::World;

/// What all controllers share, and each of them.
pub(super) struct Operator {
    pub(super) world: Arc<World>,
    pub(super) models: Arc<Models>,
    pub(super) pools: Arc<Pools>,
    pub(super) requests: Arc<Requests>,
}
