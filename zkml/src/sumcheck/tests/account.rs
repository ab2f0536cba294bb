//! The account of bits, three times: this program's figure, one composed here from p3-security's formulas, and the one
//! that `tests/soundness/account.py` computed from the papers. docs/soundness.md explains every term.

use p3_sumcheck::table::{OpeningBatch, OpeningProtocol, TableShape, TableSpec};
use p3_whir::SecurityAssumption;
use serde_json::Value;

use super::super::commitment::{GRINDING_BITS, bits, configuration, scheme};
use super::super::key::own_terms_log2;
use super::super::{Key, SECURITY_BITS, SliceParameters, security};
use super::slices::{digits, small};

const PAPERS: &str = include_str!("../../../../tests/soundness/account.json");
/// log2 of the extension field's size in whole bits.
const FIELD: usize = 191;
const JOHNSON: SecurityAssumption = SecurityAssumption::JohnsonBound;

/// Sizes of a key, as the script names them.
struct Size {
    stack: usize,
    claims: usize,
    layers: usize,
    steps: usize,
}

impl Size {
    fn of(row: &Value) -> Self {
        let number = |name: &str| row[name].as_u64().unwrap() as usize;
        Self {
            stack: number("stack"),
            claims: number("claims"),
            layers: number("layers"),
            steps: number("steps"),
        }
    }

    /// What a key of this size states.
    fn ours(&self) -> f64 {
        let opening = || OpeningBatch::new(vec![0], Vec::new());
        let openings = (0..self.claims).map(|_| opening()).collect();
        let protocol = OpeningProtocol::new(vec![TableSpec::new(TableShape::new(self.stack, 1), openings)]);
        let pcs = scheme(self.stack).unwrap();
        bits(&pcs, &protocol, own_terms_log2(self.steps, self.layers)).unwrap()
    }

    /// Every term by p3-security, in the script's order: its name, its bits with grinding, how often it is charged.
    fn library(&self) -> Vec<(String, f64, f64)> {
        let config = configuration(self.stack).unwrap();
        let (mut terms, mut rate) = (Vec::new(), config.params().starting_log_inv_rate);
        let mut term = |place: &str, name: &str, bits: f64, times: usize| {
            terms.push((format!("{place}: {name}"), bits, times as f64));
        };
        let fold =
            |term: &mut dyn FnMut(&str, &str, f64, usize), place: &str, left, rate, folds, ground: usize| {
                let gap = JOHNSON.prox_gaps_error(left, rate, FIELD, 2) + ground as f64;
                let check = JOHNSON.fold_sumcheck_error(FIELD, left, rate) + ground as f64;
                term(place, "folding, proximity gap", gap, folds);
                term(place, "folding, sum-check", check, folds);
            };
        let samples = config.commitment_ood_samples();
        let outside = JOHNSON.ood_error(self.stack, rate, FIELD, samples);
        term("commitment", "samples outside the domain", outside, 1);
        let claims = JOHNSON.initial_claims_error(FIELD, self.stack, rate, self.claims + samples);
        term(
            "commitment",
            "claims combined by powers of a challenge",
            claims,
            1,
        );
        let (folds, ground) = (config.folding_schedule(), config.starting_folding_pow_bits());
        fold(&mut term, "commitment", self.stack, rate, folds[0], ground);
        for (at, round) in config.round_parameters().iter().enumerate() {
            let (place, left, next) = (
                format!("round {}", at + 1),
                round.num_variables,
                round.log_inv_rate,
            );
            let (samples, queries, ground) = (round.ood_samples, round.num_queries, round.pow_bits as f64);
            term(
                &place,
                "samples outside the domain",
                JOHNSON.ood_error(left, next, FIELD, samples),
                1,
            );
            term(
                &place,
                &format!("{queries} queries"),
                JOHNSON.queries_error(rate, queries) + ground,
                1,
            );
            let combined = JOHNSON.queries_combination_error(FIELD, left, next, samples, queries);
            term(&place, "queries combined", combined + ground, 1);
            fold(
                &mut term,
                &place,
                left,
                next,
                folds[at + 1],
                round.folding_pow_bits,
            );
            rate = next;
        }
        let end = config.terminal();
        let queries = JOHNSON.queries_error(rate, end.num_queries) + end.pow_bits as f64;
        term("end", &format!("{} queries", end.num_queries), queries, 1);
        let ground = config.final_folding_pow_bits();
        term(
            "end",
            "sum-check",
            (FIELD - 1 + ground) as f64,
            config.final_sumcheck_rounds(),
        );
        let words = JOHNSON.list_size_bits(self.stack, config.params().starting_log_inv_rate);
        let own = |degree: f64| FIELD as f64 - degree.log2() - words;
        term("lookups", "fractions", own(2f64.powi(self.layers as i32 + 1)), 1);
        term(
            "lookups",
            "layers of the sum",
            own((self.layers * (self.layers + 2)) as f64),
            1,
        );
        let relations = own((self.steps + 1) as f64 * 2f64.powi(24));
        term("relations", "sum-checks and points", relations, 1);
        terms
    }
}

fn rows() -> Vec<Value> {
    let account: Value = serde_json::from_str(PAPERS).unwrap();
    let rows = account["keys"].as_array().unwrap().clone();
    assert!(rows.len() >= 8, "from the smallest key to the largest");
    rows
}

fn total(terms: &[(String, f64, f64)]) -> f64 {
    -terms
        .iter()
        .map(|(_, bits, times)| times * 2f64.powf(-bits))
        .sum::<f64>()
        .log2()
}

#[test]
fn every_term_is_the_papers_and_the_librarys() {
    for row in rows() {
        let library = Size::of(&row).library();
        let papers = row["terms"].as_array().unwrap();
        assert_eq!(papers.len(), library.len(), "{}", row["key"]);
        for (paper, (name, bits, times)) in papers.iter().zip(&library) {
            assert_eq!(paper["name"], name.as_str(), "{}", row["key"]);
            assert_eq!(paper["times"].as_f64(), Some(*times), "{name}");
            let difference = paper["bits"].as_f64().unwrap() - bits;
            assert!(difference.abs() < 1e-4, "{}: {name}: {difference}", row["key"]);
        }
    }
}

#[test]
fn what_a_key_states_is_no_more_than_the_papers_give() {
    for row in rows() {
        let size = Size::of(&row);
        let (ours, library) = (size.ours(), total(&size.library()));
        let papers = row["bits"].as_f64().unwrap();
        assert!(ours >= f64::from(SECURITY_BITS), "{}: {ours}", row["key"]);
        assert!(
            ours <= library + 1e-9 && library <= papers + 1e-4,
            "{}: {ours} {library} {papers}",
            row["key"]
        );
        assert!(papers - ours < 0.01, "{}: {ours} {papers}", row["key"]);
        // Of these bits, at most the stated number is proof of work.
        let ground = papers - row["bitsWithoutGrinding"].as_f64().unwrap();
        assert!(ground > 10.0 && ground <= 12.0, "{}: {ground}", row["key"]);
    }
}

#[test]
fn keys_of_slices_lie_between_the_smallest_and_the_largest() {
    let rows = rows();
    let of = |row: &Value| row["bits"].as_f64().unwrap();
    let (most, least) = (of(&rows[0]), of(rows.last().unwrap()));
    for slice in [small(), digits()] {
        let key = Key::new(&slice, SliceParameters { limb_bits: 8 }).unwrap();
        let bits = security(&key).bits;
        assert!((least - 0.01..=most + 0.01).contains(&bits), "{bits}");
    }
}

#[test]
fn what_is_said_of_grinding_is_what_is_ground() {
    let said = format!("{GRINDING_BITS} of these bits grinding");
    assert!(crate::sumcheck::REGIME.starts_with(&said));
}
