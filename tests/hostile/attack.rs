//! What an attack is, what it is given, and whether it was withstood.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use crate::neighbour::Harm;
use crate::web;

/// Growth of resident memory over the state before one attack, and before several at once, in MB.
pub const MOST_MEMORY: f64 = 64.0;
pub const MOST_MEMORY_OF_SEVERAL: f64 = 200.0;
/// The same before all at once: six of them are sources of 32 Mbit/s, which hold some 25 MB of segments each whatever is in
/// them.
pub const MOST_MEMORY_OF_ALL: f64 = 320.0;
/// Lateness of the stream beside it, 99th percentile, in milliseconds; for the long form.
const MOST_LATE: u64 = 60;
/// How long the streams of an attack may take to stop, in the long form.
const MOST_TO_STOP: Duration = Duration::from_secs(5);

/// Streams of attacks are called this and a number.
pub const HOSTILE: &str = "hostile-";

/// Requests of the owner of the token before it gives up.
const TRIES: usize = 5;

/// One attack; may be run more than once.
pub struct Attack {
    pub name: String,
    /// Among the worst of its kind: never run beside others of the short form.
    pub alone: bool,
    /// How long it takes to show what it does.
    pub least: Duration,
    run: Box<dyn Fn(Target) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Attack {
    /// `run` goes on until it is dropped, and what it has started until the scene ends; where it panics, the attack did
    /// not take place.
    pub fn new<F>(name: impl Into<String>, run: impl Fn(Target) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let run = Box::new(move |target| run(target).boxed());
        Self { name: name.into(), alone: false, least: Duration::ZERO, run }
    }

    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    #[must_use]
    pub fn at_least(self, least: Duration) -> Self {
        Self { least, ..self }
    }

    pub fn run(&self, target: Target) -> BoxFuture<'static, ()> {
        (self.run)(target)
    }
}

/// What an attack is given.
#[derive(Clone)]
pub struct Target {
    /// Of the service.
    pub port: u16,
    pub token: &'static str,
    /// An innocent source, processor and RTMP server (behind which a name goes), for attacks that come from elsewhere.
    pub source: String,
    pub processor: String,
    pub rtmp: String,
    /// Of streams that were started.
    pub ids: Arc<AtomicU64>,
    /// Connections made, and questions that were answered in a hostile way: an attack begins with the first.
    pub efforts: Arc<AtomicU64>,
}

impl Target {
    pub fn made_an_effort(&self) {
        self.efforts.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts a stream of which only `settings` are hostile; its id.
    pub async fn start_stream(&self, settings: Value) -> String {
        let id = format!("{HOSTILE}{}", self.ids.fetch_add(1, Ordering::Relaxed));
        let mut all = json!({
            "streamId": id, "sourceUrl": self.source, "audioProcessorUrl": self.processor,
            "srsRtmpUrl": format!("{}/{id}", self.rtmp), "bufferDuration": 2, "processingBudget": 4,
            "artifacts": "none",
        });
        let fields = settings.as_object().expect("settings").clone();
        all.as_object_mut().expect("settings").extend(fields);
        let answer = self.ask("POST", "/api/pipeline/start", Some(&all)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        id
    }

    /// Asks as somebody who has the token: again where the connection was closed for those of a flood from the same
    /// address before it was read.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> web::Answer {
        let headers = format!("Authorization: Bearer {}\r\n", self.token);
        for _ in 0..TRIES {
            if let Some(answer) = web::request_with(self.port, method, path, &headers, body).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{method} {path}: no answer in {TRIES} tries")
    }
}

/// What an attack cost.
pub struct Cost {
    pub attack: String,
    /// Over the state before it, in MB: at most, and a moment after it.
    pub growth: f64,
    pub kept: f64,
    pub cpu_seconds: f64,
    /// Of a core.
    pub cpu_percent: f64,
    pub harm: Harm,
    /// How long the streams of the attack took to stop; `None` where it had none.
    pub stop: Option<Duration>,
    /// What each of them said of itself before that.
    pub said: Vec<String>,
    /// What else was wrong.
    pub faults: Vec<String>,
}

impl Cost {
    pub fn header() -> String {
        format!(
            "{:<52} {:>7} {:>7} {:>7} {:>5} {:>15} {:>5} {:>5} {:>6}",
            "attack", "MB", "kept", "CPU s", "%", "late 50/99/max", "drops", "fallb", "stop s"
        )
    }

    /// What is beyond the caps. Where not `strict`, on a machine that is busy with other tests, of the stream beside it only
    /// what is lost counts.
    pub fn faults(&self, most_memory: f64, strict: bool) -> Vec<String> {
        let mut faults = self.faults.clone();
        if self.growth > most_memory {
            faults.push(format!("memory grew by {:.0} MB", self.growth));
        }
        let Harm { late, frames, dropped, fallbacks, gaps, held, reconnects, .. } = self.harm;
        let held = if strict { held } else { 0 };
        for (count, what) in [
            (dropped, "packets dropped"),
            (fallbacks, "fallbacks"),
            (gaps, "gaps"),
            (held, "times held"),
            (reconnects, "reconnects"),
            (u64::from(frames == 0), "silences"),
        ] {
            if count > 0 {
                faults.push(format!("{count} {what} in the stream beside it"));
            }
        }
        let rules = self.harm.violations.iter().filter(|_| strict);
        faults.extend(rules.map(|rule| format!("in the stream beside it: {rule}")));
        if strict && late[1] > MOST_LATE {
            faults.push(format!("the stream beside it {} ms late (99th percentile)", late[1]));
        }
        if let Some(stop) = self.stop.filter(|stop| strict && *stop > MOST_TO_STOP) {
            faults.push(format!("stop took {:.1} s", stop.as_secs_f64()));
        }
        faults.into_iter().map(|fault| format!("{}: {fault}", self.attack)).collect()
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, most, worst] = self.harm.late;
        let stop = self.stop.map_or_else(|| "-".to_owned(), |stop| format!("{:.1}", stop.as_secs_f64()));
        write!(
            f,
            "{:<52} {:>7.1} {:>7.1} {:>7.1} {:>5.0} {:>15} {:>5} {:>5} {stop:>6}",
            self.attack,
            self.growth,
            self.kept,
            self.cpu_seconds,
            self.cpu_percent,
            format!("{median}/{most}/{worst}"),
            self.harm.dropped,
            self.harm.fallbacks,
        )
    }
}
