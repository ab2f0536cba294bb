//! The behaviours of every operator, on a cluster.

use zkinfer_tests::behaviours::Place;
use zkinfer_tests::cluster::{Error, can_run};
use zkinfer_tests::operator::Objects;

use crate::world::World;

impl Place for World {
    async fn objects(&self, namespace: &str) -> Result<Objects, Error> {
        Objects::new(&self.cluster, namespace).await
    }

    async fn apply(&self, yaml: &str) -> Result<(), Error> {
        self.cluster.apply(yaml).await.map(drop)
    }
}

async fn place() -> Option<&'static World> {
    if can_run() {
        Some(World::shared().await)
    } else {
        None
    }
}

zkinfer_tests::behaviours!(place());
