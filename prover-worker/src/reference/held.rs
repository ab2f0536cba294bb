//! The models that are held: at most so many, each by a process of its own; whoever was asked longest ago goes first.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zkinfer_crds::Digest;
use zkinfer_crds::float_wire::{Answer, CALL_SECONDS, Call, MAX_VALUES_BYTES, read_frame, write_frame};

/// The longest that a call may take.
const CALL: Duration = Duration::from_secs(CALL_SECONDS);

/// A process that has read one model.
struct Evaluator {
    child: Child,
    socket: UnixStream,
}

impl Drop for Evaluator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A place for a model; without an evaluator while that is at work.
struct Place {
    model: Digest,
    evaluator: Option<Evaluator>,
    asked: Instant,
}

/// See the module.
pub(super) struct Held {
    program: PathBuf,
    most: usize,
    memory_mib: u64,
    places: Mutex<Vec<Place>>,
    freed: Condvar,
}

impl Held {
    /// Room for `most` models that take `memory_mib` together.
    pub(super) fn new(program: PathBuf, most: usize, memory_mib: u64) -> Self {
        let most = most.max(1);
        Self {
            program,
            most,
            memory_mib: memory_mib / most as u64,
            places: Mutex::default(),
            freed: Condvar::new(),
        }
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a model from now on; the same again is no work.
    pub(super) fn load(&self, model: Digest, call: &Call, onnx: &[u8]) -> Answer {
        let started = match self.place(model) {
            Ok(Taken::Held(evaluator)) => {
                self.give_back(model, Some(evaluator));
                return Answer::Loaded;
            }
            Ok(Taken::Empty) => self.start(),
            Err(message) => return Answer::Failed { message },
        };
        let mut evaluator = match started {
            Ok(evaluator) => evaluator,
            Err(e) => {
                self.give_back(model, None);
                let message = format!("an evaluator does not start: {e}");
                return Answer::Failed { message };
            }
        };
        let (answer, _) = evaluator.ask(call, onnx);
        let keep = answer == Answer::Loaded;
        self.give_back(model, keep.then_some(evaluator));
        answer
    }

    /// What a model that is held answers.
    pub(super) fn evaluate(&self, model: Digest, call: &Call, values: &[u8]) -> (Answer, Vec<u8>) {
        if !self.places().iter().any(|p| p.model == model) {
            return (Answer::Unknown, Vec::new());
        }
        let mut evaluator = match self.place(model) {
            Ok(Taken::Held(evaluator)) => evaluator,
            Ok(Taken::Empty) => {
                self.give_back(model, None);
                return (Answer::Unknown, Vec::new());
            }
            Err(message) => return (Answer::Failed { message }, Vec::new()),
        };
        let (answer, values) = evaluator.ask(call, values);
        // After a failure nobody knows how far it is in its frames.
        let keep = !matches!(answer, Answer::Failed { .. });
        self.give_back(model, keep.then_some(evaluator));
        (answer, values)
    }

    /// A model's evaluator, or an empty place for one, to be given back; waits while all are at work.
    fn place(&self, model: Digest) -> Result<Taken, String> {
        let until = Instant::now() + CALL;
        let mut places = self.places();
        loop {
            if let Some(own) = places.iter_mut().find(|p| p.model == model) {
                own.asked = Instant::now();
                if let Some(evaluator) = own.evaluator.take() {
                    return Ok(Taken::Held(evaluator));
                }
            } else {
                let idle = places.iter().enumerate().filter(|(_, p)| p.evaluator.is_some());
                let oldest = idle.min_by_key(|(_, p)| p.asked).map(|(at, _)| at);
                let gone = oldest
                    .filter(|_| places.len() >= self.most)
                    .map(|at| places.remove(at));
                if places.len() < self.most {
                    places.push(Place {
                        model,
                        evaluator: None,
                        asked: Instant::now(),
                    });
                    drop(places);
                    drop(gone);
                    return Ok(Taken::Empty);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("every evaluator is at work".to_owned());
            }
            let waited = self.freed.wait_timeout(places, left);
            places = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends what [`Held::place`] began; without an evaluator the place is gone.
    fn give_back(&self, model: Digest, evaluator: Option<Evaluator>) {
        let mut places = self.places();
        match (evaluator, places.iter().position(|p| p.model == model)) {
            (Some(evaluator), Some(at)) => places[at].evaluator = Some(evaluator),
            (None, Some(at)) => drop(places.remove(at)),
            (_, None) => {}
        }
        drop(places);
        self.freed.notify_all();
    }

    fn start(&self) -> std::io::Result<Evaluator> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(CALL))?;
        socket.set_write_timeout(Some(CALL))?;
        let child = Command::new(&self.program)
            .arg("reference-evaluator")
            .arg(format!("--memory-mib={}", self.memory_mib))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Evaluator { child, socket })
    }
}

/// See [`Held::place`].
enum Taken {
    Held(Evaluator),
    Empty,
}

impl Evaluator {
    /// Its answer to a call, within the time.
    fn ask(&mut self, call: &Call, body: &[u8]) -> (Answer, Vec<u8>) {
        let asked = write_frame(&mut self.socket, call, body);
        let answered = asked.and_then(|()| read_frame(&mut self.socket, MAX_VALUES_BYTES));
        answered.unwrap_or_else(|e| {
            let message = format!("the evaluator gave no answer: {e}{}", self.end());
            (Answer::Failed { message }, Vec::new())
        })
    }

    /// How it ended, if it has.
    fn end(&mut self) -> String {
        // Its socket closes a little before the process is gone.
        std::thread::sleep(Duration::from_millis(20));
        match self.child.try_wait() {
            Ok(Some(status)) => {
                format!(" ({status}; the least memory of an evaluator is --memory-mib / --models)")
            }
            _ => String::new(),
        }
    }
}
