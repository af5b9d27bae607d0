//! A disk that is full, and one that is read-only: artifacts stop, the stream goes on, and all is well by itself when
//! the disk is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::overdub::{Service, command};
use super::resume::{STREAM, published_more, settings, surroundings};
use super::tools::{Workdir, say, until};

/// The whole disk of the service.
const SIZE: u64 = 8 << 20;

/// The service with a small tmpfs of its own at its storage folder, in namespaces of its own: no privilege is
/// needed.
fn on_a_small_disk(dir: &Workdir) -> Command {
    let overdub = command();
    let overdub = overdub.as_std();
    let storage = dir.join("storage");
    std::fs::create_dir_all(&storage).expect("a folder");
    let mut small = Command::new("unshare");
    small.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    small.arg(format!("mount -t tmpfs -o size={SIZE} none \"$0\" && exec \"$@\"")).arg(storage);
    small.arg(overdub.get_program());
    small.envs(overdub.get_envs().filter_map(|(name, value)| Some((name, value?))));
    small.env("OVERDUB_STORAGE_MIN_FREE", "0").env("OVERDUB_RETAIN_BYTES", "3MB");
    small
}

/// The service's disk becomes read-only, or writable again. Refused while a file is being written.
async fn remount(service: &Service, storage: &Path, how: &str) {
    until(Duration::from_secs(10), how, async || {
        let mut remount = Command::new("nsenter");
        remount.args(["--user", "--mount", "--target", &service.id().to_string()]);
        remount.args(["mount", "-o", &format!("remount,{how}")]).arg(storage);
        let done = remount.output().await.expect("nsenter is missing: apt-get install util-linux");
        done.status.success().then_some(())
    })
    .await;
}

fn storage(status: &Value) -> Value {
    status["stats"]["storage"].clone()
}

fn alarm(on: bool) -> impl Fn(&Value) -> bool {
    move |status| storage(status)["alarm"] == on
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_or_read_only_disk_costs_artifacts_and_no_output_until_it_takes_them_again() {
    let dir = Workdir::new("full-disk");
    let (around, _stop) = surroundings().await;
    let service = Service::start_as(&dir, on_a_small_disk(&dir)).await;
    // The service's disk as only it sees it.
    let inside = dir.join("storage/filler");
    let filler = PathBuf::from(format!("/proc/{}/root{}", service.id(), inside.display()));
    std::fs::write(&filler, vec![0; SIZE as usize - (64 << 10)]).expect("room for the filler");

    assert_eq!(service.start_stream(settings(&around, "all")).await.status, 200);
    let status = service.reaches(STREAM, "alarm", Duration::from_secs(30), alarm(true)).await;
    assert!(storage(&status)["failed"].as_u64() > Some(0), "{status}");
    published_more(&around, 0, 8).await;
    let status = service.status(STREAM).await;
    assert_eq!(storage(&status)["alarm"], true, "the disk is full still: {status}");

    std::fs::remove_file(&filler).expect("the filler goes");
    service.reaches(STREAM, "no alarm", Duration::from_secs(30), alarm(false)).await;
    published_more(&around, 0, 16).await;

    let folder = dir.join("storage");
    remount(&service, &folder, "ro").await;
    service.reaches(STREAM, "alarm", Duration::from_secs(30), alarm(true)).await;
    until(Duration::from_secs(10), "the journals' alarm", async || {
        service.metrics().await.contains("\noverdub_journal_alarm 1\n").then_some(())
    })
    .await;
    remount(&service, &folder, "rw").await;
    let status = service.reaches(STREAM, "no alarm", Duration::from_secs(30), alarm(false)).await;
    published_more(&around, 0, 26).await;
    let reports = around.reports().all();
    assert_eq!(reports.len(), 1, "one publication without a break");
    assert_eq!(reports[0].violations, []);
    say(&format!(
        "full and read-only disk: {} files lost, {} written, output whole: {:.1} s, at most {} ms late",
        storage(&status)["failed"],
        storage(&status)["files"],
        reports[0].video.packets as f64 / 25.0,
        reports[0].latest.as_millis(),
    ));
    service.stop().await;
}
