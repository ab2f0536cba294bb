//! Which widths a model's tensors get: the cheapest that keep the budget.
//!
//! Invariant: what is chosen was measured on all samples, and no step hangs on anything but the model, the samples and the options.
//! A profile that somebody names is taken as it stands.
//!
//! Steps that cost more come later:
//! 1. A profile for all tensors, from few bits to many, with one bit of headroom; of each first with shifts of at most one limb, for
//!    which weights give up their last bits, then with all of their bits.
//! 2. Where 16 bits leave too little: the same widths with little headroom, which costs no cell, only answers to inputs that reach
//!    farther; so never on samples that were made up.
//! 3. 16 bits with the bits of the next profile for some tensors, those first whose rounding does the outputs the most harm for what
//!    a wider value costs: in trained transformers that is the residual stream, the tensors of norms and GELU's.
//! 4. The next profile for all, whose weights have more bits too.
//!
//! A tensor beyond 16 bits is not widened by a bit or two: a value of 17 bits is cut into as many limbs as one of 20.

use std::cmp::Ordering;

use zkinfer_crds::compile_report::Outcome;
use zkml::graph::scale::power_of_two;
use zkml::graph::{IntGraph, Profile, ProfileLimits, QuantisationPlan, TensorId};

use crate::calibrate::{CalibrateError, CalibrationOptions};
use crate::float::{FloatGraph, FloatNode, FloatTensor, Hold};
use crate::functions::EXPONENTS_OUT;
use crate::measure::{AccuracyReport, Against, Measured, Tried};
use crate::ops::{FEWEST_WEIGHT_BITS, Scales};
use crate::progress::{Counter, Listener, Stage};
use crate::quantise::{self, QuantiseError};
use crate::widths::widths;
use crate::{reach, sensitivity};

/// Of the budget, what calibration leaves to inputs that it has not seen: their errors are greater than the samples'.
const ROOM: f64 = 0.5;

/// One bit: the error of a value just beyond the calibrated range is far greater than what the bit costs.
const ONE_BIT: f64 = 2.0;

/// From so many samples on the greatest value of a tensor is nearly as great as it gets, and so much beyond it was enough for every
/// input of the same kind that was tried; of fewer samples, so much.
const MANY: (usize, f64) = (32, 1.25);
const FEW: f64 = 1.5;

/// Samples after which a way that is above the budget is given up.
const FIRST: usize = 4;

/// The widths that some tensors leave, and those that they get.
const NARROW: Profile = Profile::P16;
const WIDE: Profile = Profile::P20;

/// Into so many parts the tensors are divided that may be widened: each half of what is left costs a pass over the samples.
const PARTS: usize = 16;

/// One way to hold the model in integers.
#[derive(Debug, Clone, PartialEq)]
struct Way {
    profile: Profile,
    /// Tensors that have the bits of [`WIDE`].
    widened: Vec<TensorId>,
    /// How far beyond the greatest value that was seen a tensor reaches.
    headroom: f64,
    /// Whether weights give up bits whose products cost a limb.
    short: bool,
}

impl Way {
    /// As a profile says it.
    const fn whole(profile: Profile) -> Self {
        Self {
            profile,
            widened: Vec::new(),
            headroom: ONE_BIT,
            short: false,
        }
    }

    /// With shifts as short as they can be.
    fn short(profile: Profile) -> Self {
        Self {
            short: true,
            ..Self::whole(profile)
        }
    }
}

/// A way with what it comes to.
struct Candidate {
    plan: QuantisationPlan,
    int: IntGraph,
    measured: Measured,
    /// Its place in what was tried.
    tried: usize,
}

/// Chooses, and says what was tried.
///
/// # Errors
/// No way holds the model.
pub(crate) fn choose(
    against: &Against<'_>,
    options: &CalibrationOptions,
    listener: Listener<'_>,
) -> Result<(QuantisationPlan, AccuracyReport), CalibrateError> {
    let mut search = Search {
        against,
        options,
        listener,
        kept: None,
        best: None,
        narrow: None,
        refused: None,
        given_up: Vec::new(),
        tried: Vec::new(),
    };
    match options.profile {
        Some(profile) => _ = search.attempt(&Way::whole(profile), true),
        None => search.all()?,
    }
    search.chosen()
}

struct Search<'a> {
    against: &'a Against<'a>,
    options: &'a CalibrationOptions,
    listener: Listener<'a>,
    /// The last that keeps the budget with room: each that follows is cheaper.
    kept: Option<Candidate>,
    /// The best of the others.
    best: Option<Candidate>,
    /// The plan of [`NARROW`], where the model has one.
    narrow: Option<QuantisationPlan>,
    refused: Option<CalibrateError>,
    /// Ways that were above the budget on the first samples, with their error there.
    given_up: Vec<(Way, f64)>,
    tried: Vec<Tried>,
}

impl Search<'_> {
    fn all(&mut self) -> Result<(), CalibrateError> {
        let decides = reach::decides(self.against.graph);
        let profiles = in_order(decides.then_some(self.options.deciding));
        for profile in profiles {
            // Where weights have no bits to spare, both are the same function.
            let spare = ProfileLimits::of(profile).weight_bits > FEWEST_WEIGHT_BITS;
            let kept = self.attempt(&Way::short(profile), false)
                || (spare && self.attempt(&Way::whole(profile), profile == WIDE));
            if kept {
                return if profile == WIDE { self.narrower() } else { Ok(()) };
            }
        }
        self.narrower()
    }

    /// What keeps the budget at less than [`WIDE`] for all tensors costs, or at as much where that does not keep it.
    fn narrower(&mut self) -> Result<(), CalibrateError> {
        let Some(narrow) = self.narrow.take() else {
            return Ok(());
        };
        let little = self.little();
        let way = |profile, widened: &[TensorId], short| Way {
            profile,
            widened: widened.to_vec(),
            headroom: little.unwrap_or(ONE_BIT),
            short,
        };
        if little.is_some()
            && [true, false]
                .iter()
                .any(|short| self.attempt(&way(NARROW, &[], *short), false))
        {
            return Ok(());
        }
        let order = self.order(&narrow)?;
        // With all of them, but weights of fewer bits than the next profile has.
        let all = |short: &&bool| !order.is_empty() && self.attempt(&way(NARROW, &order, **short), false);
        if let Some(&short) = [true, false].iter().find(all) {
            let (mut few, mut enough) = (0, order.len());
            while enough - few > order.len().div_ceil(PARTS) {
                let some = few.midpoint(enough);
                if self.attempt(&way(NARROW, &order[..some], short), false) {
                    enough = some;
                } else {
                    few = some;
                }
            }
        } else if little.is_some() && self.kept.is_none() {
            self.attempt(&way(WIDE, &[], false), true);
        }
        Ok(())
    }

    /// Less headroom than a bit, where somebody has given samples.
    fn little(&self) -> Option<f64> {
        let rows = self.against.rows;
        let (many, enough) = MANY;
        (!rows.made_up).then_some(if rows.count < many { FEW } else { enough })
    }

    /// Tensors that may be wider, those first whose rounding does the most harm for what a wider value costs.
    fn order(&self, narrow: &QuantisationPlan) -> Result<Vec<TensorId>, CalibrateError> {
        let Against {
            graph, samples, rule, ..
        } = *self.against;
        let (few, many) = (bits(graph, NARROW), bits(graph, WIDE));
        let changes = sensitivity::of(graph, samples, &rule.output_scale)
            .map_err(|source| CalibrateError::Sample { index: 0, source })?;
        let harm = |id: TensorId, price: f64| {
            let at = id.0 as usize;
            let free = !graph.tensors[at].whole && many[at] > few[at];
            let step = power_of_two(-i32::from(narrow.tensors[at].exponent));
            // Of the values of a tensor each has the harm and the price.
            (free && changes[at] > 0.0).then(|| (step * step * changes[at] / price, id))
        };
        let inputs = graph.inputs.iter().filter_map(|id| harm(*id, OF_INPUT));
        let made = graph
            .nodes
            .iter()
            .filter_map(|node| harm(node.output, node.op.price()?));
        let mut harms: Vec<(f64, TensorId)> = inputs.chain(made).collect();
        harms.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        Ok(harms.into_iter().map(|(_, id)| id).collect())
    }

    /// Whether a way keeps the budget with room. One that is above it on the first samples is given up, unless nothing is finer.
    fn attempt(&mut self, way: &Way, finest: bool) -> bool {
        let at = self.tried.len();
        self.tried.push(Tried {
            profile: way.profile,
            widened: way.widened.len(),
            headroom: way.headroom,
            short: way.short,
            max_error: None,
            outcome: Outcome::Refused,
            refused: None,
        });
        match self.measured(way, finest) {
            Ok(Some(found)) => self.judge(found, at),
            Ok(None) => false,
            Err(why) => {
                // A way that cannot hold the model says nothing about the next.
                self.tried[at].refused = Some(why.to_string());
                self.refused = Some(why);
                false
            }
        }
    }

    /// What a way comes to on all samples; none where it is given up before.
    fn measured(&mut self, way: &Way, finest: bool) -> Result<Option<Candidate>, CalibrateError> {
        let against = self.against;
        let plan = plan(against, way)?;
        let int = quantise::apply(against.graph, &plan)?;
        if way.profile == NARROW && self.narrow.is_none() && way.widened.is_empty() {
            self.narrow = Some(plan.clone());
        }
        let count = against.samples.len();
        let counter = Counter::new(Stage::Measuring(way.profile), count as u64, self.listener);
        let whole = against.graph.exact.contains(&true);
        if !finest && !whole && count > 2 * FIRST {
            let first = against.measure(&int, FIRST, &Counter::silent(Stage::Measuring(way.profile)))?;
            let error = first.report.max_error;
            if error > self.options.error_budget {
                self.given_up.push((way.clone(), error));
                if let Some(tried) = self.tried.last_mut() {
                    (tried.max_error, tried.outcome) = (Some(error), Outcome::OverBudget);
                }
                return Ok(None);
            }
        }
        let measured = against.measure(&int, count, &counter)?;
        Ok(Some(Candidate {
            plan,
            int,
            measured,
            tried: self.tried.len().saturating_sub(1),
        }))
    }

    /// Keeps what was measured where it is to be kept. Whether it leaves room.
    fn judge(&mut self, found: Candidate, at: usize) -> bool {
        let exact = self.against.graph.exact.contains(&true);
        let accuracy = &found.measured.report;
        let compared = self.options.compare_top1 || exact;
        let same = !compared || accuracy.top1_agreement >= 1.0;
        let roomy = accuracy.max_error <= ROOM * self.options.error_budget && same;
        let tried = &mut self.tried[at];
        tried.max_error = Some(accuracy.max_error);
        tried.outcome = match (roomy, accuracy.within_budget && same) {
            (true, _) => Outcome::Kept,
            (false, true) => Outcome::NoRoom,
            (false, false) => Outcome::OverBudget,
        };
        if roomy {
            self.kept = Some(found);
            return true;
        }
        // Whole numbers have no error: they are the same, or the answer is refused.
        let better = |b: &AccuracyReport| match accuracy.top1_agreement.total_cmp(&b.top1_agreement) {
            Ordering::Greater if exact => true,
            Ordering::Less if exact => false,
            _ => accuracy.max_error < b.max_error,
        };
        if self.best.as_ref().is_none_or(|b| better(&b.measured.report)) {
            self.best = Some(found);
        }
        false
    }

    /// What is taken in the end: with room, or else the best.
    fn chosen(mut self) -> Result<(QuantisationPlan, AccuracyReport), CalibrateError> {
        if self.kept.is_none() && self.best.is_none() {
            // Everything else was refused: of what was given up that which came nearest.
            let nearest = std::mem::take(&mut self.given_up);
            let nearest = nearest.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((way, _)) = nearest {
                self.attempt(&way, true);
            }
        }
        let Some(chosen) = self.kept.or(self.best) else {
            return Err(self.refused.unwrap_or(CalibrateError::Count(0)));
        };
        let nodes = self.against.nodes(&chosen.int, &chosen.measured)?;
        let mut report = chosen.measured.report;
        if let Some(tried) = self.tried.get_mut(chosen.tried) {
            (tried.outcome, report.widened) = (Outcome::Chosen, tried.widened);
        }
        (report.tried, report.nodes) = (self.tried, nodes);
        Ok((chosen.plan, report))
    }
}

/// Whoever verifies sees an input, so that nothing proves its range.
const OF_INPUT: f64 = 0.25;

/// By tensor, the bits that a profile gives it, as far as plans of [`NARROW`] may have them.
fn bits(graph: &FloatGraph, profile: Profile) -> Vec<u8> {
    let most = ProfileLimits::of(NARROW).max_bits;
    let widths = widths(graph, &ProfileLimits::of(profile));
    widths.into_iter().map(|bits| bits.min(most)).collect()
}

/// The profiles from a first one on, and then what is coarser, the finest first: it is better than none.
fn in_order(first: Option<Profile>) -> Vec<Profile> {
    let coarser = |p: &Profile| first.is_some_and(|first| *p < first);
    let (coarser, mut order): (Vec<Profile>, Vec<Profile>) = Profile::ALL.iter().partition(|p| coarser(p));
    order.extend(coarser.into_iter().rev());
    order
}

/// One scale per tensor from its magnitude, one shift per linear node from its coefficients.
fn plan(against: &Against<'_>, way: &Way) -> Result<QuantisationPlan, QuantiseError> {
    let Against {
        graph, magnitudes, ..
    } = *against;
    let limits = ProfileLimits::of(way.profile);
    // What cannot leave its bound needs no headroom, and has room up to there whatever the samples were. An input is a stranger's:
    // it is what first reaches farther than any sample.
    let reach = |(id, (m, tensor)): (TensorId, (&f64, &FloatTensor))| match (tensor.hold, tensor.bound) {
        // From 0 on, so that a sign's bit is one of the values'.
        (Hold::Edge(end), _) => f64::from(end) / 2.0,
        (Hold::Within(end), _) => (m * way.headroom).min(f64::from(end)),
        (Hold::Calibrated, Some(bound)) => bound.magnitude() as f64,
        _ if graph.inputs.contains(&id) => m * ONE_BIT,
        _ => m * way.headroom,
    };
    let tensors = (0..).map(TensorId).zip(magnitudes.iter().zip(&graph.tensors));
    let mut reaches: Vec<f64> = tensors.map(reach).collect();
    // What is beyond a clamp's ends is held in its steps.
    for node in &graph.nodes {
        let hold = |id: TensorId| graph.tensors[id.0 as usize].hold;
        for read in node.inputs.iter().filter(|id| hold(**id) == Hold::Beyond) {
            reaches[read.0 as usize] = reaches[node.output.0 as usize];
        }
    }
    let mut widths = widths(graph, &limits);
    if !way.widened.is_empty() {
        let wide = bits(graph, WIDE);
        for id in &way.widened {
            let at = id.0 as usize;
            widths[at] = widths[at].max(wide[at]);
        }
    }
    let wholes = reach::of(graph, magnitudes, limits.max_bits);
    let mut scales = Scales::new(&reaches, &widths, way.profile);
    scales.short_shifts = way.short;
    scales.rooms = graph
        .tensors
        .iter()
        .map(|tensor| (tensor.hold, tensor.bound))
        .collect();
    for (id, of) in (0..).map(TensorId).zip(&wholes) {
        if let Some(of) = of {
            scales.whole(id, *of, graph.inputs.contains(&id));
        }
    }
    let mut shift = |node: &FloatNode| {
        let shift = node.op.scale(&node.inputs, node.output, &mut scales);
        if scales.too_small {
            return Err(QuantiseError::Small {
                node: node.name.clone(),
                finest: *EXPONENTS_OUT.end(),
                resolution: limits.resolution,
            });
        }
        Ok(shift)
    };
    let shifts = graph.nodes.iter().map(&mut shift).collect::<Result<_, _>>()?;
    Ok(QuantisationPlan {
        profile: way.profile,
        tensors: scales.tensors,
        shifts,
    })
}
