//! The DynamoDB tables, one small type each.
//!
//! | type | table | key | who writes it |
//! |---|---|---|---|
//! | [`UserProfiles`] | user profiles | `email` | the library's back end; read only here |
//! | [`SlackUsers`] | Slack users | `email` | every step that learns somebody's id |
//! | [`Channels`] | channels | `name` | every step that learns something of a channel |
//! | [`Deliveries`] | deliveries | `deliveryId` | `post-message` |
//! | [`Receipts`] | receipts | `id` and `item` | `record-outcome` |
//!
//! Every call ends in a value or in `Store.Unavailable` (it passes by itself) or `Store.Rejected`
//! (an operator must act). Ages and leases are compared in code: DynamoDB's own expiry lags.

mod channels;
mod deliveries;
mod receipts;
mod slack_users;
mod table;
mod user_profiles;

pub use channels::{
    Channel, Channels, Claims, ClaimsOn, Creation, CreationClaim, Entry, LookUp, Members, Scan,
    ScanClaim, Scanned, Snapshot,
};
pub use deliveries::{Attempt, Claim, Deliveries, Ledger, Record, Replaced, SETTLE_TIME};
pub use receipts::{End, Receipt, Receipts, Recorded};
pub use slack_users::{KnownUser, LookUps, SlackUsers};
pub use table::Table;
pub use user_profiles::{Preference, UserProfiles};
