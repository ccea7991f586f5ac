//! Each way to tell people has what its kind needs.

use super::{Rules, place_in, place_of};
use crate::config::{Config, NotifyKind};

impl Rules<'_> {
    pub(super) fn notify(&mut self, config: &Config) {
        let tables = self.repeated("notify");
        self.unique(&tables, "name", "notify");
        for (notify, (label, table)) in config.notify.iter().zip(&tables) {
            if table.get("name").is_none() {
                let suggestion = Some("give it one, such as \"mail\"".to_owned());
                self.report_at(place_of(table), format!("{label}.name"), "is missing", suggestion);
            }
            for key in notify.missing().into_iter().filter(|key| table.get(key).is_none()) {
                let fault = "is missing, and this `kind` needs it";
                let suggestion = Some("`headframe config example` says what it is".to_owned());
                self.report_at(place_of(table), format!("{label}.{key}"), fault, suggestion);
            }
            if notify.secret.is_some() && notify.secret_file.is_some() {
                let fault = "does the same as `secret`, which is also given";
                let suggestion = Some("keep one of them".to_owned());
                self.report_at(
                    place_in(table, "secret_file"),
                    format!("{label}.secret_file"),
                    fault,
                    suggestion,
                );
            }
            let url = notify.url.as_ref().map(crate::config::Secret::reveal);
            if url.is_some_and(|url| !is_http(url)) {
                let fault = "must be an http or https URL";
                self.report_at(place_in(table, "url"), format!("{label}.url"), fault, None);
            }
        }
    }
}

impl Rules<'_> {
    /// Miners get e-mail by a server that is there.
    pub(super) fn mail_for_miners(&mut self, config: &Config) {
        let wanted = &config.site.mail;
        let mails = config.notify.iter().filter(|notify| notify.kind == NotifyKind::Email);
        let names: Vec<&str> = mails.filter_map(|notify| Some(notify.name.as_ref()?.as_str())).collect();
        if wanted.is_empty() || names.contains(&wanted.as_str()) {
            return;
        }
        let known = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
        let suggestion = Some(format!("[[notify]] of that kind: {known}"));
        self.report(
            "site",
            "mail",
            format!("{wanted:?} is the name of no [[notify]] of kind email"),
            suggestion,
        );
    }
}

fn is_http(url: &str) -> bool {
    let uri = url.parse::<axum::http::Uri>().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}
