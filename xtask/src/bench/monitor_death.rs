//! A Master that is killed under the eyes of the monitor: how soon that is noticed, and how soon one serves again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::dev_node::DevNode;
use super::load::Connection;
use super::program::{ADDRESS, PASSWORD, Program, folder, free_address, headframe, metric};
use super::{Goal, Row};

/// What the restart command started is killed in the end.
struct Started(PathBuf);

impl Drop for Started {
    fn drop(&mut self) {
        if let Ok(process) = std::fs::read_to_string(&self.0) {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-9", process.trim()]).status();
        }
    }
}

/// A script that starts a Master in the background, as systemd would.
fn restart_script(folder: &Path) -> anyhow::Result<(PathBuf, Started)> {
    let (script, process) = (folder.join("restart"), folder.join("process"));
    let text = format!(
        "{} --log warn master --config {} --data {} > {} 2>&1 &\necho $! > {}\n",
        headframe()?.display(),
        folder.join("pool.toml").display(),
        folder.join("data").display(),
        folder.join("second.log").display(),
        process.display(),
    );
    std::fs::write(&script, text)?;
    Ok((script, Started(process)))
}

/// Measures.
pub fn measure() -> anyhow::Result<Vec<Row>> {
    let (node, of_master, of_monitor) = (DevNode::start()?, folder()?, folder()?);
    let (served, watching) = (free_address()?, free_address()?);
    let configuration = format!(
        "[pool]\npassword = \"{PASSWORD}\"\nchain = \"dev\"\n[[node]]\nurl = \"{}\"\nuser = \"x\"\npassword = \"x\"\n\
         [master]\nlisten = \"{served}\"\n[pay_maker]\ndefault_address = \"{ADDRESS}\"\nerror_address = \"{ADDRESS}\"\n",
        node.url()
    );
    let mut master = Program::headframe(of_master.path(), &["master"], &configuration)?;
    master.until_ready(served)?;
    let (script, _started) = restart_script(of_master.path())?;
    let configuration = format!(
        "[http]\nlisten = \"{watching}\"\n[pool]\nrun_packetcrypt = \"no\"\n[nimiq]\nrun = \"no\"\n[site]\nrun = false\n\
         [monitor]\nalso_watch = [\"http://{served}\"]\nrestart_command = [\"sh\", \"{}\"]\n",
        script.display()
    );
    let mut monitor = Program::headframe(of_monitor.path(), &["monitor"], &configuration)?;
    monitor.until_ready(watching)?;
    monitor.until("the Master to be seen", || {
        anyhow::ensure!(metric(watching, "headframe_monitor_looks_total")? > 0.0, "nobody has looked");
        anyhow::ensure!(metric(watching, "headframe_monitor_processes_down")? == 0.0, "it is not there");
        Ok(())
    })?;
    drop(master);
    let killed = Instant::now();
    monitor.until("the death to be noticed", || {
        let restarts = metric(watching, "headframe_monitor_restarts_total")?;
        anyhow::ensure!(restarts > 0.0, "nobody is missed");
        Ok(())
    })?;
    let noticed = killed.elapsed();
    monitor.until("a Master to serve again", || {
        Connection::open(served)?.get("/healthz")?.success()?;
        Ok(())
    })?;
    let serves = killed.elapsed();
    let row = |measure: &str, ours, most| Row {
        measure: measure.to_owned(),
        unit: "s",
        ours,
        reference: None,
        goal: Some(Goal::AtMost(most)),
    };
    Ok(vec![
        row("a Master that is killed, until that is noticed", noticed.as_secs_f64(), 5.0),
        row("the same, until one serves again", serves.as_secs_f64(), 10.0),
    ])
}
