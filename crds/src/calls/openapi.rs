//! The OpenAPI document, from the calls.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::json;
use serde_yaml::{Mapping, Value};

use super::content::Content;
use super::{Bearer, Described, Json, Reason, Reply, all};
use crate::wire::Problem;

const HEAD: &str = "\
# The gateway's HTTP API. docs/worker-protocol.md says what the calls are for.
# Generated from crds/src/calls: `ZKINFER_UPDATE=1 cargo test -p zkinfer-crds`. Do not edit.
";

/// The document, as YAML.
///
/// # Errors
/// None for the calls that there are, as a test shows: what a schema holds can be written.
pub fn openapi() -> Result<String, serde_yaml::Error> {
    let settings = SchemaSettings::draft2020_12().with(|s| {
        s.definitions_path = "/components/schemas".into();
        s.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Mapping::new();
    for call in all() {
        let operation = operation(&call, &mut generator);
        let item = paths.entry(text(call.path)).or_insert_with(|| map([]));
        if let Value::Mapping(item) = item {
            item.insert(text(&call.method.as_str().to_lowercase()), operation);
        }
    }
    let problem = content(
        Json::<Problem>::MEDIA,
        Json::<Problem>::schema(&mut generator).as_ref(),
    );
    let schemas = serde_yaml::to_value(generator.take_definitions(true))?;
    let document = map([
        ("openapi", text("3.1.0")),
        (
            "info",
            yaml(&json!({
                "title": "zkinfer gateway",
                "version": "v1",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            })),
        ),
        (
            "servers",
            yaml(&json!([{
                "url": "http://zkinfer-gateway.zkinfer-system.svc:8080",
                "description": "in the cluster; `operator local` listens on a free port of 127.0.0.1 instead",
            }])),
        ),
        ("tags", tags()),
        ("paths", Value::Mapping(paths)),
        (
            "components",
            map([
                ("securitySchemes", schemes()),
                (
                    "responses",
                    map([(
                        "Problem",
                        map([("description", text(&any_problem())), ("content", problem)]),
                    )]),
                ),
                ("schemas", schemas),
            ]),
        ),
    ]);
    Ok(format!("{HEAD}{}", serde_yaml::to_string(&document)?))
}

fn text(of: &str) -> Value {
    Value::String(of.to_owned())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Mapping(entries.into_iter().map(|(k, v)| (text(k), v)).collect())
}

fn yaml(of: &serde_json::Value) -> Value {
    // JSON is always a YAML value.
    serde_yaml::to_value(of).unwrap_or_default()
}

fn reference(to: &str) -> Value {
    map([("$ref", text(to))])
}

fn content(media: Option<&'static str>, schema: Option<&Schema>) -> Value {
    let of = schema.map_or_else(|| map([]), |s| map([("schema", yaml(s.as_value()))]));
    media.map_or_else(|| map([]), |media| map([(media, of)]))
}

/// What every bearer is called in the document, the tag of its calls, and where its token comes from.
const fn bearer(of: Bearer) -> (&'static str, &'static str, &'static str) {
    match of {
        Bearer::Worker => (
            "workerToken",
            "work",
            "in a cluster a token of the pool's ServiceAccount with the audience `zkinfer-gateway`; with `operator local` what \
             ZKINFER_TOKEN holds",
        ),
        Bearer::Claim => ("claimToken", "work", "the `token` of the claim's grant"),
        Bearer::Compiler => (
            "compileToken",
            "compile",
            "what the file at ZKINFER_COMPILE_TOKEN_FILE holds",
        ),
        Bearer::Kubernetes => (
            "kubernetesToken",
            "clients",
            "a token of the caller that the API server accepts",
        ),
    }
}

fn schemes() -> Value {
    let all = [
        Bearer::Worker,
        Bearer::Claim,
        Bearer::Compiler,
        Bearer::Kubernetes,
    ];
    map(all.map(bearer).map(|(name, _, means)| {
        let scheme = map([
            ("type", text("http")),
            ("scheme", text("bearer")),
            ("description", text(means)),
        ]);
        (name, scheme)
    }))
}

fn tags() -> Value {
    yaml(&json!([
        { "name": "work", "description": "for workers" },
        { "name": "compile", "description": "for the compilers that the operator starts itself" },
        { "name": "clients", "description": "for people and their programs; not with `operator local`" },
    ]))
}

fn any_problem() -> String {
    let reasons = Reason::ANY.iter().map(|r| format!("{} `{r}`", r.status()));
    format!(
        "an error. Any call may be answered with {}; {} and {} where the caller may not do this, or there is no such thing",
        reasons.collect::<Vec<_>>().join(", "),
        Reason::Forbidden.status(),
        Reason::NotFound.status(),
    )
}

fn operation(call: &Described, generator: &mut SchemaGenerator) -> Value {
    let about = &call.about;
    let (scheme, tag, _) = bearer(about.bearer);
    // As rustdoc has it: the first line, and what comes after an empty one.
    let lines: Vec<&str> = about.text.lines().map(str::trim).collect();
    let (summary, more) = lines.split_first().map_or(("", &[][..]), |(s, more)| (*s, more));
    let mut operation = Mapping::new();
    let mut put = |key: &str, value: Value| operation.insert(text(key), value);
    put("operationId", text(about.id));
    put("tags", Value::Sequence(vec![text(tag)]));
    put("summary", text(summary));
    let more = more.join(" ").trim().to_owned();
    if !more.is_empty() {
        put("description", text(&more));
    }
    put(
        "security",
        Value::Sequence(vec![map([(scheme, Value::Sequence(Vec::new()))])]),
    );
    let parameters = parameters(call, generator);
    if !parameters.is_empty() {
        put("parameters", Value::Sequence(parameters));
    }
    if let (Some(media), schema) = call.body {
        let most = size(call.max_body);
        let description = match about.body {
            "" => format!("at most {most}"),
            said => format!("{said}; at most {most}"),
        };
        let body = map([
            ("required", Value::Bool(true)),
            ("description", text(&description)),
            ("content", content(Some(media), schema(generator).as_ref())),
        ]);
        put("requestBody", body);
    }
    let mut responses = Mapping::new();
    for reply in about.replies {
        let said = match reply {
            Reply::Empty(_, means) => map([("description", text(means))]),
            Reply::Answer(_, means) => {
                let (media, schema) = call.answer;
                let carried = content(media, schema(generator).as_ref());
                map([("description", text(means)), ("content", carried)])
            }
            Reply::Problem(_, reasons) => {
                let sentences = reasons
                    .iter()
                    .map(|(reason, means)| format!("{means} (`{reason}`)"));
                let means = sentences.collect::<Vec<_>>().join(", or ");
                let schema = Json::<Problem>::schema(generator);
                let carried = content(Json::<Problem>::MEDIA, schema.as_ref());
                map([("description", text(&means)), ("content", carried)])
            }
        };
        responses.insert(text(&reply.status().to_string()), said);
    }
    responses.insert(text("default"), reference("#/components/responses/Problem"));
    put("responses", Value::Mapping(responses));
    Value::Mapping(operation)
}

fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units
        .into_iter()
        .find(|(shift, _)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift));
    whole.map_or_else(
        || format!("{bytes} bytes"),
        |(shift, unit)| format!("{} {unit}", bytes >> shift),
    )
}

fn parameters(call: &Described, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut all = Vec::new();
    for name in call.names() {
        let (pattern, description) = match name {
            "digest" => (Some("^sha256:[0-9a-f]{64}$"), None),
            "claim" => (
                Some("^[0-9a-f]{32}$"),
                Some("the grant's `claim`; the token must be of the same claim"),
            ),
            _ => (None, None),
        };
        let mut schema = json!({ "type": "string" });
        if let Some(pattern) = pattern {
            schema["pattern"] = json!(pattern);
        }
        all.push(parameter(
            "path",
            name,
            true,
            description,
            "schema",
            yaml(&schema),
        ));
    }
    let query = (call.query)(generator);
    let required = query.get("required").and_then(|r| r.as_array());
    let properties = query.get("properties").and_then(|p| p.as_object());
    for (name, schema) in properties.into_iter().flatten() {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|s| s.remove("description"));
        let description = description.as_ref().and_then(|d| d.as_str());
        let needed = required.is_some_and(|r| r.iter().any(|n| n == name));
        all.push(parameter(
            "query",
            name,
            needed,
            description,
            "schema",
            yaml(&schema),
        ));
    }
    for header in call.about.headers {
        let (key, value) = match header.json {
            Some(schema) => (
                "content",
                content(Some("application/json"), Some(&schema(generator))),
            ),
            None => ("schema", yaml(&json!({ "type": "string" }))),
        };
        all.push(parameter(
            "header",
            header.name,
            false,
            Some(header.means),
            key,
            value,
        ));
    }
    all
}

fn parameter(
    place: &str,
    name: &str,
    required: bool,
    description: Option<&str>,
    key: &str,
    value: Value,
) -> Value {
    let mut parameter = Mapping::new();
    let mut put = |key: &str, value: Value| parameter.insert(text(key), value);
    put("name", text(name));
    put("in", text(place));
    put("required", Value::Bool(required));
    if let Some(description) = description {
        put("description", text(description));
    }
    put(key, value);
    Value::Mapping(parameter)
}
