//! The structured reference string (SRS): powers of a secret in G1, and its one power in G2.
//!
//! Invariant: whoever knows the secret can forge any proof. So an SRS is named by a digest of its verifier part
//! (the same for every size), a verifier takes it from an allow-list and never from a receipt or a miner, and
//! points read from outside are checked before use.

use halo2_proofs::SerdeFormat;
use halo2_proofs::arithmetic::best_multiexp;
use halo2_proofs::halo2curves::CurveAffine;
use halo2_proofs::halo2curves::bn256::{Bn256, Fr, G1Affine, G2, G2Affine, pairing};
use halo2_proofs::halo2curves::ff::Field;
use halo2_proofs::halo2curves::group::prime::PrimeCurveAffine;
use halo2_proofs::halo2curves::group::{Curve, Group, GroupEncoding};
use halo2_proofs::poly::commitment::{Params, ParamsProver};
use halo2_proofs::poly::kzg::commitment::ParamsKZG;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use zkinfer_crds::Digest;

use super::MAX_K;

/// The seed of the development SRS. It is public: proofs under it are FORGEABLE BY ANYONE.
const DEVELOPMENT_SEED: [u8; 32] = *b"zkinfer development SRS forgeabl";

/// Why an SRS was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SrsError {
    /// The bytes are not an SRS of the size that they state.
    #[error("not an SRS file: {0}")]
    Format(&'static str),
    /// The size is outside what the engine supports.
    #[error("an SRS of size 2^{0} is not supported (at most 2^{max})", max = MAX_K)]
    Size(u32),
    /// A point is not on its curve or not in its group.
    #[error("point {0} is not on the curve")]
    Point(usize),
    /// The points are not successive powers of the secret in `s·G2`, or start with another generator.
    #[error("the points are not powers of one secret: {0}")]
    Powers(&'static str),
    /// More rows are needed than the SRS has.
    #[error("the SRS has 2^{have} points, 2^{need} are needed")]
    TooSmall {
        /// log2 of its size.
        have: u32,
        /// log2 of the size needed.
        need: u32,
    },
}

/// The prover's points.
#[derive(Debug, Clone)]
pub struct Srs(pub(crate) ParamsKZG<Bn256>);

/// What a verifier needs: the two generators and `s·G2`.
#[derive(Debug, Clone)]
pub struct VerifierSrs(pub(super) ParamsKZG<Bn256>);

impl Srs {
    /// The deterministic development SRS of 2^k points: FORGEABLE BY ANYONE, for tests and first steps only.
    /// All sizes share one secret, so one digest. About 0.1 ms CPU per point.
    #[must_use]
    pub fn development(k: u32) -> Self {
        Self(ParamsKZG::setup(k, ChaCha20Rng::from_seed(DEVELOPMENT_SEED)))
    }

    /// Builds an SRS from the G1 powers `s^0·G … s^(2^k − 1)·G` and `s·G2`, and checks it.
    ///
    /// # Errors
    /// A number of points that is no supported power of two, or any failure of [`Srs::check`].
    pub fn from_powers(g: Vec<G1Affine>, s_g2: G2Affine) -> Result<Self, SrsError> {
        let k = g.len().checked_ilog2().unwrap_or(0);
        if g.len() != 1 << k {
            return Err(SrsError::Format("the number of points is no power of two"));
        }
        if k == 0 || k > u32::from(MAX_K) {
            return Err(SrsError::Size(k));
        }
        check_points(&g, &s_g2)?;
        let srs = Self(anchor().from_parts(k, g, None, G2Affine::generator(), s_g2));
        srs.check()?;
        Ok(srs)
    }

    /// log2 of the number of points.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.0.k()
    }

    /// The same SRS with 2^k points.
    ///
    /// # Errors
    /// When it has fewer.
    pub fn downsize(&self, k: u32) -> Result<Self, SrsError> {
        if k > self.k() {
            return Err(SrsError::TooSmall {
                have: self.k(),
                need: k,
            });
        }
        let mut params = self.0.clone();
        if k < self.k() {
            params.downsize(k);
        }
        Ok(Self(params))
    }

    /// The verifier's part.
    #[must_use]
    pub fn verifier(&self) -> VerifierSrs {
        VerifierSrs(anchor().from_parts(
            0,
            vec![self.0.get_g()[0]],
            Some(vec![self.0.get_g()[0]]),
            self.0.g2(),
            self.0.s_g2(),
        ))
    }

    /// The digest of the verifier's part: the same for every size.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.verifier().digest()
    }

    /// k (u32 LE), then G1 powers, Lagrange points, G2, s·G2, uncompressed.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + (128 << self.k()) + 256);
        // Writing to a vector does not fail.
        let _ = self.0.write_custom(&mut bytes, SerdeFormat::RawBytesUnchecked);
        bytes
    }

    /// Reads what [`Srs::write`] wrote, and checks every point and the powers.
    ///
    /// # Errors
    /// Wrong length, a point off the curve, or points that are not powers of one secret.
    pub fn read(bytes: &[u8]) -> Result<Self, SrsError> {
        let srs = Self::read_unchecked(bytes)?;
        check_points(srs.0.get_g(), &srs.0.s_g2())?;
        srs.check()?;
        Ok(srs)
    }

    /// Reads without checking points: only for bytes whose digest the caller has compared with a trusted one.
    ///
    /// # Errors
    /// Wrong length.
    pub fn read_unchecked(bytes: &[u8]) -> Result<Self, SrsError> {
        let k = bytes
            .first_chunk::<4>()
            .map(|b| u32::from_le_bytes(*b))
            .ok_or(SrsError::Format("too short"))?;
        if k > u32::from(MAX_K) {
            return Err(SrsError::Size(k));
        }
        // Uncompressed points are 64 and 128 bytes; the length is compared before anything is allocated.
        if bytes.len() != 4 + (128usize << k) + 256 {
            return Err(SrsError::Format("the length is not that of its size"));
        }
        ParamsKZG::read_custom(&mut &bytes[..], SerdeFormat::RawBytesUnchecked)
            .map(Self)
            .map_err(|_| SrsError::Format("unreadable point"))
    }

    /// Checks that the points are `s^i·G` for the `s` of `s·G2`, and that the Lagrange points are theirs.
    ///
    /// A random combination ρ: `e(Σ ρ_i g_{i+1}, G2) = e(Σ ρ_i g_i, s·G2)` holds for other points with probability
    /// 2^-250. A random polynomial must have one commitment in both bases.
    ///
    /// # Errors
    /// Which of it does not hold.
    pub fn check(&self) -> Result<(), SrsError> {
        let g = self.0.get_g();
        if g[0] != G1Affine::generator() || self.0.g2() != G2Affine::generator() {
            return Err(SrsError::Powers("another generator"));
        }
        let mut rng = ChaCha20Rng::from_entropy();
        let rho: Vec<Fr> = (1..g.len()).map(|_| Fr::random(&mut rng)).collect();
        let (low, high) = (
            best_multiexp(&rho, &g[..g.len() - 1]),
            best_multiexp(&rho, &g[1..]),
        );
        if pairing(&high.to_affine(), &self.0.g2()) != pairing(&low.to_affine(), &self.0.s_g2()) {
            return Err(SrsError::Powers("the pairing ratio differs"));
        }
        let domain = halo2_proofs::poly::EvaluationDomain::<Fr>::new(1, self.k());
        let mut values = domain.empty_lagrange();
        values.iter_mut().for_each(|v| *v = Fr::from(rng.next_u64()));
        let blind = halo2_proofs::poly::commitment::Blind(Fr::ZERO);
        let in_lagrange = self.0.commit_lagrange(&values, blind);
        if in_lagrange != self.0.commit(&domain.lagrange_to_coeff(values), blind) {
            return Err(SrsError::Powers("the Lagrange points are others"));
        }
        Ok(())
    }
}

/// The library builds parameters from parts only through an existing value.
fn anchor() -> ParamsKZG<Bn256> {
    ParamsKZG::setup(1, ChaCha20Rng::from_seed(DEVELOPMENT_SEED))
}

fn check_points(g: &[G1Affine], s_g2: &G2Affine) -> Result<(), SrsError> {
    if let Some(at) = g
        .iter()
        .position(|p| !bool::from(p.is_on_curve()) || bool::from(p.is_identity()))
    {
        return Err(SrsError::Point(at));
    }
    // G2 has a cofactor: −s·G2 computed as (p − 1)·s·G2 equals the negation exactly for points of order p.
    let in_group = bool::from((*s_g2 * -Fr::ONE + G2::from(*s_g2)).is_identity());
    if !bool::from(s_g2.is_on_curve()) || bool::from(s_g2.is_identity()) || !in_group {
        return Err(SrsError::Powers("s·G2 is not in its group"));
    }
    Ok(())
}

impl VerifierSrs {
    /// The verifier part of the development SRS: proofs under it are FORGEABLE BY ANYONE.
    #[must_use]
    pub fn development() -> Self {
        Srs::development(1).verifier()
    }

    /// The same part as parameters of 2^k rows: the library takes the size of the evaluation domain from here.
    pub(crate) fn for_rows(&self, k: u32) -> ParamsKZG<Bn256> {
        let g = vec![self.0.get_g()[0]];
        self.0
            .from_parts(k, g.clone(), Some(g), self.0.g2(), self.0.s_g2())
    }

    /// SHA-256 of [`VerifierSrs::to_bytes`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// G1 generator, G2 generator, s·G2, compressed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.get_g()[0].to_bytes().as_ref().to_vec();
        bytes.extend_from_slice(self.0.g2().to_bytes().as_ref());
        bytes.extend_from_slice(self.0.s_g2().to_bytes().as_ref());
        bytes
    }

    /// Reads what [`VerifierSrs::to_bytes`] wrote.
    ///
    /// # Errors
    /// Wrong length, other generators, a point outside its group, or a second spelling.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SrsError> {
        let expected = Self::development().to_bytes();
        if bytes.len() != expected.len() {
            return Err(SrsError::Format("the length is not that of a verifier part"));
        }
        let at = bytes.len() - G2Affine::generator().to_bytes().as_ref().len();
        if bytes[..at] != expected[..at] {
            return Err(SrsError::Powers("another generator"));
        }
        let mut repr = <G2Affine as GroupEncoding>::Repr::default();
        repr.as_mut().copy_from_slice(&bytes[at..]);
        let s_g2 = Option::<G2Affine>::from(G2Affine::from_bytes(&repr)).ok_or(SrsError::Point(0))?;
        check_points(&[], &s_g2)?;
        let g = vec![G1Affine::generator()];
        let srs = Self(anchor().from_parts(0, g.clone(), Some(g), G2Affine::generator(), s_g2));
        if srs.to_bytes() == bytes {
            Ok(srs)
        } else {
            Err(SrsError::Format("a second spelling"))
        }
    }
}

/// The digest of the development SRS, which verifiers refuse unless told otherwise.
#[must_use]
pub fn development_srs_digest() -> Digest {
    VerifierSrs::development().digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_the_same_digest_and_reads_back() {
        let srs = Srs::development(6);
        assert_eq!(srs.digest(), Srs::development(4).digest());
        assert_eq!(srs.digest(), srs.downsize(5).unwrap().digest());
        assert_eq!(Srs::read(&srs.write()).unwrap().write(), srs.write());
        srs.downsize(4).unwrap().check().unwrap();
        assert_eq!(
            VerifierSrs::from_bytes(&srs.verifier().to_bytes())
                .unwrap()
                .digest(),
            srs.digest()
        );
    }

    #[test]
    fn rejects_points_that_are_not_powers() {
        let srs = Srs::development(4);
        let mut g = srs.0.get_g().to_vec();
        g.swap(3, 4);
        assert!(matches!(
            Srs::from_powers(g, srs.0.s_g2()),
            Err(SrsError::Powers(_))
        ));
        let mut bytes = srs.write();
        bytes[4 + 64 * 5 + 7] ^= 1;
        assert_eq!(Srs::read(&bytes).unwrap_err(), SrsError::Point(5));
        bytes.pop();
        assert!(matches!(Srs::read(&bytes), Err(SrsError::Format(_))));
        assert!(matches!(Srs::read(&[255; 4]), Err(SrsError::Size(_))));
        // A Lagrange point replaced by another good point.
        let mut bytes = srs.write();
        let at = 4 + 64 * 16;
        bytes.copy_within(at + 64..at + 128, at);
        assert!(matches!(Srs::read(&bytes), Err(SrsError::Powers(_))));
    }
}
