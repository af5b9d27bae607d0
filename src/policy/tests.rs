use proptest::prelude::*;

use super::*;

fn reach(address: &str) -> Option<Reach> {
    Reach::of(address.parse().unwrap_or_else(|_| panic!("{address}")))
}

/// First and last of every range that is not public, and its public neighbours.
#[test]
fn every_range_is_known_to_its_edges() {
    use Reach::{Link, Machine, Private, Public};
    let cases: &[(Option<Reach>, &[&str])] = &[
        (Some(Machine), &["0.0.0.0", "127.0.0.0", "127.0.0.1", "127.255.255.255"]),
        (None, &["0.0.0.1", "0.255.255.255"]),
        (Some(Public), &["1.0.0.0", "9.255.255.255", "11.0.0.0", "126.255.255.255", "128.0.0.0"]),
        (Some(Private), &["10.0.0.0", "10.255.255.255"]),
        (Some(Private), &["100.64.0.0", "100.127.255.255"]),
        (Some(Public), &["100.63.255.255", "100.128.0.0"]),
        (Some(Link), &["169.254.0.0", "169.254.169.254", "169.254.255.255"]),
        (Some(Public), &["169.253.255.255", "169.255.0.0"]),
        (Some(Private), &["172.16.0.0", "172.31.255.255"]),
        (Some(Public), &["172.15.255.255", "172.32.0.0"]),
        (None, &["192.0.0.0", "192.0.0.255", "192.0.2.0", "192.0.2.255", "192.88.99.1"]),
        (Some(Public), &["192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0"]),
        (Some(Private), &["192.168.0.0", "192.168.255.255"]),
        (Some(Public), &["192.167.255.255", "192.169.0.0"]),
        (None, &["198.18.0.0", "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.7"]),
        (Some(Public), &["198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.114.0"]),
        (None, &["224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255"]),
        (Some(Public), &["223.255.255.255", "8.8.8.8"]),
        (Some(Machine), &["::", "::1"]),
        (Some(Machine), &["::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1", "::ffff:0.0.0.0"]),
        (Some(Private), &["::ffff:10.0.0.1", "::192.168.0.1", "::ffff:0:172.16.0.1"]),
        (Some(Link), &["::ffff:169.254.169.254"]),
        (Some(Public), &["::ffff:8.8.8.8"]),
        (None, &["::ffff:224.0.0.1", "::2"]),
        (Some(Machine), &["64:ff9b::127.0.0.1", "64:ff9b:1::1", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"]),
        (Some(Private), &["64:ff9b::10.0.0.1"]),
        (Some(Public), &["64:ff9b::8.8.8.8"]),
        (None, &["64:ff9b:2::1", "64:ff9b:0:1::1"]),
        (Some(Machine), &["2002:7f00:1::1"]),
        (Some(Private), &["2002:c0a8:101::1", "2002:0a00:1::"]),
        (Some(Public), &["2002:0808:0808::1"]),
        // Teredo: 127.0.0.1 and 8.8.8.8, inverted.
        (Some(Machine), &["2001:0:4136:e378:8000:63bf:80ff:fffe"]),
        (Some(Public), &["2001:0:4136:e378:8000:63bf:f7f7:f7f7"]),
        (None, &["100::", "100::ffff:ffff:ffff:ffff", "2001:2::1", "2001:10::1", "2001:2f:ffff::1"]),
        (None, &["2001:db8::1", "2001:db8:ffff::1", "3fff::1", "3fff:fff::1", "5f00::1"]),
        (Some(Public), &["2001:1::1", "2001:30::1", "2001:db7::1", "2001:db9::1", "3fff:1000::1"]),
        (Some(Link), &["fe80::1", "febf:ffff::1", "fe80::5efe:10.0.0.1"]),
        (Some(Private), &["fc00::1", "fdff::1", "fec0::1", "feff::1", "fd00:ec2::254"]),
        (None, &["ff00::1", "ff02::1", "fe00::1", "4000::1", "1000::1", "fbff::1"]),
        (Some(Public), &["2000::1", "2606:4700::1111", "3ffe::1"]),
    ];
    for (expected, addresses) in cases {
        for address in *addresses {
            assert_eq!(reach(address), *expected, "{address}");
        }
    }
}

#[test]
fn nobody_leads_us_nearer_than_he_is_himself() {
    let policy = Policy::default();
    let hosts = ["127.0.0.1", "169.254.169.254", "10.0.0.1", "8.8.8.8"];
    for (from, from_index) in Reach::ALL.into_iter().zip(0..) {
        for (host, index) in hosts.iter().zip(0..) {
            let answer = policy.check(from, host.parse().unwrap());
            assert_eq!(answer.is_ok(), index >= from_index, "{host} from {from:?}: {answer:?}");
            if let Ok(reach) = answer {
                assert_eq!(reach, Reach::ALL[index]);
            }
        }
        assert_eq!(policy.check(from, "224.0.0.1".parse().unwrap()), Err(Refused::NoServer));
    }
    let line = policy.check(Reach::Public, "10.0.0.1".parse().unwrap()).unwrap_err().to_string();
    assert!(
        line.starts_with("the host is in a private network, and what led there is in the public internet")
    );
}

fn policy(entries: &[&str]) -> Policy {
    Policy { allowed: entries.iter().map(|entry| entry.parse().expect("an entry")).collect() }
}

#[test]
fn the_allow_list_goes_before_the_rule() {
    let policy = policy(&["10.1.0.0/16", "fd00::/8", "192.168.1.7", "origin.corp", "*.cdn.corp"]);
    let allowed = |address: &str| policy.check(Reach::Public, address.parse().unwrap()).is_ok();
    for address in ["10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "fd12::1", "192.168.1.7"] {
        assert!(allowed(address), "{address}");
    }
    for address in ["10.0.255.255", "10.2.0.0", "fc00::1", "192.168.1.8", "127.0.0.1"] {
        assert!(!allowed(address), "{address}");
    }
    for name in ["origin.corp", "ORIGIN.corp", "origin.corp.", "a.cdn.corp", "a.b.cdn.corp"] {
        assert!(policy.allows_name(name), "{name}");
    }
    for name in ["corp", "x.origin.corp", "cdn.corp", ".cdn.corp", "evilcdn.corp", "10.1.0.1"] {
        assert!(!policy.allows_name(name), "{name}");
    }
}

#[test]
fn an_entry_is_a_name_or_a_network_and_nothing_else() {
    for (text, written) in [
        ("Origin.Example", "origin.example"),
        ("*.Example.", "*.example"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("[::1]", "::1/128"),
        (" localhost ", "localhost"),
    ] {
        assert_eq!(text.parse::<Allowed>().map(|entry| entry.to_string()), Ok(written.to_owned()), "{text}");
    }
    for text in ["", "*", "*.", "http://h/", "a b", "h/8", "10.0.0.0/33", "127.1", "h:80", "a.*.b"] {
        assert_eq!(text.parse::<Allowed>(), Err(InvalidAllowed), "{text}");
    }
}

proptest! {
    #[test]
    fn an_ipv4_address_is_as_near_in_any_ipv6_dress(bits: u32) {
        let plain = Reach::of(Ipv4Addr::from(bits).into());
        let bits = u128::from(bits);
        for dressed in [0xffff << 32 | bits, 0x64_ff9b << 96 | bits, 0x2002 << 112 | bits << 80] {
            prop_assert_eq!(Reach::of(Ipv6Addr::from(dressed).into()), plain);
        }
    }
}
