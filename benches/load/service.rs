//! Overdub under load.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use overdub::clock::{Clock, wall_clock};
use overdub::media::Moment;
use serde_json::{Value, json};
use tokio::process::Command;

use super::disk::{self, Kind};
use super::faults::{self, Fault, How, Made, What};
use super::numbers::{max, mean, quantile_of, slope, sum_of};
use super::process::{self, Process, Taken};
use super::receiver::Received;
use super::viewers::Viewers;
use super::{Load, media, network};

/// Between two looks at what viewers see.
const LOOK: Duration = Duration::from_millis(200);
/// Seconds between two looks at what lies on the disk.
const LOOK_AT_DISK: u64 = 30;
/// Nothing takes longer to begin than this beyond the latency.
const PATIENCE: u64 = 90;

/// Source, RTMP server and their ports.
pub struct Around {
    pub source: Process,
    pub server: Process,
    pub source_port: u16,
    pub server_port: u16,
    reports_port: u16,
    /// Publications of servers that were killed.
    publications: usize,
    newest: usize,
    pub viewers: Viewers,
    pub media: PathBuf,
}

impl Around {
    pub async fn start(seconds: u64) -> Self {
        let media = media::segments(seconds);
        let [source_port, server_port, reports_port] = [(); 3].map(|()| free_port());
        let began = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let role = move |role: &str, args: Vec<String>| {
            let mut command = Command::new(this_binary());
            command.arg(role).args(args);
            command
        };
        let folder = media.display().to_string();
        let args = ["--port".to_owned(), source_port.to_string(), "--media".to_owned(), folder];
        let args = [&args[..], &["--began".to_owned(), began.to_string()]].concat();
        let source = Process::start("source", move || role("source", args.clone()));
        let args =
            ["--port", &server_port.to_string(), "--reports", &reports_port.to_string()].map(str::to_owned);
        let server = Process::start("server", move || role("sink", args.to_vec()));
        answers(&format!("http://127.0.0.1:{source_port}/any/live.m3u8")).await;
        answers(&format!("http://127.0.0.1:{reports_port}/")).await;
        Self {
            source,
            server,
            source_port,
            server_port,
            reports_port,
            publications: 0,
            newest: 0,
            viewers: Viewers::default(),
            media,
        }
    }

    /// Looks at what viewers see; a server that hangs or is gone shows nothing.
    pub async fn look(&mut self, now: Moment) {
        let Some(text) = get(&format!("http://127.0.0.1:{}/", self.reports_port)).await else { return };
        let Ok(all) = serde_json::from_str::<Vec<Received>>(&text) else { return };
        self.newest = all.len();
        self.viewers.see(now, self.publications, &all);
    }

    async fn kill_server(&mut self) {
        self.server.kill().await;
        self.publications += self.newest.max(1);
        self.newest = 0;
    }
}

pub fn this_binary() -> PathBuf {
    std::env::current_exe().expect("this binary")
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

async fn get(url: &str) -> Option<String> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().ok()?;
    client.get(url).send().await.ok()?.text().await.ok()
}

pub async fn answers(url: &str) {
    for _ in 0..150 {
        if get(url).await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} does not answer");
}

struct Service {
    overdub: Process,
    processor: Process,
    /// Between Overdub and the others, where the script has faults of it.
    network: Option<Process>,
    url: String,
    storage: PathBuf,
    clock: Clock,
}

/// In bytes.
#[derive(Clone, Copy, Default)]
struct OnDisk {
    said: f64,
    found: f64,
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

/// All that was seen.
struct Seen<'a> {
    lasted: f64,
    empty: Taken,
    before: [f64; 5],
    after: [f64; 5],
    samples: Vec<Taken>,
    disk: Vec<OnDisk>,
    metrics: String,
    lost: f64,
    viewers: &'a Viewers,
}

fn report(load: &Load, seen: &Seen<'_>) -> bool {
    let streams = load.streams as f64;
    let sum = |name| sum_of(&seen.metrics, name);
    let cpu = |who: usize| (seen.after[who] - seen.before[who]) / seen.lasted * 100.0;
    let of = |what: fn(&Taken) -> f64| seen.samples.iter().map(what).collect::<Vec<f64>>();
    let resident = of(|taken| taken.resident_bytes / 1e6);
    let files = of(|taken| taken.open_files);
    let held = sum("overdub_stream_memory_bytes") / 1e6;
    let worst = |which: usize| seen.viewers.all().map(|viewer| viewer.late()[which]).max().unwrap_or(0);
    let violations: u64 = seen.viewers.all().map(|viewer| viewer.violations).sum();
    let (gaps, fallbacks) = (sum("overdub_source_gaps_total"), sum("overdub_fallbacks_total"));
    let seconds = |part| quantile_of(&seen.metrics, "overdub_publish_lateness_seconds", part) * 1e3;
    println!(
        "{} streams of 3 Mbit/s, 720p, {:.0} s, batches of {} s, budget {} s, artifacts {}",
        load.streams, seen.lasted, load.batch, load.budget, load.artifacts
    );
    let one = |what: &str, value: String| println!("  {what:<42}{value}");
    one("CPU, Overdub", format!("{:.1} % of a core, {:.2} % a stream", cpu(0), cpu(0) / streams));
    one("CPU, source, processor, RTMP server", format!("{:.1} %, {:.1} %, {:.1} %", cpu(1), cpu(2), cpu(3)));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    one("CPU, the whole machine", format!("{:.1} % of {cores} cores", cpu(4) / cores as f64));
    one(
        "memory, Overdub",
        format!(
            "{:.1} MB mean, {:.1} MB peak; {:.1} MB without streams",
            mean(&resident),
            max(resident.iter().copied()),
            seen.empty.resident_bytes / 1e6
        ),
    );
    let each = (mean(&resident) - seen.empty.resident_bytes / 1e6) / streams;
    let latency = load.batch + media::SEGMENT_SECONDS + load.budget;
    let bound = media::BITS_PER_SECOND / 8e6 * latency as f64;
    one(
        "  a stream",
        format!("{each:.1} MB; bitrate x latency {bound:.1} MB; admission counts {:.1} MB", held / streams),
    );
    // First batches and the preview fill.
    let filled = &resident[resident.len() / 10..];
    one("  slope after the first tenth", format!("{:+.0} kB a minute", slope(filled) * 60e3));
    let tenths =
        resident.chunks(resident.len().div_ceil(10).max(1)).map(|tenth| format!("{:.0}", mean(tenth)));
    one("  each tenth of the time", format!("{} MB", tenths.collect::<Vec<_>>().join(" ")));
    one(
        "open files",
        format!(
            "{:.0} at first, {:.0} at the end",
            files.first().unwrap_or(&0.0),
            files.last().unwrap_or(&0.0)
        ),
    );
    let disk = |what: fn(&OnDisk) -> f64| max(seen.disk.iter().map(what)) / 1e6;
    one(
        "artifacts on the disk, most",
        format!(
            "{:.0} MB said, {:.0} MB found; {} a stream may stay",
            disk(|disk| disk.said),
            disk(|disk| disk.found),
            load.retain
        ),
    );
    one("lateness as sent: median, 99 %", format!("up to {:.0} ms, {:.0} ms", seconds(0.5), seconds(0.99)));
    one(
        "lateness as received: median, 99 %, worst",
        format!("{} ms, {} ms, {} ms (of the worst stream)", worst(0), worst(1), worst(2)),
    );
    let drifts = || seen.viewers.all().map(super::viewers::Viewer::drift);
    one(
        "output's clock behind ours",
        format!("{:+} to {:+} ms", drifts().min().unwrap_or(0), drifts().max().unwrap_or(0)),
    );
    one("batches: processed, fallback", format!("{}, {fallbacks}", sum("overdub_batches_processed_total")));
    one(
        "source: segments, lost, retries",
        format!("{}, {gaps}, {}", sum("overdub_source_segments_total"), sum("overdub_source_retries_total")),
    );
    one("output: pictures lost, violations", format!("{:.2} s, {violations}", seen.lost));
    for viewer in seen.viewers.all().filter(|viewer| viewer.violation.is_some()).take(3) {
        one("", viewer.violation.clone().unwrap_or_default());
    }
    let clean = gaps + fallbacks + seen.lost == 0.0 && violations == 0;
    println!("load: {}", if clean { "clean" } else { "NOT clean" });
    clean
}
