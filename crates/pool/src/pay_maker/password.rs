//! Who may upload: Basic authorization, compared in constant time (rule R-P20).

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;
use wire::pay_maker::USER_NAME;

use crate::listener::Client;

/// Wrong passwords from one address in a minute before it is told to wait.
const WRONG_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).expect("30 is not 0");
/// How long an answer to a wrong password takes.
const DELAY: Duration = Duration::from_millis(500);
/// Addresses remembered for wrong passwords before those that have behaved are forgotten.
const REMEMBERED: usize = 10_000;

/// The password for uploads.
pub(super) struct Password {
    expected: Vec<u8>,
    wrong: DefaultKeyedRateLimiter<IpAddr>,
}

/// What to make of a request for `/events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It knows the password.
    Right,
    /// It does not; to be told so after a while.
    Wrong(Duration),
    /// It has guessed too often.
    TooMany,
}

impl Password {
    /// `None` if the password is empty.
    pub(super) fn new(password: &str) -> Option<Self> {
        let expected = format!("{USER_NAME}:{password}").into_bytes();
        let wrong = RateLimiter::keyed(Quota::per_minute(WRONG_PER_MINUTE));
        (!password.is_empty()).then_some(Self { expected, wrong })
    }

    pub(super) fn check(&self, headers: &HeaderMap, client: Client) -> Verdict {
        if credentials(headers).is_some_and(|given| given.ct_eq(&self.expected).into()) {
            return Verdict::Right;
        }
        if client.exempt {
            return Verdict::Wrong(Duration::ZERO);
        }
        if self.wrong.len() > REMEMBERED {
            self.wrong.retain_recent();
        }
        match self.wrong.check_key(&client.group()) {
            Ok(()) => Verdict::Wrong(DELAY),
            Err(_) => Verdict::TooMany,
        }
    }
}

fn credentials(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let credentials = STANDARD.decode(credentials.trim()).ok()?;
    scheme.eq_ignore_ascii_case("basic").then_some(credentials)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const STRANGER: Client =
        Client { address: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), exempt: false };

    fn check(password: &Password, header: Option<&'static str>) -> Verdict {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
        }
        password.check(&headers, STRANGER)
    }

    #[test]
    fn only_the_user_x_with_the_password_is_right() {
        let password = Password::new("pw").unwrap();
        assert_eq!(check(&password, Some("Basic eDpwdw==")), Verdict::Right);
        assert_eq!(check(&password, Some("basic eDpwdw==")), Verdict::Right);
        for header in
            [None, Some("Basic eDpiYWQ="), Some("Basic eTpwdw=="), Some("Basic ???"), Some("Bearer eDpwdw==")]
        {
            assert_eq!(check(&password, header), Verdict::Wrong(DELAY), "{header:?}");
        }
    }

    #[test]
    fn r_p20_guessing_is_slowed_down_and_then_refused() {
        let password = Password::new("pw").unwrap();
        let verdicts: Vec<_> = (0..40).map(|_| check(&password, Some("Basic eDpiYWQ="))).collect();
        assert_eq!(verdicts.last(), Some(&Verdict::TooMany));
        assert_eq!(check(&password, Some("Basic eDpwdw==")), Verdict::Right, "who knows it is not shut out");
    }

    #[test]
    fn an_empty_password_is_none() {
        assert!(Password::new("").is_none());
    }
}
