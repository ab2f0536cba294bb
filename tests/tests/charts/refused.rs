//! What is wrong with values is said before anything is installed, by the name of the value or of the pool.

use zkinfer_tests::cluster::can_run;

use crate::miner::{MINERS, pools};

/// Values with one pool `a` that has this more.
fn with(more: &str) -> String {
    pools(&format!("[{{ name: a, {more} }}]"))
}

#[test]
fn a_wrong_field_is_refused_by_the_schema_with_its_place() {
    if !can_run() {
        return;
    }
    for (values, place) in [
        (with("pararellism: 2"), "pararellism"),
        (with("parallelism: 0"), "/pools/0/parallelism"),
        (with("parallelism: 257"), "/pools/0/parallelism"),
        (with("parallelism: two"), "/pools/0/parallelism"),
        (with("warm: -1"), "/pools/0/warm"),
        (with("drain: 'yes'"), "/pools/0/drain"),
        (with("count: 0"), "/pools/0/count"),
        (with("count: 300"), "/pools/0/count"),
        (with("image: 'a b'"), "/pools/0/image"),
        (with("namespace: Miner"), "/pools/0/namespace"),
        (with("namespacePrefix: _"), "/pools/0/namespacePrefix"),
        (with("resources: { cpu: 1.5 }"), "/pools/0/resources/cpu"),
        (with("resources: { cpu: '0' }"), "/pools/0/resources/cpu"),
        (with("resources: { memory: 1.5Gi }"), "/pools/0/resources/memory"),
        (with("resources: { memory: 0 }"), "/pools/0/resources/memory"),
        (with("resources: { gpu: 1 }"), "gpu"),
        (with("resources: null"), "/pools/0/resources"),
        (with("identity: '1111'"), "/pools/0/identity"),
        (with("possession: '22'"), "/pools/0/possession"),
        // Nothing secret has a place.
        (with("key: 0000"), "key"),
        (with("pod: { env: [] }"), "env"),
        (with("pod: { hostNetwork: true }"), "hostNetwork"),
        (
            with("pod: { imagePullSecrets: [{ name: x }] }"),
            "/pools/0/pod/imagePullSecrets/0",
        ),
        (
            with("pod: { tolerations: [{ value: x }] }"),
            "/pools/0/pod/tolerations/0",
        ),
        (
            with("pod: { tolerations: [{ operator: Exists, value: x }] }"),
            "/pools/0/pod/tolerations/0",
        ),
        (
            with("pod: { tolerations: [{ operator: Is, key: x }] }"),
            "/pools/0/pod/tolerations/0/operator",
        ),
        (
            with("pod: { topologySpreadConstraints: [{ maxSkew: 1 }] }"),
            "/pools/0/pod/topologySpreadConstraints/0",
        ),
        (
            with("pod: { topologySpreadConstraints: [{ topologyKey: z, labelSelector: {} }] }"),
            "labelSelector",
        ),
        (with("pod: { affinity: { podAffinity: {} } }"), "podAffinity"),
        (with("controllerClass: Blue"), "/pools/0/controllerClass"),
        (with("allowedNamespaces: default"), "/pools/0/allowedNamespaces"),
        (
            with("allowedNamespaces: ['team-*']"),
            "/pools/0/allowedNamespaces/0",
        ),
        (with("labels: { a: 'b c' }"), "/pools/0/labels/a"),
        (with("labels: { a: 1 }"), "/pools/0/labels/a"),
        (with("labels: { 'a b': c }"), "'a b' does not match"),
        (
            with("quota: { hard: { pods: many } }"),
            "/pools/0/quota/hard/pods",
        ),
        (
            with("quota: { headroomPercent: -1 }"),
            "/pools/0/quota/headroomPercent",
        ),
        (with("limitRange: { min: {} }"), "min"),
        (with("networkPolicies: 1"), "/pools/0/networkPolicies"),
        ("pools: [{}]".to_owned(), "name"),
        ("pools: [{ name: A }]".to_owned(), "/pools/0/name"),
        ("pools: { a: {} }".to_owned(), "/pools"),
        ("pool: []".to_owned(), "pool"),
        ("defaults: { name: a }".to_owned(), "name"),
        ("defaults: { parallelism: 0 }".to_owned(), "/defaults/parallelism"),
        ("operatorNamespace: ''".to_owned(), "/operatorNamespace"),
        (
            "priorityClass: { value: 2000000000 }".to_owned(),
            "/priorityClass/value",
        ),
        (
            "priorityClass: { name: system-node-critical }".to_owned(),
            "/priorityClass/name",
        ),
        (
            "test: { image: { digest: sha256:1 } }".to_owned(),
            "/test/image/digest",
        ),
        ("test: { apiPorts: [] }".to_owned(), "/test/apiPorts"),
        ("commonLabels: [a]".to_owned(), "/commonLabels"),
    ] {
        let said = MINERS.refusal(&values);
        assert!(
            said.contains("don't meet the specifications of the schema"),
            "{values}: {said}"
        );
        assert!(said.contains(place), "{values}: {place} is not named: {said}");
    }
}

#[test]
fn several_pools_have_no_identity_in_common() {
    if !can_run() {
        return;
    }
    let identity = format!("'ed25519:{}'", "1".repeat(64));
    let said = MINERS.refusal(&with(&format!("count: 2, identity: {identity}")));
    assert!(said.contains("/pools/0"), "{said}");
    let said = MINERS.refusal(&with(&format!("possession: '{}'", "2".repeat(128))));
    assert!(said.contains("identity"), "{said}");
    let said = MINERS.refusal(&pools(&format!(
        "[{{ name: a, identity: {identity} }}, {{ name: b, identity: {identity} }}]"
    )));
    assert!(
        said.contains("miner-a/a and miner-b/b have the same identity"),
        "{said}"
    );
}

/// What only entry and defaults together, or several entries, show.
#[test]
fn what_no_schema_sees_is_refused_by_the_pools_name() {
    if !can_run() {
        return;
    }
    let long = "a".repeat(60);
    for (values, words) in [
        (
            "pools: [{ name: a }]".to_owned(),
            "pool miner-a/a: image is required",
        ),
        (
            with("image: somewhere/worker:v1"),
            "pool miner-a/a: image must be pinned by digest",
        ),
        (
            with("warm: 2"),
            "pool miner-a/a: warm must not be more than parallelism",
        ),
        (
            with("namespace: zkinfer-system"),
            "pool zkinfer-system/a: that is the operator's namespace",
        ),
        (pools("[{ name: a }, { name: a }]"), "there are two of miner-a/a"),
        (
            pools("[{ name: a, count: 2 }, { name: a-2 }]"),
            "there are two of miner-a-2/a-2",
        ),
        (
            pools(&format!("[{{ name: {long} }}]")),
            "its namespace has more than 63 characters",
        ),
        (
            pools(&format!("[{{ name: {long}aa, count: 20, namespace: x }}]")),
            "its name has more than 63 characters",
        ),
        (
            pools("[{ name: a, namespace: x }, { name: b, namespace: x, networkPolicies: false }]"),
            "a and b share the namespace x and do not agree on networkPolicies",
        ),
        (
            pools("[{ name: a, namespace: x }, { name: b, namespace: x, quota: { headroomPercent: 5 } }]"),
            "a and b share the namespace x and do not agree on quota",
        ),
    ] {
        let said = MINERS.refusal(&values);
        assert!(said.contains(words), "{values}: {words}: {said}");
    }
    // For development an image needs no digest.
    let _ = MINERS.text(&with("image: 'somewhere/worker:v1', allowUnpinnedImage: true"));
}
