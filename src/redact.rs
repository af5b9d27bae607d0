//! URLs as they may appear in logs, status and errors: without what opens a door.

use std::borrow::Cow;
use std::ops::ControlFlow;

/// What stands where a secret was. No address and no setting that holds it is taken for a real one.
pub const HIDDEN: &str = "…";

/// `url` without user, password, query and fragment: tokens live there.
pub fn url(url: &str) -> String {
    match url::Url::parse(url) {
        // The resource itself is in it, and that may be a key (RFC 2397).
        Ok(parsed) if parsed.scheme() == "data" => format!("data:{HIDDEN}"),
        Ok(mut parsed) => {
            // Both fail only for URLs that cannot have a user, and then there is none to hide.
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            let had_query = parsed.query().is_some();
            parsed.set_query(None);
            parsed.set_fragment(None);
            if had_query { format!("{parsed}?{HIDDEN}") } else { parsed.to_string() }
        }
        Err(_) => "(not a URL)".to_owned(),
    }
}

/// An RTMP address without user, password and query and with its stream key shortened; of any other address, the last
/// path component.
pub fn rtmp_url(rtmp: &str) -> String {
    if let Ok(target) = overdub_rtmp::Target::parse(rtmp) {
        return target.redacted();
    }
    let shown = url(rtmp);
    let shown = shown.strip_suffix(HIDDEN).and_then(|shown| shown.strip_suffix('?')).unwrap_or(&shown);
    match shown.rsplit_once('/') {
        Some((app, key)) if app.contains("://") && !app.ends_with(":/") => {
            let head: String = key.chars().take(2).collect();
            format!("{app}/{head}{HIDDEN}")
        }
        _ => shown.to_owned(),
    }
}

/// An address in a text that is longer is not looked into: nothing of it is worth showing.
const MAX_PARSED: usize = 16 << 10;

/// `text` with every address in it as [`url()`] or [`rtmp_url`] shows it, for texts of others: errors of
/// libraries, answers of servers.
pub fn text(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let _ = pieces(text, |piece| {
        shown += piece;
        ControlFlow::Continue(())
    });
    Cow::Owned(shown)
}

/// Gives what [`text()`] would return to `take`, piece by piece, until that breaks off. No piece is a part of an address
/// that was not redacted.
pub fn pieces(text: &str, mut take: impl FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let scheme_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let begin = rest[..at].trim_end_matches(scheme_char).len();
        let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>\\".contains(c);
        let end = rest[at..].find(ends).map_or(rest.len(), |length| at + length);
        // What ends the sentence rather than the address.
        let address = rest[begin..end].trim_end_matches([',', '.', ';', ':', ')', ']', '!', '?']);
        take(&rest[..begin])?;
        if address.len() > MAX_PARSED {
            take("(a very long address)")?;
        } else if address.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("rtmp")) {
            take(&rtmp_url(address))?;
        } else if address.contains(['@', '?', '#']) || url::Url::parse(address).is_err() {
            take(&url(address))?;
        } else {
            // Nothing to hide: it stays as it was written.
            take(address)?;
        }
        rest = &rest[begin + address.len()..];
    }
    take(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_texts_are_redacted_and_the_rest_is_kept() {
        for (given, shown) in [
            ("nothing here", "nothing here"),
            ("GET https://u:p@h/a?t=1: refused", "GET https://h/a?…: refused"),
            ("(http://h/a?t=1), rtmp://h/live/secret.", "(http://h/a?…), rtmp://h/live/se…."),
            ("url: \"http://h/a\" \"http://h/b?c\"", "url: \"http://h/a\" \"http://h/b?…\""),
            ("http://h/a?… again", "http://h/a?… again"),
            ("rtmp://h/live/se… again", "rtmp://h/live/se… again"),
            ("a :// b", "a (not a URL) b"),
            ("://", "(not a URL)"),
            ("http://h/%zz://x?y", "http://h/%zz://x?…"),
            ("at http://h refused, HTTP://H:80/a b", "at http://h refused, HTTP://H:80/a b"),
            ("RTMP://h/live/secret", "rtmp://h/live/se…"),
        ] {
            assert_eq!(text(given), shown);
        }
    }

    #[test]
    fn nothing_secret_is_left() {
        assert_eq!(url("https://u:p@h/a/b.m3u8?token=1#x"), "https://h/a/b.m3u8?…");
        assert_eq!(url("http://h/a.m3u8"), "http://h/a.m3u8");
        assert_eq!(rtmp_url("rtmp://h:1935/live/secret?k=v"), "rtmp://h:1935/live/se…");
        assert_eq!(rtmp_url("rtmp://u:p@h/live/k"), "rtmp://h/live/k…");
        assert_eq!(rtmp_url("rtmp://u:p@h/live-bvc/?streamname=x&key=y"), "rtmp://h/live-bvc/…");
        assert_eq!(rtmp_url("rtmp://h/secret"), "rtmp://h/se…");
        assert_eq!(rtmp_url("rtmp://h/live//secret/more"), "rtmp://h/live/se…");
        assert_eq!(rtmp_url("rtmp://h/live?vhost=x/secret"), "rtmp://h/live/se…");
        assert_eq!(rtmp_url("rtmp://h/live/{se}`中文"), "rtmp://h/live/{s…");
        assert_eq!(rtmp_url("http://h/live/{stream}.m3u8?k=v"), "http://h/live/%7…");
        assert_eq!(url("garbage"), "(not a URL)");
        assert_eq!(url("data:;base64,AAECAwQFBgcICQoLDA0ODw=="), "data:…");
    }
}
