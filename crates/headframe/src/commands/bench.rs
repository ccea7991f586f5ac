//! `headframe bench`: what this machine can do, in a few seconds and without a pool.

use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Context;
use miner::mining_threads::Placement;
use miner::speed::{self, Elapsed, Trial, announcements, blocks, check, nimiq};
use packetcrypt::backend::Backend;

use crate::cli::{Bench, BenchAnnouncements, BenchBlocks, BenchSettings};

/// Measures, and prints the figures.
pub fn run(bench: &Bench) -> anyhow::Result<()> {
    let (Bench::Announcements(BenchAnnouncements { settings, .. })
    | Bench::Blocks(BenchBlocks { settings, .. })
    | Bench::Check(settings)
    | Bench::Nimiq(settings)) = bench;
    let trial = trial(settings)?;
    let threads = trial.placement.threads;
    let backend = match bench {
        Bench::Nimiq(_) => ::nimiq::argon2d::Backend::chosen().to_string(),
        _ => Backend::chosen().to_string(),
    };
    println!("backend {backend}, {threads} threads, {} s each", settings.seconds);
    let lines = match bench {
        Bench::Announcements(arguments) => mining_announcements(&trial, arguments.difficulty)?,
        Bench::Blocks(arguments) => mining_blocks(&trial, arguments.memory)?,
        Bench::Check(_) => checking(&trial),
        Bench::Nimiq(_) => hashing(&trial),
    };
    lines.iter().try_for_each(|line| writeln!(std::io::stdout(), "{line}"))?;
    Ok(())
}

fn trial(settings: &BenchSettings) -> anyhow::Result<Trial> {
    let threads = settings.threads.map(|threads| NonZeroUsize::new(threads).context("--threads: at least 1"));
    let placement = threads.transpose()?.map_or_else(Placement::one_per_cpu, Placement::of);
    anyhow::ensure!(settings.seconds > 0, "--seconds: at least 1");
    Ok(Trial {
        placement: Placement { pinned: settings.pin, ..placement },
        time: Duration::from_secs(settings.seconds),
    })
}

fn mining_announcements(trial: &Trial, difficulty: u64) -> anyhow::Result<Vec<String>> {
    let target = speed::target_of_difficulty(difficulty).context("--difficulty: at least 1")?;
    let speed = announcements::measure(trial, target, &progress());
    let memory = speed.memory_per_thread.map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{:.1} MiB for each thread", bytes as f64 / f64::from(1 << 20)),
    );
    Ok(vec![
        format!(
            "announcements of difficulty {difficulty} (target {target}), for each second of processor time:"
        ),
        row("attempts, tables ready", &per_second(speed.attempts_with_tables_ready())),
        row("attempts, tables included", &per_second(speed.attempts())),
        row("announcements", &per_second(speed.announcements())),
        row(
            "new hard nonce to first attempt",
            &format!("{:.1} ms", speed.first_attempt().as_secs_f64() * 1e3),
        ),
        row("all threads together", &format!("{} announcements", per_second(speed.announcements_in_all()))),
        row("memory", &memory),
        took(speed.elapsed, trial),
    ])
}

fn mining_blocks(trial: &Trial, mebibytes: usize) -> anyhow::Result<Vec<String>> {
    let memory = mebibytes.checked_mul(1 << 20).context("--memory: more than this machine can address")?;
    let speed = blocks::measure(trial, memory, &progress())?;
    let pages = speed.pages.map_or_else(|| "unknown pages".to_owned(), |pages| pages.to_string());
    let huge =
        speed.in_huge_pages.map_or_else(String::new, |bytes| format!(", {} MiB in huge ones", bytes >> 20));
    let step = |time| format!("{:.3} s for each million", speed.seconds_per_million(time));
    Ok(vec![
        format!("blocks with {} announcements, for each second of processor time:", speed.announcements),
        row("block hashes", &per_second(speed.attempts())),
        row("all threads together", &per_second(speed.attempts_in_all())),
        row("announcements hashed", &step(speed.hashing)),
        row("announcements stored by class", &step(speed.storing)),
        row("announcements chosen, tree built", &step(speed.tree)),
        row("memory", &format!("{mebibytes} MiB in {pages}{huge}")),
        took(speed.elapsed, trial),
    ])
}

fn checking(trial: &Trial) -> Vec<String> {
    let progress = progress();
    let sample = check::Sample::mine(&progress);
    let grouped = check::measure_grouped(trial, &sample, &progress);
    let unrelated = check::measure_unrelated(trial, &sample, &progress);
    let rows = |name: &str, speed: &check::CheckSpeed| {
        let each = speed.elapsed.processor.as_secs_f64() * 1e6 / speed.checked.max(1) as f64;
        row(name, &format!("{}, {each:.1} µs each", per_second(speed.announcements())))
    };
    let mut lines = vec![
        "announcements fully checked, for each second of processor time:".to_owned(),
        rows("many of each hard nonce", &grouped),
        rows("one of each hard nonce", &unrelated),
        row("all threads, many of each", &per_second(grouped.announcements_in_all())),
        took(grouped.elapsed, trial),
    ];
    let refused = grouped.refused + unrelated.refused;
    if refused > 0 {
        lines.push(format!(
            "{refused} VALID ANNOUNCEMENTS WERE REFUSED: this backend does not work on this machine"
        ));
    }
    lines
}

fn hashing(trial: &Trial) -> Vec<String> {
    let speed = nimiq::measure(trial, &progress());
    let each = speed.elapsed.processor.as_secs_f64() * 1e6 / speed.hashes.max(1) as f64;
    vec![
        "Nimiq's proof of work, for each second of processor time:".to_owned(),
        row("hashes", &format!("{}, {each:.1} µs each", per_second(speed.hashes_per_second()))),
        row("all threads together", &per_second(speed.in_all())),
        took(speed.elapsed, trial),
    ]
}

fn row(name: &str, figure: &str) -> String {
    format!("  {name:<34}{figure}")
}

fn took(elapsed: Elapsed, trial: &Trial) -> String {
    let (processor, clock) = (elapsed.processor.as_secs_f64(), elapsed.clock.as_secs_f64());
    let share = 100.0 * processor / (clock * trial.placement.threads.get() as f64).max(1e-9);
    row(
        "processor time",
        &format!("{processor:.1} s, {share:.0} % of what {clock:.1} s by the clock could give"),
    )
}

/// A rate with a letter for its thousands, three digits or more.
fn per_second(rate: f64) -> String {
    let (rate, letter) = match rate {
        rate if rate >= 1e7 => (rate / 1e6, " M"),
        rate if rate >= 1e4 => (rate / 1e3, " K"),
        rate => (rate, " "),
    };
    format!("{rate:.1}{letter}/s")
}

/// On a terminal, what is being done and how far it is.
fn progress() -> impl Fn(&str, f64) + Sync {
    let shown = std::io::stderr().is_terminal();
    move |what, part| {
        if shown {
            let end = if part >= 1.0 { "\r\x1b[2K" } else { "" };
            eprint!("\r\x1b[2K{what}: {:.0} %{end}", part * 100.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Command, CommandLine};

    fn settings(line: &str) -> anyhow::Result<Trial> {
        let command = CommandLine::try_parse_from(line.split(' '))?.command;
        let Command::Bench(Bench::Check(settings)) = command else { panic!("{line}") };
        trial(&settings)
    }

    #[test]
    fn a_backend_that_there_is_not_is_named_with_those_that_there_are() {
        let error = settings("headframe bench check --backend sse9").unwrap_err().to_string();
        assert!(error.contains("there is no backend") && error.contains("plain"), "{error}");
        assert!(settings("headframe bench check --threads 0").is_err());
        assert!(settings("headframe bench check --seconds 0").is_err());
    }

    #[test]
    fn rates_have_a_letter_where_they_are_long() {
        let rates = [999.94, 9_999.0, 12_345.0, 987_654.0, 12_300_000.0].map(per_second);
        assert_eq!(rates, ["999.9 /s", "9999.0 /s", "12.3 K/s", "987.7 K/s", "12.3 M/s"]);
    }
}
