//! Weights on their way to a chain, which behaves, and which does not.

#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

mod node;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use zkinfer_bittensor::{ChainError, Desk, Due, Made, Outcome, Session, Times, Trouble, look};
use zkinfer_crds::Digest;
use zkinfer_weights::hotkey::{Hotkey, HotkeyPair};
use zkinfer_weights::publication::{Form, Refusal, Settings};
use zkinfer_weights::record::{Now, Record};
use zkinfer_weights::vector::Vector;

use self::node::{Manner, Node, Taken, hash_of};

const TIMES: Times = Times {
    connect: Duration::from_secs(5),
    call: Duration::from_millis(1500),
};
const SUBMIT: &str = "author_submitExtrinsic";

fn pair(n: u8) -> HotkeyPair {
    HotkeyPair::from_seed(&[n; 32]).unwrap()
}

/// What the operator does beside it: makes weights of uids, and keeps what is written down.
#[derive(Default)]
struct Kept {
    record: Option<Record>,
    made: usize,
    full: bool,
    version_key: Option<u64>,
    uids: BTreeMap<Hotkey, u16>,
}

impl Desk for Kept {
    type Error = String;

    fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    async fn keep(&mut self, record: Record) -> Result<(), String> {
        if self.full {
            return Err("the store is full".to_owned());
        }
        self.record = Some(record);
        Ok(())
    }

    async fn make(&mut self, uids: BTreeMap<Hotkey, u16>, _: &Now<'_>) -> Result<Made, String> {
        self.made += 1;
        self.uids.clone_from(&uids);
        let weights = uids.values().map(|uid| (*uid, u128::from(*uid) * 1000)).collect();
        Ok(Made {
            digest: Digest::of(&[self.made as u8]),
            at: 1,
            netuid: 2,
            version_key: self.version_key.unwrap_or(11_003),
            vector: Vector::of(&weights, None).map_err(|e| e.to_string())?,
        })
    }
}

struct Case {
    node: Node,
    kept: Kept,
    settings: Settings,
    form: Form,
}

impl Case {
    /// The validator has uid 9; miners 1 and 2 have the uids 7 and 19, and miner 3 has none.
    async fn new() -> Self {
        let node = Node::start(&[
            (pair(9).hotkey(), 9),
            (pair(1).hotkey(), 7),
            (pair(2).hotkey(), 19),
        ])
        .await;
        Self {
            node,
            kept: Kept::default(),
            settings: Settings {
                netuid: 2,
                version_key: 11_003,
                least_interval: 360,
                genesis: hash_of(1, 0),
                runtimes: vec![(364, 1), (365, 1)],
            },
            form: Form::Plain,
        }
    }

    async fn look(&mut self) -> Result<Outcome, Trouble<String>> {
        let hotkeys: Vec<_> = (1..=3).map(|n| pair(n).hotkey()).collect();
        let session = Session::open(&self.node.endpoint, TIMES).await;
        let mut session = session.map_err(Trouble::Chain)?;
        let due = Due {
            settings: &self.settings,
            form: self.form,
            key: &pair(9),
            hotkeys: &hotkeys,
            now_millis: 1_700_000_000_000,
        };
        look(&mut session, due, &mut self.kept).await
    }

    fn taken(&self) -> Vec<Taken> {
        self.node.with(|chain| chain.taken.clone())
    }

    fn pass(&self, blocks: u64) {
        self.node.with(|chain| chain.block += blocks);
    }
}

fn plain() -> Taken {
    Taken::Plain {
        netuid: 2,
        uids: vec![7, 19],
        values: vec![24_144, 65_535],
        version_key: 11_003,
    }
}

#[tokio::test]
async fn weights_arrive_signed_and_leave_once_in_a_window() {
    let mut case = Case::new().await;
    assert_eq!(case.look().await.unwrap(), Outcome::Sent { block: 5000 });
    assert_eq!(case.taken(), [plain()]);
    // Who is not registered has no uid.
    assert_eq!(case.kept.uids.len(), 2);
    let next = 5001 + 360;
    assert_eq!(case.look().await.unwrap(), Outcome::Taken { block: 5001, next });
    case.pass(359);
    assert_eq!(case.look().await.unwrap(), Outcome::Waits { block: 5360, next });
    case.pass(1);
    assert_eq!(case.look().await.unwrap(), Outcome::Sent { block: 5361 });
    assert_eq!((case.taken().len(), case.kept.made), (2, 2));
}

#[tokio::test]
async fn a_chain_that_wants_more_blocks_between_them_gets_more() {
    let mut case = Case::new().await;
    case.node.with(|chain| chain.rate_limit = 500);
    case.look().await.unwrap();
    let next = 5001 + 500;
    assert_eq!(case.look().await.unwrap(), Outcome::Taken { block: 5001, next });
    case.pass(400);
    assert!(matches!(case.look().await.unwrap(), Outcome::Waits { .. }));
}

#[tokio::test]
async fn another_chain_runtime_or_subnet_gets_nothing_and_nothing_is_made() {
    let mut case = Case::new().await;
    for (spec, transaction) in [(366, 1), (365, 2)] {
        case.node
            .with(|chain| (chain.spec, chain.transaction) = (spec, transaction));
        let refused = case.look().await.unwrap_err();
        assert!(
            matches!(refused, Trouble::NotPermitted(Refusal::Runtime { .. })),
            "{refused}"
        );
    }
    case.node.with(|chain| (chain.spec, chain.transaction) = (364, 1));
    case.node.with(|chain| chain.genesis = 2);
    let refused = case.look().await.unwrap_err();
    assert!(
        matches!(refused, Trouble::NotPermitted(Refusal::Chain { .. })),
        "{refused}"
    );
    // A chain that has no such subnet.
    case.node.with(|chain| (chain.genesis, chain.netuid) = (1, 3));
    let odd = case.look().await.unwrap_err().to_string();
    assert!(odd.contains("no Tempo of netuid 2"), "{odd}");
    assert_eq!(case.kept.made, 0);
    // Its storage was asked for only once the runtime was known.
    case.node.with(|chain| {
        let storage = chain.asked.iter().filter(|of| *of == "state_queryStorageAt");
        assert_eq!((storage.count(), chain.taken.len()), (2, 0));
    });
}

#[tokio::test]
async fn what_the_subnet_does_not_want_does_not_leave() {
    let mut case = Case::new().await;
    case.node.with(|chain| chain.version_key = 11_004);
    let refused = case.look().await.unwrap_err();
    assert!(
        matches!(refused, Trouble::NotPermitted(Refusal::Outdated { .. })),
        "{refused}"
    );
    case.node.with(|chain| (chain.version_key, chain.least) = (0, 3));
    let refused = case.look().await.unwrap_err();
    assert!(
        matches!(refused, Trouble::NotPermitted(Refusal::Vector(_))),
        "{refused}"
    );
    case.node.with(|chain| (chain.least, chain.commits) = (1, true));
    let refused = case.look().await.unwrap_err();
    assert!(
        matches!(refused, Trouble::NotPermitted(Refusal::Form { .. })),
        "{refused}"
    );
    case.node.with(|chain| chain.commits = false);
    case.kept.version_key = Some(11_002);
    let refused = case.look().await.unwrap_err();
    assert!(
        matches!(refused, Trouble::NotPermitted(Refusal::VersionKey { .. })),
        "{refused}"
    );
    case.kept.version_key = None;
    case.node.with(|chain| chain.uids.remove(&pair(9).hotkey()));
    let refused = case.look().await.unwrap_err();
    assert!(
        matches!(refused, Trouble::NotPermitted(Refusal::NotRegistered(2))),
        "{refused}"
    );
    assert!(case.taken().is_empty());
    assert_eq!(
        case.node
            .with(|chain| chain.asked.iter().filter(|of| *of == SUBMIT).count()),
        0
    );
}

#[cfg(not(feature = "timelock"))]
#[tokio::test]
async fn a_program_that_locks_nothing_says_so_and_sends_nothing() {
    let mut case = Case::new().await;
    case.node.with(|chain| chain.commits = true);
    case.form = Form::Committed;
    let refused = case.look().await.unwrap_err();
    assert!(matches!(refused, Trouble::Prepare(_)), "{refused}");
    assert!(case.taken().is_empty());
}

#[cfg(feature = "timelock")]
#[tokio::test]
async fn commits_are_locked_until_a_round_after_the_next_epoch() {
    let mut case = Case::new().await;
    case.node.with(|chain| chain.commits = true);
    case.form = Form::Committed;
    assert!(matches!(case.look().await.unwrap(), Outcome::Sent { .. }));
    let [
        Taken::Commit {
            netuid: 2,
            bytes,
            round,
        },
    ] = case.taken()[..]
    else {
        panic!("{:?}", case.taken());
    };
    // The last epoch ran 40 blocks ago, so the next runs in 320; three blocks later its round is there for sure.
    let opens = 1_700_000_000_000 + (320 + 3) * 12_000;
    assert_eq!(round, (opens - 1_692_803_367_000) / 3000);
    assert!(bytes > 100 && bytes < 5000, "{bytes}");
    // A subnet that takes them for all to see gets no commit.
    case.node.with(|chain| chain.commits = false);
    case.pass(1000);
    case.look().await.unwrap();
    let refused = case.look().await.unwrap_err();
    assert!(
        matches!(refused, Trouble::NotPermitted(Refusal::Form { .. })),
        "{refused}"
    );
}

#[cfg(feature = "timelock")]
#[tokio::test]
async fn a_runtime_that_keeps_no_epochs_gets_no_commit() {
    let mut case = Case::new().await;
    case.node
        .with(|chain| (chain.commits, chain.keeps_epochs) = (true, false));
    case.form = Form::Committed;
    let refused = case.look().await.unwrap_err().to_string();
    assert!(refused.contains("LastEpochBlock"), "{refused}");
    assert!(case.taken().is_empty());
}

#[tokio::test]
async fn a_chain_that_is_away_is_told_of_and_gets_its_weights_when_it_is_back() {
    let mut case = Case::new().await;
    let there = std::mem::replace(&mut case.node.endpoint, "ws://127.0.0.1:1/".to_owned());
    let away = case.look().await.unwrap_err();
    assert!(matches!(away, Trouble::Chain(ChainError::Away { .. })), "{away}");
    assert!(
        away.to_string().starts_with("ws://127.0.0.1:1/ is away: "),
        "{away}"
    );
    case.node.endpoint = there;
    assert!(matches!(case.look().await.unwrap(), Outcome::Sent { .. }));
    assert_eq!(case.taken(), [plain()]);
}

#[tokio::test]
async fn what_speaks_no_websocket_is_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let page = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno";
            let _ = stream.write_all(page.as_bytes()).await;
        }
    });
    let Err(ChainError::Away { why, .. }) = Session::open(&endpoint, TIMES).await else {
        panic!("a web page is no chain");
    };
    assert!(why.contains("200 OK"), "{why}");
}

#[tokio::test]
async fn a_chain_that_is_slow_holds_nobody_up() {
    for method in ["chain_getHeader", "state_queryStorageAt", SUBMIT] {
        let mut case = Case::new().await;
        case.node.behaves(Manner::Silent(method));
        let began = std::time::Instant::now();
        let slow = case.look().await.unwrap_err().to_string();
        assert!(
            slow.contains(&format!("has not answered {method} within")),
            "{slow}"
        );
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn what_a_chain_refuses_is_tried_again_and_keeps_no_window() {
    let mut case = Case::new().await;
    case.node
        .behaves(Manner::Refuses(SUBMIT, 1014, "Priority is too low\u{1b}[2J"));
    let refused = case.look().await.unwrap_err();
    assert!(
        matches!(refused, Trouble::Refused(ChainError::Refused { code: 1014, .. })),
        "{refused}"
    );
    assert!(!refused.to_string().contains('\u{1b}'), "{refused}");
    assert_eq!(case.kept.record.as_ref().unwrap().sent, None);
    case.node.behaves(Manner::Honest);
    assert!(matches!(case.look().await.unwrap(), Outcome::Sent { .. }));
    assert_eq!(case.taken().len(), 1);
}

#[tokio::test]
async fn a_rate_limit_that_nobody_foresaw_is_told_in_the_chains_own_words() {
    let mut case = Case::new().await;
    // It limits by another number than it says.
    case.node.with(|chain| chain.updates[9] = 4_500);
    case.node.behaves(Manner::Refuses(
        SUBMIT,
        1010,
        "Invalid Transaction: Custom error: 6",
    ));
    let refused = case.look().await.unwrap_err().to_string();
    assert!(refused.contains("Custom error: 6 (1010)"), "{refused}");
}

#[tokio::test]
async fn what_may_have_left_is_not_sent_again_until_it_cannot_count() {
    // The connection breaks, and the chain has taken it.
    let mut case = Case::new().await;
    case.node.behaves(Manner::Closes(SUBMIT));
    let unknown = case.look().await.unwrap_err();
    assert!(
        matches!(unknown, Trouble::Unknown { block: 5000, .. }),
        "{unknown}"
    );
    case.node.behaves(Manner::Honest);
    assert!(matches!(
        case.look().await.unwrap(),
        Outcome::Taken { block: 5001, .. }
    ));
    assert_eq!(case.taken().len(), 1);

    // The connection breaks, and the chain has not.
    let mut case = Case::new().await;
    case.node.behaves(Manner::Forgets(SUBMIT));
    let Err(Trouble::Unknown { until, .. }) = case.look().await else {
        panic!("it is known?");
    };
    assert!(until > 5000 && until <= 5064, "{until}");
    case.node.behaves(Manner::Honest);
    let block = 5000;
    assert_eq!(case.look().await.unwrap(), Outcome::Awaits { block, until });
    case.pass(until - block);
    let lost = case.look().await.unwrap_err();
    assert!(matches!(lost, Trouble::Lost { block: 5000, .. }), "{lost}");
    assert!(case.taken().is_empty());
    assert!(matches!(case.look().await.unwrap(), Outcome::Sent { .. }));
    assert_eq!(case.taken().len(), 1);
}

#[tokio::test]
async fn nothing_leaves_that_could_not_be_written_down_before() {
    let mut case = Case::new().await;
    case.kept.full = true;
    assert!(matches!(case.look().await.unwrap_err(), Trouble::Desk(why) if why == "the store is full"));
    assert!(case.taken().is_empty());
}

#[tokio::test]
async fn what_no_chain_says_is_an_error_by_the_calls_name() {
    let says = |method, result| (method, Manner::Says(method, result));
    let babbles = |method, text: &str| (method, Manner::Babbles(method, text.to_owned()));
    let changes = |key: &str, value: &str| json!([{ "block": "0x00", "changes": [[key, value]] }]);
    for (method, manner) in [
        says("chain_getHeader", json!({ "number": "five" })),
        says("chain_getHeader", json!({ "number": "0xffffffffffffffffff" })),
        says("chain_getHeader", json!(null)),
        says("chain_getBlockHash", json!(null)),
        says("chain_getBlockHash", json!("0x12")),
        says("state_getRuntimeVersion", json!({ "specVersion": -1 })),
        says("state_queryStorageAt", changes("0x00", "0x00")),
        says("state_queryStorageAt", json!([])),
        says("state_queryStorageAt", json!({})),
        says("system_accountNextIndex", json!("many")),
        says(SUBMIT, json!("0x00")),
        babbles("chain_getHeader", "{"),
        babbles("chain_getHeader", ""),
        babbles("chain_getHeader", &"[".repeat(100_000)),
    ] {
        let mut case = Case::new().await;
        case.node.behaves(manner.clone());
        let odd = case.look().await.unwrap_err().to_string();
        assert!(
            odd.contains(&format!("answers {method} with what it cannot be")),
            "{manner:?}: {odd}"
        );
        assert!(odd.len() < 600, "{odd}");
    }
}

#[tokio::test]
async fn more_than_a_message_may_hold_ends_the_connection() {
    let mut case = Case::new().await;
    let much = format!("\"{}\"", "x".repeat(5 << 20));
    case.node.behaves(Manner::Babbles("chain_getHeader", much));
    let away = case.look().await.unwrap_err();
    assert!(matches!(away, Trouble::Chain(ChainError::Away { .. })), "{away}");
}

#[tokio::test]
async fn an_answer_is_that_of_its_call_whatever_else_is_said() {
    let mut case = Case::new().await;
    case.node.behaves(Manner::Chatters);
    assert!(matches!(case.look().await.unwrap(), Outcome::Sent { .. }));
    assert_eq!(case.taken(), [plain()]);
}
