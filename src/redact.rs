//! URLs as they may appear in logs, status and errors: without what opens a door.

/// `url` without user, password, query and fragment: tokens live there.
pub fn url(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(mut parsed) => {
            // Both fail only for URLs that cannot have a user, and then there is none to hide.
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            let had_query = parsed.query().is_some();
            parsed.set_query(None);
            parsed.set_fragment(None);
            if had_query { format!("{parsed}?…") } else { parsed.to_string() }
        }
        Err(_) => "(not a URL)".to_owned(),
    }
}

/// An RTMP address without its query and with its last path component, the stream key, shortened.
pub fn rtmp_url(rtmp: &str) -> String {
    let shown = url(rtmp);
    let shown = shown.trim_end_matches("?…");
    match shown.rsplit_once('/') {
        Some((app, key)) if app.contains("://") && !app.ends_with(":/") => {
            let head: String = key.chars().take(2).collect();
            format!("{app}/{head}…")
        }
        _ => shown.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left() {
        assert_eq!(url("https://u:p@h/a/b.m3u8?token=1#x"), "https://h/a/b.m3u8?…");
        assert_eq!(url("http://h/a.m3u8"), "http://h/a.m3u8");
        assert_eq!(rtmp_url("rtmp://h:1935/live/secret?k=v"), "rtmp://h:1935/live/se…");
        assert_eq!(rtmp_url("rtmp://u:p@h/live/k"), "rtmp://h/live/k…");
        assert_eq!(url("garbage"), "(not a URL)");
    }
}
