//! What the ledger says: of one miner, why it has its score; of all, the rule in force, the shares, the ledger's head, and what
//! ended when.
//!
//! Invariant: it is shown to whoever may read the pool, list the Validators, or list all requests, and, where the Validator says
//! so, to everybody: then without what conditions say, and with nothing of a Validator but what it counts. It is found by the code
//! of `prover-worker ledger`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use kube::runtime::reflector::ObjectRef;
use serde::Deserialize;
use serde_json::{Value, json};
use zkinfer_crds::Identity;
use zkinfer_scoring::{Entry, Rule, Score};

use super::front::{Front, Looks, POOLS, REQUESTS, VALIDATORS};
use super::ledger::Of;
use super::refused::Refused;
use super::views;
use crate::gateway::Peer;
use crate::scoring::{Explained, HISTORY_HOURS, Span, Standing};

/// Claims that are told of a miner.
const MOST_CLAIMS: usize = 500;
/// Points of a history.
const MOST_SPANS: u64 = 120;
/// Miners that are told of.
const MOST_MINERS: usize = 2000;
/// A pool, and why its miner has its score.
pub(super) async fn pool(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let of = (namespace.as_str(), name.as_str());
    let looks = front.may_look_at((&headers, from), POOLS, of).await?;
    let found = front.shown.pools.get(&ObjectRef::new(&name).within(&namespace));
    let absent = || Refused::not_found(format!("there is no MinerPool {namespace}/{name}"));
    let pool = found.ok_or_else(absent)?;
    let identity = pool.status.as_ref().and_then(|status| status.identity);
    let why = match identity {
        Some(miner) => {
            let ledger = Arc::clone(&front.shown.ledger);
            let find = move || {
                ledger
                    .explain(miner, MOST_CLAIMS)
                    .map_or(Value::Null, |e| explained(&e))
            };
            front.findings_of(looks).get(Of::Miner(miner), find).await?
        }
        None => Bytes::from_static(b"null"),
    };
    let shown = match looks {
        Looks::AtCounts => views::public_pool(&pool),
        Looks::AtAll => views::pool(&pool),
    };
    let mut body = format!(r#"{{"pool":{shown},"why":"#).into_bytes();
    body.extend_from_slice(&why);
    body.push(b'}');
    Ok(told(body))
}

/// How far back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    hours: u64,
}

/// What anybody may ask for: each window that there is has to be found.
const PUBLIC_HOURS: [u64; 5] = [6, 24, 168, 720, 2160];

/// What ended in the last hours, for whoever may list the requests of all namespaces: it is of them all.
pub(super) async fn history(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    query: Result<Query<Window>, QueryRejection>,
) -> Result<Response, Refused> {
    let looks = front.may_look((&headers, from), REQUESTS, "").await?;
    let Query(Window { hours }) = query.map_err(|e| Refused::invalid_query(e.body_text()))?;
    if !(1..=HISTORY_HOURS).contains(&hours) {
        let message = format!("hours: 1 to {HISTORY_HOURS}");
        return Err(Refused::invalid_query(message));
    }
    if looks == Looks::AtCounts && !PUBLIC_HOURS.contains(&hours) {
        let message = format!("hours: without a token one of {PUBLIC_HOURS:?}");
        return Err(Refused::invalid_query(message));
    }
    let step = hours.div_ceil(MOST_SPANS);
    let ledger = Arc::clone(&front.shown.ledger);
    let find = move || {
        let spans: Vec<Value> = ledger.spans(hours, step).iter().map(span).collect();
        json!({ "hours": hours, "stepHours": step, "spans": spans })
    };
    let findings = front.findings_of(looks);
    Ok(told(findings.get(Of::Hours(hours), find).await?.to_vec()))
}

fn span(of: &Span) -> Value {
    json!({
        "from": of.from, "requests": of.requests, "verified": of.verified, "faults": of.faults,
        "others": of.others, "p50Micros": of.p50_micros, "p95Micros": of.p95_micros,
    })
}

/// The rule, the shares, the ledger's head, and the Validators.
pub(super) async fn validator(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let ledger = Arc::clone(&front.shown.ledger);
    let looks = front
        .may_look((&headers, from), VALIDATORS, ledger.namespace())
        .await?;
    let finding = Arc::clone(&ledger);
    let standing = front
        .findings_of(looks)
        .get(Of::All, move || standing(&finding.standing(MOST_MINERS)))
        .await?;
    let (chain, waiting) = ledger.chain().await;
    let head = json!({
        "validator": chain.validator, "segments": chain.next, "entries": chain.entries,
        "last": (chain.next > 0).then_some(chain.last), "waiting": waiting,
    });
    let mut validators = front.shown.validators.state();
    validators.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let own =
        |v: &&Arc<zkinfer_crds::k8s::Validator>| v.metadata.namespace.as_deref() == Some(ledger.namespace());
    let validators: Vec<Value> = validators
        .iter()
        .filter(own)
        .map(|v| match looks {
            Looks::AtCounts => views::public_validator(v),
            Looks::AtAll => views::validator(v),
        })
        .collect();
    let mut body = format!(
        r#"{{"head":{head},"validators":{},"standing":"#,
        Value::Array(validators)
    )
    .into_bytes();
    body.extend_from_slice(&standing);
    body.push(b'}');
    Ok(told(body))
}

fn told(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn rule(of: &Rule) -> Value {
    let constants = of.constants();
    json!({
        "name": of.name().word(), "digest": of.digest(), "windowHours": constants.window_hours,
        "halfLifeMinutes": constants.half_life_minutes, "coldStart": constants.cold_start,
        "skipHours": constants.skip_hours, "faultMillionths": constants.fault_millionths,
        "ownerCapMillionths": constants.owner_cap_millionths,
    })
}

/// Numbers of more bits than a page's are texts.
fn score(of: &Score) -> Value {
    let text = |number: u128| number.to_string();
    json!({
        "owner": &*of.owner, "credit": text(of.total.credit), "debit": text(of.total.debit),
        "possible": text(of.total.possible), "samples": of.total.samples, "net": text(of.net),
        "uncapped": text(of.uncapped), "weight": text(of.weight), "scoreMillionths": of.quality_millionths,
        "shareMillionths": of.share_millionths, "why": of.zero.map(|zero| zero.to_string()).unwrap_or_default(),
    })
}

fn explained(of: &Explained) -> Value {
    let row = |(entry, worth): &(Entry, i128)| {
        json!({
            "at": entry.at, "claim": entry.claim, "request": entry.request, "slice": entry.slice,
            "attempt": entry.attempt, "end": entry.end.word(), "workMicros": entry.work, "micros": entry.micros,
            "bytes": entry.bytes, "benchmark": entry.benchmark, "worth": worth.to_string(),
        })
    };
    json!({
        "rule": rule(&of.rule), "at": of.at, "score": score(&of.score), "count": of.count,
        "claims": of.entries.iter().map(row).collect::<Vec<_>>(),
    })
}

fn standing(of: &Standing) -> Value {
    let row = |(miner, of): &(Identity, Score)| {
        let mut row = score(of);
        row["miner"] = json!(miner);
        row
    };
    json!({ "rule": rule(&of.rule), "at": of.at, "miners": of.miners.iter().map(row).collect::<Vec<_>>() })
}
