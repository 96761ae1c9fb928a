//! The DynamoDB tables, one small type per table.
//!
//! | type | table | key | who writes it |
//! |---|---|---|---|
//! | [`UserProfiles`] | user profiles | `email` | the library's back end; here only `apgl preferences` writes |
//! | [`SlackUsers`] | Slack users | `email` | every step that learns a user's id, or opens a direct message |
//! | [`Channels`] | channels | `name` | every step that learns something about a channel |
//! | [`Deliveries`] | deliveries | `deliveryId` | `post-message` |
//! | [`Items`] | items | `itemId` and `row` | `record-item`, `update-card`, and what reminds people |
//! | [`Receipts`] | receipts | `id` and `item` | `record-outcome` |
//!
//! Every call returns a value or fails with `Store.Unavailable` (transient) or `Store.Rejected` (an operator must
//! act). Ages and leases are compared in code, because DynamoDB deletes expired items late.

mod channels;
mod deliveries;
mod items;
mod receipts;
mod slack_users;
mod table;
mod user_profiles;

pub use channels::{
    Change, Changes, Channel, Channels, Claims, ClaimsOn, Creation, CreationClaim, Entry,
    KnownMembers, List, LookUp, Members, Scan, ScanClaim, Scanned, Snapshot,
};
pub use deliveries::{
    Attempt, Claim, Deliveries, Delivery, InSequence, Ledger, LockChange, NotMine, Place, Record,
    RecordChange, Replaced, SETTLE_TIME, Searched, SequenceState,
};
pub use items::{
    AllItems, Bundle, BundleContent, BundleEntry, BundleLedger, BundleState, Calendar, Card,
    CardAt, CardClaim, CardLedger, CardReplaced, Cards, Census, Escalating, GRACE, InHour,
    ItemRows, Items, Planner, Stored, Swept, UtcHour, WaitingKey, WaitingRow, despite_conflicts,
};
pub use receipts::{End, Receipt, Receipts, Recorded};
pub use slack_users::{KnownUser, LookUps, SlackUsers};
pub use table::Table;
pub use user_profiles::{
    InvalidPreference, Preference, PreferenceField, Preferences, UserProfiles,
};
