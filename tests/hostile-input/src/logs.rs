//! Captures log lines.

use std::{
    io,
    sync::{Arc, Mutex, Once, PoisonError},
};

use tracing::subscriber::{set_global_default, with_default};
use tracing_subscriber::{filter::LevelFilter, fmt, layer::SubscriberExt, registry};

/// Runs `work` on this thread, and returns its result and what it logged at the functions' log level or above.
pub fn logged<T>(work: impl FnOnce() -> T) -> (T, String) {
    install_global_subscriber();
    let lines = Lines::default();
    let writer = lines.clone();
    let text = fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let subscriber = registry().with(LevelFilter::INFO).with(text);
    let answer = with_default(subscriber, work);
    let lines = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
    (answer, String::from_utf8_lossy(&lines).into_owned())
}

/// Installs a subscriber for all threads. If only one thread had a subscriber and another thread were the first to
/// log a line, tracing would cache that nothing is interested in that line.
fn install_global_subscriber() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        // An existing global subscriber serves the purpose too.
        let _ = set_global_default(registry().with(LevelFilter::INFO));
    });
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
