//! A service with the innocent stream, and what attacks do to both.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use overdub::clock::Clock;
use overdub::{echo, sink};
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::attack::{Attack, Cost, HOSTILE, Target};
use crate::honest;
use crate::measure::{Taken, forget_peak, peak_kib, taken};
use crate::neighbour::{self, Neighbour, Seen};
use crate::overdub::{Service, command};
use crate::tools::{Workdir, now, until};

pub const TOKEN: &str = "the-token-of-the-hostile-tests";

/// Until every attack has done something: streams have to be started first.
const BEGUN: Duration = Duration::from_secs(20);
/// From an attack's end until memory is looked at once more: connections end, the allocator gives back.
const AFTER: Duration = Duration::from_secs(1);

/// How the service logs.
#[derive(Clone, Copy)]
pub enum Log {
    Text,
    Json,
}

pub struct Scene {
    dir: Workdir,
    service: Service,
    neighbour: Neighbour,
    attackers: Option<Runtime>,
    target: Target,
    stop: CancellationToken,
}

impl Scene {
    /// A service in whose output the innocent stream is seen.
    pub async fn start(name: &str, log: Log) -> Self {
        let dir = Workdir::new(name);
        let mut command = command();
        command.env(
            "OVERDUB_LOG_FORMAT",
            match log {
                Log::Text => "text",
                Log::Json => "json",
            },
        );
        let service = guarded(&dir, command).await;
        let neighbour = Neighbour::start().await;
        let stop = CancellationToken::new();
        let attackers = attackers();
        let (processor, rtmp) = {
            let stop = stop.clone();
            let started = attackers.spawn(async move { innocents(stop).await });
            started.await.expect("ports on loopback")
        };
        let source = neighbour.source_url();
        let (port, ids, efforts) = (service.port, Arc::default(), Arc::default());
        let target = Target { port, token: TOKEN, source, processor, rtmp, ids, efforts };
        let this = Self { dir, service, neighbour, attackers: Some(attackers), target, stop };
        let answer = this.service.start_stream(this.neighbour.settings()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        until(Duration::from_secs(60), "the innocent stream's output", async || {
            (this.seen().await.seconds_published() >= 1).then_some(())
        })
        .await;
        this
    }

    async fn seen(&self) -> Seen {
        self.neighbour.seen(&self.service.status(neighbour::STREAM).await)
    }

    fn taken(&self) -> Taken {
        taken(self.service.id()).expect("the service runs")
    }

    /// All of these attacks at once, for as long as `lasting`.
    pub async fn suffer(&mut self, attacks: &[&Attack], lasting: Duration) -> Cost {
        let name = attacks.iter().map(|attack| attack.name.as_str()).collect::<Vec<_>>().join(" + ");
        let name = if attacks.len() > 3 { format!("{} attacks at once", attacks.len()) } else { name };
        let (id, logged) = (self.service.id(), self.service.process.log().len());
        forget_peak(id);
        let first = self.target.ids.load(Ordering::Relaxed);
        let (before, seen, began) = (self.taken(), self.seen().await, now());
        let attackers = self.attackers.as_ref().expect("they live as long as this");
        let running: Vec<_> = attacks
            .iter()
            .map(|attack| {
                let target = Target { efforts: Arc::default(), ..self.target.clone() };
                let efforts = Arc::clone(&target.efforts);
                (&attack.name, efforts, attackers.spawn(attack.run(target)))
            })
            .collect();
        let begun = async {
            while running.iter().any(|(_, efforts, _)| efforts.load(Ordering::Relaxed) == 0) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let _ = tokio::time::timeout(BEGUN, begun).await;
        let least = attacks.iter().map(|attack| attack.least).max().unwrap_or_default();
        tokio::time::sleep(lasting.max(least)).await;
        let mut faults = Vec::new();
        for (name, efforts, run) in running {
            if efforts.load(Ordering::Relaxed) == 0 {
                faults.push(format!("{name}: did not take place"));
            }
            run.abort();
            if run.await.is_err_and(|error| error.is_panic()) {
                faults.push(format!("{name}: broke off (see above)"));
            }
        }
        let (lasted, during) = (began.elapsed().as_secs_f64(), self.taken());
        let seen_now = self.seen().await;
        let (stop, said, more) = self.stop_hostile_streams(first).await;
        faults.extend(more);
        tokio::time::sleep(AFTER).await;
        self.service.assert_healthy().await;
        let log = self.service.process.log();
        faults.extend(honest::log_faults(&log[logged..], began.elapsed().as_secs_f64()));
        let megabytes = |kib: u64| (kib as f64 - before.resident_kib as f64) * 1_024.0 / 1e6;
        let cpu_seconds = during.cpu_seconds - before.cpu_seconds;
        Cost {
            attack: name,
            growth: megabytes(peak_kib(id).expect("the service runs")),
            kept: megabytes(self.taken().resident_kib),
            cpu_seconds,
            cpu_percent: cpu_seconds / lasted * 100.0,
            harm: seen_now.since(&seen),
            stop,
            said,
            faults,
        }
    }

    /// Stops those from number `first` on: how long that took, what they said of themselves before, and what was wrong
    /// with that.
    async fn stop_hostile_streams(&self, first: u64) -> (Option<Duration>, Vec<String>, Vec<String>) {
        let listed = self.service.ask("GET", "/api/pipelines", None).await.json();
        let listed = listed["pipelines"].as_array().expect("a list of streams").clone();
        let ids = listed.iter().filter_map(|stream| stream["streamId"].as_str());
        let number = |id: &str| id.strip_prefix(HOSTILE)?.parse::<u64>().ok();
        let ids: Vec<&str> = ids.filter(|id| number(id).is_some_and(|number| number >= first)).collect();
        let (mut said, mut faults) = (Vec::new(), Vec::new());
        for id in &ids {
            let status = self.service.ask("GET", &format!("/api/pipelines/{id}"), None).await;
            faults.extend(honest::status_faults(&status.body));
            let status = status.json();
            let segments = &status["modules"]["streamFetcher"]["segments"];
            let error: String = status["lastError"].to_string().chars().take(200).collect();
            said.push(format!("{id}: {}, {segments} segments, {error}", status["phase"]));
        }
        let asked = now();
        for answer in join_all(ids.iter().map(|id| self.service.stop_stream(id))).await {
            // Some have ended by themselves.
            assert!(matches!(answer.status, 200 | 404), "{}", answer.body);
        }
        ((!ids.is_empty()).then(|| asked.elapsed()), said, faults)
    }

    /// Ends the service as an operator would; what was written stays until then.
    pub async fn end(self) {
        let Self { dir, service, neighbour, mut attackers, stop, .. } = self;
        stop.cancel();
        drop(neighbour);
        if let Some(attackers) = attackers.take() {
            attackers.shutdown_background();
        }
        service.kill().await;
        drop(dir);
    }
}

/// A service that asks for the token, which every request of this value carries.
pub async fn guarded(dir: &Workdir, mut command: Command) -> Service {
    command.env("OVERDUB_API_TOKEN", TOKEN);
    let mut service = Service::start_as(dir, command).await;
    service.headers = format!("Authorization: Bearer {TOKEN}\r\n");
    service
}

/// Threads that yield to everything else: what attackers cost here must not delay the innocent stream.
fn attackers() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().on_thread_start(|| {
        // On Linux of this thread alone (setpriority(2), "C library/kernel differences").
        let _ = rustix::process::setpriority_process(None, 10);
    });
    builder.build().expect("a runtime")
}

/// A processor and an RTMP server for the streams of attacks: where they are.
async fn innocents(stop: CancellationToken) -> (String, String) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let echo = echo::Server::bind(any, echo::Options::default()).await.expect("a port");
    let sink = sink::Server::bind(any, sink::Settings::default(), Clock::start()).await.expect("a port");
    let (processor, rtmp) = (echo.local_addr().expect("bound"), sink.local_addr().expect("bound"));
    tokio::spawn(echo.run(stop.clone()));
    tokio::spawn(sink.run(stop));
    (format!("http://{processor}"), format!("rtmp://{rtmp}/live"))
}
