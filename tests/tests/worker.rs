//! The worker's manners towards a gateway, seen from the gateway's side.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test says by panicking what is wrong"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zkinfer_crds::calls::{Call as _, work};
use zkinfer_crds::slice_files::{FileRole, SliceFile, SliceFiles};
use zkinfer_crds::wire::{
    BlobRef, ClaimGrant, ClaimRequest, EXIT_DRAINED, NEXT_HEADER, Refusal, RefuseReason, WORKER_TOKEN_HEADER,
};
use zkinfer_crds::{ClaimId, Digest, Identity, ParameterId, ProofSystem, RequestUid, SliceIndex};
use zkinfer_tests::local::{model_file, program};
use zkml::canonical::{self, Integers};
use zkml_compile::compile::{CompileOptions, compile, plan};

/// Path and body of the next call.
fn call(stream: &TcpStream) -> (String, Vec<u8>) {
    let Call { path, body, .. } = call_with_headers(stream);
    (path, body)
}

/// The next call.
struct Call {
    path: String,
    /// By name in small letters.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn call_with_headers(stream: &TcpStream) -> Call {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Call { path, headers, body }
}

fn is_claim(path: &str) -> bool {
    path.split('?').next() == Some(work::Claim::PATH)
}

fn is_proof(path: &str) -> bool {
    path.split('?')
        .next()
        .is_some_and(|path| path.ends_with("/proof"))
}

fn answer(mut stream: TcpStream, status: &str, body: impl AsRef<[u8]>) {
    let body = body.as_ref();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(body).unwrap();
}

fn grant() -> ClaimGrant {
    let blob = || BlobRef {
        digest: Digest::of(b"x"),
        size: 1,
    };
    let of_prover = [FileRole::ProvingKey, FileRole::Setup].into_iter();
    let of_prover = of_prover.map(|role| SliceFile::new(role, &blob()));
    ClaimGrant {
        token: "token".to_owned(),
        claim: ClaimId::new([1; 16]),
        request: RequestUid::new([2; 16]),
        slice: SliceIndex(0),
        attempt: 1,
        lease_seconds: 20,
        max_bytes: 1024,
        parameter_id: ParameterId::Halo2KzgBn254V1,
        memory_bytes: 1 << 20,
        identity: Identity::new([3; 32]),
        statement: Digest::of(b"statement"),
        manifest: blob(),
        graph: blob(),
        inputs: blob(),
        inputs_bytes: None,
        files: SliceFiles::new(of_prover.collect()).unwrap(),
        traceparent: None,
    }
}

/// A gateway that listens, and a worker that calls it.
fn claiming_worker() -> (TcpListener, Child) {
    worker_with_claims(1)
}

/// A gateway that listens, and a worker that may hold so many claims.
fn worker_with_claims(claims: u32) -> (TcpListener, Child) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let worker = Command::new(program("prover-worker"))
        .arg("work")
        .env(
            "ZKINFER_GATEWAY",
            format!("http://{}", listener.local_addr().unwrap()),
        )
        .env("ZKINFER_TOKEN", "secret")
        .env("ZKINFER_CLAIMS", claims.to_string())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (listener, worker)
}

fn terminate(worker: &Child) {
    let id = worker.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_worker_told_to_stop_hands_back_the_slice_that_is_on_its_way_to_it() {
    let (listener, mut worker) = claiming_worker();
    let (claiming, _) = listener.accept().unwrap();
    assert!(is_claim(&call(&claiming).0));
    terminate(&worker);
    std::thread::sleep(Duration::from_millis(200));
    answer(claiming, "200 OK", serde_json::to_string(&grant()).unwrap());
    let (refusing, _) = listener.accept().unwrap();
    let (path, body) = call(&refusing);
    assert!(path.ends_with("/refuse"), "{path}");
    let refusal: Refusal = serde_json::from_slice(&body).unwrap();
    assert_eq!(refusal.reason, RefuseReason::Draining);
    answer(refusing, "204 No Content", "");
    assert_eq!(worker.wait().unwrap().code(), Some(i32::from(EXIT_DRAINED)));
}

#[test]
fn a_worker_told_to_stop_does_not_wait_for_work_to_come() {
    let (listener, mut worker) = claiming_worker();
    let (claiming, _) = listener.accept().unwrap();
    call(&claiming);
    let told = Instant::now();
    terminate(&worker);
    assert_eq!(worker.wait().unwrap().code(), Some(i32::from(EXIT_DRAINED)));
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());
}

#[test]
fn a_worker_with_two_cores_asks_for_a_second_slice_with_the_memory_that_is_left() {
    let (listener, mut worker) = worker_with_claims(2);
    let memory = |body: &[u8]| serde_json::from_slice::<ClaimRequest>(body).unwrap().memory_bytes;
    let (claiming, _) = listener.accept().unwrap();
    let (path, body) = call(&claiming);
    assert_eq!((is_claim(&path), memory(&body)), (true, 512 << 20));
    answer(claiming, "200 OK", serde_json::to_string(&grant()).unwrap());
    // The first slice's file is fetched and never comes; meanwhile there is one more question, and no third.
    let calls = [(); 2].map(|()| listener.accept().unwrap().0);
    let asked: Vec<(String, Vec<u8>)> = calls.iter().map(call).collect();
    let second: Vec<_> = asked.iter().filter(|(path, _)| is_claim(path)).collect();
    assert_eq!(second.len(), 1, "{asked:?}");
    assert_eq!(memory(&second[0].1), (512 << 20) - grant().memory_bytes);
    terminate(&worker);
    let (refusing, _) = listener.accept().unwrap();
    let (path, _) = call(&refusing);
    assert!(path.ends_with("/refuse"), "{path}");
    answer(refusing, "204 No Content", "");
    assert_eq!(worker.wait().unwrap().code(), Some(i32::from(EXIT_DRAINED)));
}

/// The wine model, compiled whole: the files that a grant names, and a grant without its own claim.
fn provable() -> (BTreeMap<Digest, Vec<u8>>, ClaimGrant) {
    let onnx = std::fs::read(model_file("wine.onnx")).unwrap();
    let options = CompileOptions {
        error_budget_millionths: 1_000_000,
        ..CompileOptions::new(ProofSystem::SumcheckWhir)
    };
    let plan = plan(&onnx, None, &options).unwrap();
    let setup = plan.setup(None).unwrap();
    let compiled = compile(&plan, &setup, &|_| ()).unwrap();
    let slice = &compiled.manifest.slices[0];
    let tensors = compiled.manifest.slice_tensors(&slice.inputs);
    let inputs: Vec<Integers> = tensors.iter().map(|t| Integers(vec![0; t.len])).collect();
    let files = [
        compiled.manifest.to_bytes(),
        compiled.graph,
        canonical::to_bytes(&inputs),
    ];
    let [manifest, graph, inputs] = files.each_ref().map(|bytes| BlobRef {
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    });
    let files = files
        .into_iter()
        .map(|bytes| (Digest::of(&bytes), bytes))
        .collect();
    let grant = ClaimGrant {
        lease_seconds: 60,
        max_bytes: 512 << 10,
        parameter_id: ParameterId::SumcheckWhirGoldilocksV1,
        manifest,
        graph,
        inputs,
        files: SliceFiles::default(),
        ..grant()
    };
    (files, grant)
}

#[test]
fn claims_of_one_slice_side_by_side_fetch_its_keys_once() {
    let (files, grant) = provable();
    let (listener, mut worker) = worker_with_claims(2);
    listener.set_nonblocking(true).unwrap();
    let (mut granted, mut proofs, mut fetched) = (0u8, 0, BTreeMap::<Digest, u32>::new());
    // Nothing is handed out before both claims are made, so that they are in hand together.
    let mut held = Vec::new();
    let began = Instant::now();
    let exit = loop {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{granted} granted, {proofs} proved"
        );
        if let Some(exit) = worker.try_wait().unwrap() {
            break exit;
        }
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        let (path, body) = call(&stream);
        if is_claim(&path) {
            if granted < 2 {
                granted += 1;
                let grant = ClaimGrant {
                    claim: ClaimId::new([granted; 16]),
                    statement: Digest::of(&[granted]),
                    ..grant.clone()
                };
                answer(stream, "200 OK", serde_json::to_string(&grant).unwrap());
            } else {
                let status = if proofs < 2 { "204 No Content" } else { "410 Gone" };
                answer(stream, status, "");
            }
        } else if is_proof(&path) {
            assert!(body.len() > 100, "{} bytes", body.len());
            proofs += 1;
            answer(stream, "200 OK", "");
        } else {
            held.push((stream, path));
        }
        if granted == 2 {
            for (stream, path) in held.drain(..) {
                let digest: Digest = path.rsplit('/').next().unwrap().parse().unwrap();
                *fetched.entry(digest).or_default() += 1;
                answer(stream, "200 OK", &files[&digest]);
            }
        }
    };
    assert_eq!((exit.code(), proofs), (Some(0), 2));
    assert_eq!(
        (fetched[&grant.manifest.digest], fetched[&grant.graph.digest]),
        (1, 1)
    );
}

/// A grant under a claim of its own.
fn given(grant: &ClaimGrant, number: u8) -> String {
    let grant = ClaimGrant {
        claim: ClaimId::new([number; 16]),
        statement: Digest::of(&[number]),
        ..grant.clone()
    };
    serde_json::to_string(&grant).unwrap()
}

/// Serves a worker until it goes: its first claim is granted, then each proof is answered by `proved`, which is told the
/// call; later claims are answered with 410. How it went, the claims that it made, and the digests that it fetched.
fn served(
    (files, grant): (&BTreeMap<Digest, Vec<u8>>, &ClaimGrant),
    mut proved: impl FnMut(&Call) -> String,
) -> (Option<i32>, u32, Vec<Digest>) {
    let (listener, mut worker) = claiming_worker();
    listener.set_nonblocking(true).unwrap();
    let (mut claims, mut fetched) = (0, Vec::new());
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(60), "{claims} claims");
        if let Some(exit) = worker.try_wait().unwrap() {
            return (exit.code(), claims, fetched);
        }
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        let call = call_with_headers(&stream);
        if is_claim(&call.path) {
            claims += 1;
            match claims {
                1 => answer(stream, "200 OK", given(grant, 1)),
                _ => answer(stream, "410 Gone", ""),
            }
        } else if is_proof(&call.path) {
            answer(stream, "201 Created", proved(&call));
        } else if call.path.ends_with("/refuse") {
            let refusal: Refusal = serde_json::from_slice(&call.body).unwrap();
            assert_eq!(refusal.reason, RefuseReason::Fetch, "{}", refusal.message);
            answer(stream, "204 No Content", "");
        } else {
            let digest: Digest = call.path.rsplit('/').next().unwrap().parse().unwrap();
            fetched.push(digest);
            answer(stream, "200 OK", &files[&digest]);
        }
    }
}

#[test]
fn a_worker_proves_what_comes_with_the_answer_to_a_proof_without_asking_again() {
    let (files, grant) = provable();
    let mut proofs = Vec::new();
    let (exit, claims, _) = served((&files, &grant), |call| {
        let next: ClaimRequest = serde_json::from_str(&call.headers[NEXT_HEADER]).unwrap();
        assert_eq!(next.memory_bytes, 512 << 20, "with all of its memory");
        assert_eq!(call.headers[WORKER_TOKEN_HEADER], "secret");
        proofs.push(call.path.clone());
        match proofs.len() {
            1 => given(&grant, 2),
            _ => String::new(),
        }
    });
    assert_eq!((exit, claims, proofs.len()), (Some(0), 2, 2));
    assert_ne!(proofs[0], proofs[1]);
}

#[test]
fn a_worker_fetches_no_inputs_that_come_with_the_grant_and_none_that_are_others() {
    let (files, grant) = provable();
    let inputs = grant.inputs.digest;
    let fetches = |bytes: Option<Vec<u8>>| {
        let mut proofs = 0;
        let grant = ClaimGrant {
            inputs_bytes: bytes,
            ..grant.clone()
        };
        let (exit, _, fetched) = served((&files, &grant), |_| {
            proofs += 1;
            String::new()
        });
        assert_eq!(exit, Some(0));
        assert!(fetched.contains(&grant.graph.digest));
        (proofs, fetched.contains(&inputs))
    };
    assert_eq!(fetches(None), (1, true));
    assert_eq!(fetches(Some(files[&inputs].clone())), (1, false));
    let mut damaged = files[&inputs].clone();
    damaged[0] ^= 1;
    // Handed back, as a damaged blob is.
    assert_eq!(fetches(Some(damaged)), (0, false));
}
