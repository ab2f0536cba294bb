//! From a sheet to an integer graph that claims what the sheet's identities claim.
//!
//! | the sheet's | is in the graph |
//! |---|---|
//! | totals, owners, slots, shares | inputs, which whoever verifies makes of a weights file |
//! | limbs, wide cells, chosen rows of tables | inputs, which whoever proves chooses; limbs in 0..2^14 and all others in the range of their tensor |
//! | product of two limbs | [`Product::Elements`] of the limbs, wired twice |
//! | sum over rows | a matrix of zeros and ones, [`Rows`] of a constant by owner or slot, times the limbs |
//! | identity | three maps with constant coefficients, of limbs, wide cells and products, whose sum is 0 |
//!
//! **Why that suffices.** What has to be 0 is multiplied by 4 and requantised to two bits, -2..=1, without a shift: of multiples of 4
//! only 0 has an output. All else is equality with a cell, claimed the same way. No accumulator reaches 2^62, so all of it is of whole
//! numbers.
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
        made.limbs = made.input("limbs", limb, &[rows, made.width[0]]);
        made.wide = made.input("wide", IntRange::signed(WIDE_BITS), &[rows, made.width[1]]);
        made
    }

    fn tensor(&mut self, name: &str, range: IntRange, shape: &[usize]) -> TensorId {
        let id = TensorId(self.graph.tensors.len() as u32);
        self.graph.tensors.push(TensorInfo {
            name: format!("{name} {}", id.0),
            range,
            shape: shape.iter().map(|d| *d as u32).collect(),
            whole: false,
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

    /// Columns of cells.
    fn columns(&mut self, name: &str, of: TensorId, width: usize, columns: &[u32]) -> TensorId {
        let rows = 0..self.rows as u32;
        let source = rows.flat_map(|row| columns.iter().map(move |at| row * width as u32 + at));
        self.wired(name, of, source.collect(), &[self.rows, columns.len()])
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
                Over::Owner => self.matrix("of the owner", own, cells, from.len()),
                Over::Owned => {
                    let turned = self.turned(own);
                    self.matrix("of all of an owner", turned, cells, from.len())
                }
                Over::Slot => {
                    let turned = self.turned(uids);
                    self.matrix("of all of a uid", turned, cells, from.len())
                }
                Over::All => {
                    let ones = LinearMap::Dense {
                        bias: vec![0; rows].into(),
                        inputs: rows as u32,
                        weight: vec![1; rows * rows].into(),
                        outputs: rows as u32,
                    };
                    // Column after column: each is added up by itself.
                    let (count, width) = (from.len(), from.len() as u32);
                    let by_column = (0..width).flat_map(|c| (0..rows as u32).map(move |row| row * width + c));
                    let turned = self.wired("of all", cells, by_column.collect(), &[count, rows]);
                    let requantise = exact(WIDE_BITS);
                    let op = Op::Linear(Linear {
                        map: ones,
                        requantise,
                    });
                    let sums = self.node(
                        "of all",
                        op,
                        vec![turned],
                        requantise.output_range(),
                        &[count, rows],
                    );
                    let by_row =
                        (0..rows as u32).flat_map(|row| (0..width).map(move |c| c * rows as u32 + row));
                    self.wired("of all", sums, by_row.collect(), &[rows, count])
                }
            };
            let cells = self.columns("added up", self.wide, self.width[1], &to);
            self.zero("what is added up", &[(sums, 1), (cells, -1)]);
        }
    }

    fn turned(&mut self, matrix: TensorId) -> TensorId {
        let rows = self.rows as u32;
        let source = (0..rows).flat_map(|at| (0..rows).map(move |row| row * rows + at));
        self.wired("turned", matrix, source.collect(), &[self.rows, self.rows])
    }

    fn matrix(&mut self, name: &str, left: TensorId, right: TensorId, columns: usize) -> TensorId {
        let product = Product::Matrix {
            rows: self.rows as u32,
            batch: 1,
            inner: self.rows as u32,
            columns: columns as u32,
        };
        let requantise = exact(WIDE_BITS);
        let op = Op::Product(Multiply { product, requantise });
        let shape = [self.rows, columns];
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
        let requantise = exact(CLAIM_BITS);
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
