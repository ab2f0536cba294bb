//! How the program tells what it does: lines of JSON where machines read them, text where people do.
//!
//! Invariants: a line of JSON is one event and one line, whatever a stranger has put into its fields; it has what every span has
//! that it was said in, and always the keys [`ALWAYS`]; colours are written to terminals only.

use std::fmt;
use std::io::IsTerminal;

use clap::ValueEnum;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// JSON in a pod, text elsewhere.
    #[default]
    Auto,
    /// An object in each line: time, level, target, message, and what belongs to it.
    Json,
    /// For people.
    Text,
}

/// What every line of JSON says, null where it is of none, so that whoever looks for a request's lines asks for one key: the uid of
/// the request, the slice's number, the claim's id, the pool as namespace/name, the Model as namespace/name.
pub const ALWAYS: [&str; 5] = ["request", "slice", "claim", "pool", "model"];

/// What is told where nobody asked for more: what may not be watched the operator says itself, once.
const BY_HAND: &str = "warn,kube_runtime::watcher=error";
const IN_A_CLUSTER: &str =
    "warn,kube_runtime::watcher=error,zkinfer_operator::cluster=info,zkinfer_operator::fleet=info";

/// Writes log lines to stderr from now on: for those who run a cluster what the operator does, for others what goes wrong.
pub fn start(format: LogFormat, in_a_cluster: bool) {
    let told = if in_a_cluster { IN_A_CLUSTER } else { BY_HAND };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(told));
    let terminal = std::io::stderr().is_terminal();
    let to = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())
        .with_env_filter(filter);
    if is_json(
        format,
        std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        terminal,
    ) {
        to.fmt_fields(SpanFields).event_format(Json).init();
    } else {
        to.init();
    }
}

const fn is_json(format: LogFormat, pod: bool, terminal: bool) -> bool {
    match format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => pod && !terminal,
    }
}

/// See [`LogFormat::Json`].
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(said) = span.extensions().get::<FormattedFields<N>>() {
                fields.0.extend(read(&said.fields));
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = line(
            &Timestamp::now().to_string(),
            metadata.level().as_str(),
            metadata.target(),
            fields.0,
        );
        writeln!(writer, "{line}")
    }
}

/// What a span says, kept as an object of JSON.
struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut all = Fields(Map::new());
        fields.record(&mut all);
        write!(writer, "{}", Value::Object(all.0))
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut all = Fields(read(&current.fields));
        fields.record(&mut all);
        current.fields = Value::Object(all.0).to_string();
        Ok(())
    }
}

/// What a span says; nothing where that is not ours.
fn read(said: &str) -> Map<String, Value> {
    serde_json::from_str(said).unwrap_or_default()
}

fn line(time: &str, level: &str, target: &str, fields: Map<String, Value>) -> Value {
    let mut all = Map::new();
    for (key, value) in [("time", time), ("level", level), ("target", target)] {
        all.insert(key.to_owned(), value.into());
    }
    for (key, value) in fields {
        // A field may be called as one of these.
        let key = if all.contains_key(&key) {
            format!("{key}_")
        } else {
            key
        };
        all.insert(key, value);
    }
    for key in ALWAYS {
        all.entry(key).or_insert(Value::Null);
    }
    Value::Object(all)
}

struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn json_is_for_pods_and_for_those_who_ask_for_it() {
        assert!(is_json(LogFormat::Auto, true, false));
        assert!(!is_json(LogFormat::Auto, false, false));
        assert!(!is_json(LogFormat::Auto, true, true), "a person looks");
        assert!(is_json(LogFormat::Json, false, true));
        assert!(!is_json(LogFormat::Text, true, false));
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_is_in_its_fields() {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .event_format(Json)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let error = "two\nlines, \u{1b}[31mred\u{1b}[0m";
            tracing::warn!(name = "a\"b", n = 3, %error, level = "mine", "it is {}", "so");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(event["level"], "WARN");
        assert_eq!(event["level_"], "mine");
        assert_eq!(event["message"], "it is so");
        assert_eq!((&event["name"], &event["n"]), (&"a\"b".into(), &3.into()));
        assert!(event["error"].as_str().unwrap().contains('\n'));
        assert!(event["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn a_line_has_what_its_spans_have_and_always_the_same_keys() {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || to.clone())
            .fmt_fields(SpanFields)
            .event_format(Json)
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("of nothing");
            let outer = tracing::error_span!(
                "outer",
                request = "r",
                pool = "a/one",
                claim = tracing::field::Empty
            );
            outer.in_scope(|| {
                outer.record("claim", "c");
                let inner = tracing::error_span!("inner", slice = 3, pool = "a/two");
                inner.in_scope(|| tracing::warn!(more = true, "of a claim"));
                tracing::warn!(request = "other", "of another");
            });
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let said: Vec<Vec<&Value>> = lines
            .iter()
            .map(|l| ALWAYS.iter().map(|key| &l[key]).collect())
            .collect();
        let (null, text) = (Value::Null, |t: &str| Value::from(t));
        assert!(
            lines
                .iter()
                .all(|line| ALWAYS.iter().all(|key| line.get(key).is_some()))
        );
        assert_eq!(said[0], [&null; 5]);
        let expected = [text("r"), 3.into(), text("c"), text("a/two"), Value::Null];
        assert_eq!(said[1], expected.iter().collect::<Vec<_>>());
        assert_eq!(lines[1]["more"], true);
        let expected = [text("other"), Value::Null, text("c"), text("a/one"), Value::Null];
        assert_eq!(said[2], expected.iter().collect::<Vec<_>>());
    }
}
