//! Spans as OTLP has them in JSON: `ExportTraceServiceRequest`, with ids in hexadecimal and 64-bit numbers as texts.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};

use crate::span::{Kind, Span, Value};

/// Who tells.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    pub(crate) service: &'static str,
    pub(crate) version: &'static str,
    /// The pod, where there is one.
    pub(crate) instance: Option<String>,
}

/// The body of a call.
pub(crate) fn body(teller: &Teller, spans: &[Span]) -> Json {
    let mut resource = vec![
        attribute("service.name", &Value::from(teller.service)),
        attribute("service.namespace", &Value::from("zkinfer")),
        attribute("service.version", &Value::from(teller.version)),
    ];
    if let Some(instance) = &teller.instance {
        resource.push(attribute("service.instance.id", &Value::from(instance.as_str())));
    }
    let spans: Vec<Json> = spans.iter().map(span).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": { "name": "zkinfer", "version": teller.version }, "spans": spans }],
    }] })
}

fn span(span: &Span) -> Json {
    let mut all = Map::new();
    let attributes: Vec<Json> = span.attributes.iter().map(|(k, v)| attribute(k, v)).collect();
    let mut set = |key: &str, value: Json| all.insert(key.to_owned(), value);
    set("traceId", hex::encode(span.own.trace).into());
    set("spanId", hex::encode(span.own.span).into());
    if let Some(parent) = span.parent {
        set("parentSpanId", hex::encode(parent).into());
    }
    set("name", span.name.into());
    set("kind", number(span.kind).into());
    set("startTimeUnixNano", nanoseconds(span.from).into());
    set("endTimeUnixNano", nanoseconds(span.to).into());
    set("attributes", attributes.into());
    if let Some(why) = &span.failed {
        // STATUS_CODE_ERROR.
        set("status", json!({ "code": 2, "message": why }));
    }
    Json::Object(all)
}

/// `SpanKind` of OTLP.
const fn number(kind: Kind) -> i32 {
    match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    }
}

fn nanoseconds(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos().to_string()
}

fn attribute(key: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({ "stringValue": text }),
        Value::Int(n) => json!({ "intValue": n.to_string() }),
    };
    json!({ "key": key, "value": value })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value;
    use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
    use zkinfer_crds::{ClaimId, RequestUid};

    use super::*;
    use crate::context::Context;

    fn teller() -> Teller {
        Teller {
            service: "zkinfer-operator",
            version: "1.2.3",
            instance: Some("pod-0".to_owned()),
        }
    }

    #[test]
    fn opentelemetry_s_own_types_read_what_is_sent() {
        let request = RequestUid::new([7; 16]);
        let (root, claim) = (
            Context::of_request(request),
            Context::of_claim(request, ClaimId::new([8; 16])),
        );
        let from = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        let times = (from, from + Duration::from_millis(250));
        let spans = [
            Span::new("request", root, None, times).of_kind(Kind::Server),
            Span::new("claim", claim, Some(root), times)
                .of_kind(Kind::Producer)
                .with("zkinfer.slice", 3u32)
                .with("zkinfer.pool", "a/b \"c\"\n")
                .failed("LeaseExpired"),
        ];
        let sent = body(&teller(), &spans).to_string();
        let read: ExportTraceServiceRequest = serde_json::from_str(&sent).unwrap();
        let of = &read.resource_spans[0];
        let resource = of.resource.clone().unwrap().attributes;
        let keys: Vec<&str> = resource.iter().map(|a| a.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "service.name",
                "service.namespace",
                "service.version",
                "service.instance.id"
            ]
        );
        let spans = &of.scope_spans[0].spans;
        assert_eq!(
            (spans[0].name.as_str(), spans[1].name.as_str()),
            ("request", "claim")
        );
        assert_eq!(spans[0].trace_id, [7; 16]);
        assert_eq!(spans[1].trace_id, [7; 16]);
        assert!(spans[0].parent_span_id.is_empty());
        assert_eq!(spans[1].parent_span_id, spans[0].span_id);
        assert_eq!(spans[0].start_time_unix_nano, 1_700_000_000_123_456_789);
        assert_eq!(spans[0].end_time_unix_nano, 1_700_000_000_373_456_789);
        assert_eq!(
            (spans[0].kind, spans[1].kind),
            (SpanKind::Server as i32, SpanKind::Producer as i32)
        );
        let value = |at: usize| spans[1].attributes[at].value.clone().unwrap().value.unwrap();
        assert_eq!(value(0), any_value::Value::IntValue(3));
        assert_eq!(value(1), any_value::Value::StringValue("a/b \"c\"\n".to_owned()));
        let status = spans[1].status.clone().unwrap();
        assert_eq!(
            (status.code, status.message.as_str()),
            (StatusCode::Error as i32, "LeaseExpired")
        );
        assert!(spans[0].status.is_none());
    }
}
