//! Lines that requests cause: each ends with its request, and clients cannot fill the disk with them.
//!
//! Whatever the pool does by itself is logged to the last line. What a request causes is logged up to a [burst](BURST) of
//! lines from one place of the program, then one each [second](PAUSE); how many were left out is said every
//! [ten seconds](TOLD_EVERY).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pool::request_context::RequestContext;
use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Lines from one place of the program that may follow each other without a pause.
const BURST: u32 = 50;
/// Time after which one more may follow.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is said what was left out.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Where a line says of which request it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At its end, as text.
    End,
    /// As the last member of the JSON object that it is.
    Member,
}

/// Adds the request to what the other format writes, or leaves the line out.
pub struct RequestLines<F> {
    format: F,
    place: Place,
    repetition: Arc<Repetition>,
}

impl<F> RequestLines<F> {
    /// Around another format.
    pub fn new(format: F, place: Place) -> Self {
        Self { format, place, repetition: Arc::default() }
    }
}

impl<S, N, F> FormatEvent<S, N> for RequestLines<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(request) = RequestContext::current() else {
            return self.format.format_event(context, writer, event);
        };
        if !self.repetition.takes(event.metadata(), Instant::now()) {
            tell_of_what_is_left_out(&self.repetition);
            return Ok(());
        }
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match (self.place, line.strip_suffix('}')) {
            (Place::Member, Some(members)) => {
                let request = serde_json::to_string(&request).map_err(|_| fmt::Error)?;
                writeln!(writer, "{members},\"request\":{request}}}")
            }
            _ => writeln!(writer, "{line} {request}"),
        }
    }
}

/// What each place of the program has logged lately.
#[derive(Default)]
struct Repetition {
    kinds: Mutex<HashMap<Identifier, (&'static Metadata<'static>, Allowance)>>,
    telling: OnceLock<()>,
}

impl Repetition {
    /// Whether one more line of this kind is logged; else it is counted.
    fn takes(&self, metadata: &'static Metadata<'static>, now: Instant) -> bool {
        let mut kinds = self.kinds();
        let kind = kinds.entry(metadata.callsite()).or_insert_with(|| (metadata, Allowance::new(now)));
        kind.1.takes(now)
    }

    /// How many lines were left out since the last time, and where they would have come from.
    fn left_out(&self) -> Vec<(&'static Metadata<'static>, u64)> {
        let mut kinds = self.kinds();
        let left_out = kinds.values_mut().map(|(metadata, allowance)| (*metadata, allowance.left_out()));
        left_out.filter(|(_, lines)| *lines > 0).collect()
    }

    fn tell(&self) {
        // The lock is free again before anything is logged.
        for (metadata, lines) in self.left_out() {
            let (target, line) = (metadata.target(), metadata.line());
            tracing::warn!(
                lines,
                of = target,
                line,
                "log lines were left out: requests cause too many of a kind"
            );
        }
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Identifier, (&'static Metadata<'static>, Allowance)>> {
        // Nothing is half done where it is held.
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much of one kind may be logged.
struct Allowance {
    /// When all that was logged is paid for: one pause for each line.
    paid_at: Instant,
    left_out: u64,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { paid_at: now, left_out: 0 }
    }

    fn takes(&mut self, now: Instant) -> bool {
        let paid_at = self.paid_at.max(now) + PAUSE;
        let takes = paid_at <= now + PAUSE * BURST;
        if takes {
            self.paid_at = paid_at;
        } else {
            self.left_out += 1;
        }
        takes
    }

    /// Since the last time.
    fn left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

/// From the first line on that is left out. Without a thread for it the lines are left out unsaid.
fn tell_of_what_is_left_out(repetition: &Arc<Repetition>) {
    repetition.telling.get_or_init(|| {
        let repetition = Arc::downgrade(repetition);
        let telling = move || {
            loop {
                std::thread::sleep(TOLD_EVERY);
                let Some(repetition) = repetition.upgrade() else { return };
                repetition.tell();
            }
        };
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(telling);
    });
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;
    use crate::logging::written_lines::{plain, written, written_as_json};

    /// Does something on behalf of a request.
    fn asked(action: impl FnOnce()) {
        let request =
            http::Request::get("/submit?password=x").header("x-request-id", "4711").body(()).unwrap();
        let context = RequestContext::of(&request, Ipv4Addr::new(192, 0, 2, 7).into(), true);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(RequestContext::within(Some(context), async { action() }));
    }

    #[test]
    fn a_line_names_its_request() {
        let lines = written(RequestLines::new(plain(), Place::End), || {
            asked(|| tracing::info!(code = 3, "refused"));
            tracing::info!("new work");
        });
        let own = module_path!();
        let refused = format!("{own}: refused code=3 request=4711 method=GET path=/submit client=192.0.2.7");
        assert_eq!(lines, [refused, format!("{own}: new work")]);
    }

    #[test]
    fn a_json_line_has_its_request_as_an_object() {
        let format = |json| RequestLines::new(json, Place::Member);
        let lines = written_as_json(format, || {
            asked(|| tracing::info!("refused"));
            tracing::info!("new work");
        });
        let lines = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let [refused, new_work] = lines.collect::<Vec<_>>().try_into().unwrap();
        let request = json!({"id": "4711", "method": "GET", "path": "/submit", "client": "192.0.2.7"});
        assert_eq!(refused["request"], request);
        assert_eq!(refused["fields"]["message"], "refused");
        assert_eq!(new_work.get("request"), None);
    }

    #[test]
    fn clients_do_not_fill_the_disk_with_one_line() {
        let format = RequestLines::new(plain(), Place::End);
        let repetition = Arc::clone(&format.repetition);
        let lines = written(format, || {
            for number in 0..200 {
                asked(|| tracing::info!(number, "refused"));
                tracing::info!("paid");
            }
            asked(|| tracing::info!("another kind"));
            repetition.tell();
            repetition.tell();
        });
        let count = |of: &str| lines.iter().filter(|line| line.contains(of)).count();
        // One more for each second that this takes.
        assert!((50..150).contains(&count(": refused")), "{}", count(": refused"));
        assert_eq!((count(": paid"), count("another kind"), count("were left out")), (200, 1, 1));
    }

    #[test]
    fn after_a_burst_there_is_a_line_each_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let mut taken = |seconds: u64, lines: usize| {
            let now = start + Duration::from_secs(seconds);
            let taken = (0..lines).filter(|_| allowance.takes(now)).count();
            (taken, allowance.left_out())
        };
        assert_eq!((taken(0, 60), taken(0, 1)), ((50, 10), (0, 1)));
        assert_eq!((taken(1, 5), taken(4, 5)), ((1, 4), (3, 2)));
        assert_eq!(taken(1000, 60), (50, 10), "a pause fills the burst again, and no more");
    }
}
