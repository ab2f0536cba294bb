//! Reaching the gateway: at an address, or through the API server's port-forward; with a token of the caller.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, Config, ResourceExt};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zkinfer_client::{Answer, CallError, Calling};
use zkinfer_crds::Digest;
use zkinfer_crds::calls::Call;
use zkinfer_crds::calls::clients::{ReadModelFile, ReadReceipt, ReceiptOf, UploadArtifact};
use zkinfer_crds::k8s::GROUP;

use super::{ClientError, GatewayAccess};

/// Where the gateway's pod is and on which port it listens.
pub(super) const SELECTOR: &str = "app.kubernetes.io/name=zkinfer,app.kubernetes.io/component=operator";
const PORT: u16 = 8080;
/// The port on which its probes and metrics are answered.
pub(super) const HEALTH: u16 = 8081;
/// A ServiceAccount that may read requests and receipts and upload files, and make no object, for callers whose kubeconfig
/// holds a certificate and no token.
const CLIENT: &str = "zkinfer-client";
/// A token for a few calls.
const TOKEN_SECONDS: i64 = 600;
/// Time for a file.
const FILE_TIME: Duration = Duration::from_secs(3600);
/// How long what nobody reads any more is taken from a caller.
const LINGER: Duration = Duration::from_secs(5);

pub(super) struct Gateway {
    gateway: zkinfer_client::Gateway,
    token: String,
}

impl Gateway {
    pub(super) async fn connect(
        config: &Config,
        client: &Client,
        namespace: &str,
        access: &GatewayAccess,
    ) -> Result<Self, ClientError> {
        let token = token(config, client, namespace, access).await?;
        let address = match &access.address {
            Some(address) => address.clone(),
            None => forward(client, &access.operator_namespace, PORT, true).await?,
        };
        let gateway =
            zkinfer_client::Gateway::new(&address).map_err(|e| ClientError::Gateway(e.to_string()))?;
        Ok(Self { gateway, token })
    }

    /// Fetches a receipt of a namespace.
    pub(super) async fn receipt(&self, namespace: &str, digest: &Digest) -> Result<Vec<u8>, ClientError> {
        let of = ReceiptOf {
            namespace: namespace.to_owned(),
        };
        let call = self.call::<ReadReceipt>(digest).query(&of);
        Ok(sent(call).await?.bytes().await?)
    }

    /// Fetches a file of a Model.
    pub(super) async fn model_file(
        &self,
        namespace: &str,
        model: &str,
        digest: &Digest,
    ) -> Result<Vec<u8>, ClientError> {
        let of = (namespace.to_owned(), model.to_owned(), *digest);
        Ok(sent(self.call::<ReadModelFile>(&of)).await?.bytes().await?)
    }

    /// Hands a file in.
    pub(super) async fn upload(
        &self,
        namespace: &str,
        digest: &Digest,
        bytes: Vec<u8>,
    ) -> Result<(), ClientError> {
        let to = (namespace.to_owned(), *digest);
        let put = |bytes| sent(self.call::<UploadArtifact>(&to).bytes(bytes));
        let broken = match put(bytes).await {
            Ok(_) => return Ok(()),
            Err(broken @ CallError::NoAnswer(_)) => broken,
            Err(refused) => return Err(refused.into()),
        };
        // A gateway that refuses does so before it has read the file, and closes: its answer may be lost with the
        // connection. It gives the same one to a call that has nothing to send.
        match put(Vec::new()).await {
            Err(refused) if refused.status().is_some_and(|s| s != 422) => Err(refused.into()),
            _ => Err(broken.into()),
        }
    }

    fn call<C: Call>(&self, named: &C::Named) -> Calling<C> {
        self.gateway.call(named, &self.token)
    }
}

/// Files may be large, and the way to the gateway narrow.
async fn sent<C: Call>(call: Calling<C>) -> Result<Answer<C>, CallError> {
    call.time(FILE_TIME).send().await
}

impl From<CallError> for ClientError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Forbidden { said, .. } | CallError::Refused { said, .. } => Self::Gateway(said),
            e @ (CallError::NoAnswer(_) | CallError::Token(_) | CallError::Unexpected(_)) => {
                Self::Gateway(e.to_string())
            }
        }
    }
}

/// Whether the caller may make what could name an uploaded file, by the API server's word. The token that a certificate's
/// holder presents to the gateway is not his own, so he is asked here.
pub(super) async fn may_upload(client: &Client, namespace: &str) -> Result<(), ClientError> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    for resource in ["models", "inferencerequests"] {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(GROUP.to_owned()),
                    resource: Some(resource.to_owned()),
                    namespace: Some(namespace.to_owned()),
                    verb: Some("create".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = api.create(&PostParams::default(), &review).await?;
        if answer.status.is_some_and(|s| s.allowed) {
            return Ok(());
        }
    }
    Err(ClientError::Other(format!(
        "you may create neither models.{GROUP} nor inferencerequests.{GROUP} in namespace {namespace}, so nothing of yours \
         could name the file there (-n names another)"
    )))
}

/// A token of the caller: a file's, one of the ServiceAccount that the caller names, the kubeconfig's, or, for kubeconfigs
/// with a certificate (as kind, kubeadm, k3s and minikube write them), one of a ServiceAccount of the operator's.
pub(super) async fn token(
    config: &Config,
    client: &Client,
    namespace: &str,
    access: &GatewayAccess,
) -> Result<String, ClientError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map(|t| t.trim().to_owned())
            .map_err(|source| ClientError::Path {
                path: path.to_owned(),
                source,
            })
    };
    if let Some(file) = &access.token_file {
        return read(file);
    }
    if let Some(account) = &access.service_account {
        let (namespace, name) = account.split_once('/').unwrap_or((namespace, account));
        return token_of(client, namespace, name).await.map_err(|e| {
            ClientError::Other(format!(
                "no token could be made for ServiceAccount {namespace}/{name}: {e}"
            ))
        });
    }
    if let Some(token) = &config.auth_info.token {
        return Ok(token.expose_secret().to_owned());
    }
    if let Some(file) = &config.auth_info.token_file {
        return read(Path::new(file));
    }
    let system = &access.operator_namespace;
    token_of(client, system, CLIENT).await.map_err(|e| {
        ClientError::Other(format!(
            "your kubeconfig holds no token, and none could be made for ServiceAccount {system}/{CLIENT}: {e}; name a \
             ServiceAccount of yours with --service-account, or give a token with --token-file"
        ))
    })
}

/// A short token of a ServiceAccount, for which the caller needs the right to `create serviceaccounts/token`.
async fn token_of(client: &Client, namespace: &str, name: &str) -> Result<String, ClientError> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let made = api
        .create_token_request(name, &PostParams::default(), &request)
        .await?;
    let token = made.status.and_then(|s| s.token).filter(|t| !t.is_empty());
    token.ok_or_else(|| ClientError::Other("the API server made an empty token".to_owned()))
}

/// A port of this machine that leads to this port of the operator's pod, which may have to be ready, as long as this program runs.
pub(super) async fn forward(
    client: &Client,
    namespace: &str,
    port: u16,
    ready_only: bool,
) -> Result<String, ClientError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = api.list(&ListParams::default().labels(SELECTOR)).await?;
    let ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    };
    let runs = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        !ready_only && phase == Some("Running")
    };
    let mut pods = pods.items;
    // One that answers comes before one that only stands by.
    pods.sort_by_key(|pod| !ready(pod));
    let pod = pods
        .into_iter()
        .find(|pod| ready(pod) || runs(pod))
        .ok_or_else(|| {
            ClientError::Other(format!(
                "no operator is ready in namespace {namespace} (--operator-namespace names another)"
            ))
        })?;
    let name = pod.name_any();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|e| ClientError::Gateway(e.to_string()))?;
    let address = listener
        .local_addr()
        .map_err(|e| ClientError::Gateway(e.to_string()))?;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (api, name) = (api.clone(), name.clone());
            tokio::spawn(async move {
                let forwarded = async {
                    let mut forwarder = api.portforward(&name, &[port]).await.map_err(|e| e.to_string())?;
                    let far = forwarder.take_stream(port).ok_or("no stream")?;
                    relay(near, far).await;
                    Ok::<_, String>(())
                };
                if let Err(error) = forwarded.await {
                    tracing::warn!(%error, "port-forward");
                }
            });
        }
    });
    Ok(format!("http://{address}"))
}

/// Carries bytes both ways. Where the far end takes no more, because it has answered and closed, the rest of what comes
/// from here is read and dropped: a connection that broke would take the answer with it.
async fn relay(near: TcpStream, far: impl AsyncRead + AsyncWrite) {
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = tokio::io::split(far);
    let there = async {
        if tokio::io::copy(&mut near_read, &mut far_write).await.is_ok() {
            let _ = far_write.shutdown().await;
        } else {
            let _ = tokio::io::copy(&mut near_read, &mut tokio::io::sink()).await;
        }
    };
    let back = async {
        let _ = tokio::io::copy(&mut far_read, &mut near_write).await;
        let _ = near_write.shutdown().await;
    };
    let mut there = std::pin::pin!(there);
    let mut back = std::pin::pin!(back);
    tokio::select! {
        () = &mut there => back.await,
        () = &mut back => {
            let _ = tokio::time::timeout(LINGER, there).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Answers each call before it has read the body, and closes.
    async fn hasty(answers: &'static str) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut call, _)) = listener.accept().await {
                let _ = call.read(&mut [0; 512]).await;
                let _ = call.write_all(answers.as_bytes()).await;
            }
        });
        format!("http://{address}")
    }

    #[tokio::test]
    async fn the_answer_of_a_gateway_that_closes_while_the_file_is_sent_is_told() {
        let forbidden = "HTTP/1.1 403 Forbidden\r\ncontent-length: 54\r\nconnection: close\r\n\r\n\
                         {\"reason\":\"Forbidden\",\"message\":\"you may not do this\"}";
        let address = hasty(forbidden).await;
        let gateway = Gateway {
            gateway: zkinfer_client::Gateway::new(&address).unwrap(),
            token: "token".to_owned(),
        };
        for _ in 0..20 {
            let sent = gateway.upload("here", &Digest::of(b""), vec![7; 4 << 20]).await;
            let error = sent.unwrap_err().to_string();
            assert_eq!(error, "the gateway: Forbidden: you may not do this");
        }
    }

    #[tokio::test]
    async fn an_answer_comes_through_a_relay_whose_far_end_has_closed() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let near = tokio::spawn(async move { TcpStream::connect(address).await.unwrap() });
        let (server, _) = listener.accept().await.unwrap();
        let mut near = near.await.unwrap();
        let (far, mut gateway) = tokio::io::duplex(1024);
        let relayed = tokio::spawn(relay(server, far));
        let sending = tokio::spawn(async move {
            for _ in 0..64 {
                near.write_all(&[7; 65536]).await.unwrap();
            }
            let mut answer = String::new();
            near.read_to_string(&mut answer).await.unwrap();
            answer
        });
        gateway.read_exact(&mut [0; 100]).await.unwrap();
        gateway.write_all(b"no").await.unwrap();
        drop(gateway);
        assert_eq!(sending.await.unwrap(), "no");
        relayed.await.unwrap();
    }
}
