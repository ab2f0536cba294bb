//! Projected service-account tokens: bound to their pod, and renewed before they expire.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use k8s_openapi::{
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{ServiceAccount, ServiceAccountTokenProjection},
    },
    jiff::Timestamp,
};
use kube::{Api, api::PostParams};

use super::{
    Error,
    volumes::{Source, write},
};

/// A token that is asked for again and again.
pub(super) struct Renewal {
    api: Api<ServiceAccount>,
    account: String,
    spec: TokenRequestSpec,
    file: PathBuf,
}

impl Renewal {
    pub(super) fn new(source: &Source<'_>, token: &ServiceAccountTokenProjection, place: &Path) -> Self {
        let spec = source.pod.spec.as_ref();
        let metadata = &source.pod.metadata;
        // Bound to the pod: the API server refuses the token as soon as the pod is gone.
        let bound = BoundObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
        };
        Self {
            api: Api::namespaced(source.client.clone(), source.namespace),
            account: spec
                .and_then(|spec| spec.service_account_name.clone())
                .unwrap_or_else(|| "default".into()),
            spec: TokenRequestSpec {
                audiences: token.audience.iter().cloned().collect::<Vec<_>>().into(),
                bound_object_ref: Some(bound),
                expiration_seconds: token.expiration_seconds,
                ..Default::default()
            },
            file: place.join(&token.path),
        }
    }

    /// Writes a new token; how long to wait until the next.
    pub(super) async fn renew(&self) -> Result<Duration, Error> {
        let request = TokenRequest {
            spec: Some(self.spec.clone()),
            ..Default::default()
        };
        let answer = self
            .api
            .create_token_request(&self.account, &PostParams::default(), &request)
            .await?;
        let status = answer.status.unwrap_or_default();
        let (Some(token), Some(expires)) = (status.token, status.expiration_timestamp) else {
            return Err(Error::Missing("the token in the answer".into()));
        };
        write(&self.file, token.as_bytes())?;
        Ok(pause(Timestamp::now(), expires.0))
    }

    /// Renews for ever; the first time after `wait`.
    pub(super) async fn keep(self, mut wait: Duration) {
        loop {
            tokio::time::sleep(wait).await;
            wait = self.renew().await.unwrap_or(Duration::from_secs(5));
        }
    }
}

/// Renews at four fifths of the time, as the kubelet does.
fn pause(now: Timestamp, expires: Timestamp) -> Duration {
    let left = Duration::try_from(expires.duration_since(now)).unwrap_or_default();
    left.mul_f64(0.8).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_in_time() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(pause(now, after(600)), Duration::from_secs(480));
        assert_eq!(pause(after(600), now), Duration::from_secs(1));
    }
}
