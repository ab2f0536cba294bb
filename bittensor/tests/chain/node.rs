//! A node of a chain of our own: it speaks the JSON-RPC that is used, takes what is signed for it and nothing else, and misbehaves
//! as it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use parity_scale_codec::{Compact, Decode, Encode};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use zkinfer_bittensor::storage::{Item, uid_key};
use zkinfer_crds::Digest;
use zkinfer_weights::extrinsic::{Era, Runtime, Terms};
use zkinfer_weights::hotkey::Hotkey;

/// How it answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Manner {
    /// As a chain does.
    Honest,
    /// To this method not at all.
    Silent(&'static str),
    /// To this method with this result.
    Says(&'static str, Value),
    /// To this method with this text, which is no answer.
    Babbles(&'static str, String),
    /// To this method with an error.
    Refuses(&'static str, i64, &'static str),
    /// It closes the connection when it is asked this; what is handed in it has taken before.
    Closes(&'static str),
    /// As before, and it forgets what was handed in.
    Forgets(&'static str),
    /// As a chain does, with answers to nobody before each.
    Chatters,
}

/// What it has taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// `set_weights`.
    Plain {
        netuid: u16,
        uids: Vec<u16>,
        values: Vec<u16>,
        version_key: u64,
    },
    /// `commit_timelocked_weights`.
    Commit { netuid: u16, bytes: usize, round: u64 },
}

pub struct Chain {
    pub manner: Manner,
    pub block: u64,
    pub spec: u32,
    pub transaction: u32,
    pub genesis: u8,
    pub netuid: u16,
    pub uids: BTreeMap<Hotkey, u16>,
    pub updates: Vec<u64>,
    pub rate_limit: u64,
    pub version_key: u64,
    pub commits: bool,
    pub keeps_epochs: bool,
    pub least: u16,
    pub nonce: u32,
    pub taken: Vec<Taken>,
    /// What it was asked, in order.
    pub asked: Vec<String>,
}

#[derive(Clone)]
pub struct Node {
    pub endpoint: String,
    chain: Arc<Mutex<Chain>>,
}

pub fn hash_of(genesis: u8, block: u64) -> [u8; 32] {
    *Digest::of(&(genesis, block).encode()).as_bytes()
}

impl Node {
    pub async fn start(uids: &[(Hotkey, u16)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("ws://{}/", listener.local_addr().unwrap());
        let chain = Chain {
            manner: Manner::Honest,
            block: 5_000,
            spec: 365,
            transaction: 1,
            genesis: 1,
            netuid: 2,
            uids: uids.iter().copied().collect(),
            updates: vec![0; 64],
            rate_limit: 100,
            version_key: 11_000,
            commits: false,
            keeps_epochs: true,
            least: 1,
            nonce: 7,
            taken: Vec::new(),
            asked: Vec::new(),
        };
        let node = Self {
            endpoint,
            chain: Arc::new(Mutex::new(chain)),
        };
        let serving = node.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        node
    }

    /// Looks at the chain, or changes it.
    pub fn with<T>(&self, of: impl FnOnce(&mut Chain) -> T) -> T {
        of(&mut self.chain.lock().unwrap())
    }

    pub fn behaves(&self, manner: Manner) {
        self.with(|chain| chain.manner = manner);
    }

    async fn serve(self, stream: TcpStream) {
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
            return;
        };
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let request: Value = serde_json::from_str(text.as_str()).unwrap();
            let (method, id) = (request["method"].as_str().unwrap().to_owned(), &request["id"]);
            let manner = self.with(|chain| {
                chain.asked.push(method.clone());
                chain.manner.clone()
            });
            let honest = || self.with(|chain| chain.answer(&method, &request["params"]));
            let answer = |answered: Result<Value, (i64, String)>| match answered {
                Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
                Err((code, message)) => json!({
                    "jsonrpc": "2.0", "id": id,
                    "error": { "code": 1010, "message": "Invalid Transaction", "data": format!("{message} [{code}]") },
                }),
            };
            let told = match manner {
                Manner::Silent(of) if of == method => {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                    return;
                }
                Manner::Closes(of) if of == method => {
                    let _ = honest();
                    return;
                }
                Manner::Forgets(of) if of == method => return,
                Manner::Says(of, result) if of == method => answer(Ok(result)).to_string(),
                Manner::Babbles(of, text) if of == method => text,
                Manner::Refuses(of, code, words) if of == method => {
                    let error = json!({ "code": code, "message": words });
                    json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
                }
                Manner::Chatters => {
                    let nobodys = json!({ "jsonrpc": "2.0", "method": "chain_newHead", "params": {} });
                    let anothers = json!({ "jsonrpc": "2.0", "id": 999, "result": "0x00" });
                    for other in [nobodys, anothers] {
                        socket.send(Message::text(other.to_string())).await.unwrap();
                    }
                    socket.send(Message::Ping(b"?".to_vec().into())).await.unwrap();
                    answer(honest()).to_string()
                }
                _ => answer(honest()).to_string(),
            };
            if socket.send(Message::text(told)).await.is_err() {
                return;
            }
        }
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
}

fn shown(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

impl Chain {
    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, (i64, String)> {
        Ok(match method {
            "chain_getHeader" => json!({ "number": format!("{:#x}", self.block), "parentHash": "0x00" }),
            "chain_getBlockHash" => {
                let number = params[0].as_u64().unwrap();
                match number <= self.block {
                    true => json!(shown(&hash_of(self.genesis, number))),
                    false => Value::Null,
                }
            }
            "state_getRuntimeVersion" => json!({
                "specName": "node-subtensor", "specVersion": self.spec, "transactionVersion": self.transaction,
            }),
            "state_queryStorageAt" => {
                assert_eq!(
                    params[1],
                    shown(&hash_of(self.genesis, self.block)),
                    "of the same block"
                );
                let keys = params[0].as_array().unwrap();
                let changes: Vec<Value> = keys
                    .iter()
                    .map(|key| json!([key, self.stored(&bytes(key)).map(|value| shown(&value))]))
                    .collect();
                json!([{ "block": params[1], "changes": changes }])
            }
            "system_accountNextIndex" => {
                let account: Result<Hotkey, _> = params[0].as_str().unwrap().parse();
                assert!(account.is_ok());
                json!(self.nonce)
            }
            "author_submitExtrinsic" => json!(shown(&self.take(&bytes(&params[0]))?)),
            other => panic!("nobody asks for {other}"),
        })
    }

    /// What stands under a key. What is as it is at first stands nowhere.
    fn stored(&self, key: &[u8]) -> Option<Vec<u8>> {
        let is = |item: Item| item.key(self.netuid) == key;
        let of = [
            (Item::Tempo, 360_u16.encode()),
            (Item::LastUpdate, self.updates.encode()),
            (Item::WeightsSetRateLimit, self.rate_limit.encode()),
            (Item::WeightsVersionKey, self.version_key.encode()),
            (Item::CommitRevealWeightsEnabled, self.commits.encode()),
            (Item::MinAllowedWeights, self.least.encode()),
            (Item::SubnetEpochIndex, 12_u64.encode()),
            (Item::BlocksSinceLastStep, 40_u64.encode()),
        ];
        // Runtimes of before do not keep it.
        if is(Item::LastEpochBlock) {
            return self.keeps_epochs.then(|| (self.block - 40).encode());
        }
        if let Some((_, value)) = of.into_iter().find(|(item, _)| is(*item)) {
            return Some(value);
        }
        let mut uids = self.uids.iter();
        let uid = uids.find(|(hotkey, _)| uid_key(self.netuid, hotkey) == key);
        uid.map(|(_, uid)| uid.encode())
    }

    /// Takes an extrinsic as a chain does: the right account's, signed for this chain, runtime, time and nonce, and in a window.
    fn take(&mut self, whole: &[u8]) -> Result<[u8; 32], (i64, String)> {
        let no = |code: i64, why: &str| Err((code, why.to_owned()));
        let body = Vec::<u8>::decode(&mut &*whole).unwrap();
        let mut at = body.as_slice();
        assert_eq!(<[u8; 2]>::decode(&mut at).unwrap(), [0x84, 0]);
        let account = Hotkey::new(<[u8; 32]>::decode(&mut at).unwrap()).unwrap();
        assert_eq!(u8::decode(&mut at).unwrap(), 1);
        let signature = <[u8; 64]>::decode(&mut at).unwrap();
        let era = <[u8; 2]>::decode(&mut at).unwrap();
        let nonce = Compact::<u32>::decode(&mut at).unwrap().0;
        let tip = Compact::<u128>::decode(&mut at).unwrap().0;
        assert_eq!((tip, u8::decode(&mut at).unwrap()), (0, 0));
        let call = at;
        let eras = (self.block - 63..=self.block).map(|block| Era::mortal(64, block));
        let Some(era) = eras
            .into_iter()
            .find(|of| of.bytes() == era && of.death() > self.block)
        else {
            return no(1, "Transaction has an ancient birth block");
        };
        let terms = Terms {
            runtime: Runtime {
                spec_version: self.spec,
                transaction_version: self.transaction,
                genesis: hash_of(self.genesis, 0),
            },
            era,
            era_block: hash_of(self.genesis, era.birth()),
            nonce,
            tip,
            metadata_hash: None,
        };
        let mut signed = [call, &terms.extra(), &terms.implicit()].concat();
        let hash = |bytes: &[u8]| {
            let hash = blake2b_simd::Params::new().hash_length(32).hash(bytes);
            <[u8; 32]>::try_from(hash.as_bytes()).unwrap()
        };
        if signed.len() > 256 {
            signed = hash(&signed).to_vec();
        }
        if account.verify(&signed, &signature).is_err() {
            return no(2, "Transaction has a bad signature");
        }
        if nonce != self.nonce {
            return no(3, "Transaction is outdated");
        }
        let Some(uid) = self.uids.get(&account).copied() else {
            return no(4, "not registered");
        };
        let update = &mut self.updates[usize::from(uid)];
        if *update > 0 && self.block - *update < self.rate_limit {
            return no(5, "rate limit exceeded");
        }
        let taken = called(call);
        if matches!(taken, Taken::Commit { .. }) != self.commits {
            return no(6, "commit-reveal is the other way");
        }
        self.nonce += 1;
        self.block += 1;
        *update = self.block;
        self.taken.push(taken);
        Ok(hash(whole))
    }
}

fn called(mut call: &[u8]) -> Taken {
    let at = &mut call;
    let taken = match <[u8; 2]>::decode(at).unwrap() {
        [7, 0] => Taken::Plain {
            netuid: Decode::decode(at).unwrap(),
            uids: Decode::decode(at).unwrap(),
            values: Decode::decode(at).unwrap(),
            version_key: Decode::decode(at).unwrap(),
        },
        [7, 113] => {
            let netuid = u16::decode(at).unwrap();
            let bytes = Vec::<u8>::decode(at).unwrap().len();
            let round = u64::decode(at).unwrap();
            assert_eq!(u16::decode(at).unwrap(), 4);
            Taken::Commit { netuid, bytes, round }
        }
        other => panic!("no call of weights: {other:?}"),
    };
    assert!(at.is_empty());
    taken
}
