//! The compilers' calls: of the compilers that the operator starts itself, each with a token of its compilation.

use super::work::{MAX_BLOB_BYTES, MAX_JSON};
use super::{File, Json, NoBody, NoQuery, Reason, Reply, Text, calls};
use crate::compile_report::{CompileOutcome, MAX_REPORT_BYTES};
use crate::wire::CompileTask;
use crate::words::Digest;

/// Longest line of progress, in bytes.
const MAX_PROGRESS_BYTES: u64 = 512;

const NOT_WANTED: Reply = Reply::Problem(
    410,
    &[(Reason::NotWanted, "the Model is gone, or was compiled meanwhile")],
);

calls! {
    /// What to compile
    Task {
        id: "compileTask",
        call: Get "/v1/compile/task",
        bearer: Compiler,
        named: (),
        query: NoQuery,
        headers: &[],
        body: NoBody, "", 0;
        answer: Json<CompileTask>, MAX_JSON;
        replies: &[Reply::Answer(200, "the task"), NOT_WANTED],
    }

    /// Fetch a blob that the task names
    Fetch {
        id: "compileFetch",
        call: Get "/v1/compile/blobs/{digest}",
        bearer: Compiler,
        named: Digest,
        query: NoQuery,
        headers: &[],
        body: NoBody, "", 0;
        answer: File, MAX_BLOB_BYTES;
        replies: &[
            Reply::Answer(200, "the bytes; compare their SHA-256 before you use them"),
            Reply::Problem(404, &[(Reason::NotFound, "no such blob belongs to this compilation")]),
            NOT_WANTED,
        ],
    }

    /// Hand a file in, by its digest
    Put {
        id: "compilePut",
        call: Put "/v1/compile/blobs/{digest}",
        bearer: Compiler,
        named: Digest,
        query: NoQuery,
        headers: &[],
        body: File, "", MAX_BLOB_BYTES;
        answer: NoBody, 0;
        replies: &[
            Reply::Empty(201, "taken"),
            NOT_WANTED,
            Reply::Problem(422, &[(Reason::OtherDigest, "the digest is another, or the file is too large")]),
        ],
    }

    /// Tell how far it is
    Progress {
        id: "compileProgress",
        call: Post "/v1/compile/progress",
        bearer: Compiler,
        named: (),
        query: NoQuery,
        headers: &[],
        body: Text, "a line", MAX_PROGRESS_BYTES;
        answer: NoBody, 0;
        replies: &[Reply::Empty(204, "taken"), NOT_WANTED],
    }

    /// Hand the result in, after every file that it names
    Report {
        id: "compileReport",
        call: Put "/v1/compile/report",
        bearer: Compiler,
        named: (),
        query: NoQuery,
        headers: &[],
        body: Json<CompileOutcome>, "", MAX_REPORT_BYTES as u64;
        answer: NoBody, 0;
        replies: &[
            Reply::Empty(201, "taken"),
            NOT_WANTED,
            Reply::Problem(422, &[
                (Reason::InvalidBody, "not a report"),
                (Reason::BlobMissing, "a file that it names was not handed in"),
            ]),
        ],
    }
}
