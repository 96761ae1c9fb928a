//! The items of the table: their keys and fields.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_slack::quotas::Slot;
use aws_sdk_dynamodb::types::AttributeValue;

use super::Reservation;
use crate::gcra::{FreeSlots, Gcra};

pub(super) type Item = HashMap<String, AttributeValue>;

/// The sort key of a quota's state.
pub(super) const QUOTA: &str = "quota";
/// The prefix of the sort key of free slots.
pub(super) const FREE: &str = "free/";

/// How long an unused quota is kept; channels come and go. Longer than an execution may run, so that no
/// reservation outlives its quota's delay.
const RETENTION: Duration = Duration::from_hours(3 * 24);

pub(super) fn gcra_of(item: &Item) -> Gcra {
    Gcra {
        tat: whole_number(item, "tat").unwrap_or_default(),
        delay: whole_number(item, "delay").unwrap_or_default(),
    }
}

/// `None` if the item can't be read; the calls are then taken from the quota again.
pub(super) fn reservation_of(quota: &str, item: &Item) -> Option<Reservation> {
    let calls = |field| u32::try_from(whole_number(item, field)?).ok();
    Some(Reservation {
        slot: Slot {
            quota: quota.to_owned(),
            at: whole_number(item, "slot")?,
            delay: whole_number(item, "delay")?,
        },
        calls: calls("calls")?,
        used: calls("used")?,
    })
}

pub(super) fn free_slots_of(item: &Item) -> Option<FreeSlots> {
    let calls = whole_number(item, "calls")?;
    Some(FreeSlots {
        at: text_in(item, "item")?.strip_prefix(FREE)?.parse().ok()?,
        calls: calls.try_into().ok()?,
    })
}

/// The sort key of free slots, which sorts by time.
pub(super) fn free_item(at: u64) -> String {
    format!("{FREE}{at:020}")
}

pub(super) fn quota_key(quota: &str) -> Item {
    key(quota, QUOTA)
}

pub(super) fn key(owner: &str, item: &str) -> Item {
    let fields = [("owner", text(owner)), ("item", text(item))];
    fields
        .map(|(field, value)| (field.to_owned(), value))
        .into()
}

pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(super) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn text_in<'a>(item: &'a Item, field: &str) -> Option<&'a str> {
    item.get(field)?.as_s().ok().map(String::as_str)
}

pub(super) fn whole_number(item: &Item, field: &str) -> Option<u64> {
    item.get(field)?.as_n().ok()?.parse().ok()
}

pub(super) fn expiry() -> u64 {
    expiry_of(SystemTime::now())
}

/// Whether the item was written after that second. The time is derived from `expiresAt`.
pub(super) fn is_written_after(item: &Item, time: SystemTime) -> bool {
    whole_number(item, "expiresAt").is_some_and(|expires_at| expires_at > expiry_of(time))
}

fn expiry_of(written_at: SystemTime) -> u64 {
    let since_epoch = (written_at + RETENTION).duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default().as_secs()
}
