//! Builds a receipt from a run: values once, then one proof per slice.

use std::sync::Arc;

use serde::Serialize;
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid, SliceIndex};

use super::{BoundaryValues, Receipt, RunStatement, SliceReceipt, VERSION};
use crate::canonical::{self, CanonicalError};
use crate::envelope::Envelope;
use crate::graph::{IntTensor, TensorId, TensorInfo};
use crate::manifest::Manifest;

/// Why a receipt cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A boundary tensor was not evaluated, or has not as many values as the manifest says.
    #[error("tensor {0} has no value, or not as many as the manifest says")]
    Tensor(u32),
    /// The manifest has no such slice.
    #[error("the manifest has no slice {0}")]
    NoSlice(SliceIndex),
    /// A slice has no proof yet.
    #[error("slice {0} has no proof")]
    Unproved(usize),
    /// Not an envelope.
    #[error("not a proof envelope: {0}")]
    Envelope(#[from] CanonicalError),
}

/// Values of a slice's inputs and of its outputs, by tensor.
pub type SliceValues<'a> = (Vec<&'a [i64]>, Vec<&'a [i64]>);

/// What is known of a run before anything of it is proved: every statement, and the boundary's values.
#[derive(Debug)]
pub struct RunValues {
    /// Without a proof.
    receipt: Receipt,
    run: RunStatement,
}

/// A receipt in the making. Proofs must have been verified by the caller.
#[derive(Debug, Clone)]
pub struct ReceiptBuilder {
    values: Arc<RunValues>,
    proofs: Vec<Option<SliceReceipt>>,
}

/// A [`Receipt`] as it is written, made of parts that stand elsewhere.
#[derive(Serialize)]
struct Written<'a> {
    srs: &'a Digest,
    inner: &'a [BoundaryValues],
    input: &'a [BoundaryValues],
    output: &'a [BoundaryValues],
    slices: Vec<&'a SliceReceipt>,
    network: &'a str,
    request: &'a RequestUid,
    version: &'a u32,
    manifest: &'a Manifest,
}

impl RunValues {
    fn new(
        manifest: &Manifest,
        network: &str,
        request: RequestUid,
        tensors: &[IntTensor],
    ) -> Result<Self, BuildError> {
        let tensor = |id: TensorId| {
            let expected = manifest.tensor(id).map(TensorInfo::len);
            let tensor = tensors.get(id.0 as usize);
            let tensor = tensor.filter(|t| Some(t.values.len()) == expected);
            tensor.ok_or(BuildError::Tensor(id.0))
        };
        let of = |ids: &[TensorId]| {
            ids.iter()
                .map(|&id| tensor(id).cloned())
                .collect::<Result<Vec<_>, _>>()
        };
        let values = |ids: &[TensorId]| {
            ids.iter()
                .map(|&id| {
                    tensor(id).map(|t| BoundaryValues {
                        id,
                        values: t.values.clone(),
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let inner: Vec<_> = manifest.inner().map(|t| t.id).collect();
        let receipt = Receipt {
            version: VERSION,
            srs: manifest.srs,
            manifest: manifest.clone(),
            request,
            network: network.to_owned(),
            input: values(&manifest.inputs)?,
            inner: values(&inner)?,
            output: values(&manifest.outputs)?,
            slices: Vec::new(),
        };
        let run = RunStatement::new(
            manifest,
            network,
            request,
            &of(&manifest.inputs)?,
            &of(&manifest.outputs)?,
        );
        Ok(Self { receipt, run })
    }

    /// The digest that a proof of this claim must be bound to.
    #[must_use]
    pub fn statement(&self, slice: SliceIndex, claim: ClaimId, identity: Identity) -> Digest {
        self.run.slice(slice, claim, identity).digest()
    }

    /// Values of a slice's inputs and outputs, in the manifest's order.
    ///
    /// # Errors
    /// A slice that the manifest does not have.
    pub fn boundary(&self, slice: SliceIndex) -> Result<SliceValues<'_>, BuildError> {
        let entry = self
            .receipt
            .manifest
            .slices
            .get(slice.0 as usize)
            .ok_or(BuildError::NoSlice(slice))?;
        let all = self.receipt.values();
        let values = |ids: &[TensorId]| {
            ids.iter()
                .map(|&id| all.get(&id).copied().ok_or(BuildError::Tensor(id.0)))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok((values(&entry.inputs)?, values(&entry.outputs)?))
    }
}

impl ReceiptBuilder {
    /// Starts a receipt; `tensors` are the values of the integer graph by id, of the boundary at least.
    ///
    /// # Errors
    /// A boundary tensor that is not among them.
    pub fn new(
        manifest: &Manifest,
        network: &str,
        request: RequestUid,
        tensors: &[IntTensor],
    ) -> Result<Self, BuildError> {
        Ok(Self {
            values: Arc::new(RunValues::new(manifest, network, request, tensors)?),
            proofs: vec![None; manifest.slices.len()],
        })
    }

    /// What is known of the run, for whoever verifies several proofs of it at the same time.
    #[must_use]
    pub fn values(&self) -> Arc<RunValues> {
        Arc::clone(&self.values)
    }

    /// As [`RunValues::statement`].
    #[must_use]
    pub fn statement(&self, slice: SliceIndex, claim: ClaimId, identity: Identity) -> Digest {
        self.values.statement(slice, claim, identity)
    }

    /// As [`RunValues::boundary`].
    ///
    /// # Errors
    /// A slice that the manifest does not have.
    pub fn boundary(&self, slice: SliceIndex) -> Result<SliceValues<'_>, BuildError> {
        self.values.boundary(slice)
    }

    /// Adds the verified proof of a slice.
    ///
    /// # Errors
    /// A slice that the manifest does not have, or bytes that are no envelope.
    pub fn add(
        &mut self,
        slice: SliceIndex,
        claim: ClaimId,
        identity: Identity,
        envelope: &[u8],
    ) -> Result<(), BuildError> {
        let place = self
            .proofs
            .get_mut(slice.0 as usize)
            .ok_or(BuildError::NoSlice(slice))?;
        *place = Some(SliceReceipt {
            claim,
            identity,
            proof: Envelope::from_bytes(envelope)?.proof,
        });
        Ok(())
    }

    /// The receipt's bytes, as [`Receipt::to_bytes`] writes them, without a copy of what is in it.
    ///
    /// # Errors
    /// A slice without a proof.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuildError> {
        let proofs = self.proofs.iter().enumerate();
        let slices = proofs
            .map(|(index, proof)| proof.as_ref().ok_or(BuildError::Unproved(index)))
            .collect::<Result<_, _>>()?;
        let Receipt {
            srs,
            inner,
            input,
            output,
            // Those of a receipt in the making are beside it.
            slices: _,
            network,
            request,
            version,
            manifest,
        } = &self.values.receipt;
        Ok(canonical::to_bytes(&Written {
            srs,
            inner,
            input,
            output,
            slices,
            network,
            request,
            version,
            manifest,
        }))
    }

    /// The receipt.
    ///
    /// # Errors
    /// A slice without a proof.
    pub fn finish(self) -> Result<Receipt, BuildError> {
        let slices = self
            .proofs
            .into_iter()
            .enumerate()
            .map(|(index, proof)| proof.ok_or(BuildError::Unproved(index)))
            .collect::<Result<_, _>>()?;
        Ok(Receipt {
            slices,
            ..self.values.receipt.clone()
        })
    }
}
