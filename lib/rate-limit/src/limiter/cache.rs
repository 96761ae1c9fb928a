//! What an invocation has read of its step's reservations.

use std::collections::HashMap;

use crate::table::Reservation;

/// The step's reservations, as this invocation has read them.
#[derive(Debug)]
pub(super) struct Cache {
    /// A step that has not waited has no reservations, so it does not need to read the table.
    pub may_have_reserved: bool,
    /// By the name of the narrowest quota.
    pub reservations: HashMap<String, Option<Reserved>>,
}

impl Cache {
    pub fn new(may_have_reserved: bool) -> Self {
        Self {
            may_have_reserved,
            reservations: HashMap::new(),
        }
    }
}

/// A reservation, and when it is ready.
#[derive(Debug, Clone)]
pub(super) struct Reserved {
    pub reservation: Reservation,
    pub ready_at: u64,
    /// The index of the reservation's quota among the call's quotas.
    pub position: usize,
}

impl Reserved {
    pub fn left(&self) -> u32 {
        self.reservation.left()
    }
}
