//! Renders Slack messages about the work on a library: from typed data to Block Kit and plain text.
//!
//! * [`ContentItem`]: an article's state changed. Posted to the article's private channel, which
//!   its authors and reviewers read.
//! * [`ContentBounty`]: an offer for somebody to write an article. Posted to a public channel.
//!
//! The data is validated when it is read: all valid data can be rendered, and every message is within Slack's limits.
//! Text that a person wrote can't notify anybody or change the blocks. In the blocks it is `rich_text`, which Slack
//! shows as it is; in the plain text it is escaped.
//!
//! Unknown fields are ignored. A caller that wants to reject them must do so in its own type.
//!
//! ```
//! use apgl_templates::{ContentItem, Rendered};
//!
//! let item: ContentItem = serde_json::from_value(serde_json::json!({
//!     "title": "Rust on <Lambda>",
//!     "link": "https://library.example/rust-on-lambda",
//!     "state": "changes_requested",
//!     "actor": "Ana",
//!     "dueDate": "2026-11-25",
//! }))?;
//! let Rendered { text, blocks } = item.render(false);
//! assert_eq!(
//!     text,
//!     "Changes requested: Rust on &lt;Lambda&gt;\n\
//!      Requested by Ana · Due 25 November 2026 · <https://library.example/rust-on-lambda>"
//! );
//! assert_eq!(blocks[0]["text"]["text"], "Changes requested");
//! # Ok::<(), serde_json::Error>(())
//! ```

mod announcement;
mod bounty;
mod content;

pub use announcement::Rendered;
pub use apgl_contract::{DueDate, Link, PersonName, Reward, Title};
pub use bounty::{BountyState, ContentBounty};
pub use content::{ContentItem, ContentState};
