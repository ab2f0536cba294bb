//! What is proved of weights by one rule in so many rows: integer graph, manifest and keys, made by this code alone.
//!
//! Invariant: a rule and a size have one program, and everybody who has this code has the same: nothing of it comes from a receipt.
//! Its graph is of one slice.

use rand::rngs::OsRng;
use zkinfer_crds::{ClaimId, Digest, Identity, ProofSystem, RequestUid, SliceIndex};
use zkinfer_scoring::Rule;
use zkml::backend::{KeyError, LayoutError, NO_SRS, Proving, ProvingFiles, Setup, Systems};
use zkml::graph::{EvaluateError, IntGraph, IntTensor, Profile, QuantisationPlan, TensorScale};
use zkml::manifest::{self, Manifest, ManifestError, ManifestSlice};
use zkml::proof::{SliceProver, SliceProverError};
use zkml::receipt::{BuildError, ReceiptBuilder};
use zkml::relations::{self, LowerError};
use zkml::systems;

use crate::graph::{self, GIVEN};
use crate::rule::{self, Given};
use crate::sheet::SheetError;

/// Why weights have no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The totals do not go through the rule's steps.
    #[error("the rule's identities: {0}")]
    Sheet(#[from] SheetError),
    /// The graph does not take them.
    #[error("the rule's graph: {0}")]
    Evaluate(#[from] EvaluateError),
    /// The graph has no relations.
    #[error("the rule's graph: {0}")]
    Lower(#[from] LowerError),
    /// The proof system has no place for them.
    #[error("the rule's graph: {0}")]
    Layout(#[from] LayoutError),
    /// Keys.
    #[error("the rule's keys: {0}")]
    Key(#[from] KeyError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Proving.
    #[error(transparent)]
    Prove(#[from] SliceProverError),
    /// The receipt.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Program {
    rule: Rule,
    graph: IntGraph,
    manifest: Manifest,
}

/// To whom a proof is bound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'a> {
    pub(crate) network: &'a str,
    pub(crate) request: RequestUid,
    pub(crate) identity: Identity,
}

impl Program {
    /// That of a rule, in one of [`SIZES`](crate::SIZES).
    ///
    /// # Errors
    /// A graph that the proof system does not prove.
    pub fn new(rule: &Rule, rows: usize) -> Result<Self, ProgramError> {
        // Somebody has to have a weight; which numbers these are makes no difference to the graph.
        let blank = Given::blank(rows, [0, 1]);
        let drawn = rule::draw(&blank, rule.constants());
        let graph = graph::draw(&drawn);
        graph.validate().map_err(EvaluateError::from)?;
        let system = system();
        let nodes = 0..graph.nodes.len();
        let relations = relations::lower(&graph, nodes.clone(), &graph.inputs, &graph.outputs)?;
        let (parameters, _) = system.choose(&relations)?;
        let keys = system.keygen(&relations, parameters, &Setup::Transparent)?;
        let slices = vec![ManifestSlice {
            vk: keys.vk,
            inputs: graph.inputs.clone(),
            circuit: keys.circuit,
            outputs: graph.outputs.clone(),
            first_node: 0,
            node_count: nodes.end as u32,
        }];
        // Whole numbers stand for themselves.
        let scales = graph.tensors.iter().map(|tensor| TensorScale {
            bits: tensor.range.bits,
            exponent: tensor.exponent,
        });
        let manifest = Manifest {
            srs: NO_SRS,
            batch: 1,
            graph: graph.digest(),
            // No file of a model: the rule with its version and constants is what the graph is of.
            model: rule.digest(),
            inputs: graph.inputs.clone(),
            boundary: manifest::boundary(&graph, &slices),
            slices,
            outputs: graph.outputs.clone(),
            version: manifest::VERSION,
            node_count: nodes.end as u32,
            parameter_id: system.parameter_id(),
            proof_system: system.id(),
            quantisation: QuantisationPlan {
                shifts: vec![0; nodes.end],
                profile: Profile::P20,
                tensors: scales.collect(),
            },
            error_budget_millionths: 0,
        };
        manifest.check(systems::SYSTEMS)?;
        Ok(Self {
            rule: rule.clone(),
            graph,
            manifest,
        })
    }

    /// The rule.
    #[must_use]
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The integer graph.
    #[must_use]
    pub const fn graph(&self) -> &IntGraph {
        &self.graph
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The graph's inputs for what is given: what the rule finds on its way, filled in.
    pub(crate) fn inputs(&self, given: &Given) -> Result<Vec<IntTensor>, ProgramError> {
        let mut drawn = rule::draw(given, self.rule.constants());
        drawn.sheet = drawn.sheet.finish()?;
        Ok(graph::inputs(&drawn))
    }

    /// The inputs that a file says, and no other.
    pub(crate) fn given(&self, given: &Given) -> Vec<IntTensor> {
        let mut inputs = graph::inputs(&rule::draw(given, self.rule.constants()));
        inputs.truncate(GIVEN.len());
        inputs
    }

    /// Proves it, and gives the receipt's bytes.
    pub(crate) fn prove(&self, inputs: &[IntTensor], bound: &Bound<'_>) -> Result<Vec<u8>, ProgramError> {
        let tensors = self.graph.evaluate(inputs)?;
        let slice = SliceIndex(0);
        let list: [&'static dyn Proving; 1] = [system()];
        let files = ProvingFiles::default();
        let prover = SliceProver::new(Systems::new(&list), &self.manifest, &self.graph, slice, &files)?;
        let mut receipt = ReceiptBuilder::new(&self.manifest, bound.network, bound.request, &tensors)?;
        // There is one claim, which is the request's.
        let claim = ClaimId::new(*bound.request.as_bytes());
        let statement = receipt.statement(slice, claim, bound.identity);
        let values: Vec<Vec<i64>> = inputs.iter().map(|input| input.values.clone()).collect();
        let (envelope, _) = prover.prove(&statement, &values, OsRng)?;
        receipt.add(slice, claim, bound.identity, &envelope)?;
        Ok(receipt.finish()?.to_bytes())
    }

    /// The file that the manifest names.
    pub(crate) fn file(&self, digest: Digest) -> Option<Vec<u8>> {
        (digest == self.manifest.graph).then(|| self.graph.to_bytes())
    }
}

fn system() -> &'static dyn Proving {
    systems::proving(ProofSystem::SumcheckWhir)
}
