//! The announcement handlers of a pool, in the order that decides which one an announcement belongs to.

use packetcrypt::{Announcement, AnnouncementHash};
use wire::announcement_post::Assignment;

/// Host of the entries by which a pool sheds load: what falls to them is not sent anywhere
/// (`docs/protocol/packetcrypt-pool.md` 3.5).
const NOWHERE: &str = "invalid";

/// Where announcements are posted to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Handler {
    /// A handler's whole submit URL.
    At(String),
    /// A `http://invalid/…` entry, or one that is no URL: its announcements count as rejected.
    Nowhere,
}

/// The distinct entries of `submitAnnUrls`, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandlerList(Vec<Handler>);

impl HandlerList {
    /// Reads `submitAnnUrls`. An entry that appears again counts only once, as in all public miners.
    pub fn new(urls: &[String]) -> Self {
        let mut distinct: Vec<&String> = Vec::new();
        for url in urls {
            if !distinct.contains(&url) {
                distinct.push(url);
            }
        }
        Self(distinct.into_iter().map(|url| Handler::read(url)).collect())
    }

    /// Whose an announcement is (5.2, the rule of all public miners). `None` if there are no handlers.
    pub fn for_announcement(&self, announcement: &Announcement, hash: &AnnouncementHash) -> Option<&Handler> {
        self.0.get(Assignment::ByHash.handler(announcement, hash, self.0.len())?)
    }

    /// All handlers that can be sent to.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|handler| match handler {
            Handler::At(url) => Some(url.as_str()),
            Handler::Nowhere => None,
        })
    }
}

impl Handler {
    fn read(url: &str) -> Self {
        match reqwest::Url::parse(url) {
            Ok(parsed)
                if matches!(parsed.scheme(), "http" | "https") && parsed.host_str() != Some(NOWHERE) =>
            {
                Self::At(url.to_owned())
            }
            _ => Self::Nowhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(prefix: u64) -> AnnouncementHash {
        let mut bytes = [0xee; 32];
        bytes[..8].copy_from_slice(&prefix.to_le_bytes());
        AnnouncementHash(bytes)
    }

    fn owner(handlers: &HandlerList, prefix: u64) -> Option<&Handler> {
        handlers.for_announcement(&Announcement::from_bytes(&[0; 1024]), &hash(prefix))
    }

    fn list(urls: &[&str]) -> HandlerList {
        HandlerList::new(&urls.iter().map(|&url| url.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_hash_prefix_selects_the_handler() {
        let handlers = list(&["http://a/submit", "http://b/submit", "http://c/submit"]);
        for (prefix, url) in [(0, "http://a/submit"), (4, "http://b/submit"), (u64::MAX, "http://a/submit")] {
            assert_eq!(owner(&handlers, prefix), Some(&Handler::At(url.to_owned())));
        }
        assert_eq!(owner(&list(&[]), 1), None);
    }

    #[test]
    fn a_repeated_url_does_not_change_the_divisor() {
        let handlers = list(&["http://a/submit", "http://a/submit", "http://b/submit"]);
        assert_eq!(owner(&handlers, 1), Some(&Handler::At("http://b/submit".into())));
    }

    #[test]
    fn entries_that_lead_nowhere_keep_their_place() {
        let handlers =
            list(&["http://invalid/1/submit", "http://b/submit", "not a url", "http://not.invalid/submit"]);
        assert_eq!(owner(&handlers, 0), Some(&Handler::Nowhere));
        assert_eq!(owner(&handlers, 2), Some(&Handler::Nowhere));
        assert_eq!(handlers.urls().collect::<Vec<_>>(), ["http://b/submit", "http://not.invalid/submit"]);
    }
}
