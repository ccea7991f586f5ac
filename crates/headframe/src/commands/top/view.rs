//! The board as it is drawn: roles and chains, queues and blocks, alerts. On a small terminal the lower parts give way.

use pool::site::facts::{
    Chain, ComponentState, Condition, Measured, Moment, NimiqFacts, PacketCryptFacts, PoolBlock, PoolFacts,
};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::board::Board;

/// Columns from which two panels stand side by side.
const WIDE: u16 = 100;
/// Blocks that are shown.
const BLOCKS: usize = 6;

const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const TROUBLED: Style = Style::new().fg(Color::Yellow);
const QUIET: Style = Style::new().fg(Color::DarkGray);
const TITLE: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws the board as of `now`.
pub fn draw(frame: &mut Frame<'_>, board: &Board, now: Moment) {
    let rows = [Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)];
    let [head, body, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(headline(board, now), head);
    frame.render_widget(
        Line::styled("q: quit   every figure is of the last two seconds or says its age", QUIET),
        foot,
    );
    let Some(facts) = &board.facts else {
        frame.render_widget(Paragraph::new("nothing is known yet"), body);
        return;
    };
    let roles = roles(facts, now);
    let chains = chains(facts, now);
    let queues = queues(board);
    let blocks = blocks(facts, now);
    let alerts = alerts(board, now);
    let height = |lines: &[Line<'_>]| lines.len() as u16 + 2;
    let panels = if body.width >= WIDE {
        vec![
            (height(&roles).max(height(&chains)), vec![("roles", roles), ("chains", chains)]),
            (height(&queues).max(height(&blocks)), vec![("waiting", queues), ("blocks", blocks)]),
            (height(&alerts), vec![("alerts", alerts)]),
        ]
    } else {
        let panels = [
            ("roles", roles),
            ("chains", chains),
            ("alerts", alerts),
            ("waiting", queues),
            ("blocks", blocks),
        ];
        panels.into_iter().map(|panel| (height(&panel.1), vec![panel])).collect()
    };
    let areas = Layout::vertical(panels.iter().map(|(height, _)| Constraint::Max(*height))).split(body);
    for ((_, panels), area) in panels.into_iter().zip(areas.iter()) {
        let columns = Layout::horizontal(vec![Constraint::Fill(1); panels.len()]).split(*area);
        for ((title, lines), area) in panels.into_iter().zip(columns.iter()) {
            panel(frame, title, lines, *area);
        }
    }
}

fn panel(frame: &mut Frame<'_>, title: &'static str, lines: Vec<Line<'_>>, area: Rect) {
    let block = Block::bordered().border_style(QUIET).title(Span::styled(title, TITLE));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn headline(board: &Board, now: Moment) -> Line<'_> {
    let mut spans = match &board.facts {
        Some(facts) => vec![
            Span::styled(&*facts.identity.name, TITLE),
            Span::raw(format!(" {} ", facts.identity.version)),
            Span::styled(format!("{} ", board.site), QUIET),
            Span::raw(format!("as of {} ago", age(facts.gathered_at, now))),
        ],
        None => vec![Span::raw(&*board.site)],
    };
    if let Some(fault) = &board.fault {
        spans.push(Span::styled(format!("  it does not answer: {fault}"), BAD));
    }
    Line::from(spans)
}

fn roles(facts: &PoolFacts, now: Moment) -> Vec<Line<'_>> {
    facts.components.iter().map(|component| role(component, now)).collect()
}

fn role(component: &ComponentState, now: Moment) -> Line<'_> {
    let (word, style) = match component.condition {
        Condition::Ready => ("ready", GOOD),
        Condition::Troubled => ("trouble", TROUBLED),
        Condition::Unreachable => ("GONE", BAD),
    };
    let name = format!("{} {}", component.role, component.name);
    Line::from(vec![
        Span::raw(format!("{name:22}")),
        Span::styled(format!("{word:8}"), style),
        Span::styled(format!("{:>5} ", age(component.since, now)), QUIET),
        Span::raw(component.reason.as_deref().unwrap_or_default()),
    ])
}

fn chains(facts: &PoolFacts, now: Moment) -> Vec<Line<'_>> {
    let packetcrypt = facts.packetcrypt.iter().flat_map(|facts| packetcrypt(facts, now));
    let nimiq = facts.nimiq.iter().flat_map(|facts| nimiq(facts, now));
    packetcrypt.chain(nimiq).collect()
}

fn packetcrypt(facts: &PacketCryptFacts, now: Moment) -> Vec<Line<'static>> {
    vec![
        chain_line("PKT", &facts.height, now),
        figures(&[
            ("announcements", speed(&facts.announcement_speed)),
            ("blocks", speed(&facts.block_speed)),
            ("in", speed(&facts.bandwidth)),
        ]),
        figures(&[
            ("miners", format!("{} + {}", count(&facts.miners.announcements), count(&facts.miners.blocks))),
            ("shares", count(&facts.shares)),
            ("effort", percent(&facts.luck.current_effort)),
        ]),
    ]
}

fn nimiq(facts: &NimiqFacts, now: Moment) -> Vec<Line<'static>> {
    vec![
        chain_line("Nimiq", &facts.height, now),
        figures(&[("speed", speed(&facts.speed)), ("shares", count(&facts.shares))]),
        figures(&[
            ("miners", count(&facts.miners.addresses)),
            ("workers", count(&facts.miners.devices)),
            ("effort", percent(&facts.luck.current_effort)),
        ]),
    ]
}

fn chain_line(coin: &'static str, height: &Measured<u32>, now: Moment) -> Line<'static> {
    let tip = height.value.map_or_else(|| "?".to_owned(), |height| height.to_string());
    Line::from(vec![
        Span::styled(format!("{coin:6}"), TITLE),
        Span::raw(format!("tip {tip} ")),
        Span::styled(format!("seen {} ago", age(height.as_of, now)), QUIET),
    ])
}

fn figures(figures: &[(&'static str, String)]) -> Line<'static> {
    let mut spans = vec![Span::raw("      ")];
    for (name, value) in figures {
        spans.push(Span::styled(format!("{name} "), QUIET));
        spans.push(Span::raw(format!("{value}  ")));
    }
    Line::from(spans)
}

fn queues(board: &Board) -> Vec<Line<'static>> {
    let line = |(name, value): &(&'static str, f64)| {
        Line::from(vec![Span::raw(format!("{value:>9.0} ")), Span::styled(*name, QUIET)])
    };
    if board.queues.is_empty() {
        return vec![Line::styled("its figures cannot be read", QUIET)];
    }
    board.queues.iter().map(line).collect()
}

fn blocks(facts: &PoolFacts, now: Moment) -> Vec<Line<'static>> {
    let of = |chain: Chain| facts.blocks(chain).iter().map(move |block| (chain, block));
    let mut blocks: Vec<(Chain, &PoolBlock)> = of(Chain::PacketCrypt).chain(of(Chain::Nimiq)).collect();
    blocks.sort_by_key(|(_, block)| std::cmp::Reverse(block.found_at));
    let line = |(chain, block): &(Chain, &PoolBlock)| {
        let coin = if *chain == Chain::Nimiq { "Nimiq" } else { "PKT" };
        let height = block.height.map_or_else(|| "?".to_owned(), |height| height.to_string());
        let effort = block.effort_percent.map_or_else(String::new, |effort| format!("{effort:.0} %"));
        Line::from(vec![
            Span::raw(format!("{coin:6}{height:>9} ")),
            Span::raw(format!("{:9}{effort:>7} ", block.standing.name())),
            Span::styled(format!("{} ago", age(block.found_at, now)), QUIET),
        ])
    };
    if blocks.is_empty() {
        return vec![Line::styled("none yet", QUIET)];
    }
    blocks.iter().take(BLOCKS).map(line).collect()
}

/// What is wrong now, then what the monitor said of late.
fn alerts(board: &Board, now: Moment) -> Vec<Line<'_>> {
    let Some(monitor) = &board.monitor else {
        return vec![Line::styled("the monitor was not asked (it wants its token: give --config)", QUIET)];
    };
    let stalled = monitor.motions.iter().filter(|motion| motion.stalled);
    let stalled = stalled.map(|motion| Line::styled(format!("{} stands still", motion.motion), BAD));
    let said = monitor.messages.iter().take(BLOCKS).map(|said| {
        let style = if said.resolved { GOOD } else { TROUBLED };
        Line::from(vec![
            Span::styled(format!("{:>5} ago ", age(Moment(said.at), now)), QUIET),
            Span::styled(format!("{}: {}", said.subject, said.text), style),
        ])
    });
    let lines: Vec<Line<'_>> = stalled.chain(said).collect();
    if lines.is_empty() { vec![Line::styled("nothing to tell", GOOD)] } else { lines }
}

fn count(figure: &Measured<u64>) -> String {
    figure.value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

fn percent(figure: &Measured<f64>) -> String {
    figure.value.map_or_else(|| "?".to_owned(), |value| format!("{value:.0} %"))
}

fn speed(figure: &Measured<f64>) -> String {
    let Some(value) = figure.value else { return "?".to_owned() };
    let steps = ["", "k", "M", "G", "T", "P"];
    let step = steps.iter().enumerate().rev().find(|(power, _)| value >= 1000_f64.powi(*power as i32));
    let (power, prefix) = step.unwrap_or((0, &""));
    let decimals = usize::from(power > 0) * 2;
    format!("{:.decimals$} {prefix}{}", value / 1000_f64.powi(power as i32), figure.unit.symbol())
}

fn age(then: Moment, now: Moment) -> String {
    match now.0.saturating_sub(then.0) / 1000 {
        seconds if seconds < 100 => format!("{seconds} s"),
        seconds if seconds < 6000 => format!("{} m", seconds / 60),
        seconds if seconds < 172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use pool::site::facts::sample;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::board::{MonitorState, Motion, Said};
    use super::*;

    fn board() -> Board {
        let facts = sample::pool();
        let at = facts.gathered_at.0;
        let messages = vec![
            Said { at: at - 5_000, subject: "master".into(), text: "answers again".into(), resolved: true },
            Said { at: at - 90_000, subject: "master".into(), text: "is down".into(), resolved: false },
        ];
        let motions = vec![Motion { motion: "nimiq_chain".into(), stalled: true }];
        Board {
            facts: Some(facts),
            queues: vec![("posts to check", 7.0), ("connections", 12.0)],
            monitor: Some(MonitorState { motions, messages }),
            ..Board::of("http://127.0.0.1:8080")
        }
    }

    fn drawn(board: &Board, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let now = board.facts.as_ref().map_or(Moment(0), |facts| Moment(facts.gathered_at.0 + 2000));
        terminal.draw(|frame| draw(frame, board, now)).unwrap();
        terminal.backend().to_string()
    }

    /// The line of a screen in which a panel begins.
    fn line_of(screen: &str, title: &str) -> usize {
        let begins = |line: &str| line.contains(&format!("┌{title}─"));
        screen.lines().position(begins).unwrap_or_else(|| panic!("no panel {title:?} in\n{screen}"))
    }

    #[test]
    fn a_wide_terminal_shows_panels_side_by_side() {
        let screen = drawn(&board(), 140, 60);
        assert_eq!(line_of(&screen, "roles"), line_of(&screen, "chains"));
        assert_eq!(line_of(&screen, "waiting"), line_of(&screen, "blocks"));
        assert!(line_of(&screen, "alerts") > line_of(&screen, "blocks"));
    }

    #[test]
    fn a_narrow_terminal_shows_them_one_below_the_other() {
        let screen = drawn(&board(), 80, 80);
        let lines = ["roles", "chains", "alerts", "waiting", "blocks"].map(|title| line_of(&screen, title));
        assert!(lines.is_sorted_by(|above, below| above < below), "{lines:?}");
    }

    #[test]
    fn the_board_tells_of_roles_chains_queues_and_alerts() {
        let (board, screen) = (board(), drawn(&board(), 140, 60));
        let facts = board.facts.as_ref().unwrap();
        let height = facts.packetcrypt.as_ref().unwrap().height.value.unwrap();
        for part in [
            &*facts.identity.name,
            "as of 2 s ago",
            &format!("tip {height} "),
            "        7 posts to check",
            "nimiq_chain stands still",
            "7 s ago master: answers again",
            "92 s ago master: is down",
            "q: quit",
        ] {
            assert!(screen.contains(part), "{part:?} in\n{screen}");
        }
        for component in &facts.components {
            assert!(screen.contains(&component.role), "{} in\n{screen}", component.role);
        }
    }

    #[test]
    fn a_pool_that_does_not_answer_is_said_so() {
        let mut board = Board::of("http://127.0.0.1:9");
        board.fault = Some("connection refused".to_owned());
        let screen = drawn(&board, 80, 5);
        assert!(screen.contains("it does not answer: connection refused"), "{screen}");
        assert!(screen.contains("nothing is known yet"), "{screen}");
    }

    #[test]
    fn no_size_is_too_small() {
        for (width, height) in [(1, 1), (3, 2), (20, 4), (99, 8), (100, 8), (300, 100)] {
            drawn(&board(), width, height);
        }
    }

    #[test]
    fn figures_have_their_prefixes() {
        let figure =
            |value: f64| speed(&Measured::at(value, pool::site::facts::Unit::HashesPerSecond, Moment(0)));
        assert_eq!(figure(0.0), "0 H/s");
        assert_eq!(figure(999.0), "999 H/s");
        assert_eq!(figure(1_250_000.0), "1.25 MH/s");
    }
}
