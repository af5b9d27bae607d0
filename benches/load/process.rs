//! A process that is started, measured, killed and stopped.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// One that ends with its value.
pub struct Process {
    pub name: &'static str,
    make: Box<dyn Fn() -> Command + Send>,
    child: Option<Child>,
    /// CPU seconds of those that were killed.
    spent: f64,
}

/// What a process has taken so far.
#[derive(Clone, Copy, Default)]
pub struct Taken {
    pub cpu_seconds: f64,
    pub resident_bytes: f64,
    pub open_files: f64,
}

impl Process {
    pub fn start(name: &'static str, make: impl Fn() -> Command + Send + 'static) -> Self {
        let mut this = Self { name, make: Box::new(make), child: None, spent: 0.0 };
        this.restore();
        this
    }

    pub fn id(&self) -> Option<u32> {
        self.child.as_ref()?.id()
    }

    pub fn taken(&self) -> Taken {
        let mut taken = self.id().and_then(taken).unwrap_or_default();
        taken.cpu_seconds += self.spent;
        taken
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.spent = self.taken().cpu_seconds;
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// SIGSTOP: its sockets stay open, and nobody answers.
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Goes on, or is started again.
    pub fn restore(&mut self) {
        match &self.child {
            Some(_) => self.signal(Signal::CONT),
            None => {
                let mut command = (self.make)();
                command.kill_on_drop(true);
                let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name));
                self.child = Some(child);
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = self.id().and_then(|id| Pid::from_raw(id as i32));
        kill_process(pid.expect("it runs"), signal).expect("a signal");
    }

    /// The file system as this process sees it.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.id().expect("it runs")))
    }
}

/// Of any process that is there.
pub fn taken(id: u32) -> Option<Taken> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let statm = fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    let pages: f64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(Taken {
        cpu_seconds: (ticks(14)? + ticks(15)?) / rustix::param::clock_ticks_per_second() as f64,
        resident_bytes: pages * rustix::param::page_size() as f64,
        open_files: fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as f64,
    })
}

/// CPU seconds of all children of this process that have ended and were waited for.
pub fn of_ended_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(16) + ticks(17)) / rustix::param::clock_ticks_per_second() as f64
}

/// CPU seconds of all processes of the machine so far, the kernel's own work included.
pub fn of_machine() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or("").split_ascii_whitespace().skip(1);
    let ticks: Vec<f64> = fields.filter_map(|text| text.parse().ok()).collect();
    // proc(5): user, nice, system, idle, iowait, irq, softirq, steal; what guests take is in user already.
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    (ticks.iter().take(8).sum::<f64>() - idle) / rustix::param::clock_ticks_per_second() as f64
}
