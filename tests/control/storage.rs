//! Storage: sizes, cleaning, and that nothing outside the folder is reached.

use std::fs;
use std::path::Path;
use std::time::Duration;

use overdub::config::{Artifacts, Retention, StorageLimits};
use overdub::control::Setup;
use overdub::media::StreamId;
use overdub::storage::{Artifact, Disk, Layout, Numbers, Writer};
use serde_json::json;

use super::fake::{Api, Launched, assert_error};

/// Ten batches of 1000 bytes and ten segments of 100 bytes.
fn store(root: &Path, id: &str) -> Layout {
    let layout = Layout::new(root, StreamId::new(id).unwrap());
    fs::create_dir_all(layout.segments()).unwrap();
    for number in 0..10 {
        fs::write(layout.segment(number, "ts"), [0; 100]).unwrap();
        let file = layout.batch(number, Artifact::Output);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, [0; 1_000]).unwrap();
    }
    layout
}

/// The API over this disk, when it has been looked at.
async fn api(root: &Path) -> (Api, Disk) {
    let disk = Disk::new(root, StorageLimits::default());
    disk.keep_house();
    let api = Api::set_up(Launched::default(), Setup::new(disk.clone()));
    for _ in 0..200 {
        if disk.usage().values().any(|usage| usage.batches == 10) {
            return (api, disk);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the disk was not looked at");
}

#[tokio::test]
async fn sizes_are_told_of_all_streams_and_of_one() {
    let root = tempfile::tempdir().unwrap();
    store(root.path(), "a");
    store(root.path(), "b");
    let (api, _) = api(root.path()).await;
    let (status, all) = api.get("/api/storage/stats").await;
    assert_eq!(status, 200);
    assert_eq!((&all["totalSize"], &all["breakdown"][1]["streamId"]), (&json!(22_000), &json!("b")));
    let (_, one) = api.get("/api/storage/stats?streamId=b").await;
    assert_eq!((&one["originalStreamSize"], &one["processedFragmentsSize"]), (&json!(1_000), &json!(10_000)));
    assert_eq!((&one["oldestBatch"], &one["newestBatch"]), (&json!(0), &json!(9)));
    assert!(one["availableSpace"].as_u64() > Some(0));
    api.start("empty").await;
    let (status, empty) = api.get("/api/storage/stats?streamId=empty").await;
    assert_eq!((status.as_u16(), &empty["totalSize"], &empty["oldestBatch"]), (200, &json!(0), &json!(null)));
    for id in ["nobody", "..", "%2e%2e%2fa", "a%00"] {
        let answer = api.get(&format!("/api/storage/stats?streamId={id}")).await;
        assert_error(&answer, 404, Some("streamId"));
    }
    assert_error(&api.get("/api/storage/stats?stream=a").await, 400, None);
}

#[tokio::test]
async fn cleaning_removes_what_was_asked_for_and_nothing_that_is_needed() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (store(root.path(), "a"), store(root.path(), "b"));
    let (api, disk) = api(root.path()).await;
    // A stream that begins to write protects what it still needs: everything from its own numbers on.
    let (artifacts, retention) = (Artifacts::None, Retention::default());
    let writer = Writer::spawn(&disk, &Api::id("b"), artifacts, retention);
    writer.protect(Some(Numbers { segment: 8, batch: 7 }));

    let clean = async |body: &str| api.post("/api/storage/clean", body.to_owned()).await;
    let (status, done) = clean(r#"{"streamId":"a","keepLast":3}"#).await;
    assert_eq!((status.as_u16(), &done["success"]), (200, &json!(true)));
    assert!(done["deletedFiles"].as_u64() >= Some(7) && done["freedBytes"].as_u64() >= Some(7_000), "{done}");
    assert!(a.batch(7, Artifact::Output).exists() && !a.batch(6, Artifact::Output).exists());
    assert!(b.batch(0, Artifact::Output).exists(), "only what was named");

    let (_, done) = clean("{}").await;
    assert_eq!(done["success"], true);
    assert!(!a.batch(9, Artifact::Output).exists() && !a.segment(9, "ts").exists());
    assert!(b.batch(7, Artifact::Output).exists() && !b.batch(6, Artifact::Output).exists());
    assert!(b.segment(8, "ts").exists() && !b.segment(7, "ts").exists());
    let (_, again) = clean("").await;
    assert_eq!(again, json!({"success": true, "deletedFiles": 0, "freedBytes": 0}));
}

#[tokio::test]
async fn cleaning_refuses_what_it_cannot_mean() {
    let root = tempfile::tempdir().unwrap();
    let layout = store(root.path(), "a");
    let outside = root.path().parent().unwrap().join("outside");
    let (api, _) = api(root.path()).await;
    for (body, field) in [
        (json!({"streamId": "a", "keepLast": -1}), "keepLast"),
        (json!({"streamId": "a", "keepLast": 1.5}), "keepLast"),
        (json!({"streamId": "a", "keepLast": "all"}), "keepLast"),
        (json!({"streamId": ["a"]}), "streamId"),
        (json!({"stream": "a"}), "stream"),
    ] {
        assert_error(&api.post("/api/storage/clean", body.to_string()).await, 400, Some(field));
    }
    for id in ["nobody", "", "..", "../x", "%2e%2e", "/etc", "a/../a", "a\u{0}", outside.to_str().unwrap()] {
        let body = json!({"streamId": id}).to_string();
        assert_error(&api.post("/api/storage/clean", body).await, 404, Some("streamId"));
    }
    assert!(layout.segment(0, "ts").exists());
}
