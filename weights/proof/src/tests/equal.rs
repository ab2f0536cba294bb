//! The graph gives what the rule gives, and nothing where the rule gives nothing.

use std::time::Instant;

use zkinfer_scoring::Rule;
use zkinfer_weights::vector::VectorError;
use zkml::graph::IntTensor;
use zkml::graph::evaluate::Evaluator;

use super::{RULES, Random, blank, expected, random, rules};
use crate::SIZES;
use crate::program::{Program, ProgramError};
use crate::rule::Given;
use crate::sheet::LIMB_BITS;

/// What the graph makes of it.
fn made(program: &Program, evaluator: &Evaluator<'_>, given: &Given) -> Result<Vec<i64>, ProgramError> {
    let inputs = program.inputs(given)?;
    let tensors: Vec<IntTensor> = evaluator.run(&inputs)?;
    let output = program.graph().outputs[0];
    Ok(tensors[output.0 as usize].values.clone())
}

fn compare(program: &Program, evaluator: &Evaluator<'_>, given: &Given) -> bool {
    match expected(given, program.rule()) {
        Ok(vector) => {
            assert_eq!(made(program, evaluator, given).unwrap(), vector, "{given:?}");
            true
        }
        // Nobody has anything, and the graph has nothing for it.
        Err(VectorError::Nobody) => {
            assert!(made(program, evaluator, given).is_err(), "{given:?}");
            false
        }
        Err(error) => panic!("{error}: {given:?}"),
    }
}

/// How many of so many random totals have a vector.
fn trial(rows: usize, many: u64) -> u64 {
    let of_rule = |rule: Rule| {
        let program = Program::new(&rule, rows).unwrap();
        let evaluator = program.graph().evaluator().unwrap();
        let mut numbers = Random::new(rows as u64);
        let vectors = (0..many).filter(|_| {
            let given = random(rows, rule.constants(), &mut numbers);
            compare(&program, &evaluator, &given)
        });
        vectors.count() as u64
    };
    std::thread::scope(|threads| {
        let of_rules = rules().map(|rule| threads.spawn(move || of_rule(rule)));
        of_rules.map(|vectors| vectors.join().unwrap()).into_iter().sum()
    })
}

#[test]
fn ten_thousand_random_and_extreme_totals_have_the_rules_vector() {
    let began = Instant::now();
    let vectors = trial(16, 3_400);
    assert!(vectors > 8_000, "{vectors} of 10200 have one");
    println!(
        "measured: 10200 random totals of 16 rows in {:?}",
        began.elapsed()
    );
}

#[test]
fn more_rows_have_it_too() {
    assert!(trial(64, 100) > 150);
    assert!(trial(256, 10) > 15);
}

/// Everybody at the ends of what a proof holds.
#[test]
fn the_greatest_totals_have_it_too() {
    for rule in rules() {
        for rows in SIZES {
            let program = Program::new(&rule, rows).unwrap();
            let evaluator = program.graph().evaluator().unwrap();
            let mut given = blank(rows, Some(1_000_000));
            given.credit.fill(u64::MAX.into());
            given.samples.fill((1 << 28) - 1);
            for (row, owner) in given.owners.iter_mut().enumerate() {
                *owner = row as u32;
            }
            given.slots.fill(0);
            assert!(compare(&program, &evaluator, &given));
            given.owners.fill(0);
            given.debit[1..].fill(u64::MAX.into());
            given.credit[1..].fill(0);
            assert!(compare(&program, &evaluator, &given));
            given.shares = [1, 0];
            given.debit.fill(0);
            for (row, slot) in given.slots.iter_mut().enumerate() {
                *slot = row as u32;
                given.credit[row] = 1 << (row % 64);
            }
            assert!(compare(&program, &evaluator, &given));
        }
    }
}

/// Whoever has half of a step goes to the even neighbour, as the chain's SDK rounds.
#[test]
fn halves_of_a_step_round_as_doubles_do() {
    let rule = Rule::from(RULES[0]);
    let program = Program::new(&rule, 16).unwrap();
    let evaluator = program.graph().evaluator().unwrap();
    for top in [
        65535u128 * 2,
        65535 * 6,
        65535 * 65536,
        3,
        7,
        (1 << 31) + 1,
        (1 << 32) - 1,
    ] {
        let mut given = blank(16, None);
        given.samples.fill(1_000);
        for row in 0..15 {
            given.owners[row] = row as u32;
            given.slots[row] = row as u32;
            given.credit[row] = match row {
                0 => top,
                row => top.min((2 * row as u128 - 1) * top / (2 * 65535) + row as u128 % 2),
            };
        }
        assert!(compare(&program, &evaluator, &given));
    }
}

#[test]
fn a_rule_and_a_size_have_one_graph_and_one_manifest() {
    let mut golden = Vec::new();
    for rule in RULES.map(Rule::from) {
        for rows in SIZES {
            let program = Program::new(&rule, rows).unwrap();
            golden.push(format!(
                "{} {rows} graph {} manifest {}",
                rule.name(),
                program.graph().digest(),
                program.manifest().digest()
            ));
        }
    }
    let golden = golden.join("\n") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/golden.txt");
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::write(path, &golden).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), golden);
}

/// Which numbers a sheet is filled in with makes no difference to its graph.
#[test]
fn totals_do_not_draw_the_graph() {
    let rule = Rule::from(RULES[1]);
    let program = Program::new(&rule, 16).unwrap();
    let mut numbers = Random::new(1);
    for _ in 0..20 {
        let given = random(16, rule.constants(), &mut numbers);
        let drawn = crate::rule::draw(&given, rule.constants());
        assert_eq!(crate::graph::draw(&drawn).digest(), program.graph().digest());
    }
}

/// The table of docs/weights.md: its mantissas stand in the working, and its last line is the vector.
#[test]
fn the_numbers_of_the_page() {
    let rule = Rule::from(RULES[0]);
    let program = Program::new(&rule, 16).unwrap();
    let evaluator = program.graph().evaluator().unwrap();
    let mut given = blank(16, Some(800_000));
    for (row, (credit, debit, samples)) in [(3_000_000, 0, 30), (1_299_980, 0, 20), (1_799_980, 400_000, 20)]
        .into_iter()
        .enumerate()
    {
        (given.credit[row], given.debit[row], given.samples[row]) = (credit, debit, samples);
        (given.owners[row], given.slots[row]) = (row as u32, row as u32);
    }
    let vector = made(&program, &evaluator, &given).unwrap();
    assert_eq!((&vector[..3], vector[15]), (&[8623, 3737, 4024][..], 65535));
    let sheet = crate::rule::draw(&given, rule.constants()).sheet;
    let stands = |row: usize, number: u64| {
        let limb = |limb: &Vec<i64>| limb[row] as u64;
        sheet.limbs.windows(5).any(|limbs| {
            let digits = limbs.iter().rev().map(limb);
            digits.fold(0, |number, digit| number << LIMB_BITS | digit) == number
        })
    };
    for (row, numbers) in [
        (
            0,
            [
                600_000_000_000,
                4_915_200_000_000_000,
                4_740_664_454_526_519,
                4_740_592_117_727_591,
            ],
        ),
        (
            1,
            [
                259_996_000_000,
                8_519_548_928_000_000,
                8_217_025_303_460_512,
                8_216_899_921_604_685,
            ],
        ),
        (
            2,
            [
                279_996_000_000,
                4_587_454_464_000_000,
                8_849_113_897_397_381,
                8_848_978_870_635_031,
            ],
        ),
        (
            15,
            [
                4_559_968_000_000,
                4_669_407_232_000_000,
                1 << 52,
                9_007_061_815_787_520,
            ],
        ),
    ] {
        for number in numbers {
            assert!(stands(row, number), "{number} in row {row}");
        }
        assert!(!stands(row, 1_234_567_890_123));
    }
}
