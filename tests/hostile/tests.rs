//! The attacks as tests: by family in their short form, one by one and in a table in the long one.

use std::time::Duration;

use crate::attack::{Attack, Cost, MOST_MEMORY, MOST_MEMORY_OF_ALL, MOST_MEMORY_OF_SEVERAL};
use crate::scene::{Log, Scene};
use crate::tools::long_form;
use crate::{control, playlists, processor, rtmp, streams};

/// How long attacks go on, in the short form and in the long one.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(10);
/// Attacks at once in the short form, but for those that run alone there too.
const AT_ONCE: usize = 6;

/// Those that cost most run alone, the others a few at once; of lateness and times nothing is judged here, beside other
/// tests.
async fn short(name: &str, log: Log, attacks: Vec<Attack>) {
    let mut scene = Scene::start(name, log).await;
    let mut faults = Vec::new();
    let (alone, others): (Vec<&Attack>, Vec<&Attack>) = attacks.iter().partition(|attack| attack.alone);
    for group in alone.chunks(1).chain(others.chunks(AT_ONCE)) {
        let cost = scene.suffer(group, SHORT).await;
        let most = (MOST_MEMORY * group.len() as f64).min(MOST_MEMORY_OF_SEVERAL);
        faults.extend(told(&cost, cost.faults(most, false)));
    }
    scene.end().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Prints what an attack cost, and what was wrong.
fn told(cost: &Cost, faults: Vec<String>) -> Vec<String> {
    eprintln!("{cost}{}", if faults.is_empty() { "" } else { "  FAILED" });
    faults
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_of_the_control_port_cost_neither_memory_nor_neighbours() {
    short("hostile-control", Log::Text, control::attacks()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn event_clients_that_do_not_read_get_no_backlog() {
    short("hostile-events", Log::Json, vec![control::deaf_event_clients()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_costs_its_own_stream_only() {
    short("hostile-processor", Log::Text, processor::attacks()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rtmp_server_costs_its_own_stream_only() {
    short("hostile-rtmp", Log::Json, rtmp::attacks()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_a_source_stay_short_and_harmless() {
    short("hostile-names", Log::Text, playlists::names()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn playlists_are_bounded_while_they_are_read() {
    short("hostile-playlists", Log::Text, playlists::numbers()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_streams_cost_by_their_bytes() {
    short("hostile-ts", Log::Text, streams::transport_streams()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tiny_audio_frames_cost_by_their_bytes() {
    short("hostile-audio", Log::Json, streams::audio()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tiny_samples_boxes_and_cues_cost_by_their_bytes() {
    short("hostile-mp4", Log::Text, streams::mp4()).await;
}

/// One of each kind.
#[tokio::test(flavor = "multi_thread")]
async fn all_at_once_stay_within_their_bound() {
    let mut scene = Scene::start("hostile-all", Log::Text).await;
    let (cost, faults) = all_at_once(&mut scene, 2 * SHORT, false).await;
    let faults = told(&cost, faults);
    scene.end().await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

async fn all_at_once(scene: &mut Scene, lasting: Duration, strict: bool) -> (Cost, Vec<String>) {
    let all = families();
    let worst: Vec<&Attack> = all.iter().filter(|attack| attack.alone).collect();
    let cost = scene.suffer(&worst, lasting).await;
    let faults = cost.faults(MOST_MEMORY_OF_ALL, strict);
    (cost, faults)
}

fn families() -> Vec<Attack> {
    let mut all = control::attacks();
    all.push(control::deaf_event_clients());
    for family in [
        processor::attacks(),
        rtmp::attacks(),
        playlists::names(),
        playlists::numbers(),
        streams::transport_streams(),
        streams::audio(),
        streams::mp4(),
    ] {
        all.extend(family);
    }
    all
}

/// Each alone, then the worst at once. `OVERDUB_ATTACK` runs those whose name has that text in it only,
/// `OVERDUB_ATTACK_SECONDS` says how long each goes on.
#[tokio::test(flavor = "multi_thread")]
async fn long_each_attack_for_itself_in_a_table() {
    if !long_form("each attack for itself") {
        return;
    }
    let variable = |name| std::env::var(name).ok();
    let wanted = variable("OVERDUB_ATTACK").unwrap_or_default();
    let seconds = variable("OVERDUB_ATTACK_SECONDS").and_then(|text| text.parse().ok());
    let lasting = seconds.map_or(LONG, Duration::from_secs);
    let mut faults = Vec::new();
    let mut scene = None;
    eprintln!("{}", Cost::header());
    // What a busy machine does by itself.
    let mut all = vec![Attack::new("nothing", |target| async move {
        target.made_an_effort();
    })];
    all.extend(families());
    for (number, attack) in all.iter().filter(|attack| attack.name.contains(&wanted)).enumerate() {
        let log = if number.is_multiple_of(2) { Log::Text } else { Log::Json };
        let mut here = match scene.take() {
            Some(scene) => scene,
            None => Scene::start("attack", log).await,
        };
        let cost = here.suffer(&[attack], lasting).await;
        let found = told(&cost, cost.faults(MOST_MEMORY, true));
        cost.said.iter().chain(&found).for_each(|line| eprintln!("    {line}"));
        // What one attack has left behind is not laid at another's door.
        match found.is_empty() {
            true => scene = Some(here),
            false => here.end().await,
        }
        faults.extend(found);
    }
    if let Some(scene) = scene {
        scene.end().await;
    }
    if wanted.is_empty() {
        let mut scene = Scene::start("attack", Log::Text).await;
        let (cost, found) = all_at_once(&mut scene, 3 * lasting, true).await;
        faults.extend(told(&cost, found));
        scene.end().await;
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
