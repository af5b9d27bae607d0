//! A processor on an invented clock: the client and its window as they are, and in the place of the connection one
//! that does to each fragment what an echo would be told to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::link::{LinkEvent, Outgoing};
use super::wire::{Decoder, Event, Packet};
use super::{Outcome, Request, Settings, Status, client};
use crate::clock::Clock;
use crate::echo::{Fault, Options, alter};
use crate::media::Moment;
use crate::playout::Playout;

/// How long the connection is away when it is lost.
const AWAY: Duration = Duration::from_secs(1);

/// How the processor behaves.
pub(crate) struct Script {
    pub(crate) options: Options,
    /// The connection is lost this often. What was to be answered is answered over the next one.
    pub(crate) lost_every: Option<Duration>,
}

/// [`super::run`] with this processor at the other end.
pub(crate) async fn run(
    settings: Settings,
    clock: Clock,
    channels: (mpsc::Receiver<Request>, mpsc::Sender<Outcome>),
    status: watch::Sender<Status>,
    playout: watch::Receiver<Option<Playout>>,
    script: Script,
) {
    let (events, link_events) = mpsc::channel(2);
    let stop = CancellationToken::new();
    let processor = Processor { script, clock, fragments: 0, seed: 1, answers: BTreeMap::new(), held: None };
    tokio::select! {
        () = client::serve(&settings, clock, channels, link_events, status, playout, &stop) => {}
        () = processor.run(&events) => panic!("the client stopped listening"),
    }
}

struct Processor {
    script: Script,
    clock: Clock,
    /// Fragments so far.
    fragments: u64,
    seed: u64,
    /// What is said when; several things in their order.
    answers: BTreeMap<(Moment, u64), Event>,
    /// The first answer of a reordered pair.
    held: Option<Event>,
}

impl Processor {
    async fn run(mut self, events: &mpsc::Sender<LinkEvent>) {
        loop {
            let (outgoing, mut sent) = mpsc::channel(16);
            if events.send(LinkEvent::Connected { max_payload: None, outgoing }).await.is_err() {
                return;
            }
            let lost_at = self.script.lost_every.map(|every| self.clock.now() + every);
            loop {
                let due = self.answers.keys().next().map(|(at, _)| *at);
                let event = tokio::select! {
                    biased;
                    () = self.clock.sleep_until(lost_at.unwrap_or_default()), if lost_at.is_some() => break,
                    fragment = sent.recv() => {
                        if fragment.is_some_and(|fragment| self.fragment(fragment)) {
                            continue;
                        }
                        break;
                    }
                    () = self.clock.sleep_until(due.unwrap_or_default()), if due.is_some() => {
                        self.answers.pop_first().map(|(_, event)| event)
                    }
                };
                if let Some(event) = event
                    && events.send(LinkEvent::Event(event)).await.is_err()
                {
                    return;
                }
            }
            if events
                .send(LinkEvent::Disconnected {
                    error: "told to".into(),
                    too_big: false,
                    closed: None,
                    retry_at: self.clock.now() + AWAY,
                })
                .await
                .is_err()
            {
                return;
            }
            self.clock.sleep(AWAY).await;
        }
    }

    /// Plans the answer to a fragment; false: the connection is lost instead.
    fn fragment(&mut self, Outgoing { text, attachment }: Outgoing) -> bool {
        let mut decoder = Decoder::new("");
        assert_eq!(decoder.handle_text(&text), Ok(None), "an attachment follows");
        let packet = decoder.handle_binary(attachment.expect("the audio"));
        let Ok(Some(Packet::Event(Event { argument, mut attachments, .. }))) = packet else {
            panic!("a fragment: {packet:?}")
        };
        self.fragments += 1;
        let (random, place) = (self.random(), self.random());
        let options = &self.script.options;
        let mut delay = options.delay.at(place);
        let fault = options.rule(self.fragments, random).map(|rule| rule.fault.clone());
        if let Some(Fault::Late(by)) = &fault {
            delay += *by;
        }
        let id = json!({ "id": argument["fragment"]["id"] });
        let answers = match &fault {
            Some(Fault::Disconnect) => return false,
            Some(Fault::Drop) => return true,
            Some(Fault::Fail { code }) => {
                let argument = json!({ "fragment": id, "error": "told to fail", "code": code });
                return self.plan(delay, event("fragment:error", argument));
            }
            Some(Fault::Duplicate) => 2,
            _ => 1,
        };
        let mut data = attachments.remove(0);
        if let Some(fault) = &fault {
            data = alter::answer(fault, data).expect("a fragment that can be altered");
        }
        let argument = json!({ "fragment": id, "data": { "_placeholder": true, "num": 0 } });
        let answer = Event { attachments: vec![data], ..event("fragment:processed", argument) };
        if self.script.options.reorder {
            let Some(first) = self.held.take() else {
                self.held = Some(answer);
                return true;
            };
            self.plan(delay, answer);
            return self.plan(delay + Duration::from_millis(1), first);
        }
        (0..answers).all(|_| self.plan(delay, answer.clone()))
    }

    fn plan(&mut self, delay: Duration, event: Event) -> bool {
        let order = self.answers.len() as u64 + self.fragments * 1_000;
        self.answers.insert((self.clock.now() + delay, order), event);
        true
    }

    /// `0.0..1.0`, the same in each run (a linear congruential generator, Knuth's constants).
    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn event(name: &str, argument: Value) -> Event {
    Event { name: name.to_owned(), argument, attachments: Vec::new(), ack: None }
}
