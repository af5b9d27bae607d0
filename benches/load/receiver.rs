//! The RTMP server that checks, with its findings over HTTP.

use std::net::{Ipv4Addr, SocketAddr};

use axum::routing::get;
use axum::{Json, Router};
use overdub::clock::Clock;
use overdub::sink;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    port: u16,
    #[arg(long)]
    reports: u16,
}

/// One publication.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Received {
    pub key: String,
    /// DTS of the first and of the last picture, in milliseconds.
    pub first: Option<i64>,
    pub last: Option<i64>,
    pub pictures: u64,
    pub violations: u64,
    pub violation: Option<String>,
    /// How late tags came, in milliseconds after the earliest: median, 99th percentile, worst.
    pub late: [u64; 3],
    /// How far the output's clock has fallen behind ours, in milliseconds.
    pub drift: i64,
}

pub async fn run(args: Args) -> bool {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let settings = sink::Settings::default();
    let server = sink::Server::bind(at(args.port), settings, Clock::start()).await.expect("the port is free");
    let reports = server.reports();
    let router = Router::new().route("/", get(async move || Json(received(&reports))));
    let listener = tokio::net::TcpListener::bind(at(args.reports)).await.expect("the port is free");
    let served = axum::serve(listener, router).into_future();
    tokio::select! {
        served = served => served.is_ok(),
        () = server.run(CancellationToken::new()) => true,
    }
}

fn received(reports: &sink::Reports) -> Vec<Received> {
    let one = |report: sink::Report| {
        let late = |part| {
            let late = report.late.quantile(part).unwrap_or(report.latest).min(report.latest);
            (late + report.earliest).as_millis() as u64
        };
        Received {
            late: [late(0.5), late(0.99), late(1.0)],
            drift: report.drift_ms,
            first: report.video.first_ms,
            last: report.video.last_ms,
            pictures: report.video.packets,
            violations: report.violation_count,
            violation: report.violations.first().map(ToString::to_string),
            key: report.key,
        }
    };
    reports.all().into_iter().map(one).collect()
}
