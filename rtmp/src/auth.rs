//! Challenges before `connect` is answered: `authmod=adobe` (Flash Media Server, Wowza, Akamai) and `authmod=llnw`
//! (Limelight). Neither was ever documented; the computations are those of librtmp and gortmplib.
//!
//! A server refuses `connect` twice. The first refusal names the scheme, and the client connects again with
//! `?authmod=..&user=..` behind the application. The second brings what is to be hashed together with the password,
//! and the client connects with the hash.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::target::Credentials;

/// What a user name may not bring into a query as it is.
const RESERVED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'%').add(b'&').add(b'=').add(b'+').add(b'?').add(b'#').add(b'/');

/// The application instance that Limelight's hash names where the address names none.
const DEFAULT_INSTANCE: &str = "/_definst_";

/// How a server asks for user and password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Adobe,
    Llnw,
}

/// What a server asks for before it answers `connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: Scheme,
    /// The parameters of the second refusal; `None` in the first, which only names the scheme.
    parameters: Option<Vec<(String, String)>>,
}

impl Challenge {
    /// Reads the description of a refusal; `None` where it asks for nothing, or says that user or password are wrong.
    ///
    /// First `[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : `, then
    /// `[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=..&salt=..&challenge=..&opaque=..`.
    pub(crate) fn parse(description: &str) -> Option<Self> {
        let (_, named) = description.split_once("authmod=")?;
        let end = named.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(named.len());
        let scheme = match named.get(..end)? {
            "adobe" => Scheme::Adobe,
            "llnw" => Scheme::Llnw,
            _ => return None,
        };
        let Some((_, query)) = named.split_once('?') else {
            return Some(Self { scheme, parameters: None });
        };
        let query = query.split([' ', ']', '\r', '\n']).next().unwrap_or_default();
        // A salt in Base64 ends with equals signs: only the first one divides.
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let parameters = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let challenge = Self { scheme, parameters: Some(parameters) };
        matches!(challenge.get("reason"), None | Some("needauth")).then_some(challenge)
    }

    /// Whether this one only names the scheme: the answer to it brings the next.
    pub fn is_first(&self) -> bool {
        self.parameters.is_none()
    }

    /// What goes into the query of the application (`app`) with the next `connect`. `random` is the client's part of
    /// what is hashed.
    pub fn answer(&self, credentials: &Credentials, app: &str, random: u32) -> String {
        let user = utf8_percent_encode(&credentials.user, RESERVED);
        let name = self.scheme.name();
        if self.parameters.is_none() {
            return format!("authmod={name}&user={user}");
        }
        let own = format!("{random:08x}");
        match self.scheme {
            Scheme::Adobe => {
                let opaque = self.get("opaque");
                let salt = self.get("salt").unwrap_or_default();
                let salted = md5_base64(&[&credentials.user, salt, &credentials.password]);
                let theirs = opaque.or(self.get("challenge")).unwrap_or_default();
                let response = md5_base64(&[&salted, theirs, &own]);
                let opaque = opaque.map(|opaque| format!("&opaque={opaque}")).unwrap_or_default();
                format!("authmod={name}&user={user}&challenge={own}&response={response}{opaque}")
            }
            // HTTP's digest (RFC 2617 3.2.2) with a method and a realm of RTMP's own.
            Scheme::Llnw => {
                const COUNT: &str = "00000001";
                let nonce = self.get("nonce").unwrap_or_default();
                let instance = if app.contains('/') { "" } else { DEFAULT_INSTANCE };
                let who = md5_hex(&[&credentials.user, ":live:", &credentials.password]);
                let what = md5_hex(&["publish:/", app, instance]);
                let response = md5_hex(&[&who, ":", nonce, ":", COUNT, ":", &own, ":auth:", &what]);
                format!(
                    "authmod={name}&user={user}&nonce={nonce}&cnonce={own}&nc={COUNT}&response={response}"
                )
            }
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let parameters = self.parameters.as_ref()?;
        parameters.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "authmod={}", self.scheme.name())
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Adobe => "adobe",
            Self::Llnw => "llnw",
        }
    }
}

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut hash = Md5::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn md5_base64(parts: &[&str]) -> String {
    BASE64_STANDARD.encode(md5(parts))
}

fn md5_hex(parts: &[&str]) -> String {
    md5(parts).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials { user: "field".to_owned(), password: "secret-0f1e".to_owned() }
    }

    #[test]
    fn a_refusal_names_the_scheme_first_and_brings_the_challenge_then() {
        for (description, first) in [
            ("[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ", true),
            ("code=403 need auth; authmod=adobe", true),
            (
                "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=u&salt=s==&challenge=c",
                false,
            ),
            ("[ code=403 need auth; authmod=llnw ]", true),
            ("[ authmod=llnw ] : ?reason=needauth&nonce=n", false),
        ] {
            let challenge = Challenge::parse(description).unwrap();
            assert_eq!(challenge.is_first(), first, "{description}");
            assert!(first || challenge.get("salt").is_none_or(|salt| salt == "s=="));
        }
        for description in [
            "",
            "no such application",
            "authmod=",
            "[ authmod=other ]",
            "[ authmod=adobe ] : ?reason=authfailed&opaque=x",
            "[ authmod=adobe ] : ?reason=nosuchuser",
        ] {
            assert_eq!(Challenge::parse(description), None, "{description}");
        }
    }

    /// The values were computed with Python's hashlib from the formulas in librtmp's rtmp.c.
    #[test]
    fn the_answers_are_those_of_librtmp() {
        let answer = |description: &str, app: &str| {
            Challenge::parse(description).unwrap().answer(&credentials(), app, 0xDEAD_BEEF)
        };
        assert_eq!(answer("authmod=adobe", "live"), "authmod=adobe&user=field");
        for (description, app, expected) in [
            (
                "authmod=adobe ] : ?reason=needauth&user=field&salt=a1b2c3&challenge=deadbeef&opaque=op4que",
                "live",
                "authmod=adobe&user=field&challenge=deadbeef&response=1F5OdEoWOZbEJfHNF/EzyQ==&opaque=op4que",
            ),
            (
                "authmod=adobe ] : ?reason=needauth&user=field&salt=c2FsdA==&challenge=0a0b",
                "live",
                "authmod=adobe&user=field&challenge=deadbeef&response=lcW3XZomMfAghKKpZVMOgw==",
            ),
            (
                "authmod=llnw ] : ?reason=needauth&nonce=n0nce",
                "live",
                "authmod=llnw&user=field&nonce=n0nce&cnonce=deadbeef&nc=00000001&response=890386f674a3fd17e0648f950c7abfc0",
            ),
            (
                "authmod=llnw ] : ?reason=needauth&nonce=n0nce",
                "live/inst",
                "authmod=llnw&user=field&nonce=n0nce&cnonce=deadbeef&nc=00000001&response=8ab481981e7358f7e13978b4819c4651",
            ),
        ] {
            assert_eq!(answer(description, app), expected);
        }
    }

    #[test]
    fn a_user_cannot_break_out_of_the_query() {
        let evil = Credentials { user: "a&b=c?d e".to_owned(), password: String::new() };
        let answer = Challenge::parse("authmod=adobe").unwrap().answer(&evil, "live", 0);
        assert_eq!(answer, "authmod=adobe&user=a%26b%3Dc%3Fd%20e");
    }
}
