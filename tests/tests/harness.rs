//! The harness itself: what the other tests rely on.

use zkinfer_tests::cluster::{Cluster, Namespace, can_run};

fn tell(cluster: &Cluster) {
    for (what, when) in cluster.milestones() {
        eprintln!("{:>7.2} s  {what}", when.as_secs_f64());
    }
    let mut processes = cluster.sandbox().processes();
    processes.sort_by_key(|process| std::cmp::Reverse(process.rss_kib));
    for process in processes {
        eprintln!("{:>7} KiB  {} ({})", process.rss_kib, process.name, process.inner);
    }
}

#[tokio::test]
async fn api() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::api().await.unwrap();
    tell(&cluster);
    let namespace = Namespace::temporary(&cluster, "x").await.unwrap();
    eprintln!("{}", namespace.kubectl(&["get", "sa"]).await.unwrap());
}

#[tokio::test]
async fn node() {
    if !can_run() {
        return;
    }
    let cluster = Cluster::node().await.unwrap();
    tell(&cluster);
    let namespace = Namespace::temporary(&cluster, "x").await.unwrap();
    eprintln!("{}", namespace.kubectl(&["get", "node", "-o", "wide"]).await.unwrap());
}
