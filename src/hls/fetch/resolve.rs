//! Names to addresses: the policy's gate, and a short memory in place of the TTL that the system's resolver
//! does not tell.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolving};

use crate::clock::Clock;
use crate::media::Moment;
use crate::policy::{Policy, Reach, Refused};

/// Connections are kept alive, so names are seldom asked for; when a CDN moves, a new connection notices soon.
const FRESH: Duration = Duration::from_secs(30);

/// While the resolver is away, the last answer is better than none: a live stream outlives a DNS outage.
const STALE: Duration = Duration::from_secs(3_600);

/// A source has a handful of hosts. One that invents names without end only empties the memory.
const MAX_NAMES: usize = 256;

/// One address of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Where the name says it is: what the policy judges.
    pub address: IpAddr,
    /// Where the connection goes: the same, but for tests, whose public hosts are on loopback.
    pub connect: IpAddr,
}

/// A resolver's answer, on its way.
pub type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<Resolved>>> + Send>>;

/// What turns names into addresses.
pub trait Resolver: fmt::Debug + Send + Sync {
    fn resolve(&self, name: &str) -> Answer;
}

/// The system's own resolver.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Resolver for System {
    fn resolve(&self, name: &str) -> Answer {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|at| Resolved { address: at.ip(), connect: at.ip() }).collect())
        })
    }
}

/// The names that one source has asked for.
#[derive(Debug)]
pub(super) struct Names {
    resolver: Arc<dyn Resolver>,
    clock: Clock,
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    found: Vec<Resolved>,
    at: Moment,
    /// The farthest that this name has ever been: an answer that mixes near and far counts as far.
    reach: Option<Reach>,
}

impl Names {
    pub(super) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, clock: Clock::start(), known: Mutex::default() }
    }

    async fn find(&self, name: &str) -> io::Result<Vec<Resolved>> {
        let known = self.known().get(name).cloned();
        let age = |known: &Known| self.clock.now().saturating_since(known.at);
        if let Some(known) = known.as_ref().filter(|known| age(known) < FRESH) {
            return Ok(known.found.clone());
        }
        match self.resolver.resolve(name).await {
            Ok(found) if !found.is_empty() => {
                let now_at = found.iter().filter_map(|one| Reach::of(one.address)).max();
                let reach = now_at.max(known.and_then(|known| known.reach));
                let mut names = self.known();
                if names.len() >= MAX_NAMES {
                    names.clear();
                }
                let entry = Known { found: found.clone(), at: self.clock.now(), reach };
                names.insert(name.to_owned(), entry);
                Ok(found)
            }
            failed => match known.filter(|known| age(known) < STALE) {
                Some(known) => Ok(known.found),
                None => failed.and_then(|_| Err(io::Error::other("the name has no address"))),
            },
        }
    }

    /// How far away a name is as far as it is known; what is not known is far.
    pub(super) fn reach(&self, name: &str) -> Reach {
        self.known().get(name).and_then(|known| known.reach).unwrap_or(Reach::Public)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        // Whoever panicked with it in hand cannot have left it half written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The resolver of the connections that are opened on the word of something `from` away.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) from: Reach,
    pub(super) names: Arc<Names>,
    pub(super) policy: Arc<Policy>,
    /// The proxies' own hosts: the user's choice, wherever they are.
    pub(super) proxies: Arc<[String]>,
}

impl Gate {
    async fn pass(self, name: String) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
        let found = self.names.find(&name).await?;
        let by_name = self.policy.allows_name(&name) || self.proxies.contains(&name);
        let mut refused = None;
        let mut passed = Vec::new();
        for one in found {
            match self.policy.check(self.from, one.address) {
                Err(reason) if !by_name => refused = refused.or(Some(reason)),
                _ => passed.push(SocketAddr::new(one.connect, 0)),
            }
        }
        match refused {
            Some(reason) if passed.is_empty() => Err(Box::new(reason) as Box<_>),
            _ => Ok(Box::new(passed.into_iter())),
        }
    }
}

impl reqwest::dns::Resolve for Gate {
    fn resolve(&self, name: Name) -> Resolving {
        let gate = self.clone();
        // A name at its end may have a dot; with or without it is the same host.
        let name = name.as_str().trim_end_matches('.').to_ascii_lowercase();
        Box::pin(gate.pass(name))
    }
}

/// The refusal of a [`Gate`] inside of what an HTTP client reports.
pub(super) fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<Refused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(*refused);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Public at first, on this machine from the second answer on; away after the third.
    #[derive(Debug, Default)]
    struct Rebinding {
        asked: AtomicU32,
    }

    impl Resolver for Rebinding {
        fn resolve(&self, _: &str) -> Answer {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                let address: IpAddr = match asked {
                    0 => [8, 8, 8, 8].into(),
                    1 | 2 => [127, 0, 0, 1].into(),
                    _ => return Err(io::Error::other("away")),
                };
                Ok(vec![Resolved { address, connect: address }])
            })
        }
    }

    fn gate(names: &Arc<Names>, from: Reach) -> Gate {
        let policy = Arc::new(Policy::default());
        Gate { from, names: names.clone(), policy, proxies: Arc::new([]) }
    }

    async fn passed(gate: Gate) -> Result<Vec<IpAddr>, Refused> {
        match gate.pass("h".to_owned()).await {
            Ok(addresses) => Ok(addresses.map(|address| address.ip()).collect()),
            Err(error) => Err(refusal(error.as_ref()).expect("a refusal")),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_moves_near_passes_the_gate_no_more_and_stays_far() {
        let names = Arc::new(Names::new(Arc::new(Rebinding::default())));
        let public: IpAddr = [8, 8, 8, 8].into();
        assert_eq!(passed(gate(&names, Reach::Public)).await, Ok(vec![public]));
        tokio::time::sleep(FRESH / 2).await;
        assert_eq!(passed(gate(&names, Reach::Public)).await, Ok(vec![public]), "remembered");
        tokio::time::sleep(FRESH).await;
        let refused = Refused::Nearer { nearer: Reach::Machine, from: Reach::Public };
        assert_eq!(passed(gate(&names, Reach::Public)).await, Err(refused));
        assert_eq!(names.reach("h"), Reach::Public);
        assert_eq!(names.reach("unknown"), Reach::Public);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_the_resolver_is_bridged_for_an_hour() {
        let rebinding = Rebinding { asked: AtomicU32::new(2) };
        let names = Arc::new(Names::new(Arc::new(rebinding)));
        let local: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(passed(gate(&names, Reach::Machine)).await, Ok(vec![local]));
        tokio::time::sleep(STALE / 2).await;
        assert_eq!(passed(gate(&names, Reach::Machine)).await, Ok(vec![local]));
        tokio::time::sleep(STALE).await;
        assert!(gate(&names, Reach::Machine).pass("h".to_owned()).await.is_err());
    }
}
