//! The web app's server beside a real run: real proofs, seen through the address that the operator prints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;
use zkinfer_crds::Digest;
use zkinfer_tests::local::{LocalRuns, program, repository};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
const TELLS: &str = "web app: ";

/// The operator on the quickstart, at work in a folder; it ends with this.
struct Shown {
    child: Child,
    /// Without the fragment.
    address: String,
    token: String,
    client: Client,
    lines: Receiver<String>,
    _runs: LocalRuns,
}

impl Shown {
    fn start() -> Self {
        Self::of(Some("manifests/quickstart"))
    }

    /// On these manifests, or on none.
    fn of(manifests: Option<&str>) -> Self {
        let runs = LocalRuns::new();
        let mut command = Command::new(program("operator"));
        command.args(["local", "--web"]);
        if let Some(manifests) = manifests {
            command.arg("-f").arg(repository().join(manifests));
        }
        command.arg("--state").arg(runs.path().join("state"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // Read to its end, whoever listens: the operator would wait otherwise.
                let _ = tell.send(line);
            }
        });
        let mut shown = Self {
            child,
            address: String::new(),
            token: String::new(),
            client: Client::new(),
            lines,
            _runs: runs,
        };
        let line = shown.line(TELLS);
        let (address, token) = line.strip_prefix(TELLS).unwrap().split_once("/#token=").unwrap();
        (shown.address, shown.token) = (address.to_owned(), token.to_owned());
        shown
    }

    /// The next line of standard error that has this in it.
    fn line(&self, part: &str) -> String {
        loop {
            let line = self
                .lines
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|e| panic!("{part}: {e}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// With the run's secret.
    fn get(&self, path: &str) -> RequestBuilder {
        self.client
            .get(format!("{}{path}", self.address))
            .bearer_auth(&self.token)
    }

    async fn json(&self, path: &str) -> Value {
        let response = timeout(PATIENCE, self.get(path).send()).await.unwrap().unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn reason(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    (status, problem["reason"].as_str().unwrap().to_owned())
}

/// Follows until an event's overview is as asked for.
async fn until(shown: &Shown, holds: impl Fn(&Value) -> bool) -> Value {
    let response = shown.get("/api/v1/events").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let (mut parts, mut text) = (response.bytes_stream(), String::new());
    let found = async {
        while let Some(part) = parts.next().await {
            text += &String::from_utf8_lossy(&part.unwrap());
            while let Some((event, rest)) = text.split_once("\n\n") {
                let overview = event.strip_prefix("event: overview\ndata: ").map(str::to_owned);
                text = rest.to_owned();
                let overview = overview.map(|json| serde_json::from_str::<Value>(&json).unwrap());
                if let Some(overview) = overview.filter(|overview| holds(overview)) {
                    return overview;
                }
            }
        }
        panic!("the stream has ended");
    };
    timeout(PATIENCE, found).await.unwrap()
}

#[tokio::test]
async fn a_run_is_followed_to_its_receipt_by_whoever_has_its_address_and_by_nobody_else() {
    let mut shown = Shown::start();
    let path = "/api/v1/overview";
    let without = shown.client.get(format!("{}{path}", shown.address));
    let changed = format!("{}0", shown.token);
    let other = shown
        .client
        .get(format!("{}{path}", shown.address))
        .bearer_auth(changed);
    let rebound = shown.get(path).header("host", "evil.example");
    let foreign = shown.get(path).header("origin", "http://evil.example");
    let is = |status, word: &str| (status, word.to_owned());
    for (call, answer) in [
        (without, is(401, "UnknownToken")),
        (other, is(401, "UnknownToken")),
        (rebound, is(421, "OtherHost")),
        (foreign, is(403, "OtherOrigin")),
    ] {
        assert_eq!(reason(call.send().await.unwrap()).await, answer);
    }

    let overview = until(&shown, |o| o["requests"]["phases"]["Succeeded"] == 1).await;
    assert_eq!(overview["models"]["list"][0]["ready"], true, "{overview}");
    assert_eq!(overview["pools"]["count"], 2);
    assert_eq!(overview["requests"]["latency"]["count"], 1);
    assert!(
        overview["requests"]["proofs"][0]["bytes"]["p50"].as_u64() > Some(100),
        "{overview}"
    );

    let request = shown.json("/api/v1/requests/default/digit-7").await;
    assert_eq!(request["status"]["output"]["label"], "7");
    assert!(request["input"]["inline"].as_array().is_some(), "{request}");
    let receipt = shown
        .get("/api/v1/requests/default/digit-7/receipt")
        .send()
        .await
        .unwrap();
    let receipt = receipt.bytes().await.unwrap();
    assert_eq!(
        request["status"]["receipt"]["digest"],
        Digest::of(&receipt).to_string()
    );

    let graph = shown.json("/api/v1/models/default/digits/graph").await;
    let nodes = graph["nodes"].as_array().unwrap();
    assert_eq!(nodes[0]["op"], "Input");
    let slices = nodes.iter().filter_map(|n| n["slice"].as_u64()).max();
    let model = shown.json("/api/v1/models/default/digits").await;
    assert_eq!(
        slices.map(|last| last + 1),
        model["status"]["sliceCount"].as_u64()
    );
    assert!(
        graph["edges"].as_array().unwrap().len() >= nodes.len() - 1,
        "{graph}"
    );
    compiled_is_told_of(&shown, nodes.len()).await;

    // What became of it is told before the end, and the page stays until then.
    shown.line("the web app stays");
    kill(Pid::from_raw(shown.child.id() as i32), Signal::SIGINT).unwrap();
    let ended = shown.child.wait().unwrap();
    let mut told = String::new();
    shown
        .child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(ended.success() && told.contains("answer   7"), "{ended}: {told}");
}

/// What the compiler has reported, an input that is tried, and the history of the Model and of its miners.
async fn compiled_is_told_of(shown: &Shown, drawn: usize) {
    let report = shown.json("/api/v1/models/default/digits/report").await;
    let nodes = report["outlook"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), drawn - 1, "all but the input: {report}");
    assert!(
        nodes
            .iter()
            .any(|node| node["alone"]["predictedProofBytes"].as_u64() > Some(100))
    );
    let cuts = report["outlook"]["cuts"].as_array().unwrap();
    assert!(
        cuts.iter().any(|cut| cut["proofSystem"] == "Halo2Kzg"),
        "{report}"
    );
    let of_four = |cut: &&Value| cut["parallelism"] == 4 && cut["proofSystem"] == "SumcheckWhir";
    let four = &cuts.iter().find(of_four).unwrap()["outcome"]["cut"];
    let sum = |field: &str| {
        let slices = report["slices"].as_array().unwrap();
        slices
            .iter()
            .map(|slice| slice[field].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        four["predictedProofBytes"].as_u64(),
        Some(sum("predictedProofBytes")),
        "it is cut into four"
    );
    assert_eq!(report["tried"].as_array().map(Vec::is_empty), Some(false));

    let input =
        serde_json::json!({ "inline": { "image": { "shape": [1, 1, 8, 8], "data": vec![0.25; 64] } } });
    let attempt = |body: Value| {
        let call = shown
            .client
            .post(format!("{}/api/v1/models/default/digits/try", shown.address));
        call.bearer_auth(&shown.token).json(&body).send()
    };
    let tried: Value = attempt(input).await.unwrap().json().await.unwrap();
    let values = |what: &str| tried[what][0]["values"].as_array().map(Vec::len);
    assert_eq!(
        (values("integers"), values("floats")),
        (Some(10), Some(10)),
        "{tried}"
    );
    let wrong = attempt(serde_json::json!({ "inline": { "picture": { "shape": [1], "data": [1.0] } } }));
    let wrong: Value = wrong.await.unwrap().json().await.unwrap();
    let message = wrong["message"].as_str().unwrap();
    assert!(
        wrong["reason"] == "NotTried" && message.contains("picture"),
        "{wrong}"
    );

    let verified = |told: &Value| {
        let spans = told["spans"].as_array().unwrap().iter();
        spans.map(|span| span["verified"].as_u64().unwrap()).sum::<u64>()
    };
    let all = shown.json("/api/v1/history?hours=1").await;
    assert_eq!(
        (all["stepMinutes"].as_u64(), verified(&all)),
        (Some(1), 4),
        "{all}"
    );
    let model = shown.json("/api/v1/models/default/digits/history?hours=24").await;
    assert_eq!(verified(&model), 4, "{model}");
    let pools = ["miner-alpha/alpha", "miner-beta/beta"];
    let mut of_pools = 0;
    for pool in pools {
        of_pools += verified(
            &shown
                .json(&format!("/api/v1/pools/{pool}/history?hours=24"))
                .await,
        );
    }
    assert_eq!(of_pools, 4);
    let trends = shown.json("/api/v1/trends").await;
    let miners = trends["miners"].as_object().unwrap();
    assert!(
        miners
            .values()
            .any(|miner| miner["meanBytes"].as_u64() > Some(100)),
        "{trends}"
    );
}

#[tokio::test]
async fn where_the_validator_says_so_everybody_sees_counts_and_nobody_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let quickstart = repository().join("manifests/quickstart");
    for file in ["model.yaml", "pools.yaml", "request.yaml"] {
        std::fs::copy(quickstart.join(file), folder.path().join(file)).unwrap();
    }
    let validator = "apiVersion: zkinfer.dev/v1alpha1\nkind: Validator\n\
                     metadata: { name: zkinfer, namespace: zkinfer-system }\nspec: { stats: { public: true } }\n";
    std::fs::write(folder.path().join("validator.yaml"), validator).unwrap();
    let shown = Shown::of(folder.path().to_str());
    until(&shown, |o| o["requests"]["phases"]["Succeeded"] == 1).await;
    let anybody = |path: &str| shown.client.get(format!("{}{path}", shown.address)).send();
    let overview: Value = anybody("/api/v1/overview").await.unwrap().json().await.unwrap();
    let requests = &overview["requests"];
    assert_eq!(
        (&requests["count"], &requests["latest"], &overview["models"]),
        (&serde_json::json!(1), &serde_json::json!([]), &Value::Null)
    );
    assert!(requests["proofBytes"]["p50"].as_u64() > Some(100), "{overview}");
    for path in [
        "/api/v1/pools/miner-alpha/alpha",
        "/api/v1/validator",
        "/api/v1/history?hours=24",
        "/api/v1/pools/miner-alpha/alpha/history?hours=24",
        "/api/v1/trends",
    ] {
        assert_eq!(anybody(path).await.unwrap().status(), 200, "{path}");
    }
    for path in [
        "/api/v1/requests/default/digit-7",
        "/api/v1/requests/default/digit-7/receipt",
        "/api/v1/models/default/digits/graph",
        "/api/v1/models/default/digits/report",
        "/api/v1/models/default/digits/history?hours=24",
    ] {
        let refused = reason(anybody(path).await.unwrap()).await;
        assert_eq!(refused, (401, "UnknownToken".to_owned()), "{path}");
    }
    let of_one = anybody("/api/v1/trends?namespace=default").await.unwrap();
    assert_eq!(reason(of_one).await, (403, "Forbidden".to_owned()));
}

/// Asks until the answer is as asked for.
async fn asked(shown: &Shown, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let found = async {
        loop {
            let response = shown.get(path).send().await.unwrap();
            if response.status() == 200 {
                let told: Value = response.json().await.unwrap();
                if holds(&told) {
                    return told;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

#[tokio::test]
async fn a_model_that_is_dropped_in_the_page_is_compiled_and_an_answer_of_it_proved() {
    let shown = Shown::of(None);
    let onnx = std::fs::read(repository().join("tests/models/wine.onnx")).unwrap();
    let digest = Digest::of(&onnx);
    let send = |call: RequestBuilder| call.bearer_auth(&shown.token).send();
    let at = |path: &str| format!("{}/api/v1/{path}", shown.address);
    let put = shown.client.put(at(&format!("artifacts/default/{digest}")));
    assert_eq!(send(put.body(onnx)).await.unwrap().status(), 201);
    let model = serde_json::json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "Model", "metadata": { "name": "wine" },
        "spec": { "source": { "artifact": digest }, "slicing": { "parallelism": 2 }, "proofSystem": "SumcheckWhir" },
    });
    let made = send(shown.client.post(at("models/default")).json(&model))
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let again = send(shown.client.post(at("models/default")).json(&model))
        .await
        .unwrap();
    assert_eq!(reason(again).await, (409, "AlreadyExists".to_owned()));

    let is_ready = |model: &Value| {
        let conditions = model["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    let ready = asked(&shown, "/api/v1/models/default/wine", is_ready).await;
    let manifest = shown
        .get("/api/v1/models/default/wine/manifest")
        .send()
        .await
        .unwrap();
    let manifest = manifest.bytes().await.unwrap();
    assert_eq!(
        ready["status"]["manifestDigest"],
        Digest::of(&manifest).to_string()
    );
    let tensors = shown.json("/api/v1/models/default/wine/tensors").await;
    let input = &tensors["inputs"][0];
    assert!(input["least"].as_f64() < input["greatest"].as_f64(), "{tensors}");
    let shape: Vec<u64> = serde_json::from_value(input["shape"].clone()).unwrap();
    let many = shape.iter().product::<u64>() as usize;
    let name = input["name"].as_str().unwrap();
    let request = serde_json::json!({
        "apiVersion": "zkinfer.dev/v1alpha1", "kind": "InferenceRequest", "metadata": { "name": "try" },
        "spec": {
            "modelRef": { "name": "wine" },
            "input": { "inline": { name: { "shape": shape, "data": vec![0.25; many] } } },
        },
    });
    let made = send(shown.client.post(at("requests/default")).json(&request))
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let done = asked(&shown, "/api/v1/requests/default/try", |r| {
        r["status"]["phase"] == "Succeeded"
    })
    .await;
    let float = shown.json("/api/v1/requests/default/try/float").await;
    let (proved, float) = (&done["status"]["output"]["values"], &float[0]["values"]);
    let (proved, float) = (proved.as_array().unwrap(), float.as_array().unwrap());
    assert_eq!(proved.len(), float.len());
    let largest = float
        .iter()
        .filter_map(Value::as_f64)
        .fold(1.0, |m: f64, v| m.max(v.abs()));
    for (proved, float) in proved.iter().zip(float) {
        let (proved, float) = (proved.as_f64().unwrap(), float.as_f64().unwrap());
        assert!((proved - float).abs() <= 0.01 * largest, "{proved} {float}");
    }
    let receipt = shown
        .get("/api/v1/requests/default/try/receipt")
        .send()
        .await
        .unwrap();
    let receipt = Digest::of(&receipt.bytes().await.unwrap()).to_string();
    assert_eq!(done["status"]["receipt"]["digest"], receipt);
}

#[test]
fn the_page_reads_receipts_of_the_version_that_is_written() {
    let source = |name: &str| std::fs::read_to_string(repository().join("web/src").join(name)).unwrap();
    let version = format!("export const VERSION = {};", zkml::receipt::VERSION);
    assert!(source("receipt.ts").contains(&version), "{version}");
    let depth = format!("export const MAX_DEPTH = {};", zkml::canonical::MAX_DEPTH);
    assert!(source("cbor.ts").contains(&depth), "{depth}");
    assert_eq!(zkml::canonical::MAX_ITEMS, 1 << 21);
    assert!(source("cbor.ts").contains("export const MAX_ITEMS = 1 << 21;"));
}
