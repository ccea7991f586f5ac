//! Payout requests of miners, and the nonces that they were signed with, each good for once.

use nimiq::Address;

use super::connection::{Accounts, AccountsError, failed};
use super::rows::{Fields, column, millis};
use crate::UnixMillis;
use crate::nimiq::UserId;

/// What became of a payout request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It is stored, or one was stored already, and payout will answer it.
    Stored,
    /// Its nonce has been used before: nothing is stored.
    NonceUsed,
}

impl Accounts {
    /// Stores a request whose signature has been checked. Its nonce is used up in the same step.
    pub async fn request_payout(
        &self,
        address: Address,
        nonce: u64,
        proof: &[u8],
        now: UnixMillis,
    ) -> Result<RequestOutcome, AccountsError> {
        let doing = "storing a payout request";
        let nonce = column("nonce", nonce)?;
        let mut transaction = self.begin().await?;
        let users = self.users_of(&mut transaction, std::iter::once(address)).await?;
        let user = users.get(&address).copied().unwrap_or_default();
        let used = sqlx::query(
            "INSERT INTO used_nonces (user_id, nonce, used_at_ms) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(user)
        .bind(nonce)
        .bind(millis(now))
        .execute(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        if used.rows_affected() == 0 {
            return Ok(RequestOutcome::NonceUsed);
        }
        sqlx::query(
            "INSERT INTO payout_requests (user_id, nonce, proof, requested_at_ms) VALUES ($1, $2, $3, $4) \
             ON CONFLICT DO NOTHING",
        )
        .bind(user)
        .bind(nonce)
        .bind(proof.to_vec())
        .bind(millis(now))
        .execute(&mut *transaction)
        .await
        .map_err(failed(doing))?;
        transaction.commit().await.map_err(failed(doing))?;
        Ok(RequestOutcome::Stored)
    }

    /// Users whose requests are not answered, oldest first.
    pub async fn payout_requests(&self) -> Result<Vec<UserId>, AccountsError> {
        let doing = "reading payout requests";
        let rows = sqlx::query("SELECT user_id FROM payout_requests ORDER BY requested_at_ms, user_id")
            .fetch_all(&self.reader)
            .await
            .map_err(failed(doing))?;
        rows.iter().map(|row| Fields { row, doing }.number(0).map(UserId)).collect()
    }
}
