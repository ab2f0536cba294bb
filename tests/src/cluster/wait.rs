//! Waiting with a limit.

use std::time::{Duration, Instant};

use super::Error;

/// Asks again every 50 ms until `probe` gives `Ok`; after `limit` an error with what the last probe said instead.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn test() -> Result<(), zkinfer_tests::cluster::Error> {
/// let answer: u32 = zkinfer_tests::cluster::wait_for("the answer", Duration::from_secs(5), async || {
///     Err("not yet")
/// }).await?;
/// # Ok(())
/// # }
/// ```
pub async fn wait_for<T, E: ToString>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, Error> {
    let start = Instant::now();
    let mut last = "no probe before".to_owned();
    loop {
        let left = limit.saturating_sub(start.elapsed());
        match tokio::time::timeout(left.max(Duration::from_millis(100)), probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(said)) => last = said.to_string(),
            // The time was over: what the probe before said tells more.
            Err(_) => last = format!("no answer to the probe; {last}"),
        }
        if start.elapsed() >= limit {
            return Err(Error::Timeout {
                what: what.to_owned(),
                limit,
                last,
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
