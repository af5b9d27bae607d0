//! Each stage's own report, by the names of the status.

use super::trouble;
use crate::media::Moment;
use crate::outside::Text;
use crate::status::{Fetcher, Output, Processor};
use crate::{hls, publish, roundtrip, srs};

pub(super) fn fetcher(source: &hls::Status, age: Option<f64>, ended: bool, failed: bool) -> Fetcher {
    let state = match source.kind {
        _ if ended => "ended",
        _ if failed => "failed",
        None => "connecting",
        Some(_) if source.stalled_since.is_some() => "stalled",
        Some(hls::SourceKind::Live) => "live",
        Some(hls::SourceKind::Vod) => "vod",
    };
    Fetcher {
        state: state.to_owned(),
        media_sequence: source.last_media_sequence,
        target_duration: source.target_duration.map(|target| target.as_secs_f64()),
        variant: source.variant.clone(),
        audio_rendition: source.audio_rendition.clone(),
        variant_changes: source.variant_changes,
        behind_edge: source.lag.as_secs_f64(),
        audio_behind_edge: source.audio_lag.map(|lag| lag.as_secs_f64()),
        fetch_ratio: source.fetch_ratio,
        segments: source.segments,
        bytes: source.bytes,
        retries: source.retries,
        gaps: source.gaps,
        gaps_marked: source.gaps_marked,
        gap_seconds: source.gap_duration.as_secs_f64(),
        discontinuities: source.discontinuities,
        cues: source.cues,
        date_ranges: source.date_ranges,
        restarts: source.restarts,
        lagging_reloads: source.lagging_reloads,
        windows_missed: source.windows_missed,
        dates_astray: source.dates_astray,
        discontinuities_inferred: source.discontinuities_inferred,
        last_segment_age: age,
        last_error: source.last_error.clone(),
    }
}

/// `away` is what to say while there is no connection.
pub(super) fn processor(status: &roundtrip::Status, away: Option<Text>) -> Processor {
    let millis = |seconds: f64| seconds * 1e3;
    Processor {
        url: status.url.clone(),
        connected: status.connected,
        in_flight: status.in_flight as u64,
        queued: status.queued as u64,
        sent: status.sent,
        answered: status.processed,
        errors: status.fallbacks_total(),
        late: status.late_answers,
        resent: status.resent,
        retried: status.retried,
        duplicates: status.duplicates,
        unknown_ids: status.unknown_ids,
        bad_messages: status.bad_messages,
        max_payload: status.max_payload.map(|bytes| bytes as u64),
        processor_status: status.processor_status.clone(),
        reconnects: status.connections.saturating_sub(1),
        closed: status.closed.clone(),
        breaker_open: status.breaker != roundtrip::BreakerState::Closed,
        last_latency_ms: status.latency.last.map(millis),
        avg_latency_ms: status.latency.p50.map(millis),
        max_latency_ms: status.latency.max.map(millis),
        budget_needed: status.budget_needed,
        last_error: away.or_else(|| status.last_error.clone()),
    }
}

pub(super) fn output(status: &publish::Status, srs: Option<srs::Status>, now: Moment) -> Output {
    let state = match status.state {
        publish::State::Connecting => "connecting",
        publish::State::Ready => "ready",
        publish::State::Publishing => "publishing",
        publish::State::Waiting => "waiting",
        publish::State::Ended => "ended",
    };
    let last_error = match (&status.last_error, status.retry_at) {
        (Some(error), Some(at)) => Some(trouble::retried(error, at, now)),
        (error, _) => error.clone(),
    };
    Output {
        url: status.url.clone(),
        state: state.to_owned(),
        connected: status.is_connected(),
        bytes: status.bytes_sent,
        published_seconds: status.position.unwrap_or_default().to_secs_f64(),
        reconnects: status.reconnects,
        dropped: status.packets_dropped,
        lateness_ms: status.lateness.last.as_secs_f64() * 1e3,
        srs,
        last_error,
        lateness: status.late.clone(),
    }
}
