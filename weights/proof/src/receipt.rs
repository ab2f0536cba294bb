//! Proves a weights file, and verifies a receipt against one.
//!
//! | refused by name | because |
//! |---|---|
//! | another rule's, another size's | the manifest is made here of the file's rule, and compared |
//! | of another file | the request that a proof is bound to is the file's digest |
//! | other totals, owners, uids, shares | they are made here of the file, and compared with the receipt's inputs |
//! | another vector | it is the file's, which is compared with the receipt's output |
//! | everything else | `zkml`'s verifier of receipts |
//!
//! Invariant: no number of a receipt is believed but what whoever proves may choose: the working, which the graph's identities hold.
//! Who is on the skip list is not in a file: with a ledger it is asked there, without one that it was not is told.

use std::collections::BTreeSet;

use zkinfer_crds::{Digest, Identity, RequestUid};
use zkinfer_scoring::RuleName;
use zkinfer_weights::file::{Row, WeightsFile};
use zkinfer_weights::vector::VectorError;
use zkml::canonical::CanonicalError;
use zkml::receipt::{Against, Expected, Outcome, Receipt, Verification, verify_decoded};
use zkml::statement::MAX_NETWORK_ID;

use crate::given::{GivenError, OfFile};
use crate::graph::GIVEN;
use crate::program::{Bound, Program, ProgramError};

/// Why a file was not proved.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// It has no place in a proof.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// Its rows make no vector.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// Its vector is not what the rule makes of its totals.
    #[error("the file's vector is not the one that {0} makes of its totals and of who is on the skip list")]
    OtherVector(RuleName),
    /// A network's name that no receipt has.
    #[error("the network's name has {got} bytes, and a receipt's has at most {MAX_NETWORK_ID}")]
    Network {
        /// Its bytes.
        got: usize,
    },
    /// Proving.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// Why a receipt is none of a file.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file has no place in a proof.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// Its rows make no vector.
    #[error(transparent)]
    Vector(#[from] VectorError),
    /// What is proved of such a file could not be made here.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The bytes are no receipt.
    #[error("not a receipt: {0}")]
    Encoding(#[from] CanonicalError),
    /// A receipt of something else, or of another rule.
    #[error("the receipt is of another rule, {got}: the file is by {name}, {expected}")]
    OtherRule {
        /// The file's rule.
        name: RuleName,
        /// Its digest.
        expected: Digest,
        /// What the receipt is of.
        got: Digest,
    },
    /// Another graph, or other keys.
    #[error("the receipt is for manifest {got}: a file of {rows} rows by this rule has {expected}")]
    OtherManifest {
        /// Rows of the proof.
        rows: usize,
        /// The file's manifest.
        expected: Digest,
        /// The receipt's.
        got: Digest,
    },
    /// A receipt of another file.
    #[error("the receipt is of another weights file: it is bound to {got}, and this file is {expected}")]
    OtherFile {
        /// The file's name in receipts.
        expected: RequestUid,
        /// The receipt's.
        got: RequestUid,
    },
    /// Something that the file says is not what was proved.
    #[error("the receipt's {0} are not the file's")]
    OtherInput(&'static str),
    /// Somebody is on the skip list in one of the two.
    #[error("{miner} is {} the receipt, and {} the ledger", told(*.receipt), told(!*.receipt))]
    Skipped {
        /// Who.
        miner: Identity,
        /// Whether the receipt says so.
        receipt: bool,
    },
    /// The vector that was proved is another one.
    #[error("the vector that the receipt proves is not the file's")]
    OtherVector,
    /// The receipt does not hold.
    #[error("{0}")]
    Refused(String),
}

fn told(skipped: bool) -> &'static str {
    match skipped {
        true => "on the skip list by",
        false => "not on the skip list by",
    }
}

/// What holds of a receipt.
#[derive(Debug, Clone)]
pub struct Proved {
    /// The manifest.
    pub manifest: Digest,
    /// Rows of the proof.
    pub rows: usize,
    /// Who is on the skip list: the ledger's word where there was one, and the receipt's otherwise.
    pub skipped: BTreeSet<Identity>,
}

/// The name of a file in receipts: 16 bytes of its digest. Whoever finds a second file of the same name needs its totals and its
/// vector to be the same too.
fn request(bytes: &[u8]) -> RequestUid {
    let digest = Digest::of(bytes);
    let (name, _) = digest.as_bytes().split_at(16);
    let mut uid = [0; 16];
    uid.copy_from_slice(name);
    RequestUid::new(uid)
}

/// Proves that a file's vector is what its rule makes of its totals; the receipt's bytes. `bytes` are the file's, whose signature holds;
/// `skipped` those of its miners that are on the skip list.
///
/// # Errors
/// A file that has no place in a proof, or whose vector is another one.
pub fn prove(bytes: &[u8], file: &WeightsFile, skipped: &BTreeSet<Identity>) -> Result<Vec<u8>, ProveError> {
    let network = &file.subnet.network;
    if network.len() > MAX_NETWORK_ID {
        return Err(ProveError::Network { got: network.len() });
    }
    let of = OfFile::new(file, skipped)?;
    let program = Program::new(&of.rule, of.given.owners.len())?;
    let inputs = program.inputs(&of.given)?;
    let made = program.graph().evaluate(&inputs).map_err(ProgramError::from)?;
    let vector = program
        .graph()
        .outputs
        .iter()
        .map(|id| &made[id.0 as usize].values);
    let expected = of.vector(&file.vector()?);
    if !vector.eq([&expected]) {
        return Err(ProveError::OtherVector(of.rule.name()));
    }
    let bound = Bound {
        network,
        request: request(bytes),
        identity: file.validator,
    };
    Ok(program.prove(&inputs, &bound)?)
}

/// Verifies that a receipt proves a file's vector of its totals. `skipped` are the miners that the ledger has on its skip list, where
/// there is a ledger.
///
/// # Errors
/// The first thing that is not so.
pub fn verify(
    receipt: &[u8],
    bytes: &[u8],
    file: &WeightsFile,
    skipped: Option<&BTreeSet<Identity>>,
) -> Result<Proved, VerifyError> {
    // What the file says comes first: a file that cannot be proved has no receipt.
    let mut of = OfFile::new(file, &BTreeSet::new())?;
    let rows = of.given.owners.len();
    let program = Program::new(&of.rule, rows)?;
    let decoded = Receipt::from_bytes(receipt);
    let read = match &decoded {
        Ok(read) => read,
        Err(error) => return Err(error.clone().into()),
    };
    if read.manifest.model != of.rule.digest() {
        return Err(VerifyError::OtherRule {
            name: of.rule.name(),
            expected: of.rule.digest(),
            got: read.manifest.model,
        });
    }
    let (expected, got) = (program.manifest().digest(), read.manifest.digest());
    if expected != got {
        return Err(VerifyError::OtherManifest { rows, expected, got });
    }
    let (own, got) = (request(bytes), read.request);
    if own != got {
        return Err(VerifyError::OtherFile { expected: own, got });
    }
    let names = said(read, file, rows)?;
    if let Some(ledger) = skipped {
        let differs = |row: &&Row| ledger.contains(&row.miner) != names.contains(&row.miner);
        if let Some(row) = file.rows.iter().find(differs) {
            return Err(VerifyError::Skipped {
                miner: row.miner,
                receipt: names.contains(&row.miner),
            });
        }
    }
    for (flag, row) in of.given.skipped.iter_mut().zip(&file.rows) {
        *flag = u128::from(names.contains(&row.miner));
    }
    // The first inputs are the file's, and say nothing of what whoever proves may choose.
    let given = program.given(&of.given);
    for ((name, own), got) in GIVEN.into_iter().zip(given).zip(&read.input) {
        if got.values != own.values {
            return Err(VerifyError::OtherInput(name));
        }
    }
    let vector = of.vector(&file.vector()?);
    if !read.output.iter().map(|output| &output.values).eq([&vector]) {
        return Err(VerifyError::OtherVector);
    }
    let files = |digest| program.file(digest);
    let against = Against::Manifest {
        manifest: program.manifest(),
        files: &files,
    };
    let miners = [file.validator];
    let verification = Verification {
        expected: Expected {
            network: Some(&file.subnet.network),
            request: Some(own),
            miners: &miners,
        },
        ..Verification::new(against)
    };
    let report = verify_decoded(&decoded, &verification);
    if !report.valid() {
        let fails = report.sentences.into_iter().find(|s| s.outcome == Outcome::Fails);
        let why = fails.map_or_else(|| "nothing of the receipt was checked".to_owned(), |s| s.text);
        return Err(VerifyError::Refused(why));
    }
    Ok(Proved {
        manifest: expected,
        rows,
        skipped: names,
    })
}

/// Whom a receipt has on the skip list: the last column of its totals.
fn said(receipt: &Receipt, file: &WeightsFile, rows: usize) -> Result<BTreeSet<Identity>, VerifyError> {
    let other = || VerifyError::OtherInput(GIVEN[0]);
    let totals = receipt.input.first().ok_or_else(other)?;
    let width = totals
        .values
        .len()
        .checked_div(rows)
        .filter(|width| *width > 0)
        .ok_or_else(other)?;
    let flags = totals.values.chunks_exact(width).map(|row| row[width - 1] == 1);
    let on = file.rows.iter().zip(flags).filter(|(_, skipped)| *skipped);
    Ok(on.map(|(row, _)| row.miner).collect())
}
