//! The page of operators.

use std::collections::BTreeSet;

use crate::functions::operators;
use crate::import;

/// What people read is the lists that the importer asks.
#[test]
fn the_page_of_operators_is_current() {
    let functions: BTreeSet<_> = operators().iter().map(|o| o.onnx).collect();
    let all = import::operators();
    let list = |names: &mut dyn Iterator<Item = &&str>| names.map(|n| format!("- {n}\n")).collect::<String>();
    let page = format!(
        "<!-- Generated from zkml/compile/src/functions and zkml/compile/src/import/operators.rs. -->\n\
         # Operators\n\n\
         The ONNX operators that a model may have. `prover-worker inspect model.onnx` says of a model of yours which of its nodes \
         are not supported, and why; some operators have forms that are not. How many of ONNX's own tests are \
         proved: [conformance](conformance.md).\n\n\
         ## Functions of one value\n\n\
         Proved by a table of all their values ([relations.md](relations.md#4-table)), also where a model has SiLU and GELU as \
         products, `x · sigmoid(x)` and `x · (1 + erf(x/√2))`.\n\n{}\n\
         ## All others\n\n\
         Inputs may be of float, double, float16, bfloat16, int64, int32, int8, uint8 and bool; what rounding to 16 bits does to \
         an answer is part of its error. Whole numbers are taken as they are; what may read them moves, compares, adds, \
         multiplies, casts, chooses by them (Where), or looks them up in a table (Gather). A table says how far they \
         go; where nothing in the model does, calibration data has to. A cast of floats to int32 or int64 drops what is behind the \
         point.\n\n\
         Products and quotients of two computed tensors (Mul, MatMul, Gemm, Einsum, Div) are proved by SumcheckWhir alone. A node \
         that depends on constants and shapes alone may have any operator that the float reference has. Of an If whose \
         condition is such a node's the branch is computed that it takes; of any other both are, and have to make the same shapes. A \
         Loop and a Scan are computed step by step: how many steps there are must not depend on the inputs' values.\n\n{}\n\
         ## Of the domain ai.onnx.ml\n\n\
         Of a classifier its label too, unless labels are texts and something reads them. A ZipMap answers with the tensor of \
         scores, in the order of its classes.\n\n{}\n\
         ## Of the domain com.microsoft\n\n\
         As ONNX Runtime computes them, of a batch of one.\n\n{}",
        list(&mut functions.iter()),
        list(&mut all.difference(&functions)),
        list(&mut import::operators_of_models().iter()),
        list(&mut import::operators_of_microsoft().iter()),
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operators.md");
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(page, std::fs::read_to_string(path).unwrap_or_default());
}
