//! Reaching the gateway: at an address, or through the API server's port-forward; with a token of the caller.

use std::path::Path;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, Config, ResourceExt};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use zkinfer_crds::wire::Problem;

use super::{ClientError, GatewayAccess};

/// Where the gateway's pod is and on which port it listens.
const SELECTOR: &str = "app.kubernetes.io/name=zkinfer,app.kubernetes.io/component=operator";
const PORT: u16 = 8080;
/// A ServiceAccount that may read requests and receipts, for callers whose kubeconfig holds a certificate and no token.
const READER: &str = "zkinfer-client";
/// A token for a few calls.
const TOKEN_SECONDS: i64 = 600;
/// Largest file that is fetched.
const MAX_BYTES: u64 = 1 << 30;

pub(super) struct Gateway {
    address: String,
    token: String,
    http: reqwest::Client,
    /// Most bytes of an answer.
    most: u64,
}

impl Gateway {
    pub(super) async fn connect(
        config: &Config,
        client: &Client,
        access: &GatewayAccess,
    ) -> Result<Self, ClientError> {
        let token = token(
            config,
            client,
            &access.operator_namespace,
            access.token_file.as_deref(),
        )
        .await?;
        let address = match &access.address {
            Some(address) => address.trim_end_matches('/').to_owned(),
            None => forward(client, &access.operator_namespace).await?,
        };
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| ClientError::Gateway(e.to_string()))?;
        Ok(Self {
            address,
            token,
            http,
            most: MAX_BYTES,
        })
    }

    /// Fetches a file.
    pub(super) async fn get(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        self.call(self.http.get(format!("{}{path}", self.address))).await
    }

    /// Hands a file in.
    pub(super) async fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), ClientError> {
        let call = self.http.put(format!("{}{path}", self.address)).body(bytes);
        self.call(call).await.map(|_| ())
    }

    async fn call(&self, call: reqwest::RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let failed = |e: reqwest::Error| ClientError::Gateway(e.to_string());
        let mut answer = call.bearer_auth(&self.token).send().await.map_err(failed)?;
        let status = answer.status();
        let too_large = || ClientError::Gateway(format!("its answer has more than {} bytes", self.most));
        if answer.content_length().is_some_and(|n| n > self.most) {
            return Err(too_large());
        }
        // A body may come without saying how long it is.
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if (bytes.len() + chunk.len()) as u64 > self.most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let problem = serde_json::from_slice::<Problem>(&bytes);
        Err(ClientError::Gateway(problem.map_or_else(
            |_| status.to_string(),
            |p| format!("{}: {}", p.reason, p.message),
        )))
    }
}

/// A token of the caller: a file's, the kubeconfig's, or one of a reader that the caller may ask for.
async fn token(
    config: &Config,
    client: &Client,
    operator_namespace: &str,
    file: Option<&Path>,
) -> Result<String, ClientError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path)
            .map(|t| t.trim().to_owned())
            .map_err(|source| ClientError::Path {
                path: path.to_owned(),
                source,
            })
    };
    if let Some(file) = file {
        return read(file);
    }
    if let Some(token) = &config.auth_info.token {
        return Ok(token.expose_secret().to_owned());
    }
    if let Some(file) = &config.auth_info.token_file {
        return read(Path::new(file));
    }
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), operator_namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let made = api
        .create_token_request(READER, &PostParams::default(), &request)
        .await;
    let made = made.map_err(|e| {
        ClientError::Other(format!(
            "your kubeconfig holds no token, and none could be made for ServiceAccount {operator_namespace}/{READER}: \
             {e}; give one with --token-file"
        ))
    })?;
    let token = made.status.and_then(|s| s.token).filter(|t| !t.is_empty());
    token.ok_or_else(|| ClientError::Other("the API server made an empty token".to_owned()))
}

/// A port of this machine that leads to the operator's pod, as long as this program runs.
async fn forward(client: &Client, namespace: &str) -> Result<String, ClientError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = api.list(&ListParams::default().labels(SELECTOR)).await?;
    let ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    };
    let pod = pods.items.into_iter().find(ready).ok_or_else(|| {
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
        while let Ok((mut near, _)) = listener.accept().await {
            let (api, name) = (api.clone(), name.clone());
            tokio::spawn(async move {
                let forwarded = async {
                    let mut forwarder = api.portforward(&name, &[PORT]).await.map_err(|e| e.to_string())?;
                    let mut far = forwarder.take_stream(PORT).ok_or("no stream")?;
                    tokio::io::copy_bidirectional(&mut near, &mut far)
                        .await
                        .map_err(|e| e.to_string())?;
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_answer_that_does_not_say_how_long_it_is_is_read_to_the_limit_only() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut call, _)) = listener.accept().await {
                let _ = call.read(&mut [0; 4096]).await;
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                let body = "a\r\n0123456789\r\n".repeat(2);
                let _ = call.write_all(format!("{head}{body}0\r\n\r\n").as_bytes()).await;
            }
        });
        let gateway = |most| Gateway {
            address: address.clone(),
            token: "token".to_owned(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            most,
        };
        assert_eq!(gateway(20).get("/").await.unwrap().len(), 20);
        let error = gateway(19).get("/").await.unwrap_err().to_string();
        assert!(error.contains("more than 19 bytes"), "{error}");
    }
}
