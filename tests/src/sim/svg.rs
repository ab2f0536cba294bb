//! Plots as SVG: two axes, points, lines and bars, in the hand of docs/benchmarks.svg.

use std::fmt::Write as _;

const LEFT: f64 = 70.0;
const TOP: f64 = 46.0;
const WIDE: f64 = 560.0;
const HIGH: f64 = 260.0;

/// A plot of `x` and `y` from zero up to their greatest.
pub(super) struct Plot {
    most: (f64, f64),
    shapes: String,
    keys: u32,
}

/// A number of few digits.
fn tick(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// A greatest value that is a tidy one: 1, 2 or 5 times a power of ten.
fn tidy(most: f64) -> f64 {
    let power = 10f64.powf(most.max(1e-9).log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= most);
    step.unwrap_or(10.0) * power
}

impl Plot {
    pub(super) fn new(title: &str, x: (&str, f64), y: (&str, f64)) -> Self {
        let most = (x.1.max(1e-9), tidy(y.1));
        let mut plot = Self {
            most,
            shapes: String::new(),
            keys: 0,
        };
        let (wide, high) = (LEFT + WIDE + 40.0, TOP + HIGH + 50.0);
        plot.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"18\">{title}</text>"
        ));
        for step in 0..=5 {
            let part = f64::from(step) / 5.0;
            let (_, line) = plot.at(0.0, most.1 * part);
            let value = tick(most.1 * part);
            plot.put(format_args!(
                "<line x1=\"{LEFT}\" y1=\"{line:.1}\" x2=\"{}\" y2=\"{line:.1}\" stroke=\"#ccc\"/><text x=\"{}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{value}</text>",
                LEFT + WIDE,
                LEFT - 6.0,
                line + 4.0
            ));
        }
        plot.put(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text><text x=\"{LEFT}\" y=\"{}\">{}</text>",
            LEFT + WIDE / 2.0,
            TOP + HIGH + 40.0,
            x.0,
            TOP - 8.0,
            y.0
        ));
        plot
    }

    fn put(&mut self, shape: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.shapes, "{shape}");
    }

    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let part = |value: f64, most: f64| (value / most).clamp(0.0, 1.0);
        (
            LEFT + WIDE * part(x, self.most.0),
            TOP + HIGH * (1.0 - part(y, self.most.1)),
        )
    }

    /// Marks of the axis at the bottom.
    pub(super) fn ticks(mut self, steps: u32) -> Self {
        for step in 0..=steps {
            let value = self.most.0 * f64::from(step) / f64::from(steps);
            let (x, _) = self.at(value, 0.0);
            let text = tick(value);
            self.put(format_args!(
                "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                TOP + HIGH + 18.0
            ));
        }
        self
    }

    /// What a colour stands for.
    pub(super) fn key(&mut self, colour: &str, words: &str) {
        let x = LEFT + 185.0 * f64::from(self.keys);
        self.keys += 1;
        self.put(format_args!(
            "<rect x=\"{x}\" y=\"24\" width=\"9\" height=\"9\" fill=\"{colour}\"/><text x=\"{}\" y=\"33\">{words}</text>",
            x + 13.0
        ));
    }

    pub(super) fn point(&mut self, (x, y): (f64, f64), colour: &str) {
        let (x, y) = self.at(x, y);
        self.put(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"{colour}\"/>"
        ));
    }

    pub(super) fn line(&mut self, points: &[(f64, f64)], colour: &str) {
        let points: Vec<String> = points
            .iter()
            .map(|(x, y)| self.at(*x, *y))
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        self.put(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            points.join(" ")
        ));
    }

    /// A bar between two places of the axis at the bottom.
    pub(super) fn bar(&mut self, (from, to): (f64, f64), value: f64, colour: &str) {
        let (x, y) = self.at(from, value);
        let (end, floor) = self.at(to, 0.0);
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            end - x,
            floor - y
        ));
        // What does not fit is told.
        if value > self.most.1 {
            let value = tick(value);
            self.put(format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"9\">{value}</text>",
                y - 2.0
            ));
        }
    }

    /// Words under a place of the axis at the bottom.
    pub(super) fn under(&mut self, x: f64, words: &str, line: u32) {
        let (x, _) = self.at(x, 0.0);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" font-size=\"10\">{words}</text>",
            TOP + HIGH + 14.0 + 11.0 * f64::from(line)
        ));
    }

    pub(super) fn end(mut self) -> String {
        self.put(format_args!("</svg>"));
        self.shapes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_what_was_put_into_it_and_keeps_inside_its_axes() {
        let mut plot = Plot::new("title", ("x", 10.0), ("y", 0.9)).ticks(2);
        plot.key("#111", "words");
        plot.point((5.0, 0.5), "#222");
        plot.point((50.0, -3.0), "#333");
        plot.line(&[(0.0, 0.0), (10.0, 1.0)], "#444");
        plot.bar((1.0, 2.0), 7.0, "#555");
        plot.under(1.5, "below", 0);
        let svg = plot.end();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(
            svg.contains("<circle cx=\"350.0\" cy=\"176.0\" r=\"2\" fill=\"#222\"/>"),
            "{svg}"
        );
        assert!(
            svg.contains("<circle cx=\"630.0\" cy=\"306.0\""),
            "at the edge: {svg}"
        );
        assert!(
            svg.contains("70.0,306.0 630.0,46.0") && svg.contains(">7</text>"),
            "{svg}"
        );
    }

    #[test]
    fn the_greatest_value_of_an_axis_is_a_tidy_one() {
        assert_eq!([0.9, 1.0, 3.2, 730.0].map(tidy), [1.0, 1.0, 5.0, 1000.0]);
    }
}
