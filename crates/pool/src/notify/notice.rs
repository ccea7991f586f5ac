//! What is delivered: messages that came together, with who says them and when.

use serde::Serialize;

use crate::monitor::{Message, Severity};
use crate::site::facts::Moment;

/// Messages that came together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The pool's name.
    pub pool: String,
    /// When it was put together.
    pub at: Moment,
    /// The messages, the oldest first; at least one.
    pub messages: Vec<Message>,
}

impl Notice {
    /// The gravest of what is bad; only good news are [`Severity::Info`].
    pub fn severity(&self) -> Severity {
        let bad = self.messages.iter().filter(|message| !message.resolved);
        bad.map(|message| message.severity).max().unwrap_or(Severity::Info)
    }

    /// One line.
    pub fn title(&self) -> String {
        let severity = match self.severity() {
            Severity::Info => "",
            Severity::Warning => " warning:",
            Severity::Critical => " CRITICAL:",
        };
        match self.messages.as_slice() {
            [one] => format!("{}:{severity} {}", self.pool, one.subject),
            all => format!("{}:{severity} {} messages", self.pool, all.len()),
        }
    }

    /// A line for each message, of at most so many bytes in all.
    pub fn text(&self, longest: usize) -> String {
        let lines: Vec<String> = self.messages.iter().map(Message::to_string).collect();
        let text = lines.join("\n");
        if text.len() <= longest {
            return text;
        }
        let mut end = longest.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}…", &text[..end])
    }
}

#[cfg(test)]
pub(super) fn sample() -> Notice {
    let message = |subject: &str, severity, resolved, text: &str| Message {
        subject: subject.to_owned(),
        severity,
        resolved,
        text: text.to_owned(),
    };
    Notice {
        pool: "Deep Shaft".to_owned(),
        at: Moment(1_790_000_000_000),
        messages: vec![
            message("master", Severity::Critical, false, "is down at http://10.0.0.2:8081: refused"),
            message("pay_maker", Severity::Warning, true, "does its work again – at last"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_as_grave_as_the_gravest_of_what_is_bad() {
        let mut notice = sample();
        assert_eq!(notice.severity(), Severity::Critical);
        assert_eq!(notice.title(), "Deep Shaft: CRITICAL: 2 messages");
        notice.messages.remove(0);
        assert_eq!(notice.severity(), Severity::Info);
        assert_eq!(notice.title(), "Deep Shaft: pay_maker");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let notice = sample();
        let whole = notice.text(usize::MAX);
        for longest in 3..whole.len() {
            let cut = notice.text(longest);
            assert!(cut.len() <= longest && cut.ends_with('…'), "{cut}");
        }
        assert_eq!(notice.text(whole.len()), whole);
    }
}
