//! Who may use the service.

use url::Url;

use super::{Invalid, OneOrMany, Secret};

/// One layer of it.
#[derive(Clone, Default, PartialEq, serde::Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessOptions {
    /// Asked for by everything that changes or reveals something.
    pub token: Option<Secret>,
    /// Pages that may use the API beside the service's own: origins, or `*`.
    pub cors_origins: Option<OneOrMany>,
    /// Other machines may reach the service without a token.
    pub insecure: Option<bool>,
}

/// Who may use the service, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    pub token: Option<Secret>,
    pub origins: Origins,
    pub insecure: bool,
}

/// Pages that may use the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    Any,
    /// As browsers send them: `https://host[:port]`.
    These(Vec<String>),
}

impl Default for Origins {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl AccessSettings {
    /// An allow list is written by a person.
    pub const MAX_ORIGINS: usize = 64;
    /// Headers longer than this are refused by servers in front.
    pub const MAX_TOKEN: usize = 4_096;
    /// Below it a token can be guessed.
    pub const SHORT_TOKEN: usize = 16;
}

impl AccessOptions {
    /// This layer, and where it says nothing, `lower`.
    #[must_use]
    pub fn or(self, lower: Self) -> Self {
        Self {
            token: self.token.or(lower.token),
            cors_origins: self.cors_origins.or(lower.cors_origins),
            insecure: self.insecure.or(lower.insecure),
        }
    }

    pub fn resolve(self) -> Result<AccessSettings, Invalid> {
        let insecure = self.insecure.unwrap_or(false);
        if let Some(token) = &self.token
            && (token.reveal().is_empty()
                || token.reveal().len() > AccessSettings::MAX_TOKEN
                || !token.reveal().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(Invalid::new("token", "must be 1 to 4096 visible ASCII characters without blanks"));
        }
        let given = self.cors_origins.as_ref().map_or(&[][..], OneOrMany::as_slice);
        let origins = origins(given)?;
        if origins == Origins::Any && self.token.is_none() && !insecure {
            let reason =
                "must not be * without a token: any page that somebody on this machine opens could use it";
            return Err(Invalid::new("corsOrigins", reason));
        }
        Ok(AccessSettings { token: self.token, origins, insecure })
    }
}

fn origins(texts: &[String]) -> Result<Origins, Invalid> {
    const FIELD: &str = "corsOrigins";
    if texts.iter().any(|text| text == "*") {
        return if texts.len() == 1 {
            Ok(Origins::Any)
        } else {
            Err(Invalid::new(FIELD, "must not have others beside *"))
        };
    }
    if texts.len() > AccessSettings::MAX_ORIGINS {
        return Err(Invalid::new(FIELD, "must have at most 64 entries"));
    }
    let origin = |text: &String| {
        let wrong = || Invalid::new(FIELD, "each entry must be an origin: https://host or http://host:port");
        let url = Url::parse(text.trim()).map_err(|_| wrong())?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let nobody = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !bare || !nobody {
            return Err(wrong());
        }
        Ok(url.origin().ascii_serialization())
    };
    texts.iter().map(origin).collect::<Result<_, _>>().map(Origins::These)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str) -> Result<AccessSettings, Invalid> {
        Invalid::from_json::<AccessOptions>(text.as_bytes())?.resolve()
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        let settings =
            resolve(r#"{"corsOrigins": ["https://Page.example/", "http://h:80", "http://[::1]:8080"]}"#)
                .unwrap();
        let expected = ["https://page.example", "http://h", "http://[::1]:8080"];
        assert_eq!(settings.origins, Origins::These(expected.map(str::to_owned).to_vec()));
        for wrong in ["page.example", "https://h/path", "https://h/?q", "ftp://h", "https://u@h", "null", ""]
        {
            let text = serde_json::json!({ "corsOrigins": wrong }).to_string();
            assert_eq!(resolve(&text).unwrap_err().field, "corsOrigins", "{wrong}");
        }
    }

    #[test]
    fn any_origin_needs_a_token() {
        assert_eq!(resolve(r#"{"corsOrigins": "*"}"#).unwrap_err().field, "corsOrigins");
        assert_eq!(
            resolve(r#"{"corsOrigins": ["*", "http://h"], "token": "t"}"#).unwrap_err().field,
            "corsOrigins"
        );
        assert_eq!(resolve(r#"{"corsOrigins": "*", "token": "t"}"#).unwrap().origins, Origins::Any);
        assert_eq!(resolve(r#"{"corsOrigins": "*", "insecure": true}"#).unwrap().origins, Origins::Any);
    }

    #[test]
    fn tokens_that_no_header_can_carry_are_refused_and_none_is_shown() {
        for wrong in ["", "a b", "\u{e9}", "a\nb"] {
            let text = serde_json::json!({ "token": wrong }).to_string();
            assert_eq!(resolve(&text).unwrap_err().field, "token");
        }
        let settings = resolve(r#"{"token": "sesame"}"#).unwrap();
        assert!(!format!("{settings:?}").contains("sesame"));
    }
}
