//! Who may upload: Basic authorization, compared in constant time (rule R-P20).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;
use wire::Refusal;
use wire::pay_maker::USER_NAME;

use crate::admission::{Admission, Allowance, Counted};
use crate::listener::Client;

/// Wrong passwords from one address, at once and in a minute, before it is told to wait.
const WRONG: Allowance = Allowance::new(30.0, 0.5);
/// What a client that guesses is told to wait at least.
const GUESS_WAIT_SECONDS: u64 = 60;
/// How long an answer to a wrong password takes.
const DELAY: Duration = Duration::from_millis(500);

/// The password for uploads.
pub(super) struct Password {
    expected: Vec<u8>,
    admission: Arc<Admission>,
}

/// What to make of a request for `/events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It knows the password.
    Right,
    /// It does not; to be told so after a while.
    Wrong(Duration),
    /// It has guessed too often, and must wait so many seconds.
    TooMany(u64),
    /// It is banned for so many seconds.
    Banned(u64),
}

impl Password {
    /// `None` if the password is empty.
    pub(super) fn new(password: &str, admission: Arc<Admission>) -> Option<Self> {
        let expected = format!("{USER_NAME}:{password}").into_bytes();
        (!password.is_empty()).then_some(Self { expected, admission })
    }

    /// Whoever knows the password is never shut out, whatever others at its address have tried.
    pub(super) fn check(&self, headers: &HeaderMap, client: Client) -> Verdict {
        if credentials(headers).is_some_and(|given| given.ct_eq(&self.expected).into()) {
            return Verdict::Right;
        }
        if self.admission.is_exempt(client) {
            return Verdict::Wrong(Duration::ZERO);
        }
        if let Some(seconds) = self.admission.ban_of(client) {
            return Verdict::Banned(seconds);
        }
        match self.admission.take(Counted::Guesses, client, WRONG, 1.0) {
            Ok(()) => {
                self.admission.refused(client, &Refusal::Unauthorized);
                Verdict::Wrong(DELAY)
            }
            Err(wait) => Verdict::TooMany(wait.as_secs().max(GUESS_WAIT_SECONDS)),
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
    use std::net::IpAddr;

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
        let password = Password::new("pw", Arc::default()).unwrap();
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
        let password = Password::new("pw", Arc::default()).unwrap();
        let verdicts: Vec<_> = (0..40).map(|_| check(&password, Some("Basic eDpiYWQ="))).collect();
        assert_eq!(verdicts.last(), Some(&Verdict::TooMany(60)));
        password.admission.ban(STRANGER, "unauthorized").unwrap();
        assert!(matches!(check(&password, Some("Basic eDpiYWQ=")), Verdict::Banned(590..)));
        assert_eq!(check(&password, Some("Basic eDpwdw==")), Verdict::Right, "who knows it is not shut out");
    }

    #[test]
    fn an_empty_password_is_none() {
        assert!(Password::new("", Arc::default()).is_none());
    }
}
