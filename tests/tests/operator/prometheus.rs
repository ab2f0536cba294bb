//! Prometheus reads a working operator's metrics: every query of the dashboard returns something, every alert can be evaluated, and
//! buckets have the traces of requests.

use std::time::Duration;

use kube::ResourceExt as _;
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, RequestPhase};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::helm::chart;
use zkinfer_tests::operator::phase;
use zkinfer_tests::prometheus::{Prometheus, programs};

use crate::world::{LONG, World};

/// What Grafana puts into `$__rate_interval`: four scrapes, and more on a busy machine.
const INTERVAL: &str = "1m";
/// Between two samples of every series.
const SCRAPES: Duration = Duration::from_secs(3);

/// Of each panel its title and a query.
fn queries() -> Vec<(String, String)> {
    let path = chart("zkinfer").join("files/monitoring/dashboard.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"]
                .as_str()
                .unwrap()
                .replace("$__rate_interval", INTERVAL);
            assert!(!query.contains('$'), "{query}");
            all.push((panel["title"].as_str().unwrap().to_owned(), query));
        }
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

#[tokio::test]
async fn every_query_of_the_dashboard_returns_series_of_a_working_operator() {
    let Some(programs) = programs() else { return };
    if !can_run() {
        return;
    }
    let mut world = World::new(&[]).await;
    let objects = world.with_pool("watched").await;
    let target = world.operator.health.strip_prefix("http://").unwrap().to_owned();
    let prometheus = Prometheus::start(&programs, &target);
    let up = async || {
        let up = prometheus.ask("query", &[("query", "up == 1")]).await?;
        match up["result"].as_array() {
            Some(series) if series.len() == 1 => Ok(()),
            _ => Err(up.to_string()),
        }
    };
    wait_for("Prometheus to read the metrics", LONG, up)
        .await
        .unwrap();

    // Requests that are answered and one that fails, twice each: the first makes a series, the second increases it.
    let mut answered = String::new();
    for round in ["one", "two"] {
        let good = objects.wine_request(round, "wine", &json!({}));
        let input = json!({ "inline": { "features": { "shape": [1, 1], "data": [0.0] } } });
        let name = format!("{round}-bad");
        let bad = objects.wine_request(&name, "wine", &json!({ "input": input }));
        for request in [&good, &bad] {
            world.cluster.apply(request).await.unwrap();
        }
        let over: InferenceRequest = objects.over(round, LONG).await.unwrap();
        assert_eq!(phase(&over), Some(RequestPhase::Succeeded), "{:?}", over.status);
        answered = over.uid().unwrap().replace('-', "");
        let failed = objects.over(&name, LONG).await.unwrap();
        assert_eq!(phase(&failed), Some(RequestPhase::Failed), "{:?}", failed.status);
        tokio::time::sleep(SCRAPES).await;
    }
    for (title, query) in queries() {
        wait_for(&format!("{title}: {query}"), LONG, async || {
            let found = prometheus.ask("query", &[("query", &query)]).await?;
            let series = found["result"].as_array().ok_or(found.to_string())?;
            // A quantile of nothing is no number.
            let number = |one: &Value| one["value"][1].as_str().is_some_and(|value| value != "NaN");
            if series.iter().any(number) {
                Ok(())
            } else {
                Err(found.to_string())
            }
        })
        .await
        .unwrap();
    }

    let rules = prometheus.ask("rules", &[]).await.unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let now = prometheus.ask("query", &[("query", "time()")]).await.unwrap();
    let now = now["result"][0].as_f64().unwrap();
    let [start, end] = [now - 600.0, now + 60.0].map(|at| at.to_string());
    let asked = [
        ("query", "zkinfer_proof_duration_seconds_bucket"),
        ("start", &start),
        ("end", &end),
    ];
    let examples = prometheus.ask("query_exemplars", &asked).await.unwrap();
    assert!(examples.to_string().contains(&answered), "{answered}: {examples}");
    drop(prometheus);
    world.operator.stop().await.unwrap();
}
