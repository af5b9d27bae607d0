//! Which hosts a source may lead us to. Pure.
//!
//! The rule: **whoever names an address may lead us only to hosts that are no nearer to us than itself.** The
//! source's own URL is given by the user and may be anywhere. What its playlists and redirects name may be as
//! far away as they like, but not nearer: a playlist from the public internet never makes us ask a machine of
//! the local network, one from the local network never makes us ask this machine. The way counts as its
//! farthest host: a local master playlist that lists a public media playlist has lost its nearness for what
//! that one lists. An allow list of names and networks goes before the rule.
//!
//! It is applied to addresses, after names were resolved, and those addresses are the ones connected to: a
//! name that resolves differently the next time (rebinding) gains nothing.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// How far away an address is, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Loopback, or "this host" (0.0.0.0 and ::, which connect to it).
    Machine,
    /// Link-local: the same cable; cloud machines find their credentials at 169.254.169.254.
    Link,
    /// Private use, unique local, and the addresses that a provider shares behind its NAT.
    Private,
    Public,
}

impl Reach {
    pub(super) const ALL: [Self; 4] = [Self::Machine, Self::Link, Self::Private, Self::Public];

    /// How far away `address` is; none where no server can be: multicast, documentation, reserved.
    ///
    /// The special-purpose registries of IANA (RFC 6890), with IPv4 addresses inside of IPv6 ones taken for
    /// what they are.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "on this machine",
            Self::Link => "on this link",
            Self::Private => "in a private network",
            Self::Public => "in the public internet",
        })
    }
}

fn of_v4(address: Ipv4Addr) -> Option<Reach> {
    match address.octets() {
        [0, 0, 0, 0] | [127, ..] => Some(Reach::Machine),
        // "This network" (RFC 791).
        [0, ..] => None,
        [169, 254, ..] => Some(Reach::Link),
        // RFC 1918, and the shared addresses of RFC 6598.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Reach::Private),
        // Protocol assignments (RFC 6890), documentation (RFC 5737), the 6to4 relay anycast that was withdrawn
        // (RFC 7526), benchmarks (RFC 2544).
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => {
            None
        }
        // Multicast (RFC 5771), reserved (RFC 1112), broadcast.
        [224..=255, ..] => None,
        _ => Some(Reach::Public),
    }
}

fn of_v6(address: Ipv6Addr) -> Option<Reach> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0] if g == 0 && h <= 1 => Some(Reach::Machine),
        // IPv4-compatible (RFC 4291 2.5.5.1), IPv4-mapped (2.5.5.2), IPv4-translated (RFC 2765 2.1).
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] => embedded(g, h),
        // NAT64 (RFC 6052 2.1).
        [0x64, 0xff9b, 0, 0, 0, 0] => embedded(g, h),
        // NAT64 with a prefix of the operator's choice (RFC 8215): where the IPv4 address stands is not known,
        // so it may be any.
        [0x64, 0xff9b, 1, ..] => Some(Reach::Machine),
        // 6to4 (RFC 3056 2).
        [0x2002, ..] => embedded(b, c),
        // Teredo (RFC 4380 4): the client's IPv4 address, inverted.
        [0x2001, 0, ..] => embedded(!g, !h),
        // Discard (RFC 6666), benchmarks (RFC 5180), ORCHID (RFC 4843, 7343), documentation (RFC 3849, 9637),
        // SRv6 SIDs (RFC 9602).
        [0x100, 0, 0, 0, ..]
        | [0x2001, 2, 0, ..]
        | [0x2001, 0x10..=0x2f, ..]
        | [0x2001, 0xdb8, ..]
        | [0x3fff, 0..=0xfff, ..]
        | [0x5f00, ..] => None,
        // Link-local; an ISATAP interface (RFC 5214 6.1) is one of these as well.
        [0xfe80..=0xfebf, ..] => Some(Reach::Link),
        // Unique local (RFC 4193), site-local as long as somebody uses it (RFC 3879).
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Reach::Private),
        // Only 2000::/3 has been given out (RFC 4291 2.4); multicast is beyond as well.
        [0x2000..=0x3fff, ..] => Some(Reach::Public),
        _ => None,
    }
}

/// One entry of the allow list: where a source may lead us although the rule says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// A host by its name, wherever it resolves to.
    Name(String),
    /// All hosts below a name: `*.example.com`. Not the name itself.
    Below(String),
    /// A network, or one address.
    Network(IpNet),
}

/// The text is neither a host name, nor `*.` and a name, nor an address, nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a host name (cdn.example), all below one (*.cdn.example), an address or a network (10.1.0.0/16)"
)]
pub struct InvalidAllowed;

impl FromStr for Allowed {
    type Err = InvalidAllowed;

    fn from_str(text: &str) -> Result<Self, InvalidAllowed> {
        let text = text.trim();
        let literal = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(network) = literal.parse::<IpNet>() {
            return Ok(Self::Network(network.trunc()));
        }
        if let Ok(address) = literal.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        // As the URL parser writes hosts, so that they compare equal. What it takes for an IPv4 address
        // ("127.1") is no name.
        match url::Host::parse(name.trim_end_matches('.')) {
            Ok(url::Host::Domain(name)) if !name.contains('*') => {
                Ok(if below { Self::Below(name) } else { Self::Name(name) })
            }
            _ => Err(InvalidAllowed),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Network(network) => write!(f, "{network}"),
        }
    }
}

/// Why a host is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nearer than what led there.
    #[error("the host is {nearer}, and what led there is {from}; sourceAllowedHosts can allow it")]
    Nearer { nearer: Reach, from: Reach },
    /// An address that no server has.
    #[error("the host's address is for multicast, documentation or otherwise reserved")]
    NoServer,
}

/// What may be asked.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub allowed: Vec<Allowed>,
}

impl Policy {
    /// Whether `host` is allowed by its name alone.
    pub fn allows_name(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.allowed.iter().any(|allowed| match allowed {
            Allowed::Name(name) => *name == host,
            Allowed::Below(name) => {
                host.strip_suffix(name.as_str()).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
            }
            Allowed::Network(_) => false,
        })
    }

    /// Whether `address` may be asked on the word of something that is `from` away; how far away it is then.
    ///
    /// # Errors
    ///
    /// Why not, without the address: it may be what a prober wants to learn.
    pub fn check(&self, from: Reach, address: IpAddr) -> Result<Reach, Refused> {
        // A network in the list may be written as IPv4 and met as IPv6.
        let canonical = address.to_canonical();
        let listed = self.allowed.iter().any(|allowed| match allowed {
            Allowed::Network(network) => network.contains(&address) || network.contains(&canonical),
            _ => false,
        });
        match Reach::of(address) {
            reach if listed => Ok(reach.unwrap_or(Reach::Public)),
            None => Err(Refused::NoServer),
            Some(nearer) if nearer < from => Err(Refused::Nearer { nearer, from }),
            Some(reach) => Ok(reach),
        }
    }
}
