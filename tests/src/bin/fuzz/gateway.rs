//! What callers of the gateway send: the bodies of their calls, and the tokens that they bear.

use serde_json::{Value, json};
use zkinfer_crds::compile_report::{
    Accuracy, CompileFailure, CompileOutcome, CompileReport, CompiledBatch, CompiledSlice, FailureKind,
    MAX_REPORT_BYTES, UnsupportedOp,
};
use zkinfer_crds::dimensions::Dimensions;
use zkinfer_crds::outlook::{Cut, CutOutcome, NodeOutlook, Outline, OutlineNode, Outlook};
use zkinfer_crds::slice_files::{FileRole, Measure, Measures, SliceFile, SliceFiles};
use zkinfer_crds::wire::{BlobRef, ClaimRequest, CompileTask, Refusal, RefuseReason};
use zkinfer_crds::{ClaimId, Digest, Identity, ParameterId, Profile, ProofSystem, RequestUid, SliceIndex};
use zkinfer_operator::dispatch::{ClaimToken, CompileToken, PoolId, TokenKey};

const KEY: TokenKey = TokenKey::new([9; 32]);
/// The most output scales that a Model may state.
const MOST_SCALES: usize = 64;
const MOST_DIMENSIONS: u8 = 8;
const LONGEST_NAME: usize = 64;

/// Requests for a claim.
pub(super) fn claims() -> Vec<Vec<u8>> {
    let one = |request, parameters: &[ParameterId], wait_seconds| ClaimRequest {
        worker: "alpha-7c9d-x2v4k".to_owned(),
        parameters: parameters.to_vec(),
        memory_bytes: 512 << 20,
        request,
        wait_seconds,
    };
    let both = [
        ParameterId::SumcheckWhirGoldilocksV1,
        ParameterId::Halo2KzgBn254V1,
    ];
    let all = [
        one(None, &both, 20),
        one(Some(RequestUid::new([3; 16])), &both[..1], 0),
    ];
    all.iter().map(bytes).collect()
}

/// Claims that are handed back.
pub(super) fn refusals() -> Vec<Vec<u8>> {
    let one = |reason, message: &str| Refusal {
        reason,
        message: message.to_owned(),
    };
    let all = [
        one(RefuseReason::TooLittleMemory, "it takes 3 GiB"),
        one(RefuseReason::Draining, ""),
        one(RefuseReason::Fetch, "connection reset\nby \"peer\" \u{fffd}"),
    ];
    all.iter().map(bytes).collect()
}

fn blob(tag: u8) -> BlobRef {
    BlobRef {
        digest: Digest::new([tag; 32]),
        size: 1 << tag,
    }
}

fn compiled() -> CompileOutcome {
    let slice = |files: Vec<SliceFile>, measures: Measures| CompiledSlice {
        nodes: vec!["/conv1/Conv".to_owned(), "/relu/Relu".to_owned()],
        vk: Digest::new([4; 32]),
        files: SliceFiles::new(files).unwrap_or_default(),
        measures,
        predicted_micros: 120_000,
        predicted_memory_bytes: 90 << 20,
        predicted_proof_bytes: 46_000,
    };
    let files = FileRole::ALL.iter().zip(5..);
    let files = files
        .map(|(role, tag)| SliceFile::new(*role, &blob(tag)))
        .collect();
    let rows = Measures::default()
        .with(Measure::K, 14)
        .with(Measure::Rows, 12_345);
    let cells = Measures::default().with(Measure::Cells, 70_000);
    let accuracy = Accuracy {
        profile: Profile::P12,
        samples: 64,
        synthetic: true,
        max_error_millionths: 4_680,
        mean_error_millionths: 2_110,
        top1_agreement_millionths: 1_000_000,
        exact_agreement_millionths: 1_000_000,
        top_margin_millionths: None,
        sqnr_millibels: None,
        saturations: 0,
        widened: 0,
        tried: Vec::new(),
        nodes: Vec::new(),
        output_scale: vec![24.185_331_300_983_243, 1e-300],
        budget_millionths: 10_000,
        within_budget: true,
    };
    CompileOutcome::Compiled(CompileReport {
        model: Digest::new([1; 32]),
        batch: 1,
        manifest: blob(2),
        graph: blob(3),
        slices: vec![slice(Vec::new(), cells), slice(files, rows)],
        accuracy: accuracy.clone(),
        outlook: Some(Outlook {
            cuts: vec![Cut {
                proof_system: ProofSystem::Halo2Kzg,
                parallelism: 4,
                outcome: CutOutcome::Refused("no cut".to_owned()),
            }],
            nodes: vec![NodeOutlook {
                claims: vec!["Requantised".to_owned()],
                alone: None,
            }],
        }),
        batches: vec![CompiledBatch {
            batch: 16,
            manifest: blob(9),
            graph: blob(10),
            slices: vec![slice(Vec::new(), cells)],
            accuracy,
        }],
    })
}

fn failed() -> CompileOutcome {
    CompileOutcome::Failed(CompileFailure {
        kind: FailureKind::UnsupportedNodes,
        message: "1 unsupported node(s)".to_owned(),
        unsupported: vec![UnsupportedOp {
            node: "/sin/Sin".to_owned(),
            op: "Sin".to_owned(),
            reason: "the operator is not supported".to_owned(),
        }],
        outline: Some(Outline {
            nodes: vec![
                OutlineNode {
                    name: "/sin/Sin".to_owned(),
                    op: "Sin".to_owned(),
                },
                OutlineNode {
                    name: "/mul/Mul".to_owned(),
                    op: "Mul".to_owned(),
                },
            ],
            edges: vec![(0, 1)],
        }),
    })
}

/// A compiler's reports.
pub(super) fn reports() -> Vec<Vec<u8>> {
    [compiled(), failed()].iter().map(bytes).collect()
}

/// Reports of the largest size that are as dense as they can be: small in JSON and large in memory.
pub(super) fn large_reports() -> Vec<(&'static str, Vec<u8>)> {
    let filled = |mut report: Value, at: &str, item: &Value| {
        let room = MAX_REPORT_BYTES - report.to_string().len();
        let list = vec![item.clone(); room / (item.to_string().len() + 1)];
        if let Some(place) = report.pointer_mut(at) {
            *place = Value::Array(list);
        }
        bytes(&report)
    };
    let value = |outcome: CompileOutcome| serde_json::to_value(outcome).unwrap_or_default();
    let unsupported = json!({ "node": "", "op": "", "reason": "" });
    let slice = value(compiled())["compiled"]["slices"][0].clone();
    let empty = json!([]);
    let mut bare = slice.clone();
    bare["nodes"] = empty;
    vec![
        (
            "unsupported nodes",
            filled(value(failed()), "/failed/unsupported", &unsupported),
        ),
        ("slices", filled(value(compiled()), "/compiled/slices", &bare)),
        (
            "names of a slice's nodes",
            filled(value(compiled()), "/compiled/slices/0/nodes", &json!("")),
        ),
        (
            "output scales",
            filled(value(compiled()), "/compiled/accuracy/outputScale", &json!(1)),
        ),
    ]
}

/// Tokens of claims.
pub(super) fn claim_tokens() -> Vec<Vec<u8>> {
    let one = |pool, tag| ClaimToken {
        request: RequestUid::new([tag; 16]),
        slice: SliceIndex(u32::from(tag)),
        claim: ClaimId::new([tag; 16]),
        pool,
        identity: Identity::new([tag; 32]),
        issued: 1_790_000_000,
        expires: 1_790_000_020,
        max_bytes: 512 << 10,
    };
    let longest = PoolId::new(&"n".repeat(63), &"p".repeat(253));
    let all = [one(PoolId::new("default", "alpha"), 1), one(longest, 255)];
    all.iter().map(|t| t.seal(&KEY).into_bytes()).collect()
}

/// Tokens of compilers, the longest that a Model can ask for among them.
pub(super) fn compile_tokens() -> Vec<Vec<u8>> {
    let task = |output_scale: Vec<f64>, dimensions: Dimensions| CompileTask {
        model: blob(1),
        calibration: Some(blob(2)),
        profile: Some(Profile::P16),
        error_budget_millionths: 10_000,
        output_scale,
        compare_top1: false,
        dimensions,
        batch_sizes: vec![1, 4, 16, 64],
        parallelism: 64,
        memory_mib: Some(u64::MAX >> 20),
        proof_system: ProofSystem::Halo2Kzg,
        setup: Some(blob(3)),
    };
    let one = |model: (String, String), output_scale, dimensions| CompileToken {
        model,
        uid: "1e8d2f52-ca54-3331-c371-54de90a744ec".to_owned(),
        key: Digest::new([8; 32]),
        task: task(output_scale, dimensions),
    };
    let long = -1.234_567_890_123_456_7e-300;
    // A control character has six bytes in JSON.
    let name = |c: u8| char::from(c).to_string().repeat(LONGEST_NAME);
    let sizes = (0..MOST_DIMENSIONS).map(|c| (name(c), u32::MAX)).collect();
    let all = [
        one(
            ("default".to_owned(), "digits".to_owned()),
            Vec::new(),
            Dimensions::new(),
        ),
        one(("n".repeat(63), "m".repeat(253)), vec![long; MOST_SCALES], sizes),
    ];
    all.iter().map(|t| t.seal(&KEY).into_bytes()).collect()
}

fn bytes(body: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// Whether a body was read. What was read is written so that it is read again.
pub(super) fn body<T: serde::Serialize, E>(
    json: &[u8],
    read: impl Fn(&[u8]) -> Result<T, E>,
) -> Result<bool, String> {
    let Ok(first) = read(json) else {
        return Ok(false);
    };
    match read(&bytes(&first)) {
        Ok(_) => Ok(true),
        Err(_) => Err("what was read is not read again".to_owned()),
    }
}

/// Whether a token was opened: of those that were sealed here, as the kind that it is, and in one spelling.
pub(super) fn claim_token(text: &[u8]) -> Result<bool, String> {
    opened(text, &claim_tokens, |t| ClaimToken::open(t, &KEY).is_ok())
}

/// As [`claim_token`].
pub(super) fn compile_token(text: &[u8]) -> Result<bool, String> {
    opened(text, &compile_tokens, |t| CompileToken::open(t, &KEY).is_ok())
}

fn opened(
    text: &[u8],
    sealed: &dyn Fn() -> Vec<Vec<u8>>,
    open: impl Fn(&str) -> bool,
) -> Result<bool, String> {
    // A header that is no text reaches no decoder.
    match std::str::from_utf8(text) {
        Ok(token) if open(token) => {}
        _ => return Ok(false),
    }
    if sealed().iter().any(|t| t == text) {
        Ok(true)
    } else {
        Err("a token was opened that was not sealed here".to_owned())
    }
}
