//! Takes Jobs away.

use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use kube::api::{Api, DeleteParams};

use super::jobs::{JobIndex, JobState, Purpose};
use crate::dispatch::PoolId;

/// Removes the Jobs of a pool of which no worker is up, so that the next ones are made as its spec is now.
pub async fn start_over(client: &Client, jobs: &JobIndex, id: &PoolId) {
    for job in jobs.all() {
        let stuck = matches!(&job.purpose, Purpose::Prove { pool, .. } if pool == id);
        if stuck && job.state == JobState::Running {
            remove(client, jobs, &job.namespace, &job.name).await;
        }
    }
}

/// Removes a Job with its pods. One that cannot be removed is tried again at the next pass.
pub async fn remove(client: &Client, jobs: &JobIndex, namespace: &str, name: &str) {
    let api: Api<Job> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => {
            tracing::warn!(namespace, name, %error, "a Job cannot be removed; it is tried again");
            return;
        }
    }
    jobs.remove(namespace, name);
}
