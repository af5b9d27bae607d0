//! How the next connection is opened, after what the servers said to the ones before. Pure.
//!
//! A server may send publishers elsewhere, ask for user and password, or close at a `connect` with the fields of
//! Enhanced RTMP. Each is followed by another connection at once; everything else is a failure, which is retried after
//! a pause from the beginning.

use overdub_rtmp::{self as rtmp, ClientState, Connect, Target};

use super::Error;
use crate::outside::{self, Text};
use crate::policy::Reach;

/// Redirects that are followed in a row. Load balancers take one or two.
const MAX_REDIRECTS: usize = 5;

/// Challenges of one server that are answered: one names the scheme, the second brings what is to be hashed, and some
/// servers bring that anew once.
const MAX_CHALLENGES: u32 = 3;

/// Where a connection goes and how it introduces itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Way {
    pub(super) target: Target,
    pub(super) how: Connect,
    /// How far away the farthest server is that led here; `None` for the user's own address.
    pub(super) from: Option<Reach>,
}

/// A connection that did not come to publishing.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// How far the session was.
    pub(super) state: ClientState,
    /// How far away the server is, where one was reached.
    pub(super) reach: Option<Reach>,
}

/// What an output keeps of its server's habits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Learned {
    fields: Fields,
    /// A refusal in words was tried without the fields too, and was the same.
    in_words: bool,
    /// It does not answer pings.
    pub(super) mute: bool,
}

/// What the server makes of Enhanced RTMP's fields in `connect`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fields {
    #[default]
    Unknown,
    Taken,
    /// It answers only without them.
    Refused,
    /// It was silent at the last `connect` with them: the next one does without.
    Doubtful,
}

/// The connections of one attempt.
#[derive(Debug)]
pub(super) struct Approach {
    way: Way,
    /// The tcUrls of this attempt, in order.
    visited: Vec<String>,
    challenges: u32,
}

impl Approach {
    /// Begins at the user's own address.
    pub(super) fn new(target: Target, learned: &mut Learned) -> Self {
        let plain = matches!(learned.fields, Fields::Refused | Fields::Doubtful);
        if learned.fields == Fields::Doubtful {
            learned.fields = Fields::Unknown;
        }
        let way = Way { target, how: Connect { plain, authentication: None }, from: None };
        Self { visited: vec![way.target.tc_url()], way, challenges: 0 }
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    /// The connection publishes.
    pub(super) fn arrived(&self, learned: &mut Learned) {
        learned.fields = if self.way.how.plain { Fields::Refused } else { Fields::Taken };
    }

    /// Begins where a server that is `reach` away asks its publisher to connect to, which may be where it is.
    pub(super) fn begin_at(&mut self, to: &str, reach: Reach) -> Result<(), Error> {
        self.visited.clear();
        self.redirected(to, reach)
    }

    /// Goes where a server that is `reach` away leads. A tcUrl that was there before ends the way.
    fn redirected(&mut self, to: &str, reach: Reach) -> Result<(), Error> {
        outside::check_address(to).map_err(Error::RedirectTooLong)?;
        let target = self.way.target.moved(to).map_err(Error::Redirect)?;
        let tc_url = target.tc_url();
        if self.visited.contains(&tc_url) || self.visited.len() > MAX_REDIRECTS {
            return Err(Error::RedirectedInCircles);
        }
        tracing::info!(to = %Text::new(&target.redacted()), "redirected by the rtmp server");
        self.visited.push(tc_url);
        self.challenges = 0;
        self.way.how.authentication = None;
        // The whole way counts as its farthest host.
        self.way.from = self.way.from.max(Some(reach));
        self.way.target = target;
        Ok(())
    }

    /// Prepares the next connection after a failed one; `random` is of use to an attacker if it can be guessed.
    ///
    /// # Errors
    ///
    /// The attempt has failed: why.
    pub(super) fn failed(
        &mut self,
        failure: Failure,
        learned: &mut Learned,
        random: u32,
    ) -> Result<(), Error> {
        let Failure { error, state, reach } = failure;
        match error {
            Error::Session(rtmp::Error::Redirected { to }) => {
                self.redirected(&to, reach.unwrap_or(Reach::Public))
            }
            Error::Session(rtmp::Error::Challenged(challenge)) => {
                let target = &self.way.target;
                let credentials =
                    target.credentials.as_ref().ok_or_else(|| Error::NoCredentials(challenge.clone()))?;
                if self.challenges == MAX_CHALLENGES {
                    return Err(Error::CredentialsRefused);
                }
                self.challenges += 1;
                self.way.how.authentication = Some(challenge.answer(credentials, target.app_name(), random));
                Ok(())
            }
            error if state == ClientState::Connecting => self.unanswered(error, learned),
            error => {
                if !matches!(state, ClientState::Handshaking) {
                    self.arrived(learned);
                }
                Err(error)
            }
        }
    }

    /// `connect` was not answered, or with a plain no.
    fn unanswered(&mut self, error: Error, learned: &mut Learned) -> Result<(), Error> {
        let in_words = matches!(error, Error::Session(rtmp::Error::Refused(_)));
        if self.way.how.plain {
            // It made no difference, or the server that refused the fields is away.
            learned.in_words |= in_words;
            return Err(error);
        }
        match error {
            // Waiting as long once more would not be "at once".
            Error::PublishTimeout { .. } if learned.fields == Fields::Unknown => {
                learned.fields = Fields::Doubtful;
                Err(error)
            }
            Error::PublishTimeout { .. } => Err(error),
            error if learned.fields == Fields::Taken || (in_words && learned.in_words) => Err(error),
            _ => {
                self.way.how.plain = true;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use overdub_rtmp::Refusal;

    use super::*;
    use crate::outside::Name;

    const URL: &str = "rtmp://me:secret@h/live/key";

    fn begin(learned: &mut Learned) -> Approach {
        Approach::new(Target::parse(URL).unwrap(), learned)
    }

    fn failure(error: Error, state: ClientState) -> Failure {
        Failure { error, state, reach: Some(Reach::Private) }
    }

    fn redirect(to: &str) -> Failure {
        let error = rtmp::Error::Redirected { to: to.to_owned() };
        failure(Error::Session(error), ClientState::Connecting)
    }

    fn no() -> Failure {
        let refusal =
            Refusal { code: "NetConnection.Connect.Rejected".to_owned(), description: String::new() };
        failure(Error::Session(rtmp::Error::Refused(refusal)), ClientState::Connecting)
    }

    fn closed() -> Failure {
        failure(Error::ClosedAtConnect, ClientState::Connecting)
    }

    fn silent() -> Failure {
        let after = std::time::Duration::ZERO;
        let error = Error::PublishTimeout { host: Name::default(), port: 1, after };
        failure(error, ClientState::Connecting)
    }

    #[test]
    fn redirects_are_followed_and_end_where_they_repeat_or_do_not_end() {
        let mut learned = Learned::default();
        let mut approach = begin(&mut learned);
        approach.failed(redirect("rtmp://a/live"), &mut learned, 0).unwrap();
        approach.failed(redirect("//b/other"), &mut learned, 0).unwrap();
        let way = approach.way();
        assert_eq!((&*way.target.tc_url(), &*way.target.key), ("rtmp://b/other", "key"));
        assert_eq!(way.from, Some(Reach::Private));
        for again in ["rtmp://a/live", "rtmp://h/live", "rtmp://b/other"] {
            let error = approach.failed(redirect(again), &mut learned, 0).unwrap_err();
            assert!(matches!(error, Error::RedirectedInCircles), "{again}: {error}");
        }
        let mut approach = begin(&mut learned);
        let followed = (0..100)
            .take_while(|n| approach.failed(redirect(&format!("rtmp://n{n}/live")), &mut learned, 0).is_ok());
        assert_eq!(followed.count(), MAX_REDIRECTS);
        let error = begin(&mut learned).failed(redirect("http://x/"), &mut learned, 0).unwrap_err();
        assert!(matches!(error, Error::Redirect(_)), "{error}");
    }

    #[test]
    fn the_way_counts_as_its_farthest_host() {
        let mut learned = Learned::default();
        let mut approach = begin(&mut learned);
        for (n, (reach, farthest)) in [
            (Reach::Private, Reach::Private),
            (Reach::Public, Reach::Public),
            (Reach::Machine, Reach::Public),
        ]
        .into_iter()
        .enumerate()
        {
            approach.redirected(&format!("rtmp://n{n}/live"), reach).unwrap();
            assert_eq!(approach.way().from, Some(farthest));
        }
    }

    #[test]
    fn a_server_may_ask_for_a_connection_to_itself() {
        for (to, tc_url) in
            [("/live", "rtmp://h/live"), ("rtmp://h/live", "rtmp://h/live"), ("//b/x", "rtmp://b/x")]
        {
            let mut approach = begin(&mut Learned::default());
            approach.begin_at(to, Reach::Link).unwrap();
            assert_eq!(
                (approach.way().target.tc_url(), approach.way().from),
                (tc_url.to_owned(), Some(Reach::Link))
            );
            assert!(
                approach.failed(redirect(tc_url), &mut Learned::default(), 0).is_err(),
                "a circle all the same"
            );
        }
    }

    #[test]
    fn challenges_are_answered_for_each_server_and_not_for_ever() {
        let mut learned = Learned::default();
        let mut approach = begin(&mut learned);
        // The session reads what a server sends; here it only has to come back.
        let challenge = |approach: &mut Approach, learned: &mut Learned| {
            let mut client = rtmp::Client::new(Target::parse(URL).unwrap(), "test").unwrap();
            let error = crate::publish::tests::refused(&mut client, "code=403 need auth; authmod=adobe");
            approach.failed(failure(Error::Session(error), ClientState::Connecting), learned, 7)
        };
        for _ in 0..MAX_CHALLENGES {
            challenge(&mut approach, &mut learned).unwrap();
            assert_eq!(approach.way().how.authentication.as_deref(), Some("authmod=adobe&user=me"));
        }
        let error = challenge(&mut approach, &mut learned).unwrap_err();
        assert!(matches!(error, Error::CredentialsRefused), "{error}");
        approach.failed(redirect("rtmp://other/live"), &mut learned, 0).unwrap();
        assert_eq!(approach.way().how.authentication, None);
        challenge(&mut approach, &mut learned).unwrap();

        let mut nobody = Approach::new(Target::parse("rtmp://h/live/key").unwrap(), &mut learned);
        let error = challenge(&mut nobody, &mut learned).unwrap_err();
        assert!(error.to_string().contains("authmod=adobe"), "{error}");
    }

    #[test]
    fn a_server_that_closes_at_the_fields_of_enhanced_rtmp_gets_none_from_then_on() {
        let mut learned = Learned::default();
        let mut approach = begin(&mut learned);
        assert!(!approach.way().how.plain);
        approach.failed(closed(), &mut learned, 0).unwrap();
        assert!(approach.way().how.plain);
        approach.arrived(&mut learned);
        assert!(begin(&mut learned).way().how.plain);
    }

    #[test]
    fn a_server_that_is_away_is_not_taken_for_an_old_one() {
        let mut learned = Learned::default();
        for _ in 0..3 {
            let mut approach = begin(&mut learned);
            assert!(!approach.way().how.plain);
            approach.failed(closed(), &mut learned, 0).unwrap();
            assert!(approach.failed(closed(), &mut learned, 0).is_err());
        }
        // It takes the fields, and closes for some other reason later.
        begin(&mut learned).arrived(&mut learned);
        assert!(begin(&mut learned).failed(closed(), &mut learned, 0).is_err());
    }

    #[test]
    fn a_refusal_in_words_is_tried_without_the_fields_once() {
        let mut learned = Learned::default();
        let mut approach = begin(&mut learned);
        approach.failed(no(), &mut learned, 0).unwrap();
        assert!(approach.way().how.plain);
        assert!(approach.failed(no(), &mut learned, 0).is_err());
        assert!(
            begin(&mut learned).failed(no(), &mut learned, 0).is_err(),
            "its hook was called twice already"
        );
    }

    #[test]
    fn after_silence_the_next_attempt_does_without_the_fields_and_the_one_after_has_them_again() {
        let mut learned = Learned::default();
        let mut plain = Vec::new();
        for _ in 0..4 {
            let mut approach = begin(&mut learned);
            plain.push(approach.way().how.plain);
            assert!(approach.failed(silent(), &mut learned, 0).is_err());
        }
        assert_eq!(plain, [false, true, false, true]);
    }

    #[test]
    fn what_fails_before_or_behind_connect_says_nothing_of_the_fields() {
        let mut learned = Learned::default();
        let error = || Error::Closed;
        assert!(
            begin(&mut learned).failed(failure(error(), ClientState::Handshaking), &mut learned, 0).is_err()
        );
        assert_eq!(learned, Learned::default());
        let state = ClientState::StartingPublish;
        assert!(begin(&mut learned).failed(failure(error(), state), &mut learned, 0).is_err());
        assert_eq!(learned.fields, Fields::Taken);
    }
}
