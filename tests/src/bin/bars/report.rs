//! The bars, and what was measured beside them.

use serde::Serialize;
use serde_json::{Value, json};
use zkinfer_crds::ProofSystem;

use super::layers::Layer;
use super::measure::Measured;
use super::quickstart::Quickstart;

/// One kind of work in both proof systems.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) layer: Layer,
    pub(crate) sumcheck: Measured,
    /// Absent where it was only predicted.
    pub(crate) halo2: Option<Measured>,
    /// Absent where halo2 has no circuit for it.
    pub(crate) halo2_predicted_cpu_seconds: Option<f64>,
}

impl Row {
    /// How many times less CPU SumcheckWhir takes, and whether that was measured.
    fn ratio(&self) -> Option<(f64, bool)> {
        let measured = self.halo2.as_ref().map(|m| (m.cpu_seconds, true));
        let halo2 = measured.or(self.halo2_predicted_cpu_seconds.map(|s| (s, false)))?;
        Some((halo2.0 / self.sumcheck.cpu_seconds, halo2.1))
    }
}

/// A bar.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Bar {
    what: String,
    got: f64,
    /// The most, or the least where `at_least`.
    bar: f64,
    at_least: bool,
    unit: &'static str,
    met: bool,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    pub(crate) quickstarts: Vec<Quickstart>,
    bars: Vec<Bar>,
}

impl Report {
    fn most(&mut self, what: String, got: f64, bar: f64, unit: &'static str) {
        let met = got <= bar;
        let at_least = false;
        self.bars.push(Bar {
            what,
            got,
            bar,
            at_least,
            unit,
            met,
        });
    }

    fn least(&mut self, what: String, got: f64, bar: f64, unit: &'static str) {
        let met = got >= bar;
        let at_least = true;
        self.bars.push(Bar {
            what,
            got,
            bar,
            at_least,
            unit,
            met,
        });
    }

    /// Holds the rows against the bars.
    pub(crate) fn judge(&mut self) {
        for row in std::mem::take(&mut self.rows) {
            let (title, s) = (row.layer.title(), &row.sumcheck);
            let cpu = match row.layer {
                Layer::Conv => Some(0.06),
                Layer::Dense => Some(0.05),
                Layer::DenseBatch => Some(0.25),
                Layer::Activations => Some(0.4),
                Layer::Digits => None,
            };
            if let Some(cpu) = cpu {
                self.most(format!("{title}: to prove"), s.cpu_seconds, cpu, "CPU s");
            }
            let kb = s.proof_bytes as f64 / 1000.0;
            self.most(format!("{title}: proof"), kb, 140.0, "KB");
            self.most(format!("{title}: to verify"), s.verify_milliseconds, 8.0, "ms");
            self.most(format!("{title}: memory"), s.rss_mib, 500.0, "MiB");
            // Of the digits network's process most is the compiler's.
            if !matches!(row.layer, Layer::Digits) {
                let times = s.rss_mib / s.predicted_rss_mib;
                self.most(format!("{title}: memory of prediction"), times, 1.25, "");
            }
            let least = match row.layer {
                Layer::Conv | Layer::Dense => Some(100.0),
                Layer::Digits => Some(10.0),
                Layer::DenseBatch | Layer::Activations => None,
            };
            if let (Some(least), Some((ratio, _))) = (least, row.ratio()) {
                self.least(format!("{title}: less CPU than Halo2Kzg"), ratio, least, "x");
            }
            self.rows.push(row);
        }
        for q in self.quickstarts.clone() {
            let title = format!("quickstart with {}", q.system);
            let least = 4.0;
            self.least(format!("{title}: slices"), q.slices as f64, least, "");
            if q.system == ProofSystem::SumcheckWhir {
                self.most(format!("{title}: first request"), q.first_seconds, 1.5, "s");
                continue;
            }
            self.most(format!("{title}: first request"), q.first_seconds, 5.0, "s");
            self.most(format!("{title}: second request"), q.second_seconds, 2.0, "s");
            let kib = q.proof_bytes as f64 / 1024.0;
            self.most(format!("{title}: proof"), kib, 6.0, "KiB");
            self.most(
                format!("{title}: to verify a slice"),
                q.verify_milliseconds,
                10.0,
                "ms",
            );
            self.most(format!("{title}: memory of any process"), q.rss_mib, 250.0, "MiB");
        }
    }

    /// Whether every bar is met.
    pub(crate) fn met(&self) -> bool {
        self.bars.iter().all(|b| b.met)
    }

    /// For people.
    pub(crate) fn print(&self) {
        println!(
            "This program's instruction set: {}.\n",
            zkml::processor::instruction_set()
        );
        println!(
            "{:<28} {:<13} {:>6} {:>10} {:>10} {:>10} {:>9} {:>9} {:>7}",
            "work", "system", "slices", "CPU s", "keys CPU s", "proof KiB", "verify ms", "RSS MiB", "ratio"
        );
        for row in &self.rows {
            let ratio = row.ratio();
            line(row.layer.title(), ProofSystem::SumcheckWhir, &row.sumcheck, "");
            let times =
                |(ratio, measured): (f64, bool)| format!("{}{ratio:.0}x", if measured { "" } else { "~" });
            let ratio = ratio.map(times).unwrap_or_default();
            match (&row.halo2, row.halo2_predicted_cpu_seconds) {
                (Some(halo2), _) => line("", ProofSystem::Halo2Kzg, halo2, &ratio),
                (None, Some(seconds)) => println!(
                    "{:<28} {:<13} {:>6} {seconds:>9.1}  (by the cost model, not measured) {:>29}",
                    "", "Halo2Kzg", "", ratio
                ),
                (None, None) => println!("{:<28} {:<13} has no circuit for it", "", "Halo2Kzg"),
            }
        }
        println!();
        for b in &self.bars {
            println!(
                "{:<58} {:>9.3} {:<5} {} {:>6} {:<5} {}",
                b.what,
                b.got,
                b.unit,
                if b.at_least { ">=" } else { "<=" },
                b.bar,
                b.unit,
                if b.met { "met" } else { "NOT MET" }
            );
        }
        println!();
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "work": row.layer.title(), "SumcheckWhir": row.sumcheck, "Halo2Kzg": row.halo2,
                    "halo2PredictedCpuSeconds": row.halo2_predicted_cpu_seconds,
                    "ratio": row.ratio().map(|(ratio, _)| ratio),
                    "ratioMeasured": row.ratio().is_some_and(|(_, measured)| measured),
                })
            })
            .collect();
        json!({
            "instructionSet": zkml::processor::instruction_set(), "met": self.met(), "bars": self.bars, "work": rows,
            "quickstarts": self.quickstarts,
        })
    }
}

fn line(title: &str, system: ProofSystem, m: &Measured, ratio: &str) {
    println!(
        "{title:<28} {:<13} {:>6} {:>10.3} {:>10.3} {:>10.1} {:>9.2} {:>9.0} {ratio:>7}",
        system.to_string(),
        m.slices,
        m.cpu_seconds,
        m.keys_cpu_seconds,
        m.proof_bytes as f64 / 1024.0,
        m.verify_milliseconds,
        m.rss_mib
    );
}
