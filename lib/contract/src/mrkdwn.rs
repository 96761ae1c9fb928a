//! Escapes text for Slack's mrkdwn, the format of a message's plain text.

/// Escapes `text` so that Slack reads no part of it as a mention or a link.
///
/// Only `&`, `<` and `>` are escaped. Mrkdwn has no escape for `*`, `_`, `~` and the backtick: at worst, a
/// notification shows part of the text in bold.
///
/// Source: Slack's "Formatting message text", "Escaping text".
pub fn escaped(text: &str) -> String {
    // `&` comes first; otherwise it would escape the other escapes.
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
