//! Times as steps and tables pass them on: in milliseconds since the epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub fn epoch_millis(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

pub fn time_of(epoch_millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(epoch_millis)
}
