//! From a sheet to an integer graph that claims what the sheet's identities claim.
//!
//! | the sheet's | is in the graph |
//! |---|---|
//! | totals, owners, slots, shares | inputs, which whoever verifies makes of a weights file |
//! | limbs, wide cells, chosen rows of tables | inputs, which whoever proves chooses; limbs in 0..2^13 and all others in the range of their tensor |
//! | columns of cells | a matrix of zeros and ones, times the rows: a verifier reads it once, and a wiring at each place of each row |
//! | product of two limbs | [`Product::Elements`] of two choices of columns |
//! | sum over rows | a matrix of zeros and ones, [`Rows`] of a constant by owner or slot, times the limbs |
//! | identity | three maps with constant coefficients, of limbs, wide cells and products, whose sum is 0 |
//!
//! **Why that suffices.** What has to be 0 is multiplied by 4 and requantised to two bits, -2..=1, without a shift: of multiples of 4
//! only 0 has an output. All else is equality with a cell, claimed the same way. No accumulator reaches 2^62, so all of it is of whole
//! numbers. Working that is read is a copy of what is chosen, value by value: claims on a copy are openings, and each claim on an input
//! would take a verifier all of its values.
//!
//! Whoever fills in a sheet as the rule does finds room: a column of an identity adds up ten products of limbs, twice, at most, which
//! is below 2^31.
//!
//! Invariant: which graph it is follows from the sheet's columns and identities, and not from what is filled in.

use std::collections::BTreeMap;

use zkml::graph::{
    Activation, IntGraph, IntRange, IntTensor, Linear, LinearMap, Multiply, Node, Op, Product, Requantise,
    Rows, Shared, TensorId, TensorInfo, Wiring, range_of_rows,
};

use crate::rule::Drawn;
use crate::sheet::{Claim, LIMB_BITS, Number, Over, Sheet, WIDE_BITS};

/// The graph's first inputs, in order: those that a weights file says.
pub(crate) const GIVEN: [&str; 4] = ["totals", "owners", "slots", "shares"];

/// Bits of what is added up of an identity before it is compared with 0.
const CLAIM_BITS: u8 = IntRange::MAX_BITS;
/// Bits of a limb, and of a product of two, with a sign that neither has.
const SIGNED_LIMB: u8 = LIMB_BITS as u8 + 1;
const SIGNED_PRODUCT: u8 = 2 * LIMB_BITS as u8 + 1;

/// Draws the graph of a sheet.
pub(crate) fn draw(drawn: &Drawn) -> IntGraph {
    let mut graph = Drawing::new(drawn);
    graph.given(drawn);
    graph.lookups(&drawn.sheet);
    graph.sums(&drawn.sheet);
    graph.cells(&drawn.sheet);
    graph.claims(&drawn.sheet);
    graph.vector(&drawn.vector);
    graph.graph
}

/// The graph's inputs, as the sheet is filled in: those of [`GIVEN`], the chosen rows of tables, and the working.
pub(crate) fn inputs(drawn: &Drawn) -> Vec<IntTensor> {
    let Drawn { sheet, totals, .. } = drawn;
    let rows = sheet.rows();
    let list = |values: &[u32]| values.iter().map(|v| i64::from(*v)).collect();
    let tensor = |shape: &[usize], values: Vec<i64>| IntTensor {
        shape: shape.iter().map(|d| *d as u32).collect(),
        values,
    };
    let totals = limbs_of(totals.iter());
    let by_row = |columns: &[&Vec<i64>]| {
        let rows = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row]));
        rows.collect::<Vec<i64>>()
    };
    let of_totals: Vec<&Vec<i64>> = totals.iter().map(|at| &sheet.limbs[*at as usize]).collect();
    let shares = [0, rows - 1].into_iter();
    let shares = shares.flat_map(|row| {
        drawn
            .share
            .limbs
            .iter()
            .map(move |at| sheet.limbs[*at as usize][row])
    });
    let mut made = vec![
        tensor(&[rows, totals.len()], by_row(&of_totals)),
        tensor(&[rows], list(&sheet.owners)),
        tensor(&[rows], list(&sheet.slots)),
        tensor(&[2 * drawn.share.limbs.len()], shares.collect()),
    ];
    made.extend(
        sheet
            .lookups
            .iter()
            .map(|lookup| tensor(&[rows], lookup.index.clone())),
    );
    for columns in [&sheet.limbs, &sheet.wide] {
        let all: Vec<&Vec<i64>> = columns.iter().collect();
        made.push(tensor(&[rows, columns.len()], by_row(&all)));
    }
    made
}

/// The columns of numbers, one after the other.
fn limbs_of<'a>(numbers: impl Iterator<Item = &'a Number>) -> Vec<u32> {
    numbers.flat_map(|n| n.limbs.iter().copied()).collect()
}

/// An integer graph in the making.
struct Drawing {
    graph: IntGraph,
    rows: usize,
    totals: TensorId,
    owners: TensorId,
    slots: TensorId,
    shares: TensorId,
    indices: Vec<TensorId>,
    limbs: TensorId,
    wide: TensorId,
    /// Columns of the two.
    width: [usize; 2],
}

impl Drawing {
    fn new(drawn: &Drawn) -> Self {
        let sheet = &drawn.sheet;
        let rows = sheet.rows();
        let graph = IntGraph {
            nodes: Vec::new(),
            inputs: Vec::new(),
            tables: Vec::new(),
            outputs: Vec::new(),
            tensors: Vec::new(),
        };
        let nothing = TensorId(0);
        let mut made = Self {
            graph,
            rows,
            totals: nothing,
            owners: nothing,
            slots: nothing,
            shares: nothing,
            indices: Vec::new(),
            limbs: nothing,
            wide: nothing,
            width: [sheet.limbs.len(), sheet.wide.len()],
        };
        let limb = IntRange::unsigned(LIMB_BITS as u8);
        let row = IntRange::unsigned(bits_below(rows));
        let [totals, owners, slots, shares] = GIVEN;
        made.totals = made.input(totals, limb, &[rows, limbs_of(drawn.totals.iter()).len()]);
        made.owners = made.input(owners, row, &[rows]);
        made.slots = made.input(slots, row, &[rows]);
        made.shares = made.input(shares, limb, &[2 * drawn.share.limbs.len()]);
        for lookup in &sheet.lookups {
            let range = IntRange::unsigned(bits_below(lookup.table.len() / lookup.limbs.len()));
            let index = made.input(lookup.name, range, &[rows]);
            made.indices.push(index);
        }
        let limbs = made.input("limbs", limb, &[rows, made.width[0]]);
        let wide = made.input("wide", IntRange::signed(WIDE_BITS), &[rows, made.width[1]]);
        made.limbs = made.kept("limbs", limbs, SIGNED_LIMB);
        made.wide = made.kept("wide", wide, WIDE_BITS);
        made
    }

    fn tensor(&mut self, name: &str, range: IntRange, shape: &[usize]) -> TensorId {
        let id = TensorId(self.graph.tensors.len() as u32);
        self.graph.tensors.push(TensorInfo {
            name: format!("{name} {}", id.0),
            range,
            shape: shape.iter().map(|d| *d as u32).collect(),
            whole: false,
            ranks: None,
            exponent: 0,
        });
        id
    }

    fn input(&mut self, name: &str, range: IntRange, shape: &[usize]) -> TensorId {
        let id = self.tensor(name, range, shape);
        self.graph.inputs.push(id);
        id
    }

    fn node(
        &mut self,
        name: &str,
        op: Op,
        inputs: Vec<TensorId>,
        range: IntRange,
        shape: &[usize],
    ) -> TensorId {
        let output = self.tensor(name, range, shape);
        self.graph.nodes.push(Node {
            op,
            name: name.to_owned(),
            inputs,
            output,
        });
        output
    }

    fn len(&self, tensor: TensorId) -> usize {
        self.graph.tensors[tensor.0 as usize].len()
    }

    /// Values moved.
    fn wired(&mut self, name: &str, of: TensorId, source: Vec<u32>, shape: &[usize]) -> TensorId {
        let range = self.graph.tensors[of.0 as usize].range;
        let source = Some(Shared::from(source));
        self.node(name, Op::Wiring(Wiring { source }), vec![of], range, shape)
    }

    /// The same values, in a tensor that is committed to.
    fn kept(&mut self, name: &str, of: TensorId, bits: u8) -> TensorId {
        let shape: Vec<usize> = self.graph.tensors[of.0 as usize]
            .shape
            .iter()
            .map(|d| *d as usize)
            .collect();
        let map = LinearMap::Affine {
            bias: vec![0].into(),
            inner: self.len(of) as u32,
            outer: 1,
            scale: vec![1].into(),
            channels: 1,
        };
        let requantise = exact(bits);
        let op = Op::Linear(Linear { map, requantise });
        self.node(name, op, vec![of], requantise.output_range(), &shape)
    }

    /// Columns of cells.
    fn columns(&mut self, name: &str, of: TensorId, width: usize, columns: &[u32]) -> TensorId {
        let mut weight = vec![0; columns.len() * width];
        for (row, at) in weight.chunks_exact_mut(width).zip(columns) {
            row[*at as usize] = 1;
        }
        let map = LinearMap::Dense {
            bias: vec![0; columns.len()].into(),
            inputs: width as u32,
            weight: weight.into(),
            outputs: columns.len() as u32,
        };
        let requantise = exact(self.graph.tensors[of.0 as usize].range.bits);
        let op = Op::Linear(Linear { map, requantise });
        let shape = [self.rows, columns.len()];
        self.node(name, op, vec![of], requantise.output_range(), &shape)
    }

    fn limb_columns(&mut self, name: &str, columns: &[u32]) -> TensorId {
        self.columns(name, self.limbs, self.width[0], columns)
    }

    /// Claims that tensors of one length, each times its coefficient, add up to 0.
    fn zero(&mut self, name: &str, terms: &[(TensorId, i64)]) {
        let channels = vec![0];
        let scale = terms.iter().map(|(_, by)| vec![*by]);
        self.affine(
            name,
            terms.iter().map(|(id, _)| *id).collect(),
            scale.collect(),
            channels,
        );
    }

    /// As [`Self::zero`]; with several coefficients and biases, one for each value in turn.
    fn affine(&mut self, name: &str, inputs: Vec<TensorId>, scale: Vec<Vec<i64>>, bias: Vec<i64>) {
        let len = inputs.first().map_or(0, |id| self.len(*id));
        let (channels, four) = (bias.len(), |v: i64| 4 * v);
        let map = LinearMap::Affine {
            bias: bias.into_iter().map(four).collect(),
            inner: (len / channels) as u32,
            outer: 1,
            scale: scale.into_iter().flatten().map(four).collect(),
            channels: channels as u32,
        };
        // Two bits hold -2..=1: of multiples of 4 there is 0 alone.
        let requantise = exact(2);
        let op = Op::Linear(Linear { map, requantise });
        self.node(name, op, inputs, requantise.output_range(), &[len]);
    }

    /// What a file says stands in the cells that are its.
    fn given(&mut self, drawn: &Drawn) {
        let totals = self.limb_columns("totals", &limbs_of(drawn.totals.iter()));
        self.zero("the totals are the file's", &[(self.totals, 1), (totals, -1)]);
        let width = drawn.share.limbs.len();
        let rows = self.rows;
        let source = (0..rows).flat_map(|row| {
            let first = width * usize::from(row + 1 == rows);
            (first..first + width).map(|at| at as u32)
        });
        let said = self.wired("shares", self.shares, source.collect(), &[rows, width]);
        let share = self.limb_columns("shares", &drawn.share.limbs);
        self.zero("the shares are the file's", &[(said, 1), (share, -1)]);
    }

    /// Cells have what the table has in the row that was chosen.
    fn lookups(&mut self, sheet: &Sheet) {
        for (lookup, index) in sheet.lookups.iter().zip(self.indices.clone()) {
            let chosen = self.rows_of(lookup.name, lookup.table.clone(), lookup.limbs.len(), index);
            let cells = self.limb_columns(lookup.name, &lookup.limbs);
            self.zero(lookup.name, &[(chosen, 1), (cells, -1)]);
        }
    }

    fn rows_of(&mut self, name: &str, table: Vec<i64>, width: usize, index: TensorId) -> TensorId {
        let ends = (table.iter().min().copied(), table.iter().max().copied());
        let range = ends
            .0
            .zip(ends.1)
            .and_then(|(least, most)| range_of_rows(least, most));
        let rows = Rows {
            table: table.into(),
            width: width as u32,
        };
        let range = range.unwrap_or(IntRange::signed(IntRange::MAX_BITS));
        self.node(name, Op::Rows(rows), vec![index], range, &[self.rows, width])
    }

    /// Wide cells have the sums over rows that are theirs.
    fn sums(&mut self, sheet: &Sheet) {
        let rows = self.rows;
        let (owners, slots) = (self.owners, self.slots);
        let one = |at: usize| (0..rows).map(move |column| i64::from(column == at));
        let own = self.rows_of("whose", (0..rows).flat_map(one).collect(), rows, owners);
        // A uid's row, and the last, which has all; who has no uid names the last, and is in none.
        let uid = |at: usize| {
            (0..rows).map(move |column| i64::from(at + 1 < rows && (column == at || column + 1 == rows)))
        };
        let uids = self.rows_of("which uid", (0..rows).flat_map(uid).collect(), rows, slots);
        for (over, pairs) in &sheet.sums {
            let (from, to): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
            let cells = self.limb_columns("added up", &from);
            let sums = match over {
                Over::Owner => self.matrix("of the owner", own, cells, [rows, from.len()]),
                Over::Owned => self.by_column(cells, from.len(), |made, columns| {
                    made.matrix("of all of an owner", columns, own, [from.len(), rows])
                }),
                Over::Slot => self.by_column(cells, from.len(), |made, columns| {
                    made.matrix("of all of a uid", columns, uids, [from.len(), rows])
                }),
                Over::All => self.by_column(cells, from.len(), |made, columns| {
                    let map = LinearMap::Dense {
                        bias: vec![0; rows].into(),
                        inputs: rows as u32,
                        weight: vec![1; rows * rows].into(),
                        outputs: rows as u32,
                    };
                    let requantise = exact(WIDE_BITS);
                    let op = Op::Linear(Linear { map, requantise });
                    let shape = [from.len(), rows];
                    made.node("of all", op, vec![columns], requantise.output_range(), &shape)
                }),
            };
            let cells = self.columns("added up", self.wide, self.width[1], &to);
            self.zero("what is added up", &[(sums, 1), (cells, -1)]);
        }
    }

    /// Rows as columns, through a step, and back: what a row has of all others is a row times a matrix.
    fn by_column(
        &mut self,
        cells: TensorId,
        width: usize,
        step: impl FnOnce(&mut Self, TensorId) -> TensorId,
    ) -> TensorId {
        let rows = self.rows;
        let turned = |outer: usize, inner: usize| {
            let places = (0..inner).flat_map(move |at| (0..outer).map(move |of| of * inner + at));
            places.map(|place| place as u32).collect::<Vec<u32>>()
        };
        let columns = self.wired("turned", cells, turned(rows, width), &[width, rows]);
        let made = step(self, columns);
        self.wired("turned", made, turned(width, rows), &[rows, width])
    }

    fn matrix(&mut self, name: &str, left: TensorId, right: TensorId, shape: [usize; 2]) -> TensorId {
        let [rows, columns] = shape;
        let product = Product::Matrix {
            rows: rows as u32,
            batch: 1,
            inner: self.rows as u32,
            columns: columns as u32,
        };
        let requantise = exact(WIDE_BITS);
        let op = Op::Product(Multiply { product, requantise });
        self.node(name, op, vec![left, right], requantise.output_range(), &shape)
    }

    /// Cells that are alike in all rows are those of the first; others are what the sheet says.
    fn cells(&mut self, sheet: &Sheet) {
        let (rows, width) = (self.rows, sheet.alike.len());
        let cells = self.limb_columns("alike", &sheet.alike);
        let first = (0..rows).flat_map(|_| 0..width as u32);
        let first = self.wired("alike", cells, first.collect(), &[rows, width]);
        self.zero("what is alike", &[(cells, 1), (first, -1)]);
        for (column, values) in &sheet.fixed {
            let cells = self.limb_columns("fixed", &[*column]);
            let bias = values.iter().map(|v| -v).collect();
            self.affine("what is fixed", vec![cells], vec![vec![1; rows]], bias);
        }
    }

    /// All identities at once: a row of coefficients for each claim.
    fn claims(&mut self, sheet: &Sheet) {
        let (left, right): (Vec<u32>, Vec<u32>) = sheet.products.iter().copied().unzip();
        let left = self.limb_columns("factors", &left);
        let right = self.limb_columns("factors", &right);
        let requantise = exact(SIGNED_PRODUCT);
        let product = Op::Product(Multiply {
            product: Product::Elements,
            requantise,
        });
        let count = sheet.products.len();
        let shape = [self.rows, count];
        let products = self.node(
            "products",
            product,
            vec![left, right],
            requantise.output_range(),
            &shape,
        );
        let [limbs, wide] = self.width;
        let parts = [
            self.part("of limbs", self.limbs, limbs, sheet, |claim| {
                (claim.constant, &claim.limbs)
            }),
            self.part("of wide cells", self.wide, wide, sheet, |claim| (0, &claim.wide)),
            self.part("of products", products, count, sheet, |claim| {
                (0, &claim.products)
            }),
        ];
        self.zero("every identity", &parts.map(|part| (part, 1)));
    }

    /// What the claims have of one kind of cell.
    fn part(
        &mut self,
        name: &str,
        of: TensorId,
        width: usize,
        sheet: &Sheet,
        terms: impl Fn(&Claim) -> (i64, &BTreeMap<u32, i64>),
    ) -> TensorId {
        let count = sheet.claims.len();
        let mut weight = vec![0; count * width];
        let mut bias = Vec::with_capacity(count);
        for (row, claim) in weight.chunks_exact_mut(width).zip(&sheet.claims) {
            let (constant, terms) = terms(claim);
            bias.push(constant);
            terms.iter().for_each(|(at, by)| row[*at as usize] = *by);
        }
        let map = LinearMap::Dense {
            bias: bias.into(),
            inputs: width as u32,
            weight: weight.into(),
            outputs: count as u32,
        };
        let requantise = exact(CLAIM_BITS);
        let op = Op::Linear(Linear { map, requantise });
        self.node(name, op, vec![of], requantise.output_range(), &[self.rows, count])
    }

    /// The vector, a number of 16 bits in each row.
    fn vector(&mut self, vector: &Number) {
        let limbs = self.limb_columns("the vector's limbs", &vector.limbs);
        let weight = (0..vector.limbs.len() as u32).map(|limb| 1i64 << (limb * LIMB_BITS));
        let map = LinearMap::Dense {
            bias: vec![0].into(),
            inputs: vector.limbs.len() as u32,
            weight: weight.collect(),
            outputs: 1,
        };
        let requantise = Requantise {
            activation: Activation::Relu,
            ..exact(17)
        };
        let op = Op::Linear(Linear { map, requantise });
        let made = self.node("vector", op, vec![limbs], requantise.output_range(), &[self.rows]);
        self.graph.outputs.push(made);
    }
}

/// No rounding.
const fn exact(bits: u8) -> Requantise {
    Requantise {
        bits,
        shift: 0,
        activation: Activation::Identity,
    }
}

/// Bits of the numbers below.
fn bits_below(count: usize) -> u8 {
    (usize::BITS - count.saturating_sub(1).leading_zeros()).max(1) as u8
}
