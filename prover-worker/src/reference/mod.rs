//! `reference`: evaluates models in floats, as they stand in their files, for an operator that asks over a Unix socket.
//!
//! ```text
//! operator ──socket──▶ reference ──┬─▶ evaluator of model A     each a process of its own, held while others ask less
//!                                  └─▶ evaluator of model B     recently, with its share of the memory
//! ```
//!
//! Invariants: this process parses no model: each is read and evaluated by a child of its own, so a file that crashes,
//! hangs or fills its reader spoils no other model's answers. All children together take at most the memory that was
//! given. It holds no token and no store, and ends with the process that started it.

mod evaluator;
mod held;

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use zkinfer_crds::Digest;
use zkinfer_crds::float_wire::{
    Answer, CALL_SECONDS, Call, FrameError, MAX_LOAD_BYTES, MAX_VALUES_BYTES, length_of, read_frame,
    write_frame,
};

use self::held::Held;
use crate::args::{EvaluatorArgs, ReferenceArgs};
use crate::exit::{Exit, UsageError};

/// Connections at once; an operator has one per request.
const MAX_CONNECTIONS: usize = 64;
/// Between two calls of a connection.
const IDLE: Duration = Duration::from_secs(2 * CALL_SECONDS);
/// How often it is looked whether whoever started this is still there.
const LOOK: Duration = Duration::from_millis(500);

/// Serves until it is told to stop, or its parent has ended.
pub(crate) fn run(args: &ReferenceArgs) -> Result<Exit, UsageError> {
    let listener = listen(&args.socket)?;
    let program = std::env::current_exe().map_err(UsageError::new)?;
    let held = Arc::new(Held::new(program, args.models, args.memory_mib));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(UsageError::new)?;
    eprintln!("answering on {}", args.socket.display());
    std::thread::spawn(move || serve(&listener, &held));
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone() => {}
        }
        Ok::<_, std::io::Error>(())
    });
    // A socket that nobody answers would look like a reference that is only slow.
    let _ = std::fs::remove_file(&args.socket);
    ended.map(|()| Exit::Done).map_err(UsageError::new)
}

/// One model in this process: the calls come by standard input, which is a socket.
pub(crate) fn evaluate(args: &EvaluatorArgs) -> Result<Exit, UsageError> {
    evaluator::run(args.memory_mib)
}

fn listen(socket: &Path) -> Result<UnixListener, UsageError> {
    // What a killed predecessor left.
    let _ = std::fs::remove_file(socket);
    let bad = |e| UsageError::new(format!("cannot listen on {}: {e}", socket.display()));
    UnixListener::bind(socket).map_err(bad)
}

async fn parent_gone() {
    let parent = nix::unistd::getppid();
    while nix::unistd::getppid() == parent {
        tokio::time::sleep(LOOK).await;
    }
}

fn serve(listener: &UnixListener, held: &Arc<Held>) {
    let open = Arc::new(AtomicUsize::new(0));
    for connection in listener.incoming() {
        let connection = match connection {
            Ok(connection) => connection,
            Err(e) => {
                eprintln!("a connection: {e}");
                std::thread::sleep(LOOK);
                continue;
            }
        };
        if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (held, open) = (Arc::clone(held), Arc::clone(&open));
        std::thread::spawn(move || {
            match answer(connection, &held) {
                Ok(()) | Err(FrameError::Closed) => {}
                Err(e) => eprintln!("a connection was closed: {e}"),
            }
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Answers one connection's calls.
fn answer(mut connection: UnixStream, held: &Held) -> Result<(), FrameError> {
    connection.set_read_timeout(Some(IDLE))?;
    connection.set_write_timeout(Some(IDLE))?;
    loop {
        let (call, body) = read_frame::<Call>(&mut connection, MAX_LOAD_BYTES)?;
        let (answer, values) = called(&call, &body, held);
        write_frame(&mut connection, &answer, &values)?;
    }
}

fn called(call: &Call, body: &[u8], held: &Held) -> (Answer, Vec<u8>) {
    let refused = |message: &str| {
        let message = message.to_owned();
        (Answer::Refused { message }, Vec::new())
    };
    match call {
        Call::Load {
            manifest,
            model,
            model_bytes,
        } => match usize::try_from(*model_bytes)
            .ok()
            .and_then(|n| body.split_at_checked(n))
        {
            Some((onnx, own)) if Digest::of(onnx) == *model && Digest::of(own) == *manifest => {
                (held.load(*manifest, call, body), Vec::new())
            }
            _ => refused("the files have other digests"),
        },
        Call::Evaluate { .. } if body.len() as u64 > MAX_VALUES_BYTES => refused("too many values"),
        Call::Evaluate { inputs, .. } if inputs.iter().any(|i| length_of(&i.shape).is_none()) => {
            refused("an input has too many values")
        }
        Call::Evaluate { manifest, .. } => held.evaluate(*manifest, call, body),
    }
}
