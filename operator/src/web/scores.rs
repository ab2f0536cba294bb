//! What the ledger says: of one miner, why it has its score; of all, the rule in force, the shares, the ledger's head, and what
//! ended when.
//!
//! Invariant: it is shown to whoever may read the pool, list the Validators, or list all requests, and, where the Validator says
//! so, to everybody: then without what conditions say, and with nothing of a Validator but what it counts. It is found by the code
//! of `prover-worker ledger`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use serde::Deserialize;
use serde_json::{Value, json};
use zkinfer_crds::compile_report::CompileOutcome;
use zkinfer_crds::{Digest, Identity};
use zkinfer_scoring::{Entry, Rule, Score};

use super::front::{Front, Looks, MODELS, POOLS, REQUESTS, VALIDATORS, Viewer};
use super::ledger::Of;
use super::place::{Place, place};
use super::refused::Refused;
use super::views;
use crate::gateway::Peer;
use crate::scoring::{Explained, HISTORY_HOURS, Series, Span, Standing, TREND_HOURS};

/// Claims that are told of a miner.
const MOST_CLAIMS: usize = 500;
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
const PUBLIC_HOURS: [u64; 6] = [1, 6, 24, 168, 720, 2160];

/// The window that a query asks for, if this viewer may.
fn window(looks: Looks, query: Result<Query<Window>, QueryRejection>) -> Result<u64, Refused> {
    let Query(Window { hours }) = query.map_err(|e| Refused::invalid_query(e.body_text()))?;
    if !(1..=HISTORY_HOURS).contains(&hours) {
        let message = format!("hours: 1 to {HISTORY_HOURS}");
        return Err(Refused::invalid_query(message));
    }
    if looks == Looks::AtCounts && !PUBLIC_HOURS.contains(&hours) {
        let message = format!("hours: without a token one of {PUBLIC_HOURS:?}");
        return Err(Refused::invalid_query(message));
    }
    Ok(hours)
}

/// What ended in a window, of whosever claims.
async fn spans(front: &Front, looks: Looks, of: Series, hours: u64) -> Result<Response, Refused> {
    let ledger = Arc::clone(&front.shown.ledger);
    let series = of.clone();
    let find = move || {
        let found = ledger.spans(&series, hours);
        let spans: Vec<Value> = found.spans.iter().map(span).collect();
        json!({ "hours": hours, "stepMinutes": found.step_millis / 60_000, "spans": spans })
    };
    let findings = front.findings_of(looks);
    Ok(told(findings.get(Of::Hours(of, hours), find).await?.to_vec()))
}

/// What ended in the last hours, for whoever may list the requests of all namespaces: it is of them all.
pub(super) async fn history(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    query: Result<Query<Window>, QueryRejection>,
) -> Result<Response, Refused> {
    let looks = front.may_look((&headers, from), REQUESTS, "").await?;
    let hours = window(looks, query)?;
    spans(&front, looks, Series::All, hours).await
}

/// The same of a pool's miner, for whoever may see the pool.
pub(super) async fn pool_history(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
    query: Result<Query<Window>, QueryRejection>,
) -> Result<Response, Refused> {
    let of = (namespace.as_str(), name.as_str());
    let looks = front.may_look_at((&headers, from), POOLS, of).await?;
    let hours = window(looks, query)?;
    let found = front.shown.pools.get(&ObjectRef::new(&name).within(&namespace));
    let miner = found.and_then(|pool| pool.status.as_ref().and_then(|status| status.identity));
    let none = || {
        Refused::not_found(format!(
            "there is no MinerPool {namespace}/{name} that has an identity"
        ))
    };
    spans(&front, looks, Series::Miner(miner.ok_or_else(none)?), hours).await
}

/// The same of a Model as it is compiled now, for whoever may read it.
pub(super) async fn model_history(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    Path((namespace, name)): Path<(String, String)>,
    query: Result<Query<Window>, QueryRejection>,
) -> Result<Response, Refused> {
    front
        .may_get((&headers, from), MODELS, (&namespace, &name))
        .await?;
    let hours = window(Looks::AtAll, query)?;
    let none = || Refused::not_found(format!("Model {namespace}/{name} is not compiled"));
    let outcome = front.shown.compiled.report(&namespace, &name);
    let Some(CompileOutcome::Compiled(report)) = outcome else {
        return Err(none());
    };
    let mut manifests: Vec<Digest> = report.each().map(|report| report.manifest.digest).collect();
    manifests.sort_unstable();
    spans(&front, Looks::AtAll, Series::Models(manifests), hours).await
}

/// How the miners have worked in the last day whose pools a viewer may list: by identity.
pub(super) async fn trends(
    State(front): State<Front>,
    from: Peer,
    headers: HeaderMap,
    query: Result<Query<Place>, QueryRejection>,
) -> Result<Response, Refused> {
    let namespace = place(query)?;
    let looks = if front.viewer(&headers)? == Viewer::Anybody && !namespace.is_empty() {
        return Err(Refused::forbidden(
            "without a token only all namespaces together are shown",
        ));
    } else if namespace.is_empty() {
        front.may_look((&headers, from), POOLS, "").await?
    } else {
        front.may_list((&headers, from), POOLS, &namespace).await?;
        Looks::AtAll
    };
    let (ledger, pools) = (Arc::clone(&front.shown.ledger), front.shown.pools.clone());
    let of = namespace.clone();
    let find = move || {
        let pools = pools.state();
        let pools = pools
            .iter()
            .filter(|pool| of.is_empty() || pool.namespace().as_deref() == Some(&of));
        let miners: BTreeSet<Identity> = pools
            .filter_map(|pool| pool.status.as_ref().and_then(|status| status.identity))
            .collect();
        let rows = miners.iter().take(MOST_MINERS).filter_map(|miner| {
            let trend = ledger.trend(miner)?;
            let told =
                json!({ "verified": trend.verified, "faults": trend.faults, "meanBytes": trend.mean_bytes });
            Some((miner.to_string(), told))
        });
        json!({ "hours": TREND_HOURS, "miners": rows.collect::<serde_json::Map<_, _>>() })
    };
    let findings = front.findings_of(looks);
    Ok(told(findings.get(Of::Trends(namespace), find).await?.to_vec()))
}

fn span(of: &Span) -> Value {
    json!({
        "from": of.from, "requests": of.requests, "verified": of.verified, "faults": of.faults,
        "others": of.others, "bytes": of.bytes, "p50Micros": of.p50_micros, "p95Micros": of.p95_micros,
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
