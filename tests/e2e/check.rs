//! `overdub check`, with everything there and with nothing.

use std::time::Duration;

use super::overdub::command;
use super::resume::surroundings;
use super::tools::{Workdir, free_port, run};

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_is_there_and_what_to_do_about_the_rest() {
    let dir = Workdir::new("check");
    let (around, _stop) = surroundings().await;
    let limit = Duration::from_secs(30);
    let mut all = command();
    all.args(["check", "--port", "0", "--storage"]).arg(dir.join("storage"));
    all.env("SOURCE_URL", around.source_url()).env("AUDIO_PROCESSOR_URL", around.processor_url());
    all.env("SRS_RTMP_URL", around.rtmp_url("x"));
    let found = run(&mut all, limit).await.success("everything is there");
    for what in ["configuration", "listen", "storage", "machine", "source", "processor", "output"] {
        assert!(found.stdout.contains(&format!("ok    {what}")), "{what}\n{}", found.stdout);
    }

    // The storage is a file, nobody listens, and the source is not there.
    std::fs::write(dir.join("taken"), "").expect("a file");
    let nobody = free_port();
    let mut nothing = command();
    nothing.args(["check", "--timeout", "2", "--port", "0", "--storage"]).arg(dir.join("taken"));
    nothing.env("SOURCE_URL", format!("{}?token=secret", around.source_url().replace("master", "nothing")));
    nothing.env("AUDIO_PROCESSOR_URL", format!("http://127.0.0.1:{nobody}"));
    // What answers there is HTTP.
    nothing.env("SRS_RTMP_URL", format!("{}/live", around.source_url().replace("http://", "rtmp://")));
    let found = run(&mut nothing, limit).await;
    assert_eq!(found.status.code(), Some(1), "{}{}", found.stdout, found.stderr);
    for what in ["storage", "source", "processor", "output"] {
        assert!(found.stdout.contains(&format!("FAIL  {what}")), "{what}\n{}", found.stdout);
    }
    assert!(!found.stdout.contains("secret") && !found.stderr.contains("secret"));

    let mut wrong = command();
    wrong.args(["check"]).env("PORT", "seventy");
    assert_eq!(run(&mut wrong, limit).await.status.code(), Some(2));

    // A file of variables in the working directory.
    std::fs::write(dir.join(".env"), "PORT=seventy\n").expect("a file");
    let mut from_file = command();
    from_file.arg("check").current_dir(dir.join("."));
    assert_eq!(run(&mut from_file, limit).await.status.code(), Some(2));
}
