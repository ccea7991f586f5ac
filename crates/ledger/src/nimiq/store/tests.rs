//! What every store of the accounts must do: one suite, run on SQLite and on a real PostgreSQL.

mod chain;
mod crashes;
mod intake;
mod leases;
mod payouts;
mod random;
mod reference;
mod retention;
mod roles;
mod series;
mod site;
mod stand;

/// Runs each test, an `async fn` that takes a [`stand::Stand`], on both stores.
macro_rules! on_both_stores {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::nimiq::store::tests::stand::Stand::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                if let Some(stand) = crate::nimiq::store::tests::stand::Stand::postgres().await {
                    super::$test(stand).await;
                }
            })+
        }
    };
}
pub(super) use on_both_stores;
