//! Slack's mrkdwn, in which a message's plain text is written.

/// `text` so that no part of it is read as a mention or as a link's markup.
///
/// These three characters and no others are escaped. Mrkdwn has no escape for `*`, `_`, `~` and
/// the backtick: at worst a notification shows a part in bold.
///
/// Source: Slack's "Formatting message text", "Escaping text".
pub(crate) fn escaped(text: &str) -> String {
    // `&` first, or it would escape the other escapes.
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Q&A", "Q&amp;A")]
    #[case("<!channel>", "&lt;!channel&gt;")]
    #[case("<https://evil.example|Read>", "&lt;https://evil.example|Read&gt;")]
    #[case("&lt;!here&gt;", "&amp;lt;!here&amp;gt;")]
    #[case("*_~` \"é\"", "*_~` \"é\"")]
    fn only_slacks_three_characters_are_escaped(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(escaped(text), expected);
    }
}
