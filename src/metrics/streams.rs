//! The statuses of the streams as families.

use std::collections::BTreeMap;

use super::{Families, Process};
use crate::journal;
use crate::media::StreamId;
use crate::status::{Output, Phase, Remuxer, Stats, StreamStatus};
use crate::storage::Usage;

/// One stream that runs.
pub struct StreamView {
    pub status: StreamStatus,
    /// What it is counted as by admission, in bytes.
    pub memory: u64,
}

/// The service around the streams.
#[derive(Default)]
pub struct Service {
    pub uptime_seconds: f64,
    pub draining: bool,
    pub storage: BTreeMap<StreamId, Usage>,
    /// Bytes free where the artifacts go.
    pub storage_free: Option<u64>,
    pub storage_removed: u64,
    pub storage_stuck: u64,
    pub journal: journal::Stats,
    pub connections: Connections,
    pub process: Option<Process>,
}

/// The clients of the service.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    /// That may use the API.
    pub admitted: usize,
    /// That nothing admitted yet.
    pub unadmitted: usize,
    /// That this side closed: peer, reason, how many.
    pub closed: Vec<(&'static str, &'static str, u64)>,
}

const PHASES: [(Phase, &str); 5] = [
    (Phase::Idle, "idle"),
    (Phase::Fetching, "fetching"),
    (Phase::Processing, "processing"),
    (Phase::Publishing, "publishing"),
    (Phase::Error, "error"),
];

/// One scrape.
pub fn text(service: &Service, streams: &[StreamView]) -> String {
    let mut to = Families::default();
    of_the_service(&mut to, service, streams);
    for stream in streams {
        of_a_stream(&mut to, stream);
    }
    if let Some(process) = &service.process {
        process.describe(&mut to);
    }
    to.encode()
}

fn of_the_service(to: &mut Families, service: &Service, streams: &[StreamView]) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    to.gauge("overdub_build_info", "Always 1; the version is in the label.", &version, 1.0);
    to.gauge("overdub_uptime_seconds", "Since the start of the process.", &[], service.uptime_seconds);
    to.gauge("overdub_draining", "1 while the service is ending.", &[], flag(service.draining));
    for (phase, name) in PHASES {
        let count = streams.iter().filter(|stream| stream.status.phase == phase).count();
        to.gauge("overdub_streams", "Streams that run, by phase.", &[("phase", name)], count as f64);
    }
    for (id, usage) in &service.storage {
        for (kind, bytes) in [("original", usage.original_bytes), ("processed", usage.processed_bytes)] {
            let labels = [("stream", id.as_str()), ("kind", kind)];
            to.gauge("overdub_storage_bytes", "Artifacts on the disk.", &labels, bytes as f64);
        }
    }
    if let Some(free) = service.storage_free {
        to.gauge("overdub_storage_free_bytes", "Free where artifacts are written.", &[], free as f64);
    }
    to.counter(
        "overdub_storage_removed_bytes_total",
        "Artifacts removed to keep to the limits.",
        &[],
        service.storage_removed as f64,
    );
    to.counter(
        "overdub_storage_stuck_total",
        "Old artifacts that the disk refused to remove.",
        &[],
        service.storage_stuck as f64,
    );
    to.gauge(
        "overdub_journal_alarm",
        "1 while the journals cannot be written: streams would not resume where they are.",
        &[],
        flag(service.journal.alarm),
    );
    let writes = service.journal.written as f64;
    to.counter("overdub_journal_writes_total", "Journals written.", &[], writes);
    of_the_connections(to, &service.connections);
}

fn of_the_connections(to: &mut Families, connections: &Connections) {
    let help = "Open client connections, by whether they may use the API.";
    for (admitted, count) in [("true", connections.admitted), ("false", connections.unadmitted)] {
        to.gauge("overdub_connections", help, &[("admitted", admitted)], count as f64);
    }
    let help = "Client connections that the service closed, by reason.";
    for (peer, reason, count) in &connections.closed {
        let labels = [("peer", *peer), ("reason", *reason)];
        to.counter("overdub_connections_closed_total", help, &labels, *count as f64);
    }
}

fn of_a_stream(to: &mut Families, StreamView { status, memory }: &StreamView) {
    let id = status.stream_id.as_str();
    let stream = [("stream", id)];
    let (stats, modules) = (&status.stats, &status.modules);
    let processor = &modules.audio_processor;

    to.gauge("overdub_stream_uptime_seconds", "Since the start of the stream.", &stream, status.uptime);
    for (phase, name) in PHASES {
        let labels = [("stream", id), ("phase", name)];
        let is = flag(status.phase == phase);
        to.gauge("overdub_stream_phase", "1 for the phase that the stream is in.", &labels, is);
    }
    let restarts = status.restarts as f64;
    to.counter(
        "overdub_stream_restarts_total",
        "Times that the stream died and came back.",
        &stream,
        restarts,
    );
    let exceeded = status.memory_restarts as f64;
    let help = "Of these, because it held more memory than its share.";
    to.counter("overdub_stream_memory_restarts_total", help, &stream, exceeded);
    let memory = *memory as f64;
    to.gauge("overdub_stream_memory_bytes", "Media held, by bitrate and latency.", &stream, memory);
    let held = status.memory.bytes as f64;
    to.gauge("overdub_stream_memory_held_bytes", "Media and queues held, as measured.", &stream, held);
    if let Some(limit) = status.memory.limit {
        let help = "What the stream may hold: beyond it it is started again.";
        to.gauge("overdub_stream_memory_limit_bytes", help, &stream, limit as f64);
    }
    if let Some(lag) = stats.lag_seconds {
        to.gauge("overdub_lag_seconds", "How far the output is behind the source.", &stream, lag);
    }
    if let Some(slack) = stats.slack_seconds {
        let help = "How long before its playout a full batch is captured.";
        to.gauge("overdub_playout_slack_seconds", help, &stream, slack);
    }

    let help = "Seconds of output played.";
    to.counter("overdub_published_seconds_total", help, &stream, stats.published_seconds);
    of_the_source(to, status);
    of_the_holes(to, id, stats);

    let batches = stats.batches_captured as f64;
    to.counter("overdub_batches_captured_total", "Batches closed.", &stream, batches);
    let processed = stats.batches_processed as f64;
    to.counter("overdub_batches_processed_total", "Batches with the processor's sound.", &stream, processed);
    for (reason, count) in &stats.fallback_reasons {
        let labels = [("stream", id), ("reason", reason.as_str())];
        let help = "Batches without the processor's sound, by reason.";
        to.counter("overdub_fallbacks_total", help, &labels, *count as f64);
    }
    of_the_fit(to, id, &modules.remuxer);
    let connected = flag(processor.connected);
    to.gauge("overdub_processor_connected", "1 while the processor is connected.", &stream, connected);
    let in_flight = processor.in_flight as f64;
    to.gauge("overdub_processor_in_flight", "Fragments at the processor.", &stream, in_flight);
    let queued = processor.queued as f64;
    to.gauge("overdub_processor_queued", "Fragments that wait to be sent.", &stream, queued);
    let open = flag(processor.breaker_open);
    to.gauge("overdub_processor_breaker_open", "1 while fragments go to the fallback.", &stream, open);
    let late = processor.late as f64;
    to.counter("overdub_processor_late_answers_total", "Answers after their deadline.", &stream, late);
    let reconnects = processor.reconnects as f64;
    to.counter("overdub_processor_reconnects_total", "Connections after the first.", &stream, reconnects);
    for (reason, count) in &processor.closed {
        let help = "Connections to the processor that were ended from this side, by reason.";
        let labels = [("stream", id), ("reason", *reason)];
        to.counter("overdub_processor_closed_total", help, &labels, *count as f64);
    }
    let help = "From sending a fragment to its answer.";
    to.histogram("overdub_processor_latency_seconds", help, &stream, &stats.histograms.processor_latency);
    let help = "How long before its playout each batch was decided; near 0 is nearly late.";
    to.histogram("overdub_batch_spare_seconds", help, &stream, &stats.histograms.batch_spare);

    for (index, output) in modules.stream_publisher.outputs.iter().enumerate() {
        of_an_output(to, id, &index.to_string(), output);
    }

    let storage = &stats.storage;
    to.gauge("overdub_storage_alarm", "1 while artifacts are lost.", &stream, flag(storage.alarm));
    to.counter("overdub_storage_files_total", "Files written.", &stream, storage.files as f64);
    let lost = [("dropped", storage.dropped), ("failed", storage.failed)];
    for (why, count) in lost {
        let labels = [("stream", id), ("why", why)];
        to.counter("overdub_storage_lost_files_total", "Files not written.", &labels, count as f64);
    }
}

/// What viewers got where the source had nothing, or came late.
fn of_the_holes(to: &mut Families, stream: &str, stats: &Stats) {
    let stream = [("stream", stream)];
    let hold = &stats.hold;
    let help = "1 while something stands for the source, which has nothing.";
    to.gauge("overdub_hold_active", help, &stream, flag(hold.active));
    to.counter("overdub_holds_total", "Times that the source had nothing.", &stream, hold.count as f64);
    let help = "Seconds of output that stood for the source.";
    to.counter("overdub_hold_seconds_total", help, &stream, hold.seconds);
    let late = stats.batches_late as f64;
    to.counter("overdub_batches_late_total", "Batches captured when their time was over.", &stream, late);
    let help = "By how much later the output plays because the source stayed late.";
    to.counter("overdub_playout_moved_seconds_total", help, &stream, stats.playout_moved_seconds);
}

/// What putting answers into their places took.
fn of_the_fit(to: &mut Families, stream: &str, fit: &Remuxer) {
    let stream = [("stream", stream)];
    for (name, help, frames) in [
        (
            "overdub_fit_priming_frames_total",
            "Frames of priming and context cut off answers.",
            fit.priming_frames,
        ),
        (
            "overdub_fit_trimmed_frames_total",
            "Frames cut off answers that were too long.",
            fit.trimmed_frames,
        ),
        (
            "overdub_fit_padded_frames_total",
            "Silent frames behind answers that were too short.",
            fit.padded_frames,
        ),
    ] {
        to.counter(name, help, &stream, frames as f64);
    }
    if let Some(error) = fit.fit_error_ms {
        let help = "By how much the last answer's sound is later than the original's.";
        to.gauge("overdub_fit_error_seconds", help, &stream, error / 1e3);
    }
    let changes = fit.configuration_changes as f64;
    let help = "Changes of the sound's configuration in the output.";
    to.counter("overdub_configuration_changes_total", help, &stream, changes);
}

/// Outputs are told apart by their place in the settings: an address may hold a key.
fn of_an_output(to: &mut Families, stream: &str, index: &str, output: &Output) {
    let labels = [("stream", stream), ("output", index)];
    to.gauge("overdub_output_connected", "1 while media can be sent.", &labels, flag(output.connected));
    to.counter("overdub_output_bytes_total", "Bytes on the wire.", &labels, output.bytes as f64);
    let reconnects = output.reconnects as f64;
    to.counter("overdub_output_reconnects_total", "Connections after the first.", &labels, reconnects);
    let dropped = output.dropped as f64;
    to.counter("overdub_output_dropped_packets_total", "Packets that never left.", &labels, dropped);
    let help = "How long after it was to leave each packet left.";
    to.histogram("overdub_publish_lateness_seconds", help, &labels, &output.lateness);
}

fn of_the_source(to: &mut Families, status: &StreamStatus) {
    let id = status.stream_id.as_str();
    let stream = [("stream", id)];
    let (stats, modules) = (&status.stats, &status.modules);
    let source = &modules.stream_fetcher;

    let captured = stats.segments_captured as f64;
    to.counter("overdub_source_segments_total", "Segments captured.", &stream, captured);
    to.counter("overdub_source_bytes_total", "Bytes captured.", &stream, stats.bytes_captured as f64);
    to.counter("overdub_source_gaps_total", "Segments lost.", &stream, source.gaps as f64);
    to.counter("overdub_source_gap_seconds_total", "Seconds of media lost.", &stream, source.gap_seconds);
    to.counter("overdub_source_retries_total", "Requests tried again.", &stream, source.retries as f64);
    let discontinuities = source.discontinuities as f64;
    to.counter("overdub_source_discontinuities_total", "Discontinuities.", &stream, discontinuities);
    let help = "Damaged access units and packets dropped.";
    to.counter("overdub_source_damage_total", help, &stream, modules.remuxer.dropped as f64);
    let stalled = flag(source.state == "stalled");
    to.gauge("overdub_source_stalled", "1 while the playlist does not move.", &stream, stalled);
    let behind = source.behind_edge;
    to.gauge("overdub_source_behind_edge_seconds", "Media listed and not fetched yet.", &stream, behind);
    let changes = source.variant_changes as f64;
    to.counter("overdub_source_variant_changes_total", "Other variants that stood in.", &stream, changes);
    let help = "Numberings that began anew.";
    to.counter("overdub_source_restarts_total", help, &stream, source.restarts as f64);
    let help = "Playlists older than what was seen already.";
    to.counter("overdub_source_lagging_reloads_total", help, &stream, source.lagging_reloads as f64);
    let help = "Times that the playlist's window ran past what was read.";
    to.counter("overdub_source_windows_missed_total", help, &stream, source.windows_missed as f64);
    if let Some(variant) = &source.variant {
        let labels = [("stream", id), ("variant", variant.as_str())];
        to.gauge("overdub_source_variant_info", "The variant that is read.", &labels, 1.0);
    }
    if let Some(ratio) = source.fetch_ratio {
        let help = "Time that the last segment took to fetch, against how long it plays.";
        to.gauge("overdub_source_fetch_ratio", help, &stream, ratio);
    }
    if let Some(age) = source.last_segment_age {
        to.gauge("overdub_source_last_segment_age_seconds", "Since the last segment.", &stream, age);
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::StreamOptions;
    use crate::histogram::Histogram;

    fn view(id: &str) -> StreamView {
        let options = StreamOptions {
            stream_id: Some(id.to_owned()),
            source_url: Some("http://h/a.m3u8?token=secret".to_owned()),
            srs_rtmp_url: Some(crate::config::OneOrMany::One("rtmp://h/live/secret-key".to_owned())),
            ..StreamOptions::default()
        };
        let mut status = StreamStatus::starting(&options.resolve().unwrap());
        status.stats.fallback_reasons.insert("late".to_owned(), 2);
        status.stats.histograms.processor_latency = Histogram::new(&[100, 1_000]);
        status.stats.histograms.processor_latency.record(Duration::from_millis(250));
        (status.modules.remuxer.padded_frames, status.modules.remuxer.fit_error_ms) = (3, Some(-5.5));
        status.modules.stream_publisher.outputs = vec![Output::default(), Output::default()];
        status.modules.stream_fetcher.variant = Some("1280x720".into());
        status.modules.stream_fetcher.fetch_ratio = Some(0.25);
        (status.stats.hold.active, status.stats.hold.seconds) = (true, 61.5);
        StreamView { status, memory: 40_000_000 }
    }

    #[test]
    fn samples_have_sound_names_and_help_and_no_secrets() {
        let text =
            text(&Service { process: Process::snapshot(), ..Service::default() }, &[view("a"), view("b")]);
        for line in [
            "overdub_streams{phase=\"fetching\"} 2",
            "overdub_fallbacks_total{reason=\"late\",stream=\"a\"} 2",
            "overdub_processor_latency_seconds_bucket{stream=\"b\",le=\"1\"} 1",
            "overdub_processor_latency_seconds_bucket{stream=\"b\",le=\"+Inf\"} 1",
            "overdub_processor_latency_seconds_sum{stream=\"b\"} 0.25",
            "overdub_output_connected{output=\"1\",stream=\"b\"} 0",
            "overdub_source_variant_info{variant=\"1280x720\",stream=\"a\"} 1",
            "overdub_source_fetch_ratio{stream=\"a\"} 0.25",
            "overdub_hold_active{stream=\"b\"} 1",
            "overdub_hold_seconds_total{stream=\"b\"} 61.5",
            "overdub_fit_padded_frames_total{stream=\"a\"} 3",
            "overdub_fit_error_seconds{stream=\"a\"} -0.0055",
            "overdub_stream_memory_bytes{stream=\"a\"} 40000000",
        ] {
            let sorted = |line: &str| {
                let mut parts: Vec<_> = line.split(['{', '}', ',']).map(str::to_owned).collect();
                parts.sort();
                parts
            };
            assert!(text.lines().any(|have| sorted(have) == sorted(line)), "{line}\n{text}");
        }
        assert!(!text.contains("secret"));
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(name.starts_with("overdub_") || name.starts_with("process_"), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(kind != "histogram" || name.ends_with("_seconds"), "{line}");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            let families = text.lines().filter(|line| *line == format!("# TYPE {name} {kind}")).count();
            assert_eq!(families, 1, "{name} is one family");
        }
    }
}
