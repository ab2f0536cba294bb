//! Proving and verifying keys of a slice.
//!
//! Invariants: keys are a function of relations, parameters and SRS alone (the same bytes on every machine and any
//! number of threads). A verifying key is stored compressed, with every point checked when read; a proving key is
//! read only from bytes whose digest the caller trusts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use halo2_proofs::SerdeFormat;
use halo2_proofs::halo2curves::bn256::G1Affine;
use halo2_proofs::plonk::{
    ProvingKey as Halo2ProvingKey, VerifyingKey as Halo2VerifyingKey, keygen_pk2, keygen_vk,
};
use zkinfer_crds::Digest;

use super::SliceParameters;
use super::layout::Layout;
use super::plan::LayoutError;
use super::shape::CircuitShape;
use super::synthesize::SliceCircuit;
use super::voice::Honest;
use crate::relations::SliceRelations;
use crate::setup::{Srs, SrsError};

/// Why keys could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The slice has no circuit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The SRS does not fit.
    #[error(transparent)]
    Srs(#[from] SrsError),
    /// The library refused the circuit.
    #[error("key generation failed: {0}")]
    Keygen(String),
    /// The bytes are not a key of this slice.
    #[error("not a {0} key of this slice")]
    Format(&'static str),
}

/// What a prover needs for one slice.
#[derive(Debug, Clone)]
pub struct ProvingKey {
    pub(super) layout: Arc<Layout>,
    pub(super) pk: Arc<Halo2ProvingKey<G1Affine>>,
}

/// What a verifier needs for one slice, beside the relations.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    pub(super) vk: Halo2VerifyingKey<G1Affine>,
}

/// Makes the keys of a slice.
///
/// # Errors
/// A slice without a circuit, or an SRS that is smaller than 2^k.
pub fn keygen(
    relations: &SliceRelations,
    parameters: SliceParameters,
    srs: &Srs,
) -> Result<ProvingKey, KeyError> {
    let (layout, srs, circuit) = prepare(relations, parameters, srs)?;
    let pk = keygen_pk2(&srs.0, &circuit, false).map_err(|e| KeyError::Keygen(e.to_string()))?;
    Ok(ProvingKey {
        layout,
        pk: Arc::new(pk),
    })
}

/// Makes the verifying key alone, with the shape of its circuit: what deriving a manifest again needs.
///
/// # Errors
/// As [`keygen`].
pub fn keygen_verifier(
    relations: &SliceRelations,
    parameters: SliceParameters,
    srs: &Srs,
) -> Result<(VerifyingKey, CircuitShape), KeyError> {
    let (layout, srs, circuit) = prepare(relations, parameters, srs)?;
    let vk = keygen_vk(&srs.0, &circuit).map_err(|e| KeyError::Keygen(e.to_string()))?;
    Ok((VerifyingKey { vk }, layout.shape.clone()))
}

fn prepare(
    relations: &SliceRelations,
    parameters: SliceParameters,
    srs: &Srs,
) -> Result<(Arc<Layout>, Srs, SliceCircuit), KeyError> {
    let layout = Arc::new(Layout::new(relations, parameters)?);
    let srs = srs.downsize(layout.k)?;
    let circuit = SliceCircuit::new(Arc::clone(&layout), None, Honest);
    Ok((layout, srs, circuit))
}

impl ProvingKey {
    /// The verifying key that belongs to it.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey {
            vk: self.pk.get_vk().clone(),
        }
    }

    /// What the circuit's constraint system depends on.
    #[must_use]
    pub fn shape(&self) -> &CircuitShape {
        &self.layout.shape
    }

    /// log2 of the circuit's rows: the size of SRS that proving needs.
    #[must_use]
    pub fn k(&self) -> u32 {
        self.layout.k
    }

    /// Uncompressed: quick to load.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.pk.to_bytes(SerdeFormat::RawBytesUnchecked)
    }

    /// Reads what [`ProvingKey::to_bytes`] wrote. The points are not checked: compare the digest of `bytes` with a
    /// trusted one first. A wrong key gives proofs that do not verify, nothing worse.
    ///
    /// # Errors
    /// A slice without a circuit, or bytes that are no key of it.
    pub fn from_bytes(
        bytes: &[u8],
        relations: &SliceRelations,
        parameters: SliceParameters,
    ) -> Result<Self, KeyError> {
        let layout = Arc::new(Layout::new(relations, parameters)?);
        let shape = layout.shape.clone();
        // The library's reader unwraps; a damaged file must be an error.
        let read = || {
            Halo2ProvingKey::<G1Affine>::from_bytes::<SliceCircuit>(
                bytes,
                SerdeFormat::RawBytesUnchecked,
                shape,
            )
            .ok()
        };
        let pk = catch_unwind(AssertUnwindSafe(read))
            .ok()
            .flatten()
            .ok_or(KeyError::Format("proving"))?;
        if pk.get_vk().get_domain().k() != layout.k {
            return Err(KeyError::Format("proving"));
        }
        Ok(Self {
            layout,
            pk: Arc::new(pk),
        })
    }
}

impl VerifyingKey {
    /// Compressed, canonical.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.vk.to_bytes(SerdeFormat::Processed)
    }

    /// SHA-256 of [`VerifyingKey::to_bytes`]: the key's name in a manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Reads what [`VerifyingKey::to_bytes`] wrote. The gates come from the shape, never from the bytes.
    ///
    /// # Errors
    /// Bytes that are no key of this slice, or a second spelling of one.
    pub fn from_bytes(bytes: &[u8], shape: &CircuitShape) -> Result<Self, KeyError> {
        let k = bytes
            .get(1..5)
            .and_then(|b| b.first_chunk::<4>())
            .map(|b| u32::from_le_bytes(*b));
        let columns = bytes
            .get(6..10)
            .and_then(|b| b.first_chunk::<4>())
            .map(|b| u32::from_le_bytes(*b));
        // Compared before the library allocates by these numbers.
        let fits = k == Some(u32::from(shape.k)) && columns.map(|c| c as usize) == Some(shape.roles.len());
        if !fits || !shape.check() {
            return Err(KeyError::Format("verifying"));
        }
        let read = || {
            Halo2VerifyingKey::<G1Affine>::from_bytes::<SliceCircuit>(
                bytes,
                SerdeFormat::Processed,
                shape.clone(),
            )
            .ok()
        };
        let vk = catch_unwind(AssertUnwindSafe(read))
            .ok()
            .flatten()
            .ok_or(KeyError::Format("verifying"))?;
        let key = Self { vk };
        if key.to_bytes() == bytes {
            Ok(key)
        } else {
            Err(KeyError::Format("verifying"))
        }
    }
}
