//! Links to articles and bounties.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::mrkdwn::escaped;

/// An https URL of at most 2,000 characters, where an `&` counts as 5, its length when escaped for Slack. It contains
/// no user name, which could be mistaken for the host.
///
/// Stored as browsers write it: percent-encoded, with the host in ASCII. `|`, which browsers leave as it is, is encoded
/// too, because it ends a link in Slack's mrkdwn. `Debug` shows only its size.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Link(String);

impl Link {
    pub const MAX_CHARACTERS: usize = 2_000;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} characters)", self.0.len())
    }
}

impl TryFrom<String> for Link {
    type Error = &'static str;

    fn try_from(link: String) -> Result<Self, Self::Error> {
        let link = link.trim();
        let start = link.get(.."https://".len()).unwrap_or_default();
        if !start.eq_ignore_ascii_case("https://") {
            return Err("must start with https://");
        }
        let url = Url::parse(link).map_err(|_| "must be a URL")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must hold no user name or password");
        }
        let link = String::from(url).replace('|', "%7C");
        if escaped(&link).len() > Self::MAX_CHARACTERS {
            return Err("must have at most 2,000 characters, an & counted as 5");
        }
        Ok(Self(link))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain(
        "https://library.example/a?b=c&d=e#f",
        "https://library.example/a?b=c&d=e#f"
    )]
    #[case::path_added("https://library.example", "https://library.example/")]
    #[case::path_encoded("https://library.example/é`\"", "https://library.example/%C3%A9%60%22")]
    #[case::host_in_ascii("https://bücher.example/", "https://xn--bcher-kva.example/")]
    #[case::scheme_in_upper_case("HTTPS://library.example/", "https://library.example/")]
    #[case::label(
        "https://library.example/|Click?a|b#c|d",
        "https://library.example/%7CClick?a%7Cb#c%7Cd"
    )]
    #[case::end_of_link(
        "https://library.example/><!channel>?<a>#<b>",
        "https://library.example/%3E%3C!channel%3E?%3Ca%3E#%3Cb%3E"
    )]
    #[case::spaces(
        " https://library.example/a b?c d#e f\n",
        "https://library.example/a%20b?c%20d#e%20f"
    )]
    #[case::other_space("https://library.example/a\u{a0}b", "https://library.example/a%C2%A0b")]
    #[case::line_feed("https://library.example/a\nb", "https://library.example/ab")]
    #[case::null("https://library.example/a\0b", "https://library.example/a%00b")]
    fn a_link_is_written_as_browsers_write_it(#[case] link: &str, #[case] expected: &str) {
        assert_eq!(Link::try_from(link.to_owned()).unwrap().as_str(), expected);
    }

    #[rstest]
    #[case::empty("", "must start with https://")]
    #[case::no_scheme("library.example/a", "must start with https://")]
    #[case::http("http://library.example/", "must start with https://")]
    #[case::script("javascript:alert(1)", "must start with https://")]
    #[case::host_with_a_space("https://library .example/", "must be a URL")]
    #[case::host_with_a_bar("https://library.example|evil.example/", "must be a URL")]
    #[case::no_host("https://", "must be a URL")]
    #[case::bad_port("https://library.example:x/", "must be a URL")]
    #[case::user(
        "https://library.example@evil.example/",
        "must hold no user name or password"
    )]
    #[case::password(
        "https://:secret@library.example/",
        "must hold no user name or password"
    )]
    fn other_text_is_rejected(#[case] link: &str, #[case] rule: &str) {
        assert_eq!(Link::try_from(link.to_owned()), Err(rule));
    }

    #[rstest]
    #[case::letters("a", 1_975)]
    #[case::ampersands("&", 395)]
    #[case::encoded("é", 329)]
    fn a_link_has_at_most_2000_characters_as_slack_counts_them(
        #[case] part: &str,
        #[case] most: usize,
    ) {
        let link =
            |parts| Link::try_from(format!("https://library.example/?{}", part.repeat(parts)));
        assert!(link(most).is_ok());
        assert_eq!(
            link(most + 1),
            Err("must have at most 2,000 characters, an & counted as 5")
        );
    }
}
