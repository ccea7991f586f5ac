//! PostgreSQL's own programs, which copy accounts that are kept there.

use std::process::Stdio;

use super::BackupError;

/// Runs one of PostgreSQL's programs. A password is in its environment, where other users do not see it.
pub(super) fn run(
    program: &'static str,
    command: &mut std::process::Command,
    password: Option<String>,
) -> Result<(), BackupError> {
    let fault = |outcome| BackupError::Program { program, outcome };
    command.stdin(Stdio::null()).envs(password.map(|password| ("PGPASSWORD", password)));
    let output = command.output().map_err(|error| {
        fault(format!(
            "could not be started ({error}); it comes with PostgreSQL (apt-get install postgresql-client)"
        ))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(fault(format!("ended with {}: {}", output.status, said.trim())))
}

/// A URL without its password, and the password as it is.
pub(super) fn without_password(url: &str) -> (String, Option<String>) {
    let parts = || {
        let (scheme, rest) = url.split_once("://")?;
        let (login, place) = rest.split_once('@')?;
        let (user, password) = login.split_once(':')?;
        Some((format!("{scheme}://{user}@{place}"), percent_decoded(password)))
    };
    parts().map_or_else(|| (url.to_owned(), None), |(url, password)| (url, Some(password)))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code =
            others.get(..2).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        if let (b'%', Some(code)) = (first, code) {
            bytes.push(code);
            rest = &others[2..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_a_url() {
        let split = |url: &str| without_password(url);
        let expected = ("postgres://me@host:5432/pool?x=y".to_owned(), Some("a b%".to_owned()));
        assert_eq!(split("postgres://me:a%20b%@host:5432/pool?x=y"), expected);
        assert_eq!(split("postgres://me@host/pool"), ("postgres://me@host/pool".to_owned(), None));
    }
}
