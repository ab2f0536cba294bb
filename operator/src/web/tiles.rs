//! Figures for pages of others: pictures that anybody may show, where the Validator lets everybody look.
//!
//! Invariants: a tile is made of numbers and of this file's own words: no name, label or reason of a stranger is in one; it is a picture
//! without script or style; it tells no more than public Stats do, and nothing where they are not public.

use std::fmt::Write as _;

use super::stats::{PoolStats, RequestStats, Spread};

/// Below which tiles are: the paths that pages of others may show.
pub(super) const TILES: &str = "/tiles/";

const WIDTH: usize = 240;
const HEIGHT: usize = 96;
/// The room of a chart.
const CHART: (f64, f64) = (208.0, 28.0);

/// The tiles there are, as SVG.
#[derive(Debug, Default)]
pub(super) struct Tiles {
    requests: String,
    latency: String,
    proofs: String,
    miners: String,
}

impl Tiles {
    pub(super) fn of(requests: &RequestStats, pools: &PoolStats) -> Self {
        let hour: u32 = requests.per_minute.iter().map(|minute| minute[0]).sum();
        let minutes = requests.per_minute.iter().map(|minute| minute[0]);
        Self {
            requests: tile(
                "Requests",
                &format!("{hour} in an hour"),
                &bars(&minutes.collect::<Vec<_>>()),
            ),
            latency: tile("Latency", &half(requests.latency), &line(&rest(requests.latency))),
            proofs: tile("Proofs", &half(requests.proof_millis), &line(&each(requests))),
            miners: tile("Miners", &pools.count.to_string(), &line(&ready_of(pools))),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        match name {
            "requests.svg" => Some(&self.requests),
            "latency.svg" => Some(&self.latency),
            "proofs.svg" => Some(&self.proofs),
            "miners.svg" => Some(&self.miners),
            _ => None,
        }
    }
}

fn tile(label: &str, value: &str, more: &str) -> String {
    let font = "font-family=\"system-ui,sans-serif\"";
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         role=\"img\" aria-label=\"{label}: {value}\"><title>{label}: {value}</title>\
         <rect x=\"0.5\" y=\"0.5\" width=\"239\" height=\"95\" rx=\"9\" fill=\"#ffffff\" stroke=\"#dde2e8\"/>\
         <text x=\"16\" y=\"24\" {font} font-size=\"12\" fill=\"#55606e\">{label}</text>\
         <text x=\"16\" y=\"48\" {font} font-size=\"18\" font-weight=\"650\" fill=\"#16202c\">{value}</text>{more}</svg>"
    )
}

fn ready_of(pools: &PoolStats) -> String {
    let ready = pools.list.iter().filter(|pool| pool.ready).count();
    if pools.list.len() == pools.count {
        format!("{ready} ready")
    } else {
        format!("{ready} of the first {} ready", pools.list.len())
    }
}

/// A further line of text.
fn line(text: &str) -> String {
    format!(
        "<text x=\"16\" y=\"74\" font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"#55606e\">{text}</text>"
    )
}

/// A bar for each number, the highest as high as there is room.
fn bars(of: &[u32]) -> String {
    let most = f64::from(of.iter().copied().max().unwrap_or_default().max(1));
    let step = CHART.0 / of.len().max(1) as f64;
    let mut path = String::new();
    for (at, many) in of.iter().enumerate().filter(|(_, many)| **many > 0) {
        let tall = f64::from(*many) / most * CHART.1;
        // A text takes whatever is written into it.
        let _ = write!(
            path,
            "M{:.1} 86v-{tall:.1}h{:.1}v{tall:.1}z",
            16.0 + at as f64 * step,
            step * 0.8
        );
    }
    format!("<path d=\"{path}\" fill=\"#0f766e\"/><path d=\"M16 86.5h208\" stroke=\"#dde2e8\"/>")
}

/// What half of them do not exceed.
fn half(of: Spread) -> String {
    if of.count == 0 {
        return "none yet".to_owned();
    }
    format!("p50 {}", time(of.p50))
}

/// What most of them do not exceed.
fn rest(of: Spread) -> String {
    if of.count == 0 {
        return String::new();
    }
    format!("p95 {}, p99 {}", time(of.p95), time(of.p99))
}

/// What a proof takes, and how large it is.
fn each(of: &RequestStats) -> String {
    if of.proof_bytes.count == 0 {
        return String::new();
    }
    format!(
        "p95 {}, {} each",
        time(of.proof_millis.p95),
        size(of.proof_bytes.p50)
    )
}

fn time(millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{:.1} s", millis as f64 / 1000.0),
        _ => format!("{} min", millis / 60_000),
    }
}

fn size(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: usize, p50: u64) -> Spread {
        Spread {
            count,
            p50,
            p95: 2 * p50,
            p99: 3 * p50,
            most: 3 * p50,
        }
    }

    #[test]
    fn a_tile_has_numbers_with_their_units_and_a_bar_for_each_minute_that_has_one() {
        let mut requests = RequestStats {
            per_minute: vec![[0; 3]; 60],
            latency: of(3, 1500),
            proof_millis: of(4, 60),
            proof_bytes: of(4, 46_080),
            ..RequestStats::default()
        };
        requests.per_minute[0] = [4, 1, 0];
        requests.per_minute[59] = [2, 2, 0];
        let pools = PoolStats {
            count: 7,
            list: Vec::new(),
        };
        let tiles = Tiles::of(&requests, &pools);
        for (name, words) in [
            ("requests.svg", "6 in an hour"),
            ("latency.svg", ">p50 1.5 s<"),
            ("latency.svg", "p95 3.0 s, p99 4.5 s"),
            ("proofs.svg", ">p50 60 ms<"),
            ("proofs.svg", "p95 120 ms, 45.0 KiB each"),
            ("miners.svg", ">7<"),
        ] {
            let svg = tiles.get(name).unwrap();
            assert!(svg.contains(words), "{name}: {svg}");
            assert!(!svg.contains("<script") && !svg.contains("style"), "{svg}");
        }
        assert_eq!(tiles.requests.matches("86v-").count(), 2);
        assert!(tiles.requests.contains("86v-28.0") && tiles.requests.contains("86v-14.0"));
        assert_eq!(tiles.get("other.svg"), None);
    }

    #[test]
    fn where_there_is_nothing_yet_a_tile_says_so() {
        let pools = PoolStats {
            count: 0,
            list: Vec::new(),
        };
        let tiles = Tiles::of(&RequestStats::default(), &pools);
        assert!(tiles.latency.contains("none yet") && tiles.proofs.contains("none yet"));
        assert!(tiles.requests.contains("0 in an hour") && !tiles.requests.contains("NaN"));
    }
}
