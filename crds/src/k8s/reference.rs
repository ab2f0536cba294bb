//! The API reference, `docs/api-reference.md`: everything that the installed schemas and the words of the conditions say,
//! in tables.
//!
//! Invariant: nothing is written here about a field that its schema does not say.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool, ValidationRule,
};

use super::definitions::crds;
use super::{CATEGORY, GROUP, VERSION, Word, pods};

macro_rules! words_of {
    ($($(#[$doc:meta])* $kind:ident($file:ident, $one:ident, $all:ident),)*) => {
        &[$((stringify!($kind), super::$file::condition::WORDS, super::$file::reason::WORDS)),*]
    };
}

/// The words of a kind's conditions: their types, and their reasons.
pub(super) const WORDS: &[(&str, &[Word], &[Word])] = crate::kinds!(words_of);

/// The reference, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = format!(
        "<!-- Generated from crds/src/k8s: `ZKINFER_UPDATE=1 cargo test -p zkinfer-crds`. Do not edit. -->\n\
         # API reference\n\n\
         Group `{GROUP}`, version `{VERSION}`; every kind is namespaced. `kubectl get {CATEGORY}` lists all of them, \
         `kubectl explain`\nshows the same fields. Whoever applies an object writes its `spec`; only the operator writes \
         a `status`.\n\n\
         `[]` is an item of a list, `{{}}` a value of a map. *Immutable*: it cannot be changed after creation. Rules are\n\
         [CEL](https://kubernetes.io/docs/reference/using-api/cel/), checked by the API server. Conditions are \
         Kubernetes' own type.\n"
    );
    for crd in crds() {
        kind(&mut text, &crd);
    }
    text.push_str(
        "\n## Pods that do not run\n\nA MinerPool says it of its workers, in `Ready` and `Degraded`, a Model of its \
         compiler, in `Ready` and `Compiled`. The\nmessage names the cause and a way out.\n",
    );
    words(&mut text, "Reasons of pods", "reason", pods::reason::WORDS);
    text
}

fn kind(text: &mut String, crd: &CustomResourceDefinition) {
    let names = &crd.spec.names;
    let Some(version) = crd.spec.versions.first() else {
        return;
    };
    let schema = version
        .schema
        .as_ref()
        .and_then(|s| s.open_api_v3_schema.as_ref());
    let Some(schema) = schema else { return };
    let short = names.short_names.iter().flatten().map(|s| code(s));
    text.push_str(&format!(
        "\n## {}\n\n{}\n\nResource `{}`, short name {}.\n",
        names.kind,
        schema.description.as_deref().unwrap_or_default(),
        names.plural,
        short.collect::<Vec<_>>().join(", ")
    ));
    for rule in rules(schema) {
        text.push_str(&format!("\nRule: {} ({}).\n", sentence(rule), code(&rule.rule)));
    }
    let part = |name: &str| schema.properties.as_ref().and_then(|p| p.get(name));
    if let Some(spec) = part("spec") {
        text.push_str(&format!("\n### {} spec\n\n", names.kind));
        text.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
        fields(text, spec, "", true);
        let mut found = Vec::new();
        all_rules(spec, "spec", &mut found);
        if !found.is_empty() {
            text.push_str("\n| rule on | is | says |\n|---|---|---|\n");
        }
        for (path, rule) in found {
            text.push_str(&format!(
                "| {} | {} | {} |\n",
                code(&path),
                cell(&code(&rule.rule)),
                cell(&sentence(rule))
            ));
        }
    }
    if let Some(status) = part("status") {
        text.push_str(&format!("\n### {} status\n\n", names.kind));
        text.push_str("| field | type | meaning |\n|---|---|---|\n");
        fields(text, status, "", false);
    }
    if let Some(found) = WORDS.iter().find(|(kind, _, _)| *kind == names.kind) {
        words(text, &format!("{} conditions", names.kind), "condition", found.1);
        words(text, &format!("{} reasons", names.kind), "reason", found.2);
    }
    let columns = version.additional_printer_columns.as_deref().unwrap_or_default();
    text.push_str(&format!("\n### {} columns\n\n", names.kind));
    text.push_str("| column | is |\n|---|---|\n");
    for column in columns {
        text.push_str(&format!("| {} | {} |\n", column.name, cell(&shows(column))));
    }
}

fn words(text: &mut String, title: &str, what: &str, words: &[Word]) {
    text.push_str(&format!("\n### {title}\n\n| {what} | means |\n|---|---|\n"));
    for word in words {
        text.push_str(&format!("| {} | {} |\n", code(word.value), cell(word.doc())));
    }
}

/// A row per field, depth first, in the order of the schema.
fn fields(text: &mut String, schema: &JSONSchemaProps, prefix: &str, spec: bool) {
    for (name, field) in schema.properties.iter().flatten() {
        let path = format!("{prefix}{name}");
        let required = schema.required.iter().flatten().any(|r| r == name);
        row(text, field, &path, required, spec);
        // A condition is Kubernetes' own type.
        if name != "conditions" {
            below(text, field, &path, spec);
        }
    }
}

fn below(text: &mut String, field: &JSONSchemaProps, path: &str, spec: bool) {
    fields(text, field, &format!("{path}."), spec);
    if let Some((child, mark)) = inner(field) {
        below(text, child, &format!("{path}{mark}"), spec);
    }
}

/// The schema of a list's items or of a map's values, and how it is written in a path.
fn inner(field: &JSONSchemaProps) -> Option<(&JSONSchemaProps, &'static str)> {
    match (&field.items, &field.additional_properties) {
        (Some(JSONSchemaPropsOrArray::Schema(item)), _) => Some((item, "[]")),
        (_, Some(JSONSchemaPropsOrBool::Schema(value))) => Some((value, "{}")),
        _ => None,
    }
}

fn row(text: &mut String, field: &JSONSchemaProps, path: &str, required: bool, spec: bool) {
    let mut type_ = type_name(field);
    let limits = limits(field, spec);
    if !limits.is_empty() {
        type_ = format!("{type_}; {}", limits.join(", "));
    }
    let mut meaning = field.description.clone().unwrap_or_default();
    if rules(field).any(is_immutable) {
        meaning.push_str(" *Immutable.*");
    }
    let (type_, meaning) = (cell(&type_), cell(meaning.trim()));
    if spec {
        let default = match &field.default {
            Some(default) => code(&default.0.to_string()),
            None if required => "*required*".to_owned(),
            None => String::new(),
        };
        text.push_str(&format!(
            "| {} | {type_} | {} | {meaning} |\n",
            code(path),
            cell(&default)
        ));
    } else {
        text.push_str(&format!("| {} | {type_} | {meaning} |\n", code(path)));
    }
}

fn type_name(field: &JSONSchemaProps) -> String {
    if field.x_kubernetes_int_or_string == Some(true) {
        return "integer or string".to_owned();
    }
    let type_ = field.type_.as_deref().unwrap_or("any");
    match (inner(field), field.format.as_deref()) {
        (Some((item, "[]")), _) => format!("list of {}", type_name(item)),
        (Some((value, _)), _) => format!("map of {}", type_name(value)),
        (None, Some("date-time")) => "time".to_owned(),
        _ => type_.to_owned(),
    }
}

/// What the schema allows, in words.
fn limits(field: &JSONSchemaProps, spec: bool) -> Vec<String> {
    let mut limits = Vec::new();
    let values = field
        .enum_
        .iter()
        .flatten()
        .map(|v| code(v.0.as_str().unwrap_or_default()));
    let values: Vec<_> = values.collect();
    if !values.is_empty() {
        limits.push(values.join(", "));
    }
    if let Some(pattern) = &field.pattern {
        limits.push(code(pattern));
    }
    // A bound that is merely the type's own says nothing.
    let max = field.maximum.filter(|max| *max < f64::from(i32::MAX));
    match (field.minimum, max) {
        (Some(min), Some(max)) => limits.push(format!("{min} to {max}")),
        // That a count in a status is none below 0 is no news.
        (Some(min), None) if min > f64::from(i32::MIN) && (spec || min > 0.0) => {
            limits.push(format!("at least {min}"))
        }
        (None, Some(max)) => limits.push(format!("at most {max}")),
        _ => {}
    }
    for (least, most, what) in [
        (field.min_length, field.max_length, "characters"),
        (field.min_items, field.max_items, "items"),
        (field.min_properties, field.max_properties, "entries"),
    ] {
        match (least.filter(|&n| n > 0), most) {
            (Some(least), Some(most)) => limits.push(format!("{least} to {most} {what}")),
            (Some(least), None) => limits.push(format!("at least {least} {what}")),
            (None, Some(most)) => limits.push(format!("at most {most} {what}")),
            (None, None) => {}
        }
    }
    if let Some((item, _)) = inner(field) {
        let of_items = limits_of_items(item, spec);
        if !of_items.is_empty() {
            limits.push(format!("each {}", of_items.join(", ")));
        }
    }
    limits
}

/// Items that are objects have rows of their own.
fn limits_of_items(item: &JSONSchemaProps, spec: bool) -> Vec<String> {
    if item.properties.is_some() {
        Vec::new()
    } else {
        limits(item, spec)
    }
}

fn rules(schema: &JSONSchemaProps) -> impl Iterator<Item = &ValidationRule> {
    schema.x_kubernetes_validations.iter().flatten()
}

fn is_immutable(rule: &ValidationRule) -> bool {
    rule.rule == "self == oldSelf"
}

/// Every rule but those that only make a field immutable, with the path that it is on.
fn all_rules<'a>(schema: &'a JSONSchemaProps, path: &str, found: &mut Vec<(String, &'a ValidationRule)>) {
    found.extend(
        rules(schema)
            .filter(|r| !is_immutable(r))
            .map(|r| (path.to_owned(), r)),
    );
    for (name, field) in schema.properties.iter().flatten() {
        all_rules(field, &format!("{path}.{name}"), found);
    }
    if let Some((child, mark)) = inner(schema) {
        all_rules(child, &format!("{path}{mark}"), found);
    }
}

fn sentence(rule: &ValidationRule) -> String {
    rule.message.clone().unwrap_or_default()
}

fn shows(column: &CustomResourceColumnDefinition) -> String {
    let mut text = code(column.json_path.trim_start_matches('.'));
    if let Some(description) = &column.description {
        text.push_str(&format!(", {description}"));
    }
    if column.priority.is_some_and(|p| p > 0) {
        text.push_str(", with `-o wide`");
    }
    text
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Text for a cell of a table: one line, and no bar that would end it.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_words() {
        let kinds: Vec<String> = crds().into_iter().map(|crd| crd.spec.names.kind).collect();
        assert_eq!(kinds, WORDS.iter().map(|(kind, _, _)| *kind).collect::<Vec<_>>());
        for word in WORDS
            .iter()
            .flat_map(|(_, types, reasons)| types.iter().chain(*reasons))
        {
            let doc = word.doc();
            assert!(
                doc.ends_with('.') && !doc.starts_with(' ') && !doc.contains("  "),
                "{doc}"
            );
        }
    }

    #[test]
    fn every_field_is_described() {
        for line in reference().lines().filter(|l| l.starts_with("| `")) {
            assert!(!line.ends_with("|  |"), "{line}");
        }
    }
}
