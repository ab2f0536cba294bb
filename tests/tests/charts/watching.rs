//! Monitor, alerts and dashboard: off unless asked for, each alert with its page, and of metrics that the operator has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use zkinfer_crds::RequestUid;
use zkinfer_crds::k8s::request_status::SliceCounts;
use zkinfer_crds::k8s::{InferenceRequestStatus, RequestPhase, Truth};
use zkinfer_operator::metrics::Metrics;
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::helm::{chart, of_kind};
use zkinfer_tests::local::repository;

use crate::operator::OPERATOR;

/// Every metric as Prometheus gets it, with its labels, from the operator's own registry.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let metrics = Metrics::default();
    metrics.reconciled("Model", Duration::from_millis(1), true);
    metrics.called(&http::Method::POST, "/api/v1/namespaces/a/configmaps");
    metrics.claim("a/b".to_owned(), "Verified");
    metrics.proof(
        Duration::from_secs(1),
        Some(Duration::from_millis(1)),
        1,
        RequestUid::new([1; 16]),
    );
    let over = InferenceRequestStatus {
        phase: RequestPhase::Failed,
        ..InferenceRequestStatus::default()
    };
    metrics.request(false, &InferenceRequestStatus::default(), &over);
    metrics.benchmark();
    metrics.benchmarks_paused(false);
    metrics.slices(SliceCounts::default());
    metrics.jobs(1);
    metrics.store(true);
    metrics.stored([1, 1, 1], 1);
    metrics.usage([("a".to_owned(), "uploads", [1, 2])]);
    metrics.slo(&("a".to_owned(), "b".to_owned()), Some(Truth::True));
    metrics.namespace("a", true);
    metrics.memory(1, 1);
    metrics.weights_sent(1);
    metrics.weights("ChainUnreachable");
    let text = metrics.text().unwrap();
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        // An example behind it has labels of its own.
        let (sample, _) = line.split_once(" # ").unwrap_or((line, ""));
        let (series, _) = sample.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = keys_of(labels.trim_end_matches('}'));
        all.entry(name.to_owned())
            .or_insert_with(BTreeSet::new)
            .extend(labels);
    }
    assert!(all.len() >= 12, "{all:?}");
    all
}

/// The keys of `a="x",b="y"`; values of ours have neither commas nor equals signs.
fn keys_of(labels: &str) -> BTreeSet<String> {
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, _)| key.trim_matches(['!', '~', ' ']).to_owned())
        .collect()
}

/// The metrics that an expression names, each with the labels that it asks for in braces.
fn named(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("zkinfer_") {
        rest = &rest[at..];
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let labels = after.strip_prefix('{').and_then(|a| a.split_once('}'));
        found.push((name.to_owned(), keys_of(labels.map_or("", |(labels, _)| labels))));
        rest = after;
    }
    found
}

/// The labels by which an expression groups.
fn grouped(expression: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for part in expression.split("by (").skip(1) {
        let (labels, _) = part.split_once(')').unwrap();
        all.extend(labels.split(',').map(|l| l.trim().to_owned()));
    }
    all
}

fn alerts() -> Vec<Value> {
    let path = chart("zkinfer").join("files/monitoring/alerts.yaml");
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn dashboard() -> Value {
    let path = chart("zkinfer").join("files/monitoring/dashboard.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_metric_and_label_of_alerts_and_dashboard_is_one_of_the_operators() {
    let metrics = metrics();
    let mut expressions: Vec<String> = alerts()
        .iter()
        .map(|a| a["expr"].as_str().unwrap().to_owned())
        .collect();
    for panel in dashboard()["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            expressions.push(target["expr"].as_str().unwrap().to_owned());
        }
    }
    for expression in &expressions {
        let named = named(expression);
        assert!(!named.is_empty(), "{expression}");
        let mut known: BTreeSet<String> = BTreeSet::new();
        for (name, labels) in named {
            let has = metrics
                .get(&name)
                .unwrap_or_else(|| panic!("no metric {name}: {expression}"));
            assert!(labels.is_subset(has), "{name} has {has:?}: {expression}");
            known.extend(has.iter().cloned());
        }
        let by = grouped(expression);
        assert!(by.is_subset(&known), "{by:?} of {known:?}: {expression}");
    }
}

/// What an alert says of labels, its expression has left.
#[test]
fn an_alert_has_a_severity_words_and_a_page_that_says_what_to_do() {
    let folder = repository().join("docs/runbooks");
    let mut pages = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(
            ["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap()),
            "{name}"
        );
        let expression = alert["expr"].as_str().unwrap();
        for key in ["summary", "description"] {
            let words = alert["annotations"][key].as_str().unwrap();
            for part in words.split("$labels.").skip(1) {
                let label: String = part
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                let kept = grouped(expression);
                assert!(
                    kept.contains(&label) || kept.is_empty() && !expression.contains("sum"),
                    "{name}: {label}"
                );
            }
        }
        let page = format!("{name}.md");
        let text = std::fs::read_to_string(folder.join(&page)).unwrap_or_else(|e| panic!("{page}: {e}"));
        assert!(text.starts_with(&format!("# {name}\n")), "{page}");
        for part in ["\n## Meaning\n\n", "\n## Causes\n\n- ", "\n## What to do\n\n1. "] {
            assert!(text.contains(part), "{page} has no {part:?}");
        }
        pages.insert(page);
    }
    let there: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, pages, "a page for each alert, and no other");
}

#[test]
fn nothing_of_it_is_made_unless_somebody_asks() {
    if !can_run() {
        return;
    }
    let all = OPERATOR.objects("");
    for kind in ["ServiceMonitor", "PrometheusRule", "ConfigMap"] {
        assert_eq!(of_kind(&all, kind).count(), 0, "{kind}");
    }
    let all = OPERATOR.objects(
        "
monitoring:
  serviceMonitor: { enabled: true, interval: 15s, labels: { release: prometheus } }
  rules: { enabled: true, labels: { release: prometheus }, runbooks: 'https://example.com/pages' }
  dashboard: { enabled: true }
",
    );
    let monitor = of_kind(&all, "ServiceMonitor").next().unwrap();
    assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
    // It selects the Service that there is, by the port that it has.
    let service = of_kind(&all, "Service").next().unwrap();
    for (key, value) in monitor["spec"]["selector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&service["metadata"]["labels"][key], value);
    }
    let endpoint = &monitor["spec"]["endpoints"][0];
    let ports = service["spec"]["ports"].as_array().unwrap();
    assert!(ports.iter().any(|p| p["name"] == endpoint["port"]), "{endpoint}");
    assert_eq!(
        (&endpoint["interval"], &endpoint["honorLabels"]),
        (&json!("15s"), &json!(true))
    );

    let rule = of_kind(&all, "PrometheusRule").next().unwrap();
    let rules = rule["spec"]["groups"][0]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), alerts().len());
    for rule in rules {
        let page = format!("https://example.com/pages/{}.md", rule["alert"].as_str().unwrap());
        assert_eq!(rule["annotations"]["runbook_url"], page);
    }
    let map = of_kind(&all, "ConfigMap").next().unwrap();
    assert_eq!(map["metadata"]["labels"]["grafana_dashboard"], "1");
    let text = map["data"]["zkinfer.json"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), dashboard());
}

#[test]
fn panels_have_titles_and_do_not_lie_on_each_other() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(
            panel["title"].is_string() && panel["description"].is_string(),
            "{panel}"
        );
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}
