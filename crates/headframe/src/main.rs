//! The program: command line, configuration, supervision of roles.

mod cli;
mod commands;
mod config;
mod data_folder;
mod logging;
mod open_files;
mod program;
mod roles;
mod serve;
mod signals;
mod sockets;
mod supervision;

use std::process::ExitCode;

use clap::Parser;

use cli::{Command, CommandLine, ConfigCommand, Mine, Monitor, NimiqCommand, Site, SiteCommand};
use packetcrypt::backend::Backend;
use serve::Process;

/// For the static program: in musl's own allocator all threads wait for one lock (`docs/performance.md`, static program).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for a wrong configuration; a wrong command line is clap's 2.
const WRONG_CONFIGURATION: u8 = 3;

fn main() -> ExitCode {
    sockets::inherit();
    let command_line = CommandLine::parse();
    let result = logging::start(&command_line).and_then(|()| {
        if let Some(backend) = command_line.backend {
            force(backend)?;
        }
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(run(command_line))
    });
    result.unwrap_or_else(|error| report(&error))
}

async fn run(command_line: CommandLine) -> anyhow::Result<ExitCode> {
    let format = command_line.log_format;
    match command_line.command {
        Command::Up(up) => serve::run(Process::Up { mine: up.mine }, up.load()).await?,
        Command::Master(role) => serve::run(Process::Master, role.load()).await?,
        Command::AnnHandler(role) => serve::run(Process::AnnHandler(role.name.clone()), role.load()).await?,
        Command::BlkHandler(role) => serve::run(Process::BlkHandler(role.name.clone()), role.load()).await?,
        Command::PayMaker(role) => serve::run(Process::PayMaker, role.load()).await?,
        Command::Site(Site { command: Some(SiteCommand::Export { folder }), .. }) => {
            commands::site_export::run(&folder)?;
        }
        Command::Site(site) => serve::run(Process::Site, site.role.load()).await?,
        Command::Monitor(Monitor { command: Some(command), .. }) => commands::monitor::run(command).await?,
        Command::Monitor(monitor) => serve::run(Process::Monitor, monitor.role.load()).await?,
        Command::Health(arguments) => return commands::health::run(&arguments).await,
        Command::Top(arguments) => commands::top::run(&arguments).await?,
        Command::Mine(Mine::Announcements(arguments)) => {
            commands::mine::announcements(arguments, format).await?;
        }
        Command::Mine(Mine::Blocks(arguments)) => commands::mine::blocks(arguments, format).await?,
        Command::Mine(Mine::Nimiq(arguments)) => commands::mine_nimiq::run(arguments, format).await?,
        Command::Bench(bench) => commands::bench::run(&bench)?,
        Command::DevChain(arguments) => commands::dev_chain::run(&arguments).await?,
        Command::Nimiq(command) => return nimiq(command).await,
        Command::Verify(verify) => return commands::verify::run(&verify),
        Command::Ledger(command) => return commands::ledger::run(&command).await,
        Command::Admin(arguments) => commands::admin::run(&arguments).await?,
        Command::Doctor(arguments) => return commands::doctor::run(&arguments).await,
        Command::WhoToPay(arguments) => commands::who_to_pay::run(&arguments)?,
        Command::Config(ConfigCommand::Example) => commands::config::example()?,
        Command::Config(ConfigCommand::Check { file, elsewhere }) => {
            commands::config::check(&file, elsewhere)?;
        }
        Command::Config(ConfigCommand::ImportReference { files }) => commands::import_reference::run(&files)?,
        Command::Completions { shell } => commands::manual::completions(shell)?,
        Command::Manual { folder } => commands::manual::pages(&folder)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn nimiq(command: NimiqCommand) -> anyhow::Result<ExitCode> {
    match command {
        NimiqCommand::Server(role) => {
            serve::run(Process::NimiqServer(role.name.clone()), role.load()).await?;
        }
        NimiqCommand::Service(role) => serve::run(Process::NimiqService, role.load()).await?,
        NimiqCommand::Payout(payout) => return commands::nimiq_payout::run(payout).await,
        NimiqCommand::DevChain(arguments) => commands::nimiq_dev_chain::run(&arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// One word chooses for both proofs of work. What a name needs of the processor is more for PacketCrypt's.
fn force(backend: Backend) -> anyhow::Result<()> {
    backend.force()?;
    Ok(backend.to_string().parse::<nimiq::argon2d::Backend>()?.force()?)
}

/// One line with all its reasons; for a configuration, all its errors.
fn report(error: &anyhow::Error) -> ExitCode {
    let cause = error.root_cause().downcast_ref::<std::io::Error>();
    if cause.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
        // Whoever read our output has seen enough.
        return ExitCode::SUCCESS;
    }
    eprintln!("headframe: {error:#}");
    if error.is::<config::Problems>() { ExitCode::from(WRONG_CONFIGURATION) } else { ExitCode::FAILURE }
}
