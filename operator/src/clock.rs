//! What time it is. Whatever is planned takes the time as an argument; here alone it is asked for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// The time, in the form of the API.
#[must_use]
pub fn now() -> Time {
    Time(Timestamp::now())
}
