//! Sets of labels, and what Prometheus calls a metric.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Sets of labels, with their names.
macro_rules! labels {
    ($(struct $set:ident { $($label:ident: $type:ty,)+ })+) => {
        $(
            #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
            pub(super) struct $set {
                $(pub(super) $label: $type,)+
            }

            impl Labels for $set {
                const NAMES: &'static [&'static str] = &[$(stringify!($label)),+];
            }
        )+
    };
}

labels! {
    struct Reconcile {
        kind: &'static str,
        ok: &'static str,
    }
    struct Write {
        method: &'static str,
        resource: String,
    }
    struct Verdict {
        pool: String,
        verdict: &'static str,
    }
    struct Phase {
        phase: &'static str,
    }
    struct State {
        state: &'static str,
    }
    struct Stored {
        what: &'static str,
    }
    struct Namespace {
        namespace: String,
    }
    struct OfNamespace {
        namespace: String,
        what: &'static str,
    }
    struct OfModel {
        model: String,
    }
    struct Why {
        reason: &'static str,
    }
    struct Trace {
        trace_id: String,
    }
}

/// A set of labels.
pub(super) trait Labels {
    /// Their names.
    const NAMES: &'static [&'static str];
}

/// What Prometheus calls a metric and its samples.
pub(super) trait Shape {
    /// Its type.
    const TYPE: &'static str;
    /// What its name ends with where it is read.
    const SUFFIX: &'static str;
    /// Its labels.
    const LABELS: &'static [&'static str];
}

impl Shape for Counter {
    const TYPE: &'static str = "counter";
    const SUFFIX: &'static str = "_total";
    const LABELS: &'static [&'static str] = &[];
}

impl Shape for Gauge {
    const TYPE: &'static str = "gauge";
    const SUFFIX: &'static str = "";
    const LABELS: &'static [&'static str] = &[];
}

impl Shape for Histogram {
    const TYPE: &'static str = "histogram";
    const SUFFIX: &'static str = "";
    const LABELS: &'static [&'static str] = &[];
}

/// With each bucket goes an example: the trace of a request whose value fell into it last.
impl Shape for HistogramWithExemplars<Trace> {
    const TYPE: &'static str = "histogram";
    const SUFFIX: &'static str = "";
    const LABELS: &'static [&'static str] = &[];
}

impl<L: Labels, M: Shape> Shape for Family<L, M> {
    const TYPE: &'static str = M::TYPE;
    const SUFFIX: &'static str = M::SUFFIX;
    const LABELS: &'static [&'static str] = L::NAMES;
}
