//! What a pool's pods may reach: the gateway and the cluster's DNS. Nobody may reach them.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use zkinfer_crds::k8s::MinerPool;

use super::service_account::pool_metadata;
use super::{WorkerSettings, labels};

/// The port on which the gateway listens in its pod, by name.
const GATEWAY_PORT: &str = "gateway";

fn selector(labels: impl IntoIterator<Item = (&'static str, String)>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        match_expressions: None,
    }
}

fn port(protocol: &str, port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(port),
        end_port: None,
    }
}

/// Builds the policy.
#[must_use]
pub fn network_policy(pool: &MinerPool, settings: &WorkerSettings) -> NetworkPolicy {
    let name = pool.name_any();
    let gateway = NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(selector([(
                "kubernetes.io/metadata.name",
                settings.namespace.clone(),
            )])),
            pod_selector: Some(selector([(labels::COMPONENT, "operator".to_owned())])),
            ip_block: None,
        }]),
        ports: Some(vec![port("TCP", IntOrString::String(GATEWAY_PORT.to_owned()))]),
    };
    let dns = NetworkPolicyEgressRule {
        to: None,
        ports: Some(vec![
            port("UDP", IntOrString::Int(53)),
            port("TCP", IntOrString::Int(53)),
        ]),
    };
    NetworkPolicy {
        metadata: pool_metadata(pool, &settings.class),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector([
                (labels::COMPONENT, labels::WORKER.to_owned()),
                (labels::POOL, name),
            ])),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: None,
            egress: Some(vec![gateway, dns]),
        }),
    }
}
