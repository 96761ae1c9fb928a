//! Rows that others change at the same time.

use apgl_contract::StepError;

use super::PUT;

/// How many times a row is written that others keep changing.
const MOST_ATTEMPTS: usize = 4;

/// Reads and writes again as long as others have changed the row in between: `attempt` returns `None` then.
///
/// # Errors
/// [`StepError::StoreUnavailable`] if others keep changing it.
pub async fn despite_conflicts<T>(
    mut attempt: impl AsyncFnMut() -> Result<Option<T>, StepError>,
) -> Result<T, StepError> {
    for _ in 0..MOST_ATTEMPTS {
        if let Some(done) = attempt().await? {
            return Ok(done);
        }
    }
    Err(StepError::StoreUnavailable {
        store: "the items' table".to_owned(),
        operation: PUT,
        reason: "others kept changing a row".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_row_that_others_keep_changing_is_given_up() {
        let mut attempts = 0;
        let given_up = despite_conflicts(async || {
            attempts += 1;
            Ok(None::<()>)
        });
        let error = given_up.await.unwrap_err();
        assert!(matches!(error, StepError::StoreUnavailable { .. }));
        assert_eq!(attempts, MOST_ATTEMPTS);
    }

    #[tokio::test]
    async fn a_row_that_others_have_changed_is_read_and_written_again() {
        let mut stored = 3;
        let written = despite_conflicts(async || {
            stored -= 1;
            Ok((stored == 0).then_some("written"))
        });
        assert_eq!(written.await, Ok("written"));
    }
}
