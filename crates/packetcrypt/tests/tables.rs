//! Whole tables: all 8192 items of many recipes are the same on every backend.

#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::sync::atomic::AtomicBool;

use packetcrypt::backend::Backend;
use packetcrypt::item::{Recipe, Table, Workshop};

/// Tables of each kind of program: those that lanes of one window may share, and those that read the item's number.
const OF_EACH_KIND: usize = 6;

#[test]
fn all_items_of_many_tables_are_the_same_on_every_backend() {
    let mut workshop = Workshop::on(Backend::Plain);
    let mut kinds: [Vec<u8>; 2] = Default::default();
    for seed in 0..=255 {
        let recipe = Recipe::new(&[seed; 64], &mut workshop).unwrap();
        kinds[usize::from(recipe.program().reads_first_word())].push(seed);
    }
    for seeds in kinds {
        assert!(seeds.len() >= OF_EACH_KIND, "{} seeds of a kind", seeds.len());
        for seed in &seeds[..OF_EACH_KIND] {
            let table_of = |backend| {
                let (mut workshop, mut table) = (Workshop::on(backend), Table::default());
                let recipe = Recipe::new(&[*seed; 64], &mut workshop).unwrap();
                table.fill(&recipe, &mut workshop, &AtomicBool::new(false)).unwrap();
                table
            };
            let plain = table_of(Backend::Plain);
            let others = [Backend::Avx2, Backend::Avx512].into_iter();
            for backend in others.filter(|backend| backend.is_supported()) {
                assert!(table_of(backend).items() == plain.items(), "seed {seed} on {backend}");
            }
        }
    }
}
