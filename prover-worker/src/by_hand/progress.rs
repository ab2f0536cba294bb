//! Tells how a long computation goes on: a line whenever some seconds have passed, whatever it does meanwhile.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use zkml_compile::progress::{Listener, Progress, Stage};

/// Between two lines.
const EVERY: Duration = Duration::from_secs(5);

/// Does the work, and says how far it has come.
pub(crate) fn telling<T>(say: &(dyn Fn(String) + Sync), work: impl FnOnce(Listener<'_>) -> T) -> T {
    telling_every(EVERY, say, work)
}

fn telling_every<T>(
    every: Duration,
    say: &(dyn Fn(String) + Sync),
    work: impl FnOnce(Listener<'_>) -> T,
) -> T {
    let latest = Mutex::new(None);
    let (over, ends) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Ends with the sender, which this scope drops, in a panic too.
        let _over = over;
        let latest = &latest;
        scope.spawn(move || {
            while ends.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let progress = *latest.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(progress) = progress {
                    say(words(progress));
                }
            }
        });
        work(&|progress| *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress))
    })
}

fn words(Progress { stage, done, of }: Progress) -> String {
    match stage {
        Stage::Answering => format!("calibrating: the float model has answered {done} of {of} samples"),
        Stage::Observing => format!("calibrating: ranges seen on {done} of {of} samples"),
        Stage::Measuring(profile) => format!("calibrating: {profile} measured on {done} of {of} samples"),
        Stage::Cutting(system) => {
            let percent = (100 * done).checked_div(of).unwrap_or(100);
            format!("cutting it for {system}: {percent} % of the possible slices seen")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_silent_computation_is_told_of_again_and_again_until_it_ends() {
        let (lines, began) = (AtomicUsize::new(0), Instant::now());
        let say = |line: String| {
            assert_eq!(line, "calibrating: ranges seen on 3 of 64 samples");
            lines.fetch_add(1, Ordering::Relaxed);
        };
        let made = telling_every(Duration::from_millis(2), &say, |listener| {
            let stage = Stage::Observing;
            listener(Progress {
                stage,
                done: 3,
                of: 64,
            });
            while lines.load(Ordering::Relaxed) < 3 {
                assert!(began.elapsed() < Duration::from_secs(60));
                thread::sleep(Duration::from_millis(1));
            }
            7
        });
        assert_eq!(made, 7);
    }
}
