//! Payouts: stored whole before anything is sent, and turned one durable step at a time.

use std::collections::BTreeSet;

use nimiq::{Address, Height, Luna, TransactionHash};
use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::CHAIN;
use super::book::{Subject, add_entry, balance, reverse};
use super::connection::{Accounts, AccountsError, failed};
use super::leases::PayoutLease;
use super::rows::{Fields, NumberTable, column, height, millis, read_all, take_numbers};
use crate::UnixMillis;
use crate::nimiq::journal::{self, Account, EntryKind, Holder};
use crate::nimiq::payout_plan::{Candidate, MOST_PENDING, PayoutKind, PlannedPayment, Surroundings};
use crate::nimiq::payout_state::{PayoutBooking, PayoutState, PayoutTerms, PayoutTurn};
use crate::nimiq::{PayoutId, UserId};

/// A planned payment with its transaction, signed and not yet sent to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPayment {
    /// What was planned.
    pub payment: PlannedPayment,
    /// The hash of its transaction, by which it is found on the chain.
    pub hash: TransactionHash,
    /// All bytes of the transaction: these are sent, and never others.
    pub signed: Vec<u8>,
}

/// A payout as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutRow {
    /// Its number.
    pub id: PayoutId,
    /// Whose balance was debited; `None`: the pool's fee account.
    pub user: Option<UserId>,
    /// Where it goes.
    pub recipient: Address,
    /// Why.
    pub kind: PayoutKind,
    /// What the recipient receives.
    pub value: Luna,
    /// The network's fee.
    pub network_fee: Luna,
    /// What was debited.
    pub debit: Luna,
    /// Height from which on its transaction is valid.
    pub validity_start: Height,
    /// Its transaction.
    pub hash: TransactionHash,
    /// All bytes of the transaction.
    pub signed: Vec<u8>,
    /// Where it stands.
    pub state: PayoutState,
    /// When it was stored.
    pub prepared_at: UnixMillis,
    /// When its state changed last.
    pub changed_at: UnixMillis,
}

pub(super) const COLUMNS: &str = "SELECT id, user_id, recipient, kind, value, network_fee, debit, validity_start, hash, signed, \
                       state, height, prepared_at_ms, changed_at_ms FROM payouts";

impl Accounts {
    /// Users who might be paid: those with a confirmed balance above `above`, and those who asked; each with the
    /// threshold that it has chosen.
    pub async fn candidates(&self, above: Luna) -> Result<Vec<Candidate>, AccountsError> {
        let doing = "reading who might be paid";
        let query = sqlx::query(
            "SELECT users.id, users.address, COALESCE(balances.amount, 0), \
             CAST(CASE WHEN payout_requests.user_id IS NULL THEN 0 ELSE 1 END AS BIGINT), \
             payout_thresholds.threshold FROM users \
             LEFT JOIN balances ON balances.chain = users.chain AND balances.account = 'mature' \
             AND balances.user_id = users.id \
             LEFT JOIN payout_requests ON payout_requests.user_id = users.id \
             LEFT JOIN payout_thresholds ON payout_thresholds.user_id = users.id \
             WHERE users.chain = $1 AND (balances.amount > $2 OR payout_requests.user_id IS NOT NULL) \
             ORDER BY users.id",
        )
        .bind(CHAIN)
        .bind(i64::try_from(above.0).unwrap_or(i64::MAX));
        read_all(&self.reader, doing, query, |fields| {
            Ok(Candidate {
                user: UserId(fields.number(0)?),
                address: fields.address(1)?,
                confirmed: fields.signed(2)?,
                requested: fields.signed(3)? == 1,
                chosen: fields.optional(4)?.map(|luna| Luna(luna.cast_unsigned())),
            })
        })
        .await
    }

    /// What a plan at `head` must stay clear of; `on_chain` is what the node says the pool's address holds.
    pub async fn surroundings(&self, head: Height, on_chain: Luna) -> Result<Surroundings, AccountsError> {
        let mut surroundings = Surroundings { on_chain, ..Surroundings::default() };
        for payout in self.payouts_under_way().await? {
            surroundings.pending += 1;
            let outlay = payout.value.0.saturating_add(payout.network_fee.0);
            surroundings.outstanding = Luna(surroundings.outstanding.0.saturating_add(outlay));
        }
        let doing = "reading transactions of the same height";
        let rows = sqlx::query("SELECT recipient, value, network_fee FROM payouts WHERE validity_start = $1")
            .bind(i64::from(head.0))
            .fetch_all(&self.reader)
            .await
            .map_err(failed(doing))?;
        surroundings.same_height = rows
            .iter()
            .map(|row| {
                let fields = Fields { row, doing };
                Ok((fields.address(0)?, Luna(fields.number(1)?), Luna(fields.number(2)?)))
            })
            .collect::<Result<BTreeSet<_>, AccountsError>>()?;
        Ok(surroundings)
    }

    /// Debits the balances and stores the signed transactions, all in one step; requests of the users paid and those
    /// of `answered` are done. Only after this may anything be sent. If a balance no longer covers its payout,
    /// nothing is stored: plan again, and throw the signatures away.
    pub async fn prepare_payouts(
        &self,
        lease: &PayoutLease,
        payments: &[SignedPayment],
        answered: &[UserId],
        now: UnixMillis,
    ) -> Result<Vec<PayoutId>, AccountsError> {
        let mut transaction = self.begin_as(lease).await?;
        // From here on nobody else writes into the book, so a balance that is read stays true.
        take_numbers(&mut transaction, NumberTable::Book, "entries", 0).await?;
        let pending = count_under_way(&mut transaction).await? + payments.len();
        if !payments.is_empty() && pending > MOST_PENDING {
            return Err(AccountsError::TooManyPending(pending));
        }
        let mut ids = Vec::with_capacity(payments.len());
        for payment in payments {
            ids.push(prepare(&mut transaction, payment, now).await?);
        }
        let paid = payments.iter().filter_map(|signed| signed.payment.user);
        for user in paid.chain(answered.iter().copied()) {
            sqlx::query("DELETE FROM payout_requests WHERE user_id = $1")
                .bind(user.0 as i64)
                .execute(&mut *transaction)
                .await
                .map_err(failed("answering a payout request"))?;
        }
        transaction.commit().await.map_err(failed("preparing payouts"))?;
        Ok(ids)
    }

    /// Turns a payout and books what that means. An impossible turn changes nothing and is an error.
    pub async fn turn_payout(
        &self,
        lease: &PayoutLease,
        id: PayoutId,
        turn: PayoutTurn,
        confirmations: u32,
        now: UnixMillis,
    ) -> Result<PayoutState, AccountsError> {
        let doing = "turning a payout";
        let mut transaction = self.begin_as(lease).await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")))
            .bind(column("payout", id.0)?)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        let payout = payout(&row.ok_or(AccountsError::NoSuchPayout(id.0))?)?;
        let terms = PayoutTerms { validity_start: payout.validity_start, confirmations };
        let (state, booking) = payout.state.turn(turn, terms)?;
        sqlx::query("UPDATE payouts SET state = $1, height = $2, changed_at_ms = $3 WHERE id = $4")
            .bind(state.name())
            .bind(state.height().map(|height| i64::from(height.0)))
            .bind(millis(now))
            .bind(id.0 as i64)
            .execute(&mut *transaction)
            .await
            .map_err(failed(doing))?;
        let subject = Subject::Payout(id.0 as i64);
        match booking {
            PayoutBooking::None => {}
            PayoutBooking::Confirmation => {
                let lines = journal::confirmation(payout.value, payout.network_fee)?;
                let rule = "deep enough";
                add_entry(&mut transaction, EntryKind::Confirmation, subject, rule, &lines, now).await?;
            }
            PayoutBooking::ReverseConfirmation => {
                let why = "its block left the main chain";
                reverse(&mut transaction, EntryKind::Confirmation, subject, why, now).await?;
            }
            PayoutBooking::ReverseDebit => {
                reverse(&mut transaction, EntryKind::Payout, subject, "can no longer be mined", now).await?;
            }
        }
        transaction.commit().await.map_err(failed(doing))?;
        Ok(state)
    }

    /// Payouts that are prepared, broadcast or mined, oldest first.
    pub async fn payouts_under_way(&self) -> Result<Vec<PayoutRow>, AccountsError> {
        let sql = format!("{COLUMNS} WHERE state IN ('prepared', 'broadcast', 'mined') ORDER BY id");
        self.payouts(sqlx::query(sqlx::AssertSqlSafe(sql))).await
    }

    /// Whether somebody has asked for a payout, or one is under way: whether whoever pays has anything to do now.
    pub async fn wants_payouts_seen_to(&self) -> Result<bool, AccountsError> {
        let doing = "looking whether a payout is to be seen to";
        let sql = "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM payout_requests) OR EXISTS (SELECT 1 FROM payouts \
                   WHERE state IN ('prepared', 'broadcast', 'mined')) THEN 1 ELSE 0 END AS BIGINT)";
        let row = sqlx::query(sql).fetch_one(&self.reader).await.map_err(failed(doing))?;
        Ok(Fields { row: &row, doing }.signed(0)? == 1)
    }

    /// Payouts that a reorganisation back to `from` could still touch though they are settled: confirmed ones at
    /// that height or above, and expired ones that were valid there.
    pub async fn payouts_settled_since(&self, from: Height) -> Result<Vec<PayoutRow>, AccountsError> {
        let sql = format!(
            "{COLUMNS} WHERE (state = 'confirmed' AND height >= $1) \
             OR (state = 'expired' AND validity_start + 120 >= $1) ORDER BY id"
        );
        self.payouts(sqlx::query(sqlx::AssertSqlSafe(sql)).bind(i64::from(from.0))).await
    }

    /// The newest payouts of an address, newest first.
    pub async fn payouts_to(&self, recipient: Address, limit: u32) -> Result<Vec<PayoutRow>, AccountsError> {
        let sql = format!(
            "{COLUMNS} WHERE user_id = (SELECT id FROM users WHERE chain = $1 AND address = $2) \
             ORDER BY id DESC LIMIT $3"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql));
        self.payouts(query.bind(CHAIN).bind(recipient.to_string()).bind(i64::from(limit))).await
    }

    /// What the pool's operator can be paid.
    pub async fn fee_balance(&self) -> Result<i64, AccountsError> {
        self.balance_of(Account::Mature(Holder::Fee)).await
    }

    pub(super) async fn payouts(
        &self,
        query: super::rows::Statement<'_>,
    ) -> Result<Vec<PayoutRow>, AccountsError> {
        let rows = query.fetch_all(&self.reader).await.map_err(failed("reading payouts"))?;
        rows.iter().map(payout).collect()
    }
}

async fn count_under_way(transaction: &mut Transaction<'static, Any>) -> Result<usize, AccountsError> {
    let doing = "counting payouts under way";
    let row = sqlx::query("SELECT COUNT(*) FROM payouts WHERE state IN ('prepared', 'broadcast', 'mined')")
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed(doing))?;
    Ok(Fields { row: &row, doing }.number(0)? as usize)
}

async fn prepare(
    transaction: &mut Transaction<'static, Any>,
    signed: &SignedPayment,
    now: UnixMillis,
) -> Result<PayoutId, AccountsError> {
    let doing = "storing a payout";
    let payment = &signed.payment;
    let account = Account::Mature(payment.user.map_or(Holder::Fee, Holder::User));
    let (available, debit) = (balance(&mut **transaction, account).await?, payment.debit());
    if i128::from(available) < i128::from(debit.0) {
        let recipient = payment.recipient.to_string();
        return Err(AccountsError::BalanceTooSmall { balance: available, debit: debit.0, recipient });
    }
    let number = take_numbers(transaction, NumberTable::Book, "payouts", 1).await?;
    sqlx::query(
        "INSERT INTO payouts (id, chain, user_id, recipient, kind, value, network_fee, debit, validity_start, hash, \
         signed, state, prepared_at_ms, changed_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)",
    )
    .bind(number)
    .bind(CHAIN)
    .bind(payment.user.map(|user| user.0 as i64))
    .bind(payment.recipient.to_string())
    .bind(payment.kind.name())
    .bind(column("value", payment.value.0)?)
    .bind(column("fee", payment.network_fee.0)?)
    .bind(column("debit", debit.0)?)
    .bind(i64::from(payment.validity_start.0))
    .bind(signed.hash.0.to_vec())
    .bind(signed.signed.clone())
    .bind(PayoutState::Prepared.name())
    .bind(millis(now))
    .execute(&mut **transaction)
    .await
    .map_err(failed(doing))?;
    let lines = journal::payout(payment)?;
    let subject = Subject::Payout(number);
    let rule = journal::payout_rule(payment);
    add_entry(transaction, EntryKind::Payout, subject, &rule, &lines, now).await?;
    Ok(PayoutId(number as u64))
}

fn payout(row: &AnyRow) -> Result<PayoutRow, AccountsError> {
    let fields = Fields { row, doing: "reading a payout" };
    let (kind, state) = (fields.text(3)?, fields.text(10)?);
    let block = fields.optional(11)?.map(height).transpose()?;
    Ok(PayoutRow {
        id: PayoutId(fields.number(0)?),
        user: fields.optional(1)?.map(|user| UserId(user as u64)),
        recipient: fields.address(2)?,
        kind: PayoutKind::from_name(&kind)
            .ok_or_else(|| AccountsError::Foreign(format!("the kind of payout {kind:?}")))?,
        value: Luna(fields.number(4)?),
        network_fee: Luna(fields.number(5)?),
        debit: Luna(fields.number(6)?),
        validity_start: fields.height(7)?,
        hash: TransactionHash(fields.hash(8)?),
        signed: fields.bytes(9)?,
        state: PayoutState::from_name(&state, block)
            .ok_or_else(|| AccountsError::Foreign(format!("the state of payout {state:?}")))?,
        prepared_at: UnixMillis(fields.number(12)?),
        changed_at: UnixMillis(fields.number(13)?),
    })
}
