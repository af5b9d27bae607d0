//! `overdub echo`: the reference audio processor.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::Context;

use super::{print, signals};
use crate::config::Span;
use crate::echo::{Fault, Options, Rule, Server};

#[derive(clap::Args)]
pub(super) struct Args {
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// 0 takes a free one.
    #[arg(long, default_value_t = 5000)]
    port: u16,
    /// How long each answer takes; a range is drawn from: 100ms..2s.
    #[arg(long, default_value = "100ms", value_name = "TIME", value_parser = delay)]
    delay: RangeInclusive<Duration>,
    /// What goes wrong with every Nth fragment: fail:N[:CODE], drop:N, disconnect:N, late:N:TIME,
    /// duplicate:N, garbage:N, truncate:N, empty:N. May be repeated; the first that applies does.
    #[arg(long = "fault", value_name = "FAULT", value_parser = rule)]
    faults: Vec<Rule>,
    /// Answer in pairs, the second of a pair first.
    #[arg(long)]
    reorder: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let stop = signals::stop_on_signal()?;
    let address = SocketAddr::new(args.host, args.port);
    let options = Options { delay: args.delay, rules: args.faults, reorder: args.reorder };
    let server =
        Server::bind(address, options).await.with_context(|| format!("cannot listen on {address}"))?;
    print::line(&format!("echo processor on http://{}", server.local_addr()?));
    server.run(stop).await.context("the echo processor ended")
}

fn delay(text: &str) -> Result<RangeInclusive<Duration>, String> {
    let time = |text: &str| text.parse::<Span>().map(|span| span.0).map_err(|error| error.to_string());
    let (shortest, longest) = match text.split_once("..") {
        Some((shortest, longest)) => (time(shortest)?, time(longest)?),
        None => (time(text)?, time(text)?),
    };
    if longest < shortest {
        return Err("the range is upside down".to_owned());
    }
    Ok(shortest..=longest)
}

fn rule(text: &str) -> Result<Rule, String> {
    let mut parts = text.splitn(3, ':');
    let kind = parts.next().unwrap_or_default();
    let every = parts.next().and_then(|every| every.parse::<NonZeroU64>().ok());
    let every = every.ok_or("say which fragments: KIND:N, for every Nth")?;
    let fault = match (kind, parts.next()) {
        ("fail", code) => Fault::Fail { code: code.unwrap_or("PROCESSING_FAILED").to_owned() },
        ("late", Some(time)) => {
            let time: Span = time.parse().map_err(|error| format!("{error}"))?;
            Fault::Late(time.0)
        }
        ("late", None) => return Err("say how late: late:N:TIME".to_owned()),
        ("drop", None) => Fault::Drop,
        ("disconnect", None) => Fault::Disconnect,
        ("duplicate", None) => Fault::Duplicate,
        ("garbage", None) => Fault::Garbage,
        ("truncate", None) => Fault::Truncate,
        ("empty", None) => Fault::Empty,
        _ => {
            return Err(
                "is none of fail, drop, disconnect, late, duplicate, garbage, truncate, empty".to_owned()
            );
        }
    };
    Ok(Rule { every, fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_and_delays_are_read_or_refused() {
        let every = |n| NonZeroU64::new(n).unwrap();
        let late = Rule { every: every(3), fault: Fault::Late(Duration::from_secs(20)) };
        assert_eq!(rule("late:3:20s"), Ok(late));
        let fail = Rule { every: every(1), fault: Fault::Fail { code: "A:B".to_owned() } };
        assert_eq!(rule("fail:1:A:B"), Ok(fail));
        assert_eq!(rule("drop:2"), Ok(Rule { every: every(2), fault: Fault::Drop }));
        for bad in ["", "drop", "drop:0", "drop:x", "drop:1:x", "late:1", "late:1:soon", "explode:1"] {
            assert!(rule(bad).is_err(), "{bad:?}");
        }
        let ms = Duration::from_millis;
        assert_eq!(delay("100ms"), Ok(ms(100)..=ms(100)));
        assert_eq!(delay("100ms..2"), Ok(ms(100)..=ms(2_000)));
        for bad in ["", "..", "2..1", "x..1"] {
            assert!(delay(bad).is_err(), "{bad:?}");
        }
    }
}
