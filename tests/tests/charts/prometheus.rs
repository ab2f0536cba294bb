//! Alerts, by Prometheus' own eyes: they can be read, and each tells of its trouble, when it should, in whole sentences, and of nothing
//! else. `tests/prometheus/alerts.yaml` has the troubles.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use zkinfer_tests::local::{repository, run};
use zkinfer_tests::prometheus::{programs, write_alerts};

fn troubles() -> String {
    std::fs::read_to_string(repository().join("tests/prometheus/alerts.yaml")).unwrap()
}

#[test]
fn each_alert_has_a_trouble_in_which_it_tells_and_one_in_which_it_does_not() {
    let troubles: Value = serde_yaml::from_str(&troubles()).unwrap();
    let (mut tells, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for trouble in troubles["tests"].as_array().unwrap() {
        for expected in trouble["alert_rule_test"].as_array().unwrap() {
            let name = expected["alertname"].as_str().unwrap().to_owned();
            if expected["exp_alerts"].as_array().unwrap().is_empty() {
                silent.insert(name);
            } else {
                tells.insert(name);
            }
        }
    }
    let path = repository().join("charts/zkinfer/files/monitoring/alerts.yaml");
    let alerts: Vec<Value> = serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let alerts: BTreeSet<String> = alerts
        .iter()
        .map(|alert| alert["alert"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tells, alerts);
    assert_eq!(silent, alerts);
}

#[test]
fn promtool_reads_the_alerts_and_finds_them_to_tell_what_they_should() {
    let Some(programs) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let rules = write_alerts(folder.path());
    std::fs::write(folder.path().join("alerts.yaml"), troubles()).unwrap();
    let promtool = |arguments: &[&str]| {
        let mut command = Command::new(programs.join("promtool"));
        let ran = run(command.args(arguments).current_dir(folder.path()));
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    let said = promtool(&["check", "rules", "rules.yaml"]);
    assert!(said.contains(&format!("{rules} rules found")), "{said}");
    promtool(&["test", "rules", "alerts.yaml"]);
}
