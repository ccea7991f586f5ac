//! The process and the disk it stands on: memory, processor time, open files, free space.
//!
//! The process has the names that all Prometheus clients give it. What the system does not tell is left out.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use rustix::fs::StatVfs;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::{Labels, Metrics};

/// This process; read when somebody asks.
#[derive(Debug)]
pub(super) struct ProcessFigures {
    /// When it began, in seconds since 1970.
    started: f64,
}

impl ProcessFigures {
    /// Of a process that begins now.
    pub(super) fn of_a_process_that_starts() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { started: since_1970.as_secs_f64() }
    }
}

impl Collector for ProcessFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Processor time, of the system too";
        encoder
            .encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&processor_time().as_secs_f64(), None)?;
        for (name, help, value) in [
            ("process_start_time_seconds", "When the process began, since 1970", Some(self.started)),
            ("process_resident_memory_bytes", "Memory in use", resident_bytes().map(|bytes| bytes as f64)),
            ("process_open_fds", "Files and connections that are open", open_files()),
            ("process_max_fds", "Files and connections that may be open", most_open_files()),
        ] {
            if let Some(value) = value {
                encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Memory of this process, as Linux tells it; nothing on other systems.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn open_files() -> Option<f64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

fn most_open_files() -> Option<f64> {
    getrlimit(Resource::Nofile).current.map(|files| files as f64)
}

/// The disk that a folder is on.
#[derive(Debug)]
struct DiskFigures {
    folder: PathBuf,
}

impl Collector for DiskFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // A folder that is gone has no figures.
        let Ok(disk) = rustix::fs::statvfs(&self.folder) else { return Ok(()) };
        let bytes = |blocks: fn(&StatVfs) -> u64| blocks(&disk) as f64 * disk.f_frsize as f64;
        let labels: Labels = vec![("folder".to_owned(), "data".to_owned())];
        for (name, help, value) in [
            ("disk_free_bytes", "Room that is left on the disk of a folder", bytes(|disk| disk.f_bavail)),
            ("disk_size_bytes", "Size of the disk of a folder", bytes(|disk| disk.f_blocks)),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

impl Metrics {
    /// Shows the room on the disk of the data folder.
    pub fn show_disk_of(&self, data: impl Into<PathBuf>) {
        self.collect("disk", DiskFigures { folder: data.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_disk_are_shown() {
        let (metrics, folder) = (Metrics::new(), tempfile::tempdir().unwrap());
        metrics.show_disk_of(folder.path());
        let text = metrics.text();
        let value = |series: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(series)).expect(series);
            line.trim().parse().unwrap()
        };
        assert!(value("process_cpu_seconds_total ") > 0.0);
        assert!(value("process_resident_memory_bytes ") > 1e6);
        assert!(value("process_open_fds ") > 2.0);
        assert!(value("process_max_fds ") >= value("process_open_fds "));
        let labels = "{folder=\"data\"} ";
        assert!(value(&format!("headframe_disk_size_bytes{labels}")) > 0.0);
        folder.close().unwrap();
        assert!(!metrics.text().contains("headframe_disk_size_bytes{"));
    }
}
