//! What is written of the charts is what they are: README, notes, annotations.

use std::path::Path;

use serde_json::Value;
use zkinfer_tests::cluster::can_run;
use zkinfer_tests::helm::{chart, output};
use zkinfer_tests::local::repository;
use zkinfer_tests::values::{readme, rows, table};

/// Every chart.
const CHARTS: [&str; 2] = ["zkinfer", "zkinfer-miner"];

fn yaml(path: &Path) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_table_of_values_is_made_of_values_yaml() {
    for name in CHARTS {
        let folder = chart(name);
        let rows = rows(&std::fs::read_to_string(folder.join("values.yaml")).unwrap()).unwrap();
        for row in &rows {
            assert!(!row.is.is_empty(), "{name}: {} has no comment", row.name);
        }
        let path = folder.join("README.md");
        let old = std::fs::read_to_string(&path).unwrap();
        let new = readme(&old, &table(&rows)).unwrap();
        if std::env::var_os("ZKINFER_UPDATE").is_some() {
            std::fs::write(&path, &new).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap() == new,
            "{} is not current: run the tests with ZKINFER_UPDATE=1",
            path.display()
        );
    }
}

/// The reader of the table is not one of YAML: what it finds is what Helm finds.
#[test]
fn the_table_has_every_value_with_its_default() {
    fn leaves(value: &Value, path: &str, into: &mut Vec<(String, Value)>) {
        match value.as_object().filter(|map| !map.is_empty()) {
            None => into.push((path.to_owned(), value.clone())),
            Some(map) => {
                for (key, value) in map {
                    let key = key.replace('.', "\\.");
                    let path = if path.is_empty() {
                        key
                    } else {
                        format!("{path}.{key}")
                    };
                    leaves(value, &path, into);
                }
            }
        }
    }
    for name in CHARTS {
        let file = chart(name).join("values.yaml");
        let rows = rows(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let mut found = Vec::new();
        for row in rows {
            // Maps may be written on one line.
            if let Some(default) = row.default {
                leaves(&serde_yaml::from_str(&default).unwrap(), &row.name, &mut found);
            }
        }
        let mut wanted = Vec::new();
        leaves(&yaml(&file), "", &mut wanted);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, wanted, "{name}");
    }
}

#[test]
fn artifact_hub_is_told_what_the_chart_brings() {
    for name in CHARTS {
        let chart = yaml(&chart(name).join("Chart.yaml"));
        let annotations = &chart["annotations"];
        for key in ["category", "license", "changes", "images", "links"] {
            let key = format!("artifacthub.io/{key}");
            assert!(annotations[&key].is_string(), "{name}: {key}");
        }
        // Lists in them are YAML of their own.
        for key in ["changes", "images", "links"] {
            let text = annotations[format!("artifacthub.io/{key}")].as_str().unwrap();
            let list: Vec<Value> = serde_yaml::from_str(text).unwrap();
            assert!(!list.is_empty(), "{name}: {key}");
        }
        let workspace = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
        let version = chart["version"].as_str().unwrap();
        assert!(
            workspace.contains(&format!("\nversion = \"{version}\"")),
            "{name}: {version} is not the workspace's"
        );
        let license = annotations["artifacthub.io/license"].as_str().unwrap();
        assert!(workspace.contains(&format!("license = \"{license}\"")), "{name}");
    }
}

/// Of each kind its name and its version as they are installed.
#[test]
fn artifact_hub_is_told_of_every_kind_and_of_no_other() {
    let told = yaml(&chart("zkinfer").join("Chart.yaml"));
    let text = told["annotations"]["artifacthub.io/crds"].as_str().unwrap();
    let told: Vec<Value> = serde_yaml::from_str(text).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let mut told: Vec<[String; 3]> = told
        .iter()
        .map(|kind| ["name", "kind", "version"].map(|key| word(&kind[key])))
        .collect();
    let mut installed: Vec<[String; 3]> = std::fs::read_dir(repository().join("crds/yaml"))
        .unwrap()
        .map(|entry| yaml(&entry.unwrap().path()))
        .filter(|object| object["kind"] == "CustomResourceDefinition")
        .map(|crd| {
            let spec = &crd["spec"];
            [
                &crd["metadata"]["name"],
                &spec["names"]["kind"],
                &spec["versions"][0]["name"],
            ]
            .map(word)
        })
        .collect();
    told.sort();
    installed.sort();
    assert_eq!(told, installed);
}

/// The file `pools.yaml` of a page, with a digest in the place of the one that it leaves out.
fn pools_of(page: &str) -> String {
    let (_, rest) = page.split_once("```yaml\n# pools.yaml").unwrap();
    let (block, _) = rest.split_once("\n```").unwrap();
    format!("# pools.yaml{block}\n").replace("sha256:…", &format!("sha256:{}", "0".repeat(64)))
}

/// The guide's list gives what the guide says, by the guide's own command.
#[test]
fn the_miners_of_the_guide_are_fifty_two_pools() {
    let page = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    let (guide, own) = (page("docs/install.md"), page("charts/zkinfer-miner/README.md"));
    let values = pools_of(&guide);
    assert_eq!(values, pools_of(&own), "both pages have the same list");
    let install =
        "helm install miners charts/zkinfer-miner --namespace miners --create-namespace -f pools.yaml";
    for command in [
        install,
        "helm test miners --namespace miners --logs",
        "kubectl get minerpools -A -l app.kubernetes.io/instance=miners",
    ] {
        for page in [&guide, &own] {
            assert!(page.contains(&format!("\n$ {command}\n")), "{command}");
        }
    }
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pools.yaml");
    std::fs::write(&file, &values).unwrap();
    let (file, folder) = (
        file.display().to_string(),
        chart("zkinfer-miner").display().to_string(),
    );
    let words: Vec<&str> = install
        .split(' ')
        .skip(1)
        .map(|word| match word {
            "charts/zkinfer-miner" => folder.as_str(),
            "pools.yaml" => file.as_str(),
            other => other,
        })
        .chain(["--dry-run=client"])
        .collect();
    let told = output("helm", &words);
    assert_eq!(told.matches("\nkind: MinerPool\n").count(), 52);
    assert_eq!(told.matches("\nkind: Namespace\n").count(), 51, "all but batch");
    assert!(told.contains("52 pools in 52 namespaces"), "{told}");
}
