use super::*;

#[test]
fn the_guide_to_installing_lists_every_metric() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/install.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let metrics = Metrics::default();
    let made = |name: &str, _| (name == "metrics").then(|| metrics.table().to_owned());
    let filled = zkinfer_crds::generated::filled(&page, made).unwrap();
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::write(&path, &filled).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert!(
        there == filled,
        "docs/install.md is not current: run the tests with ZKINFER_UPDATE=1"
    );
}

#[test]
fn a_metric_is_read_under_the_name_type_and_labels_that_the_table_says() {
    let metrics = Metrics::default();
    metrics.claim("a/b".to_owned(), "Verified");
    metrics.store(true);
    metrics.proof(
        Duration::from_secs(1),
        Some(Duration::from_millis(3)),
        7,
        RequestUid::new([7; 16]),
    );
    let text = metrics.text().unwrap();
    for (row, read) in [
        (
            "| `zkinfer_claims_total` | counter | `pool`, `verdict` |",
            "zkinfer_claims_total{pool=\"a/b\",verdict=\"Verified\"} 1",
        ),
        ("| `zkinfer_store_up` | gauge |  |", "zkinfer_store_up 1"),
        (
            "| `zkinfer_proof_bytes` | histogram |  |",
            "# TYPE zkinfer_proof_bytes histogram",
        ),
    ] {
        assert!(metrics.table().contains(row), "{row}\n{}", metrics.table());
        assert!(text.contains(read), "{read}\n{text}");
    }
}

/// As OpenMetrics writes it: behind the count of the bucket, the example's labels, its value, its time.
#[test]
fn a_bucket_of_proofs_has_the_trace_of_a_request_as_its_example() {
    let metrics = Metrics::default();
    let request: RequestUid = "6f9619ff-8b86-4011-b42d-00c04fc964ff".parse().unwrap();
    metrics.proof(Duration::from_millis(15), None, 3000, request);
    let text = metrics.text().unwrap();
    let trace = "# {trace_id=\"6f9619ff8b864011b42d00c04fc964ff\"}";
    let with: Vec<&str> = text.lines().filter(|line| line.contains(" # ")).collect();
    assert_eq!(with.len(), 2, "{text}");
    for (line, start) in with.iter().zip([
        "zkinfer_proof_duration_seconds_bucket{le=\"0.02\"} 1 ",
        "zkinfer_proof_bytes_bucket{le=\"4096.0\"} 1 ",
    ]) {
        let rest = line.strip_prefix(start).unwrap_or_else(|| panic!("{line}"));
        assert!(rest.starts_with(trace), "{line}");
        // Value and time.
        assert_eq!(rest[trace.len()..].split_whitespace().count(), 2, "{line}");
    }
}
