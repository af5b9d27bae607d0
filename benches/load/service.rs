//! Overdub under load.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use overdub::clock::Clock;
use serde_json::{Value, json};
use tokio::process::Command;

use super::around::{Around, answers, free_port, get};
use super::disk::{self, Kind};
use super::faults::{self, Fault, How, Made, What};
use super::numbers::sum_of;
use super::process::{self, Process, Taken};
use super::report::{OnDisk, Seen, report};
use super::{Load, media, network};

/// Between two looks at what viewers see.
const LOOK: Duration = Duration::from_millis(200);
/// Seconds between two looks at what lies on the disk.
const LOOK_AT_DISK: u64 = 30;
/// Nothing takes longer to begin than this beyond the latency.
const PATIENCE: u64 = 90;

struct Service {
    overdub: Process,
    processor: Process,
    /// Between Overdub and the others, where the script has faults of it.
    network: Option<Process>,
    url: String,
    storage: PathBuf,
    clock: Clock,
}

/// Files come and go meanwhile.
fn bytes_below(folder: &Path) -> f64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len() as f64,
        Err(_) => 0.0,
    });
    bytes.fold(0.0, |sum, one| sum + one)
}

/// Whether all was clean.
pub async fn run(load: &Load) -> bool {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Clock::start();
    let latency = load.batch + media::SEGMENT_SECONDS + load.budget;
    let mut around = Around::start(latency + PATIENCE + load.seconds + 2 * load.batch).await;
    let folder = tempfile::tempdir().expect("a folder");
    let script = load.faults.as_deref().map(faults::read).unwrap_or_default();
    let service = Service::start(load, &script, &mut around, folder.path(), clock).await;
    let empty = service.overdub.taken();
    service.start_streams(load, &around).await;
    service.all_publish(load, &mut around, latency).await;
    // What came before the first look is no fault.
    tokio::time::sleep(Duration::from_secs(3)).await;
    measure(load, script, around, service, empty).await
}

impl Service {
    async fn start(load: &Load, script: &[Fault], around: &mut Around, folder: &Path, clock: Clock) -> Self {
        let binary = load.overdub.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_overdub").into());
        let [port, processor_port] = [(); 2].map(|()| free_port());
        let mut to_processor = processor_port;
        let network = script
            .iter()
            .any(|fault| fault.what == What::Network)
            .then(|| network::between([&mut around.source_port, &mut around.server_port, &mut to_processor]));
        let storage = folder.join("storage");
        fs::create_dir_all(&storage).expect("a folder");
        let log = folder.join("log");
        let (size, echo) = (load.disk, binary.clone());
        let frozen = script.iter().any(|fault| fault.what == What::Disk && fault.how == How::Hang);
        let kind = if frozen { Kind::Image } else { Kind::Memory };
        let output = format!("rtmp://127.0.0.1:{}/live/{{streamId}}", around.server_port);
        let (batch, budget) = (load.batch, load.budget);
        let (artifacts, retain) = (load.artifacts.clone(), load.retain.clone());
        let serving = storage.clone();
        let overdub = Process::start("overdub", move || {
            let mut command = match size {
                None => Command::new(&binary),
                Some(megabytes) => {
                    let mut small = disk::with_own(kind, megabytes, &serving, &binary);
                    small.env("OVERDUB_STORAGE_MIN_FREE", "0");
                    small
                }
            };
            let log = fs::File::options().create(true).append(true).open(&log).expect("a log file");
            command.args(["serve", "--port", &port.to_string(), "--storage"]).arg(&serving);
            command.env("OVERDUB_SRS_RTMP_URL", &output);
            command.env("OVERDUB_AUDIO_PROCESSOR_URL", format!("http://127.0.0.1:{to_processor}"));
            command.env("OVERDUB_BUFFER_DURATION", batch.to_string());
            command.env("OVERDUB_PROCESSING_BUDGET", budget.to_string());
            command.env("OVERDUB_ARTIFACTS", &artifacts).env("OVERDUB_RETAIN_BYTES", &retain);
            command.env("OVERDUB_MAX_STREAMS", "1000");
            command.stdout(std::process::Stdio::null()).stderr(log);
            command
        });
        let processor = Process::start("processor", move || {
            let mut command = Command::new(&echo);
            command.args(["echo", "--log-level", "error", "--port", &processor_port.to_string()]);
            command.stdout(std::process::Stdio::null());
            command
        });
        let url = format!("http://127.0.0.1:{port}");
        answers(&format!("{url}/api/health")).await;
        Self { overdub, processor, network, url, storage, clock }
    }

    /// One after the other over the length of a batch: streams of life do not close their batches together.
    async fn start_streams(&self, load: &Load, around: &Around) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let pause = Duration::from_secs(load.batch) / load.streams as u32;
        for number in 0..load.streams {
            let id = format!("load-{number}");
            let source = format!("http://127.0.0.1:{}/{id}/live.m3u8", around.source_port);
            // Without it admission would count 8 Mbit/s for each that has just begun.
            let bandwidth = media::BITS_PER_SECOND as u64;
            let body = json!({ "streamId": id, "sourceUrl": source, "sourceMaxBandwidth": bandwidth });
            let request = client.post(format!("{}/api/pipeline/start", self.url)).body(body.to_string());
            let answer = request.header("content-type", "application/json").send().await.expect("an answer");
            assert!(answer.status().is_success(), "{id}: {}", answer.text().await.unwrap_or_default());
            tokio::time::sleep(pause).await;
        }
    }

    async fn all_publish(&self, load: &Load, around: &mut Around, latency: u64) {
        let started = self.clock.now();
        loop {
            around.look(self.clock.now()).await;
            if around.viewers.all().count() == load.streams {
                return;
            }
            let waited = self.clock.now().saturating_since(started).as_secs();
            assert!(waited < latency + PATIENCE, "after {waited} s: {:?}", self.statuses().await);
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn statuses(&self) -> Option<Value> {
        serde_json::from_str(&get(&format!("{}/api/pipelines", self.url)).await?).ok()
    }

    async fn metrics(&self) -> String {
        get(&format!("{}/metrics", self.url)).await.unwrap_or_default()
    }

    /// The storage as Overdub sees it.
    fn seen_storage(&self) -> PathBuf {
        disk::inside(&self.overdub, &self.storage)
    }

    fn filler(&self) -> PathBuf {
        self.seen_storage().join("filler")
    }

    /// What it says to have on the disk, and what is found there.
    async fn on_disk(&self) -> OnDisk {
        let said = sum_of(&self.metrics().await, "overdub_storage_bytes");
        let folder = self.seen_storage();
        let folders = ["original_stream", "processed_fragments"].map(|name| folder.join(name));
        let found = tokio::task::spawn_blocking(move || folders.iter().map(|one| bytes_below(one)).sum());
        OnDisk { said, found: found.await.unwrap_or(0.0) }
    }

    async fn begin(&mut self, fault: &Fault, around: &mut Around, disk: Option<u64>) {
        let process = match fault.what {
            What::Processor => &mut self.processor,
            What::Source => &mut around.source,
            What::Overdub => &mut self.overdub,
            What::Network => self.network.as_mut().expect("there is one for a script with such a fault"),
            What::Server if fault.how == How::Kill => return around.kill_server().await,
            What::Server => &mut around.server,
            What::Disk => {
                let megabytes = disk.expect("--disk: the size of a disk that can fail");
                return self.disk_fails(fault.how, megabytes).await;
            }
        };
        match fault.how {
            How::Kill => process.kill().await,
            _ => process.hang(),
        }
    }

    async fn disk_fails(&self, how: How, megabytes: u64) {
        match how {
            How::ReadOnly => disk::read_only(&self.overdub, &self.storage, true).await,
            How::Hang => disk::frozen(&self.overdub, &self.storage, true).await,
            // As much as there is room for: the write ends with the disk.
            _ => drop(fs::write(self.filler(), vec![0; (megabytes as usize) << 20])),
        }
    }

    async fn end(&mut self, fault: &Fault, around: &mut Around) {
        match fault.what {
            What::Processor => self.processor.restore(),
            What::Source => around.source.restore(),
            What::Server => around.server.restore(),
            What::Overdub => self.overdub.restore(),
            What::Network => self.network.iter_mut().for_each(Process::restore),
            What::Disk => match fault.how {
                How::ReadOnly => disk::read_only(&self.overdub, &self.storage, false).await,
                How::Hang => disk::frozen(&self.overdub, &self.storage, false).await,
                _ => drop(fs::remove_file(self.filler())),
            },
        }
    }
}

async fn measure(
    load: &Load,
    script: Vec<Fault>,
    mut around: Around,
    mut service: Service,
    empty: Taken,
) -> bool {
    let clock = service.clock;
    let (mut coming, mut going) = (script.clone(), Vec::<Fault>::new());
    let mut made: Vec<Made> = Vec::new();
    let (mut samples, mut disk) = (Vec::<Taken>::new(), Vec::<OnDisk>::new());
    let mut fallbacks = 0.0;
    let taken = |service: &Service, around: &Around| {
        let each = [&service.overdub, &around.source, &service.processor, &around.server];
        let [overdub, source, processor, server] = each.map(|one| one.taken().cpu_seconds);
        [overdub, source, processor, server, process::of_machine()]
    };
    let (started, before) = (clock.now(), taken(&service, &around));
    let elapsed = || clock.now().saturating_since(started);
    around.look(clock.now()).await;
    let lost_before: f64 = around.viewers.lost().iter().sum();
    while elapsed() < Duration::from_secs(load.seconds) {
        let second = elapsed().as_secs();
        let (now, later): (Vec<_>, Vec<_>) =
            going.drain(..).partition(|fault| fault.at + fault.lasts <= second);
        going = later;
        for fault in &now {
            service.end(fault, &mut around).await;
        }
        let (now, later): (Vec<_>, Vec<_>) = coming.drain(..).partition(|fault| fault.at <= second);
        coming = later;
        for fault in now {
            made.iter_mut().for_each(|one| one.over(&around.viewers, fallbacks));
            made.push(Made::new(fault.clone(), clock.now(), &around.viewers, fallbacks));
            service.begin(&fault, &mut around, load.disk).await;
            going.push(fault);
        }
        around.look(clock.now()).await;
        if samples.len() as u64 <= second {
            samples.push(service.overdub.taken());
            if script.is_empty() && second >= LOOK_AT_DISK * (1 + disk.len() as u64) {
                disk.push(service.on_disk().await);
            }
            if !script.is_empty() {
                let text = service.metrics().await;
                if !text.is_empty() {
                    fallbacks = sum_of(&text, "overdub_fallbacks_total");
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    let lasted = elapsed().as_secs_f64();
    let after = taken(&service, &around);
    let metrics = service.metrics().await;
    disk.push(service.on_disk().await);
    made.iter_mut().for_each(|one| one.over(&around.viewers, fallbacks));
    let lost = around.viewers.lost().iter().sum::<f64>() - lost_before;
    let clean = report(
        load,
        &Seen { lasted, empty, before, after, samples, disk, metrics, lost, viewers: &around.viewers },
    );
    if script.is_empty() {
        return clean;
    }
    Made::print_all(&made);
    true
}
