//! Matrix products. Floats by the GEMM of `ndarray` (matrixmultiply), integers one by one, wrapping.

use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder, linalg::general_mat_mul};

use super::{Call, Made, Operator, Step, Tensor, binary, one, op, same_type};
use crate::{
    Values,
    attribute::{float, int},
    layout::{broadcast, broadcast_strides, rows},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("Gemm", 2, 3, gemm).attributes(&[float("alpha"), float("beta"), int("transA"), int("transB")]),
    op("MatMul", 2, 2, matmul).since(1),
];

/// A matrix in a slice: rows, columns, and whether it is stored transposed.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub values: &'a [f64],
    pub rows: usize,
    pub columns: usize,
    pub transposed: bool,
}

impl Matrix<'_> {
    fn view(&self) -> Step<ArrayView2<'_, f64>> {
        let stored = if self.transposed {
            (self.columns, self.rows)
        } else {
            (self.rows, self.columns)
        };
        let view = ArrayView2::from_shape(stored, self.values).map_err(|e| e.to_string())?;
        Ok(if self.transposed {
            view.reversed_axes()
        } else {
            view
        })
    }
}

/// `out = alpha · a · b + beta · out`, `out` being rows of `stride` values of which the first `b.columns` count.
pub(super) fn product(
    call: &Call,
    alpha: f64,
    a: Matrix,
    b: Matrix,
    beta: f64,
    out: &mut [f64],
    stride: usize,
) -> Step<()> {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    call.budget
        .spend((m as u64).saturating_mul(k as u64).saturating_mul(n as u64))?;
    if m == 0 || n == 0 {
        return Ok(());
    }
    // The last row needs no more than its own values.
    let shape = (m, n);
    let needed = (m - 1).checked_mul(stride).and_then(|s| s.checked_add(n));
    let Some(out) = needed.and_then(|len| out.get_mut(..len)) else {
        return Err("a matrix does not fit where it is written".into());
    };
    if b.rows != k || n > stride {
        return Err("matrices of unlike sizes".into());
    }
    if m == 1 && beta == 0.0 && !a.transposed && a.values.len() == k && b.values.len() == k.saturating_mul(n)
    {
        by_vector(alpha, a.values, b, out);
        return Ok(());
    }
    let mut out = ArrayViewMut2::from_shape(shape.strides((stride, 1)), out).map_err(|e| e.to_string())?;
    general_mat_mul(alpha, &a.view()?, &b.view()?, beta, &mut out);
    Ok(())
}

/// One row times a matrix: packing the matrix would cost more than the product.
fn by_vector(alpha: f64, a: &[f64], b: Matrix, out: &mut [f64]) {
    if a.is_empty() {
        out.fill(0.0);
    } else if b.transposed {
        for (o, column) in out.iter_mut().zip(b.values.chunks_exact(a.len())) {
            *o = alpha * dot(a, column);
        }
    } else {
        out.fill(0.0);
        for (&x, row) in a.iter().zip(b.values.chunks_exact(b.columns)) {
            out.iter_mut().zip(row).for_each(|(o, y)| *o += alpha * x * y);
        }
    }
}

/// Eight sums side by side, so that none waits for the one before.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}

/// Any rank, as numpy: the last two dimensions are matrices, those before broadcast; one dimension is a vector.
fn matmul(call: &Call) -> Made {
    one(multiplied(call, call.input(0)?, call.input(1)?)?)
}

pub(super) fn multiplied(call: &Call, a: &Tensor, b: &Tensor) -> Step<Tensor> {
    same_type(a, b)?;
    let (mut a_shape, mut b_shape) = (a.shape().to_vec(), b.shape().to_vec());
    if a_shape.is_empty() || b_shape.is_empty() {
        return Err("a scalar is no matrix".into());
    }
    let (a_vector, b_vector) = (a_shape.len() == 1, b_shape.len() == 1);
    if a_vector {
        a_shape.insert(0, 1);
    }
    if b_vector {
        b_shape.push(1);
    }
    let (a_batch, a_matrix) = a_shape.split_at(a_shape.len() - 2);
    let (b_batch, b_matrix) = b_shape.split_at(b_shape.len() - 2);
    let (m, k, n) = (a_matrix[0], a_matrix[1], b_matrix[1]);
    if b_matrix[0] != k {
        return Err(format!(
            "the shapes {:?} and {:?} do not multiply",
            a.shape(),
            b.shape()
        ));
    }
    let batch = broadcast(a_batch, b_batch)?;
    let mut shape: Vec<usize> = batch.clone();
    if !a_vector {
        shape.push(m);
    }
    if !b_vector {
        shape.push(n);
    }
    let len = call.room(&shape)?;
    // Every matrix of the batch: one row of one value.
    let walk: Vec<usize> = batch.iter().copied().chain([1]).collect();
    let (a_by, b_by) = (
        broadcast_strides(a_batch, &batch)?,
        broadcast_strides(b_batch, &batch)?,
    );
    let mut pairs = Vec::new();
    if len > 0 {
        rows(&walk, [&a_by, &b_by], |pair| pairs.push(pair));
    }
    let values = match (a.values(), b.values()) {
        (Values::Float(x), Values::Float(y)) => {
            let mut made = vec![0.0; len];
            if let ([[0, 0]], true) = (&pairs[..], len > 0) {
                let all = (Matrix::new(x, m, k), Matrix::new(y, k, n));
                product(call, 1.0, all.0, all.1, 0.0, &mut made, n)?;
            } else if len > 0 {
                for ([i, j], out) in pairs.iter().zip(made.chunks_mut(m * n)) {
                    let a = Matrix::new(&x[i * m * k..(i + 1) * m * k], m, k);
                    let b = Matrix::new(&y[j * k * n..(j + 1) * k * n], k, n);
                    product(call, 1.0, a, b, 0.0, out, n)?;
                }
            }
            Values::Float(made)
        }
        (Values::Int(x), Values::Int(y)) => {
            let element = a.element();
            call.touch(len.saturating_mul(k))?;
            let mut made = Vec::with_capacity(len);
            for [i, j] in pairs {
                let (x, y) = (&x[i * m * k..(i + 1) * m * k], &y[j * k * n..(j + 1) * k * n]);
                for r in 0..m {
                    for c in 0..n {
                        let terms = (0..k).map(|t| x[r * k + t].wrapping_mul(y[t * n + c]));
                        made.push(element.wrap(terms.fold(0, i64::wrapping_add)));
                    }
                }
            }
            Values::Int(made)
        }
        _ => return Err("booleans do not multiply".into()),
    };
    Tensor::make(a.element(), shape, values)
}

impl<'a> Matrix<'a> {
    pub(super) fn new(values: &'a [f64], rows: usize, columns: usize) -> Self {
        Self {
            values,
            rows,
            columns,
            transposed: false,
        }
    }
}

/// alpha · A' · B' + beta · C, where C broadcasts to the product.
fn gemm(call: &Call) -> Made {
    let (a, b) = (call.input(0)?, call.input(1)?);
    same_type(a, b)?;
    let matrix = |t: &Tensor, name: &str| -> Step<(usize, usize, bool)> {
        let transposed = call.int(name, 0) != 0;
        match (t.shape(), transposed) {
            (&[r, c], false) | (&[c, r], true) => Ok((r, c, transposed)),
            (shape, _) => Err(format!("the shape {shape:?} is no matrix")),
        }
    };
    let ((m, k, trans_a), (k_b, n, trans_b)) = (matrix(a, "transA")?, matrix(b, "transB")?);
    if k != k_b {
        return Err(format!(
            "the shapes {:?} and {:?} do not multiply",
            a.shape(),
            b.shape()
        ));
    }
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let shape = vec![m, n];
    let len = call.room(&shape)?;
    let c = call.optional(2);
    if c.is_none() && call.opset() < 11 {
        return Err("input 2 is missing".into());
    }
    if let Some(c) = c {
        same_type(a, c)?;
        if broadcast(&shape, c.shape())? != shape {
            return Err(format!(
                "C of shape {:?} does not broadcast to {shape:?}",
                c.shape()
            ));
        }
    }
    if a.element().is_int() {
        return integer_gemm(call, (a, b, c), (m, k, n), (trans_a, trans_b));
    }
    let (x, y) = (a.floats()?, b.floats()?);
    let mut made = vec![0.0; len];
    let a_matrix = Matrix {
        values: x,
        rows: m,
        columns: k,
        transposed: trans_a,
    };
    let b_matrix = Matrix {
        values: y,
        rows: k,
        columns: n,
        transposed: trans_b,
    };
    product(call, alpha, a_matrix, b_matrix, 0.0, &mut made, n)?;
    if let Some(c) = c {
        let f = |p: f64, c: f64| p + beta * c;
        made = binary::zip(call, (&made, &shape), (c.floats()?, c.shape()), f)?.1;
    }
    one(Tensor::make(a.element(), shape, Values::Float(made))?)
}

fn integer_gemm(
    call: &Call,
    (a, b, c): (&Tensor, &Tensor, Option<&Tensor>),
    (m, k, n): (usize, usize, usize),
    (trans_a, trans_b): (bool, bool),
) -> Made {
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    if alpha != 1.0 || beta != 1.0 {
        return Err("integers are not scaled by alpha or beta".into());
    }
    let (x, y, element) = (a.ints()?, b.ints()?, a.element());
    let shape = vec![m, n];
    let len = call.room(&shape)?;
    call.touch(len.saturating_mul(k))?;
    let mut made = Vec::with_capacity(len);
    for r in 0..m {
        for c in 0..n {
            let a_at = |t: usize| if trans_a { t * m + r } else { r * k + t };
            let b_at = |t: usize| if trans_b { c * k + t } else { t * n + c };
            let terms = (0..k).map(|t| x[a_at(t)].wrapping_mul(y[b_at(t)]));
            made.push(terms.fold(0, i64::wrapping_add));
        }
    }
    if let Some(c) = c {
        made = binary::zip(call, (&made, &shape), (c.ints()?, c.shape()), i64::wrapping_add)?.1;
    }
    let made = made.into_iter().map(|v| element.wrap(v)).collect();
    one(Tensor::make(element, shape, Values::Int(made))?)
}
