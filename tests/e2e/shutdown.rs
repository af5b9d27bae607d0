//! SIGTERM ends the service in good order; a second one at once.

use std::path::Path;
use std::time::Duration;

use super::overdub::Service;
use super::resume::{STREAM, published_more, settings, surroundings};
use super::tools::{Workdir, now, say};

/// What lies below `folder` under a name that is not final.
fn unfinished(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(unfinished(&path));
        } else if path.extension().is_some_and(|extension| extension == "tmp") {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_service_in_good_order_and_a_second_one_at_once() {
    let dir = Workdir::new("shutdown");
    let (around, _stop) = surroundings().await;
    let mut service = Service::start(&dir).await;
    assert_eq!(service.start_stream(settings(&around, "all")).await.status, 200);
    published_more(&around, 0, 3).await;
    service.terminate();
    let asked = now();
    assert_eq!(service.ends(Duration::from_secs(15)).await, Some(0));
    let took = asked.elapsed();
    let report = around.reports().latest(STREAM).expect("a publication");
    assert!(report.ended, "the publisher said goodbye");
    assert_eq!(report.violations, []);
    assert_eq!(unfinished(&dir.join("storage")), Vec::<String>::new());

    let mut service = Service::start(&dir).await;
    published_more(&around, 1, 1).await;
    service.terminate();
    tokio::time::sleep(Duration::from_millis(200)).await;
    service.terminate();
    let asked = now();
    // 128 and the number of SIGINT, as a shell says it.
    assert_eq!(service.ends(Duration::from_secs(15)).await, Some(130));
    assert!(asked.elapsed() < Duration::from_secs(1), "at once");
    say(&format!("SIGTERM: the service ended in {:.1} s, the publisher properly", took.as_secs_f64()));
}
