//! The vector's rounding as identities: `round(weight / greatest · 65535)` in double precision, ties to even, bit by bit.
//!
//! A double that is not 0 is a mantissa of 53 bits times a power of two; each operation rounds once, to the nearest mantissa, ties
//! to even. A mantissa that rounds up to 2^53 is left so: it stands for the same number.
//!
//! Invariant: exponents are counted and never rounded; what is too small to be seen beside the greatest is 0, as it is in doubles.

use crate::checks::Compared;
use crate::sheet::{Expr, Number, Over, Sheet, Sum, zip};

/// Bits of a mantissa, and of one that was rounded up.
const MANTISSA: u32 = 53;
const ROUNDED: u32 = MANTISSA + 1;
/// From so many powers of two on, a weight is less than half of a 65535th of the greatest.
const FAR: u32 = 18;

/// The vector of weights of at most so many bits.
pub(crate) fn vector(s: &mut Sheet, weights: &Number, bits: u32) -> Number {
    let of = float(s, weights, bits);
    let top = greatest(s, weights, &of, bits);
    // 1. weight / greatest. Of two mantissas the greater divided by the smaller is in 1..2, the smaller by the greater in ½..1: the
    //    mantissa of the quotient is theirs times 2^52 in the first case, and times 2^53 in the second.
    let upper: Compared = s.compare("a mantissa", &of.mantissa.expr(), &top.mantissa.expr(), ROUNDED);
    let upper = upper.flag;
    let up = Expr {
        sum: of.mantissa.sum() * (1 << 53) - upper.by(&of.mantissa).sum * (1 << 52),
        values: zip(&of.mantissa.values, &upper.values, |m, upper| {
            m << (53 - upper as u32)
        }),
    };
    let by = top.mantissa.clone();
    let ratio = s.nearest("a ratio", &up, (&by.expr(), ROUNDED), ROUNDED, |q| q.by(&by).sum);
    // 2. times 65535, which has 68 or 69 bits: 15 or 16 of them are rounded away.
    let product = ratio.expr().times(65535);
    let edge = s.constant(1 << 68);
    let wide = s.compare("a product", &product, &edge, 70).flag;
    let by = s.constant(1 << 15).plus(&wide.expr().times(1 << 15));
    let product = s.nearest("a product", &product, (&by, 17), ROUNDED, |q| {
        (q.sum() + q.by(&wide).sum) * (1 << 15)
    });
    // 3. to a whole number. What was counted: the quotient is 2^-52 of its mantissa, or 2^-53; the product 2^15 or 2^16 of its own;
    //    and weight and greatest are `distance` powers of two apart: product · (1 + upper) · (1 + wide) / 2^(38 + distance).
    let both = s.number_of("an exponent", &upper.by(&wide), 1);
    let shifted = product
        .expr()
        .plus(&product.by(&upper))
        .plus(&product.by(&wide))
        .plus(&product.by(&both));
    let by = distance(s, &of.exponent, &top.exponent);
    s.nearest(
        "a weight of the vector",
        &shifted,
        (&by.expr(), 38 + FAR + 1),
        16,
        |q| q.by(&by).sum,
    )
}

/// Mantissa and exponent; both 0 of 0.
struct Float {
    mantissa: Number,
    exponent: Number,
}

/// The double of a whole number below `2^bits`.
///
/// Times one power of two a number that is not 0 has exactly `bits` bits, which tells how many it has; all but the first 53 are
/// rounded away.
fn float(s: &mut Sheet, weights: &Number, bits: u32) -> Float {
    let mut table = vec![vec![0, 0, 0]];
    table.extend((1..=bits).map(|has| vec![1 << (bits - has), u128::from(has), 1]));
    let index = weights.values.iter().map(|v| u64::from(128 - v.leading_zeros()));
    let index: Vec<u64> = index.collect();
    let chosen = s.lookup("a weight's exponent", &table, &[bits, 7, 1], &index);
    let (up, exponent, some) = (&chosen[0], &chosen[1], &chosen[2]);
    // Only 0 has no exponent.
    s.zero("a weight's exponent", &(weights.sum() - some.by(weights).sum));
    let scaled = weights.by(up);
    let below = zip(&scaled.values, &some.values, |scaled, some| {
        scaled.saturating_sub(some << (bits - 1))
    });
    let below = s.number("a weight's mantissa", below, bits - 1);
    let whole = Expr {
        sum: some.sum() * (1 << (bits - 1)) + below.sum(),
        values: scaled.values.clone(),
    };
    s.zero("a weight's mantissa", &(scaled.sum - whole.sum.clone()));
    let most = s.constant((1 << (bits - 1)) - 1);
    s.at_most("a weight's mantissa", &below.expr(), &most, bits - 1);
    let by = 1i128 << (bits - MANTISSA);
    let away = s.constant(1 << (bits - MANTISSA));
    let mantissa = s.nearest(
        "a weight's mantissa",
        &whole,
        (&away, bits - MANTISSA + 1),
        ROUNDED,
        |q| q.sum() * by,
    );
    Float {
        mantissa,
        exponent: exponent.clone(),
    }
}

/// Mantissa and exponent of the greatest weight, in every row: of one row that is picked, and nobody has more than it.
fn greatest(s: &mut Sheet, weights: &Number, of: &Float, bits: u32) -> Float {
    let most = weights.values.iter().copied().max().unwrap_or(0);
    let at = weights.values.iter().position(|v| *v == most);
    let picked = (0..s.rows()).map(|row| u128::from(Some(row) == at));
    let picked = s.flag("the greatest", picked.collect());
    let one = s.sum(Over::All, &picked).expr();
    s.zero("the greatest", &(one.sum - Sum::constant(1)));
    let mut of_picked = |number: &Number, bits: u32| {
        let own = s.number_of("the greatest", &picked.by(number), bits);
        let all = s.sum(Over::All, &own).expr();
        s.number_of("the greatest", &all, bits)
    };
    let greatest = of_picked(weights, bits);
    let mantissa = of_picked(&of.mantissa, ROUNDED);
    let exponent = of_picked(&of.exponent, 7);
    s.at_most("the greatest", &weights.expr(), &greatest.expr(), bits);
    // Where nobody has a weight there is no vector.
    let one = s.constant(1);
    s.at_most("somebody has a weight", &one, &greatest.expr(), bits);
    Float { mantissa, exponent }
}

/// `2^(38 + min(distance, FAR))`, where the distance is of two exponents. A product of at most 2^55 divided by 2^56 or more is at most
/// ½, which rounds to 0 as what is smaller still does.
fn distance(s: &mut Sheet, exponent: &Number, top: &Number) -> Number {
    let table: Vec<Vec<u128>> = (0..=FAR)
        .map(|by| vec![1 << (38 + by), by.into(), u128::from(by == FAR)])
        .collect();
    let apart = zip(&top.values, &exponent.values, |top, own| top.saturating_sub(own));
    let near: Vec<u64> = apart
        .iter()
        .map(|apart| (*apart as u64).min(FAR.into()))
        .collect();
    let chosen = s.lookup("a distance", &table, &[38 + FAR + 1, 5, 1], &near);
    let (by, near, far) = (&chosen[0], &chosen[1], &chosen[2]);
    // What is beyond, only the farthest has.
    let beyond = zip(&apart, &near.values, |apart, near| apart - near);
    let beyond = s.number("a distance", beyond, 7);
    s.zero("a distance", &(beyond.sum() - far.by(&beyond).sum));
    s.zero(
        "a distance",
        &(top.sum() - exponent.sum() - near.sum() - beyond.sum()),
    );
    by.clone()
}
