//! The planner as its callers use it: somebody looks, sends what is due, and looks again.
#![allow(clippy::unwrap_used)]

mod looker;
mod properties;
mod table;
mod timetable;
