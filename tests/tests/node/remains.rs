//! All objects of a cluster, so that what an installation has left can be seen.

use std::collections::BTreeSet;

use zkinfer_tests::cluster::wait_for;

use crate::world::{LONG, World};

/// Kinds of which the cluster itself makes objects all the time, and one that is only computed.
const NOT_OURS: [&str; 4] = [
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "componentstatuses",
];

/// `KIND NAMESPACE/NAME` of every object but those that the cluster makes for itself, some of them late.
pub async fn all(world: &World) -> Result<BTreeSet<String>, String> {
    let words = ["api-resources", "--verbs=list", "--output=name"];
    let kinds = world.cluster.kubectl(&words).await.map_err(|e| e.to_string())?;
    let kinds: Vec<&str> = kinds.lines().filter(|k| !NOT_OURS.contains(k)).collect();
    let each = "{{range .items}}{{.kind}} {{.metadata.namespace}}/{{.metadata.name}}{{\"\\n\"}}{{end}}";
    let template = format!("--output=go-template={each}");
    let words = ["get", &kinds.join(","), "--all-namespaces", &template];
    let found = world.cluster.kubectl(&words).await.map_err(|e| e.to_string())?;
    let own = |line: &&str| !line.contains(" kube-") && !line.ends_with("/kube-root-ca.crt");
    let name = |line: &str| line.replace("<no value>", "");
    Ok(found.lines().filter(own).map(name).collect())
}

/// Waits until the cluster has the same objects as before, and no others.
pub async fn until_as(world: &World, before: &BTreeSet<String>) {
    wait_for("nothing left", LONG, async || {
        let now = all(world).await?;
        let more: Vec<_> = now.difference(before).collect();
        let less: Vec<_> = before.difference(&now).collect();
        if more.is_empty() && less.is_empty() {
            Ok(())
        } else {
            Err(format!("left: {more:?}; missing: {less:?}"))
        }
    })
    .await
    .unwrap();
}
