//! Tests: the lines that a format writes.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full, Json, JsonFields};
use tracing_subscriber::fmt::{FormatEvent, format};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The usual format, without what differs from run to run.
pub fn plain() -> Format<Full, ()> {
    format().without_time().with_level(false).with_ansi(false)
}

/// What is logged while something is done.
pub fn written<E>(format: E, action: impl FnOnce()) -> Vec<String>
where
    E: FormatEvent<Registry, DefaultFields> + Send + Sync + 'static,
{
    let written = Written::default();
    let writer = written.clone();
    let log = tracing_subscriber::fmt().event_format(format).with_writer(move || writer.clone());
    lines(log.finish(), &written, action)
}

/// The same with a format around that of JSON.
pub fn written_as_json<E>(around: impl FnOnce(Format<Json>) -> E, action: impl FnOnce()) -> Vec<String>
where
    E: FormatEvent<Registry, JsonFields> + Send + Sync + 'static,
{
    let written = Written::default();
    let writer = written.clone();
    let log = tracing_subscriber::fmt().json().map_event_format(around).with_writer(move || writer.clone());
    lines(log.finish(), &written, action)
}

fn lines(
    log: impl Subscriber + Send + Sync + 'static,
    written: &Written,
    action: impl FnOnce(),
) -> Vec<String> {
    tracing::subscriber::with_default(log, action);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}
