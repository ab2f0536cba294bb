//! Values of flags as people write them, each refused with what would have been right.

use std::net::SocketAddr;

use serde_json::json;
use zkinfer_crds::k8s::{ServedBy, is_class, is_namespace, parse_served_by};

/// A positive number.
pub(super) fn error(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("expected a positive number, such as 0.01".to_owned()),
    }
}

/// A namespace's name.
pub(super) fn namespace_name(text: &str) -> Result<String, String> {
    if is_namespace(text) {
        Ok(text.to_owned())
    } else {
        Err("not a namespace's name; there are no wildcards".to_owned())
    }
}

/// A class's name.
pub(super) fn class(text: &str) -> Result<String, String> {
    if is_class(text) {
        Ok(text.to_owned())
    } else {
        Err("not a class's name: at most 32 of a-z, 0-9 and -, and no - at either end".to_owned())
    }
}

/// NAMESPACE, or NAMESPACE=IDENTITY.
pub(super) fn served_by(text: &str) -> Result<ServedBy, String> {
    let (namespace, identity) = text.split_once('=').map_or((text, None), |(n, i)| (n, Some(i)));
    let entry = match identity {
        Some(identity) => json!([{ "namespace": namespace, "identity": identity }]),
        None => json!([{ "namespace": namespace }]),
    };
    let mut list = parse_served_by(&entry.to_string())?;
    list.pop()
        .ok_or_else(|| "expected NAMESPACE or NAMESPACE=IDENTITY".to_owned())
}

/// An address of this machine alone.
pub(super) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let wanted = || "expected an address of this machine alone, such as 127.0.0.1:4000".to_owned();
    let address: SocketAddr = text.parse().map_err(|_| wanted())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(wanted())
    }
}

/// POOL=COMMAND, with the namespace of the pool, or in `default`.
pub(super) fn prover(text: &str) -> Result<(String, Vec<String>), String> {
    let (pool, command) = text.split_once('=').ok_or("expected POOL=COMMAND")?;
    let pool = if pool.contains('/') {
        pool.to_owned()
    } else {
        format!("default/{pool}")
    };
    let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if command.is_empty() {
        Err("the command is empty".to_owned())
    } else {
        Ok((pool, command))
    }
}
