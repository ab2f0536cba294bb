//! The one commitment of a proof and its opening: p3-whir over all columns, stacked.
//!
//! Invariants: every parameter comes from the layout, nothing from a proof; a configuration whose own account of its soundness
//! is below [`SECURITY_BITS`](super::SECURITY_BITS) does not exist; the library's panics are errors here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use p3_blake3::Blake3;
use p3_commit::MultilinearPcs;
use p3_dft::Radix2DFTSmallBatch;
use p3_field::PrimeCharacteristicRing;
use p3_matrix::dense::RowMajorMatrix;
use p3_merkle_tree::MerkleTreeMmcs;
use p3_multilinear_util::point::Point;
use p3_sumcheck::layout::{Layout as _, PrefixProver, Table, TableShape};
use p3_sumcheck::{OpeningBatch, OpeningProtocol, PrescribedPointPcs, TableSpec};
use p3_symmetric::{CompressionFunctionFromHasher, SerializingHasher};
use p3_whir::{
    FoldingFactor, PcsProof, ProtocolParameters, SecurityAssumption, WhirConfig, WhirProof, WhirProver,
};

use super::axes::log2_ceil;
use super::error::{LayoutError, Refutation, VerifyError};
use super::field::{EF, F};
use super::layout::Layout;
use super::transcript::Challenger;

/// Target of each error term. The library composes about 25 of them, which costs up to 2 bits: 104 leaves more than 100.
const TERM_BITS: usize = 104;
/// Proof of work per query round: more makes small proofs slower than it makes them shorter.
pub(super) const GRINDING_BITS: usize = 12;
/// log2 of the code's inverse rate: 1/2 is 40 % faster and 40 % longer.
const LOG_INVERSE_RATE: usize = 2;
/// Coordinates folded per round.
const FOLDING: usize = 4;
/// Smaller stacks are filled up to this many coordinates: below, a codeword has too few places for its queries.
const MIN_STACK: usize = 8;
/// Most coordinates of a stack: 2^22 cells, 128 MiB of codeword.
pub(super) const MAX_STACK: usize = 22;

type Hash = SerializingHasher<Blake3>;
type Mmcs = MerkleTreeMmcs<F, u8, Hash, CompressionFunctionFromHasher<Blake3, 2, 32>, 2, 32>;
type Stack = PrefixProver<F, EF>;
pub(super) type Pcs = WhirProver<EF, F, Radix2DFTSmallBatch<F>, Mmcs, Challenger, Stack>;

/// A Merkle root.
pub(super) type Commitment = <Pcs as MultilinearPcs<EF, Challenger>>::Commitment;
/// What the prover keeps between commitment and opening.
pub(super) type Committed = <Pcs as MultilinearPcs<EF, Challenger>>::ProverData;
/// The opening without the opened values, which are scalars of the proof.
pub(super) type Opening = WhirProof<F, EF, Mmcs>;

/// A point with the values that some of a group's columns have there.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) columns: Vec<usize>,
    pub(super) point: Vec<EF>,
    pub(super) values: Vec<EF>,
}

/// The configured scheme of one layout.
pub(super) struct Scheme {
    pcs: Pcs,
    protocol: OpeningProtocol,
    /// Coordinates of a group of zeros that fills a small stack.
    filler: Option<usize>,
    pub(super) bits: f64,
}

impl Scheme {
    /// Derives the configuration.
    ///
    /// # Errors
    /// A stack that is too large, or one that the library cannot commit to at the required strength.
    pub(super) fn new(layout: &Layout, own_error_log2: f64) -> Result<Self, LayoutError> {
        let cells = layout.cells();
        if log2_ceil(cells as usize) > MAX_STACK {
            return Err(LayoutError::Large {
                what: "committed cells",
                got: cells,
                limit: 1 << MAX_STACK,
            });
        }
        let filler = filler(cells);
        let derive = || {
            let protocol = OpeningProtocol::new(specs(layout, filler));
            let total = protocol.checked_num_cells().ok_or("too many cells".to_owned())?;
            let pcs = scheme(log2_ceil(total)).map_err(|e| e.to_string())?;
            let bits = bits(&pcs, &protocol, own_error_log2)?;
            Ok::<_, String>(Self {
                pcs,
                protocol,
                filler,
                bits,
            })
        };
        // The library asserts where a configuration does not fit.
        let scheme = catch_unwind(AssertUnwindSafe(derive))
            .map_err(|_| LayoutError::Library("it panicked".to_owned()))?
            .map_err(LayoutError::Library)?;
        if scheme.bits < f64::from(super::SECURITY_BITS) || !scheme.bits.is_finite() {
            return Err(LayoutError::Security {
                bits: scheme.bits.max(0.0) as u32,
            });
        }
        Ok(scheme)
    }

    /// Commits to one matrix per group (a row per column) and absorbs the root. May panic as the library does.
    pub(super) fn commit(
        &self,
        groups: Vec<(usize, Vec<F>)>,
        challenger: &mut Challenger,
    ) -> Result<(Commitment, Committed), String> {
        let filler = self.filler.map(|arity| (arity, F::zero_vec(1 << arity)));
        let tables = groups
            .into_iter()
            .chain(filler)
            .map(|(arity, cells)| Table::new(RowMajorMatrix::new(cells, 1 << arity)))
            .collect();
        let witness = Stack::new_witness(tables, FOLDING);
        self.pcs.commit(witness, challenger).map_err(|e| e.to_string())
    }

    /// Opens each group at its points, in order. May panic as the library does.
    pub(super) fn open(
        &self,
        committed: Committed,
        points: Vec<Vec<EF>>,
        challenger: &mut Challenger,
    ) -> Result<Opening, String> {
        let points: Vec<_> = points.into_iter().map(Point::new).collect();
        let proof = self
            .pcs
            .open_at(committed, &self.protocol, &points, challenger)
            .map_err(|e| e.to_string())?;
        Ok(proof.whir)
    }

    /// Absorbs the root, as the prover's commitment does.
    pub(super) fn observe(&self, commitment: &Commitment, challenger: &mut Challenger) {
        self.pcs.observe_commitment(commitment, challenger);
    }

    /// Accepts that the committed columns have these values at these points.
    ///
    /// The opened values are the ones that the relations were checked with: there is no second copy in a proof. So are their
    /// columns: the walk that received them and the plan that foresaw them must name the same.
    pub(super) fn verify(
        &self,
        commitment: &Commitment,
        opening: Opening,
        opened: Vec<Opened>,
        challenger: &mut Challenger,
    ) -> Result<(), VerifyError> {
        let invalid = VerifyError::from(Refutation::Opening);
        let fits = opened.len() == self.protocol.num_openings()
            && self
                .protocol
                .iter_openings()
                .zip(&opened)
                .all(|((_, batch), o)| batch.current() == o.columns && o.columns.len() == o.values.len());
        if !fits {
            return Err(invalid);
        }
        let (points, evals): (Vec<_>, Vec<_>) = opened
            .into_iter()
            .map(|o| (Point::new(o.point), OpeningBatch::new(o.values, Vec::new())))
            .unzip();
        let proof = PcsProof { whir: opening, evals };
        // Shapes are checked by the library before its replay; should it panic all the same, the proof is refused.
        let run = || {
            self.pcs
                .verify_at(commitment, &proof, &self.protocol, &points, challenger)
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(invalid),
        }
    }
}

/// The column's cells.
pub(super) fn column(committed: &Committed, group: usize, column: usize) -> &[F] {
    committed
        .table(group)
        .column(column)
        .as_dense()
        .unwrap_or_default()
}

/// Coordinates of a group of zeros beside so few cells.
fn filler(cells: u64) -> Option<usize> {
    match cells {
        0 => Some(MIN_STACK),
        _ => (cells <= 1 << (MIN_STACK - 1)).then_some(MIN_STACK - 1),
    }
}

/// Coordinates of the stack of so many cells.
pub(super) fn stack(cells: u64) -> usize {
    log2_ceil(cells as usize).max(MIN_STACK)
}

/// Bytes of an opening, measured: a round more every four coordinates from 11 on.
pub(super) fn opening_bytes(stack: usize) -> u64 {
    const MEASURED: [u64; 15] = [
        10_500, 14_500, 18_500, 36_500, 40_500, 46_000, 51_000, 68_500, 73_000, 78_500, 84_500, 99_000,
        104_500, 110_500, 117_500,
    ];
    MEASURED[stack.clamp(8, 22) - 8]
}

/// Steps of a verifier for the opening of a stack: queries and hashes of every round, and decoding them. Measured.
pub(super) fn steps(stack: usize) -> u64 {
    300_000 + 60_000 * stack as u64
}

/// One table of the library per group: the first opening is of all columns, at the point of the lookup argument.
fn specs(layout: &Layout, filler: Option<usize>) -> Vec<TableSpec> {
    let group = |group: &super::layout::Group| {
        let all = (0..group.columns).collect();
        let batches = [all].into_iter().chain(group.openings.iter().cloned());
        TableSpec::new(
            TableShape::new(group.axes.arity(), group.columns),
            batches
                .map(|columns| OpeningBatch::new(columns, Vec::new()))
                .collect(),
        )
    };
    let filler = filler.map(|arity| TableSpec::new(TableShape::new(arity, 1), Vec::new()));
    layout.groups.iter().map(group).chain(filler).collect()
}

/// Bits of attack work: of the opening, by the library's account, and of this argument's own challenges together. What is
/// drawn after the commitment is charged for every polynomial that the commitment leaves open.
pub(super) fn bits(pcs: &Pcs, protocol: &OpeningProtocol, own_error_log2: f64) -> Result<f64, String> {
    let security = pcs
        .prescribed_security(protocol)
        .ok_or("no account of its security".to_owned())?;
    let own = own_error_log2 + security.log2_max_candidates;
    Ok(-(2f64.powf(-security.error().bits()) + 2f64.powf(own)).log2())
}

/// The library's schedule for a stack of so many coordinates: rounds, queries, samples, proof of work.
pub(super) fn configuration(coordinates: usize) -> Result<WhirConfig<EF, F, Challenger>, String> {
    let folding_factor = FoldingFactor::Constant(FOLDING);
    let schedule = folding_factor
        .compute_folding_schedule(coordinates)
        .map_err(|e| e.to_string())?;
    // Each fold halves the domain once and the polynomial `fold` times: the rate falls by the difference.
    let rates = schedule.iter().scan(LOG_INVERSE_RATE, |rate, fold| {
        *rate += fold - 1;
        Some(*rate)
    });
    let parameters = ProtocolParameters {
        starting_log_inv_rate: LOG_INVERSE_RATE,
        round_log_inv_rates: rates.take(schedule.len().saturating_sub(1)).collect(),
        folding_factor,
        soundness_type: SecurityAssumption::JohnsonBound,
        security_level: TERM_BITS,
        pow_bits: GRINDING_BITS,
    };
    WhirConfig::new(coordinates, parameters).map_err(|e| e.to_string())
}

pub(super) fn scheme(coordinates: usize) -> Result<Pcs, String> {
    let config = configuration(coordinates)?;
    let dft = Radix2DFTSmallBatch::new(1 << config.max_fft_size());
    let mmcs = Mmcs::new(Hash::new(Blake3), CompressionFunctionFromHasher::new(Blake3), 0);
    Ok(Pcs::new(config, dft, mmcs))
}
