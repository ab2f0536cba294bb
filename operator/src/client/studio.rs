//! `studio`: the operator's web app on this machine, with the caller's kubeconfig.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::{Client, Config};
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::net::TcpListener;

use super::gateway::{forward, token};
use super::{ClientError, Cluster, GatewayAccess};
use crate::cluster::{stop_signal, stopped};
use crate::web::{Proxy, Upstream};

/// The port of the operator's pod on which its app is served.
const WEB: u16 = 8082;
/// How long a token is used before another one is asked for: some are made for ten minutes.
const TOKEN_TIME: Duration = Duration::from_secs(300);

/// Where the app shall be, and of which cluster.
#[derive(Debug, Clone)]
pub struct StudioOptions {
    /// The cluster; the page shows its namespace first.
    pub cluster: Cluster,
    /// The page shows all namespaces.
    pub all_namespaces: bool,
    /// The operator, and whose token is used; the address is that of the web app.
    pub access: GatewayAccess,
    /// An address of this machine.
    pub address: SocketAddr,
}

/// Serves the app until it is told to stop; `tell` is given the address to open, which holds this run's secret.
///
/// # Errors
/// No cluster, no operator, no token, an address that is taken.
pub async fn studio(options: StudioOptions, tell: impl FnOnce(&str)) -> Result<(), ClientError> {
    let other = |e: std::io::Error| ClientError::Other(format!("cannot listen on {}: {e}", options.address));
    let stop = stop_signal().map_err(|e| ClientError::Other(e.to_string()))?;
    let (config, client, namespace) = options.cluster.connect().await?;
    let way = Way {
        config,
        client,
        namespace: namespace.clone(),
        access: options.access,
        address: Mutex::default(),
        token: Mutex::default(),
    };
    // What cannot be reached now is said now, and not in the page.
    way.found().await?;
    let listener = TcpListener::bind(options.address).await.map_err(other)?;
    let address = listener.local_addr().map_err(other)?;
    let mut secret = [0; 32];
    OsRng.fill_bytes(&mut secret);
    let secret = hex::encode(secret);
    let shown = if options.all_namespaces { "" } else { &namespace };
    tell(&format!("http://{address}/#token={secret}&namespace={shown}"));
    let proxy = Proxy {
        address,
        secret,
        upstream: Arc::new(way),
    };
    proxy.serve(listener, stopped(stop)).await.map_err(other)
}

/// The way to the operator's pod.
struct Way {
    config: Config,
    client: Client,
    namespace: String,
    access: GatewayAccess,
    address: Mutex<Option<String>>,
    token: Mutex<Option<(Instant, String)>>,
}

impl Way {
    async fn found(&self) -> Result<(String, String), ClientError> {
        let known = held(&self.address).clone();
        let address = match (known, &self.access.address) {
            (Some(address), _) => address,
            (None, Some(given)) => given.trim_end_matches('/').to_owned(),
            (None, None) => forward(&self.client, &self.access.operator_namespace, WEB, true).await?,
        };
        *held(&self.address) = Some(address.clone());
        let fresh = held(&self.token)
            .clone()
            .filter(|(at, _)| at.elapsed() < TOKEN_TIME);
        let token = match fresh {
            Some((_, token)) => token,
            None => token(&self.config, &self.client, &self.namespace, &self.access).await?,
        };
        let mut kept = held(&self.token);
        if kept.as_ref().is_none_or(|(_, old)| *old != token) {
            *kept = Some((Instant::now(), token.clone()));
        }
        Ok((address, token))
    }
}

impl Upstream for Way {
    fn reach(&self) -> BoxFuture<'_, Result<(String, String), String>> {
        async { self.found().await.map_err(|e| e.to_string()) }.boxed()
    }

    fn lost(&self) {
        *held(&self.address) = None;
    }
}

fn held<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
