//! What people do wrong on a cluster, and what they are told: each row is a mistake and the words that name it.
//!
//! Elsewhere, since they need other clusters: images that are not there (node tier), the want of a setup (`local.rs`, and the Model's
//! words in `operator/src/controllers/model/tests.rs`), pools without room (`sight.rs`), a file of 50 MB (`memory.rs`, `api.rs`), an
//! operator that is down (`client.rs`).

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use serde_json::{Value, json};
use zkinfer_crds::k8s::{InferenceRequest, Model, find_condition};
use zkinfer_tests::cluster::{can_run, wait_for};
use zkinfer_tests::local::{model_file, program, run};
use zkinfer_tests::operator::{Objects, WINE, model_ready};

use crate::world::{LONG, World};

/// The API server refuses it with these words.
async fn refused(world: &World, object: &str, words: &[&str]) {
    let said = match world.cluster.apply(object).await {
        Ok(said) => panic!("it was taken: {said}\n{object}"),
        Err(error) => error.to_string(),
    };
    assert!(
        words.iter().all(|w| said.contains(w)),
        "{said}\nhas not {words:?}"
    );
}

fn holds(conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition], words: &[&str]) -> bool {
    let ready = find_condition(conditions, "Ready");
    let said = ready
        .map(|c| format!("{}: {}", c.reason, c.message))
        .unwrap_or_default();
    words.iter().all(|w| said.contains(w))
}

#[tokio::test]
async fn what_the_api_server_can_refuse_it_refuses_by_name() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "refusals").await.unwrap();
    let request = |name: &str, spec: &Value| objects.object("InferenceRequest", name, spec);
    let input = json!({ "inline": { "features": { "shape": [1, 13], "data": WINE } } });
    let good = json!({ "modelRef": { "name": "wine" }, "input": input });
    let with = |field: &str, value: Value| {
        let mut spec = good.clone();
        spec[field] = value;
        request("refused", &spec)
    };
    let model = |source: &Value| {
        let spec = json!({ "source": source, "proofSystem": "SumcheckWhir" });
        objects.object("Model", "refused", &spec)
    };
    let unpinned = json!({ "image": "worker:1", "resources": { "memory": "1Gi" } });
    let rows: &[(String, &[&str])] = &[
        (
            with("modelref", json!({ "name": "wine" })),
            &["unknown field \"spec.modelref\""],
        ),
        (
            request("refused", &good).replacen("0.703", "\"NaN\"", 1),
            &["features.data[0]", "must be of type number"],
        ),
        (
            with("deadline", json!("5 minutes")),
            &[
                "spec.deadline",
                "deadline must be a length of time in hours, minutes and seconds, such as 90s or 1h30m",
            ],
        ),
        (with("deadline", json!("0s")), &["deadline must be more than 0"]),
        (
            model(&json!({ "url": "oci://registry/model:1" })),
            &[
                "spec.source.url",
                "url must be an https, s3, gs or az address of a file",
                "not fetched from registries",
            ],
        ),
        (
            model(&json!({ "persistentVolumeClaim": { "claimName": "models" } })),
            &["unknown field", "persistentVolumeClaim"],
        ),
        (
            objects.object("MinerPool", "refused", &unpinned),
            &["image must be pinned by digest"],
        ),
    ];
    for (object, words) in rows {
        refused(world, object, words).await;
    }
    // Said once, and in no words of the rules' own types.
    let oci = json!({ "url": "oci://registry/model:1" });
    for object in [with("deadline", json!("5 minutes")), model(&oci)] {
        let said = world.cluster.apply(&object).await.unwrap_err().to_string();
        assert_eq!(said.matches("Invalid value").count(), 1, "{said}");
        assert!(
            !said.contains("protobuf") && !said.contains("CEL") && !said.contains("match"),
            "{said}"
        );
    }
    // YAML has a NaN, JSON has none.
    let nan = request("refused", &good).replacen("0.703", ".nan", 1);
    refused(world, &format!("# not JSON\n{nan}"), &["NaN"]).await;

    // A model that no ConfigMap holds, and an input.
    let file = world.cluster.folder().join("large.onnx");
    std::fs::write(&file, vec![0; 1_100_000]).unwrap();
    let model = objects.model("wine", "wine.onnx", 4);
    world.cluster.apply(&model).await.unwrap();
    for (model, input, words) in [
        (
            file.clone(),
            model_file("data/digit-7.json"),
            "more than a ConfigMap holds: `operator upload`",
        ),
        (
            "wine".into(),
            file,
            "the input has 1100000 bytes, more than a ConfigMap holds: `operator upload` it",
        ),
    ] {
        let mut command = std::process::Command::new(program("operator"));
        command.arg("submit").arg(model).arg("--input").arg(input);
        command
            .args(["--namespace", "refusals"])
            .env("KUBECONFIG", world.cluster.kubeconfig());
        let ran = tokio::task::spawn_blocking(move || run(&mut command))
            .await
            .unwrap();
        assert!(ran.code == 2 && ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_model_or_a_request_is_its_condition() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = Objects::new(&world.cluster, "mistakes").await.unwrap();
    let wine = std::fs::read(model_file("wine.onnx")).unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    let files: BTreeMap<&str, ByteString> = [
        ("wine.onnx", ByteString(wine)),
        ("text.onnx", ByteString(b"no model".to_vec())),
        ("pointer.onnx", ByteString(pointer.to_vec())),
        ("short.json", ByteString(b"[[1, 2]]".to_vec())),
        ("named.json", ByteString(b"{\"pixels\": [[1]]}".to_vec())),
        ("pointer.npy", ByteString(pointer.to_vec())),
    ]
    .into();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "binaryData": files,
        "metadata": { "name": "files", "namespace": "mistakes" },
    });
    let key = |name: &str, key: &str| json!({ "configMap": { "name": name, "key": key } });
    let model = |name: &str, source: &Value, more: &Value| {
        let mut spec = json!({ "source": source, "proofSystem": "SumcheckWhir" });
        let more = more.as_object().cloned().unwrap_or_default();
        spec.as_object_mut().unwrap().extend(more);
        objects.object("Model", name, &spec)
    };
    let (plain, onnx) = (json!({}), key("files", "wine.onnx"));
    let calibration = |file: &str| json!({ "quantization": { "calibration": key("files", file) } });
    let absent = format!("sha256:{}", "0".repeat(64));
    let models: &[(&str, Value, Value, &[&str])] = &[
        (
            "no-map",
            key("nowhere", "m"),
            plain.clone(),
            &["SourceNotFound", "ConfigMap mistakes/nowhere"],
        ),
        (
            "no-key",
            key("files", "m"),
            plain.clone(),
            &["SourceNotFound", "no key `m`"],
        ),
        (
            "no-artifact",
            json!({ "artifact": absent }),
            plain.clone(),
            &["SourceNotFound", &absent],
        ),
        (
            "url",
            json!({ "url": "https://example.com/m.onnx" }),
            plain.clone(),
            &["SourceNotAllowed", "sourceUrls"],
        ),
        (
            "text",
            key("files", "text.onnx"),
            plain.clone(),
            &["InvalidModel", "a text that begins with `no model`"],
        ),
        (
            "pointer",
            key("files", "pointer.onnx"),
            plain.clone(),
            &[
                "InvalidModel",
                "not an ONNX model but a Git LFS pointer",
                "`git lfs pull`",
            ],
        ),
        (
            "pinned",
            onnx.clone(),
            json!({ "sha256": absent }),
            &["DigestMismatch: the file is sha256:", "the spec pins sha256:0000"],
        ),
        (
            "tight",
            onnx.clone(),
            json!({ "quantization": { "errorBudgetMillionths": 1 } }),
            &[
                "OverBudget: no profile keeps the budget: greatest error",
                "calibration data",
                "errorBudgetMillionths",
            ],
        ),
        (
            "short",
            onnx.clone(),
            calibration("short.json"),
            &[
                "InvalidCalibration: ConfigMap `files`, key `short.json`",
                "`features` has 13 values, 2 were given",
            ],
        ),
        (
            "named",
            onnx.clone(),
            calibration("named.json"),
            &[
                "InvalidCalibration",
                "the model has no input `pixels`; it has features",
            ],
        ),
        (
            "pointed",
            onnx.clone(),
            calibration("pointer.npy"),
            &[
                "InvalidCalibration: ConfigMap `files`, key `pointer.npy`",
                "a Git LFS pointer",
                "`git lfs pull`",
            ],
        ),
        ("wine", onnx.clone(), plain.clone(), &["Compiled"]),
    ];
    let all: Vec<String> = models
        .iter()
        .map(|(name, source, more, _)| model(name, source, more))
        .collect();
    world
        .cluster
        .apply(&format!("{map}\n---\n{}", all.join("\n---\n")))
        .await
        .unwrap();

    let tensor = |name: &str, shape: &Value, data: &[f64]| json!({ "input": { "inline": { name: { "shape": shape, "data": data } } } });
    let (one, far) = (json!([1, 13]), {
        let mut far = WINE;
        far[0] = 255.0;
        far
    });
    let pair = [WINE, WINE].concat();
    let requests: &[(&str, &str, Value, &[&str])] = &[
        (
            "other-namespace",
            "digits",
            plain.clone(),
            &["ModelNotFound", "no Model `digits` in this request's namespace"],
        ),
        (
            "shape",
            "wine",
            tensor("features", &json!([13, 1]), &WINE),
            &["InvalidInput", "takes the shape [1, 13]", "[13, 1]"],
        ),
        (
            "count",
            "wine",
            tensor("features", &one, &[1.0]),
            &["InvalidInput", "says 13 values, it has 1"],
        ),
        (
            "name",
            "wine",
            tensor("img", &one, &WINE),
            &["InvalidInput", "the inputs features", "img"],
        ),
        (
            "batch",
            "wine",
            tensor("features", &json!([2, 13]), &pair),
            &["InvalidInput", "a batch of 2", "a request for each"],
        ),
        (
            "range",
            "wine",
            tensor("features", &one, &far),
            &["OutOfCalibratedRange", "the value 255 at 0"],
        ),
        (
            "late",
            "nothing",
            json!({ "deadline": "1s" }),
            &["DeadlineExceeded", "no Model `nothing`"],
        ),
        (
            "no-pool",
            "wine",
            json!({ "poolSelector": { "matchLabels": { "there": "is-none" } } }),
            &[
                "NoFittingPool: none of ",
                "mistakes/own: it has not the labels of poolSelector",
            ],
        ),
    ];
    objects.until("wine", LONG, model_ready).await.unwrap();
    world.own_pool(&objects).await;
    let all: Vec<String> = requests
        .iter()
        .map(|(name, model, more, _)| objects.wine_request(name, model, more))
        .collect();
    world.cluster.apply(&all.join("\n---\n")).await.unwrap();
    for (name, _, _, words) in models {
        let said = |m: &Model| m.status.as_ref().is_some_and(|s| holds(&s.conditions, words));
        objects.until(name, LONG, said).await.unwrap();
    }
    for (name, _, _, words) in requests {
        let said = |r: &InferenceRequest| r.status.as_ref().is_some_and(|s| holds(&s.conditions, words));
        let request = objects.until(name, LONG, said).await.unwrap();
        // A pool fits, and still none was accepted first.
        let status = request.status.unwrap_or_default();
        let accepted = find_condition(&status.conditions, "Accepted");
        assert!(
            accepted.is_none_or(|c| c.status != "True") && status.started_at.is_none(),
            "{name}: {status:?}"
        );
    }
    let told = objects.api::<Event>().list(&ListParams::default()).await.unwrap();
    let proving: Vec<_> = told
        .items
        .iter()
        .filter(|e| e.reason.as_deref() == Some("Proving"))
        .collect();
    assert!(proving.is_empty(), "{proving:?}");
}

/// No pool fits any of them, and none is needed to see what is wrong.
#[tokio::test]
async fn a_wrong_input_ends_its_request_at_once_whether_or_not_a_pool_fits() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("wrong-inputs").await;
    let text = |text: &str| ByteString(text.as_bytes().to_vec());
    let short = format!("[{:?}]", &WINE[..12]);
    let files: BTreeMap<&str, ByteString> = [
        (
            "nan.json",
            text(&format!("[{:?}]", WINE).replacen("0.703", "NaN", 1)),
        ),
        ("words.json", text("no tensor")),
        ("short.json", text(&short)),
        ("named.json", text("{\"pixels\": [[1]]}")),
    ]
    .into();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "binaryData": files,
        "metadata": { "name": "inputs", "namespace": "wrong-inputs" },
    });
    let inline = |name: &str, shape: &Value, data: &[f64]| json!({ "inline": { name: { "shape": shape, "data": data } } });
    let key = |key: &str| json!({ "configMap": { "name": "inputs", "key": key } });
    let far: Vec<f64> = WINE.iter().map(|v| v + 1e6).collect();
    let rows: &[(&str, Value, &[&str])] = &[
        (
            "name",
            inline("img", &json!([1, 13]), &WINE),
            &["InvalidInput", "the inputs features", "img"],
        ),
        (
            "two",
            json!({ "inline": {
                "features": { "shape": [1, 13], "data": WINE }, "img": { "shape": [1], "data": [0.5] },
            } }),
            &["InvalidInput", "the inputs features", "features, img"],
        ),
        (
            "count",
            inline("features", &json!([1, 13]), &[1.0]),
            &["InvalidInput", "says 13 values, it has 1"],
        ),
        (
            "shape",
            inline("features", &json!([13, 1]), &WINE),
            &["InvalidInput", "takes the shape [1, 13]"],
        ),
        (
            "range",
            inline("features", &json!([1, 13]), &far),
            &["OutOfCalibratedRange", "at 0"],
        ),
        ("not-a-number", key("nan.json"), &["InvalidInput"]),
        ("words", key("words.json"), &["InvalidInput"]),
        ("short", key("short.json"), &["InvalidInput", "12"]),
        ("other", key("named.json"), &["InvalidInput", "pixels"]),
    ];
    let request = |name: &str, input: &Value| objects.wine_request(name, "wine", &json!({ "input": input }));
    let all: Vec<String> = rows.iter().map(|(name, input, _)| request(name, input)).collect();
    let right = objects.wine_request("right", "wine", &json!({}));
    let absent = request("absent", &key("later.json"));
    let all = [vec![map.to_string()], all, vec![right, absent]]
        .concat()
        .join("\n---\n");
    world.cluster.apply(&all).await.unwrap();
    for (name, _, words) in rows {
        let over = objects.over(name, LONG).await.unwrap();
        let status = over.status.unwrap();
        assert!(
            holds(&status.conditions, words),
            "{name}: {:?}",
            status.conditions
        );
    }
    // What may come is waited for, and what is right waits for a pool.
    let says = |words: &'static [&'static str]| {
        move |r: &InferenceRequest| r.status.as_ref().is_some_and(|s| holds(&s.conditions, words))
    };
    objects
        .until("absent", LONG, says(&["InputNotFound", "later.json"]))
        .await
        .unwrap();
    objects
        .until("right", LONG, says(&["NoFittingPool"]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_request_whose_models_name_is_wrong_says_so_in_condition_column_and_event() {
    if !can_run() {
        return;
    }
    let world = World::shared().await;
    let objects = world.with_model("typos").await;
    let typos = ["one", "other"].map(|name| objects.wine_request(name, "wien", &json!({})));
    world.cluster.apply(&typos.join("\n---\n")).await.unwrap();
    let words = [
        "ModelNotFound",
        "no Model `wien`",
        "it has `wine`",
        "delete the request",
    ];
    for name in ["one", "other"] {
        let said = |r: &InferenceRequest| r.status.as_ref().is_some_and(|s| holds(&s.conditions, &words));
        objects.until(name, LONG, said).await.unwrap();
        let of = ListParams::default().fields(&format!("involvedObject.name={name}"));
        wait_for("an event", LONG, async || {
            let events = objects
                .api::<Event>()
                .list(&of)
                .await
                .map_err(|e| e.to_string())?
                .items;
            let notes = events
                .iter()
                .filter(|e| e.reason.as_deref() == Some("ModelNotFound"));
            let notes: Vec<&str> = notes.filter_map(|e| e.message.as_deref()).collect();
            let told = notes.iter().any(|note| note.contains("it has `wine`"));
            told.then_some(()).ok_or(format!("{notes:?}"))
        })
        .await
        .unwrap();
    }
    let table = ["get", "inferencerequests", "-n", "typos"];
    let table = world.cluster.kubectl(&table).await.unwrap();
    assert_eq!(table.matches("ModelNotFound").count(), 2, "{table}");
}
