//! Behaviour of the gateway, over HTTP, with a real model and real proofs.

mod access;
mod bodies;
mod claims;
mod compile;
mod leaving;
mod limited;
mod next;
mod proofs;
mod served;
pub(crate) mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use zkinfer_crds::k8s::ServedBy;
use zkinfer_crds::slice_files::FileRole;
use zkinfer_crds::wire::{ClaimGrant, MAX_ENVELOPE_BYTES};
use zkinfer_crds::{Digest, ParameterId, ProofSystem, RequestUid};
use zkml::envelope::Envelope;
use zkml::systems;

use self::world::*;
use super::*;
use crate::dispatch::{AttemptEnd, Blame, PoolFacts};
