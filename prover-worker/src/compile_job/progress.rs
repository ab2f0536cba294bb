//! What a compiler says of its work. Invariant: while it works somebody hears of it at least once in each stretch of time
//! that was asked for, also while a step takes long: it is told from a compiler that hangs or is gone.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

/// Hands on what comes, the latest where it comes faster than it is taken, until there is no more to come; where nothing
/// has come for `still`, what came last and how long it has been at work.
pub(super) async fn relay<F, Taken>(still: Duration, mut lines: UnboundedReceiver<String>, mut take: F)
where
    F: FnMut(String) -> Taken,
    Taken: Future<Output = ()>,
{
    let started = Instant::now();
    let mut last = "fetching the model".to_owned();
    take(last.clone()).await;
    loop {
        let line = match tokio::time::timeout(still, lines.recv()).await {
            Ok(None) => break,
            Ok(Some(mut line)) => {
                while let Ok(newer) = lines.try_recv() {
                    line = newer;
                }
                last.clone_from(&line);
                line
            }
            Err(_) => format!("{}; at work for {} s", last.trim(), started.elapsed().as_secs()),
        };
        take(line).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[tokio::test]
    async fn a_step_that_takes_long_is_told_of_again_and_again() {
        let (lines, receiver) = unbounded_channel();
        let (told, mut heard) = unbounded_channel();
        let relayed = tokio::spawn(relay(Duration::from_millis(20), receiver, move |line| {
            let _ = told.send(line);
            std::future::ready(())
        }));
        let mut next = async || heard.recv().await.unwrap();
        assert_eq!(next().await, "fetching the model");
        assert_eq!(next().await, "fetching the model; at work for 0 s");
        lines.send("planned 4 slices\n".to_owned()).unwrap();
        while next().await != "planned 4 slices\n" {}
        for _ in 0..3 {
            assert_eq!(next().await, "planned 4 slices; at work for 0 s");
        }
        drop(lines);
        relayed.await.unwrap();
    }

    #[tokio::test]
    async fn of_lines_that_come_at_once_the_last_is_told() {
        let (lines, receiver) = unbounded_channel();
        for n in 0..100 {
            lines.send(n.to_string()).unwrap();
        }
        drop(lines);
        let mut told = Vec::new();
        relay(Duration::from_secs(60), receiver, |line| {
            told.push(line);
            std::future::ready(())
        })
        .await;
        assert_eq!(told, ["fetching the model", "99"]);
    }
}
