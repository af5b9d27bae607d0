//! TCP connections to hosts by name. All addresses of a name are tried, in the order and at the pace of RFC 8305 (Happy
//! Eyeballs): one that drops packets costs a quarter of a second, not the connect timeout.
//!
//! - `race`: which address is tried when. Pure.
//! - the functions here: the shell around it.
//! - `bucket`: how many of something there may be in which time. Pure.
//! - `guarded`: a connection whose peer cannot make this side hold more than it should.
//!
//! The source's HTTP client has its own (hyper-util's): it races the two families, and divides its connect timeout
//! between the addresses of one.

pub mod bucket;
pub mod guarded;
mod race;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;

pub use bucket::Bucket;

use crate::clock::Clock;
use race::Race;

/// Connects to the first address of `host` that answers.
///
/// # Errors
///
/// The name has no address, or no address answered: the last error. There is no timeout here.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    first(resolve(host, port).await?, TcpStream::connect).await
}

/// The addresses of `host`, a name or an address without brackets, as the system's resolver sorts them.
///
/// # Errors
///
/// The name cannot be resolved.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // As DNS has names that are not ASCII (IDNA).
    let name = match url::Host::parse(host) {
        Ok(url::Host::Domain(name)) => name,
        _ => host.to_owned(),
    };
    Ok(tokio::net::lookup_host((name, port)).await?.collect())
}

/// What `open` makes of the first of `addresses` with which it succeeds.
///
/// # Errors
///
/// The last error of `open`, or that there is no address.
pub async fn first<T, F>(addresses: Vec<SocketAddr>, open: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let clock = Clock::start();
    let mut race = Race::new(addresses, clock.now());
    let mut running = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        while let Some(address) = race.start(clock.now()) {
            running.push(open(address));
        }
        if race.is_over() {
            return Err(last);
        }
        let wake = race.wake();
        tokio::select! {
            Some(opened) = running.next() => match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => {
                    last = error;
                    race.failed(clock.now());
                }
            },
            () = async { clock.sleep_until(wake.unwrap_or_default()).await }, if wake.is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::race::ATTEMPT_DELAY;
    use super::*;

    /// Ports tell what becomes of an attempt: 1 is never answered, 2 refused, anything else succeeds at once.
    async fn open(address: SocketAddr) -> io::Result<SocketAddr> {
        match address.port() {
            1 => pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(address),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_that_answers_wins_whatever_the_others_do() {
        let at = |family: u8, port: u16| match family {
            4 => SocketAddr::from(([192, 0, 2, 1], port)),
            _ => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], port)),
        };
        for (addresses, winner, delays) in [
            (vec![at(4, 3)], at(4, 3), 0),
            (vec![at(4, 1), at(4, 3)], at(4, 3), 1),
            (vec![at(6, 1), at(4, 3)], at(4, 3), 1),
            (vec![at(4, 1), at(6, 3)], at(6, 3), 1),
            (vec![at(6, 2), at(4, 3)], at(4, 3), 0),
            (vec![at(6, 1), at(6, 2), at(4, 1), at(4, 3)], at(4, 3), 2),
        ] {
            let clock = Clock::start();
            assert_eq!(first(addresses.clone(), open).await.unwrap(), winner, "{addresses:?}");
            let took = clock.now().since_start();
            assert!(
                took >= ATTEMPT_DELAY * delays && took < ATTEMPT_DELAY * delays + Duration::from_millis(50),
                "{addresses:?}: {took:?}"
            );
        }
        let refused = first(vec![at(4, 2), at(6, 2)], open).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(first(vec![], open).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn names_in_other_scripts_and_addresses_are_looked_up_as_dns_has_them() {
        assert_eq!(resolve("127.0.0.1", 7).await.unwrap(), [SocketAddr::from(([127, 0, 0, 1], 7))]);
        assert_eq!(resolve("::1", 7).await.unwrap(), ["[::1]:7".parse().unwrap()]);
        assert!(!resolve("LOCALHOST", 7).await.unwrap().is_empty());
    }
}
