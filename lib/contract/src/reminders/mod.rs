//! When people are reminded of an item: the settings, and the stages of which each is one reminder.

mod message;
mod settings;
mod stage;

pub use message::{Part, RemindedOf};
pub use settings::{Leads, ReminderSettings, Reminders, Rules, WorkingDays, WorkingHours};
pub use stage::{Lead, Stage};
