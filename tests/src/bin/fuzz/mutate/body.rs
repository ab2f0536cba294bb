//! Bodies of calls: JSON objects whose fields mean something.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Map, Number, Value};

/// Changes some items of the document, and writes it; sometimes with a field that stands twice.
pub(super) fn changed(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return bytes.to_vec();
    };
    for _ in 0..rng.gen_range(1..4) {
        let at = rng.gen_range(0..items(&value));
        if let Some(place) = item(&mut value, &mut at.clone()) {
            change(place, rng);
        }
    }
    let mut text = value.to_string();
    if rng.gen_range(0..8) == 0 {
        text = twice(&value, rng).unwrap_or(text);
    }
    text.into_bytes()
}

fn items(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(items).sum(),
        Value::Object(fields) => fields.values().map(items).sum(),
        _ => 0,
    }
}

/// The item of a number.
fn item<'v>(value: &'v mut Value, at: &mut usize) -> Option<&'v mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|v| item(v, at)),
        Value::Object(fields) => fields.values_mut().find_map(|v| item(v, at)),
        _ => None,
    }
}

fn other(rng: &mut StdRng) -> Value {
    match rng.gen_range(0..8) {
        0 => Value::Null,
        1 => Value::Bool(rng.r#gen()),
        2 => Value::from(super::edge(rng) as i64),
        3 => Value::from(super::edge(rng) as u64),
        4 => Number::from_f64([0.5, -0.0, 1e308, 5e-324][rng.gen_range(0..4)])
            .map_or(Value::Null, Value::Number),
        5 => Value::String(text(rng)),
        6 => Value::Array(Vec::new()),
        _ => Value::Object(Map::new()),
    }
}

fn text(rng: &mut StdRng) -> String {
    let texts = [
        "",
        "0",
        "sha256:",
        "\u{0}\u{1f600}\u{fffd}",
        "P12",
        "halo2-kzg-bn254/v2",
        "null",
    ];
    match rng.gen_range(0..3) {
        0 => "x".repeat(rng.gen_range(0..20_000)),
        1 => format!("sha256:{}", "0a".repeat(rng.gen_range(30..34))),
        _ => texts[rng.gen_range(0..texts.len())].to_owned(),
    }
}

fn change(place: &mut Value, rng: &mut StdRng) {
    match (rng.gen_range(0..6), &mut *place) {
        (0 | 1, _) => *place = other(rng),
        (2, Value::String(s)) => s.push('\u{e9}'),
        (3, Value::String(s)) => *s = s.to_uppercase(),
        (_, Value::String(s)) => *s = text(rng),
        (_, Value::Array(list)) if !list.is_empty() => {
            let at = rng.gen_range(0..list.len());
            match rng.gen_range(0..3) {
                0 => drop(list.remove(at)),
                1 => list.resize(rng.gen_range(0..300), list[at].clone()),
                _ => list[at] = other(rng),
            }
        }
        (n, Value::Object(fields)) if !fields.is_empty() => {
            let at = rng.gen_range(0..fields.len());
            let Some(key) = fields.keys().nth(at).cloned() else {
                return;
            };
            match n {
                2 => drop(fields.remove(&key)),
                3 => drop(fields.insert(text(rng), other(rng))),
                4 => {
                    // Under another spelling of its name.
                    let value = fields.remove(&key).unwrap_or_default();
                    fields.insert(key.to_lowercase().replace("by", "_by"), value);
                }
                _ => drop(fields.insert(key, other(rng))),
            }
        }
        (_, place) => *place = other(rng),
    }
}

/// The object with one of its fields once more.
fn twice(value: &Value, rng: &mut StdRng) -> Option<String> {
    let fields = value.as_object().filter(|f| !f.is_empty())?;
    let (key, field) = fields.iter().nth(rng.gen_range(0..fields.len()))?;
    let text = value.to_string();
    let body = text.strip_suffix('}')?;
    Some(format!("{body},{}:{field}}}", Value::from(key.as_str())))
}
