//! Single lines of text that people wrote.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines a type for a single line of text.
macro_rules! line {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        ///
        /// Not only white space. Longer text is shortened. Line breaks and control characters become spaces, and
        /// direction overrides are left out: with these, the text could imitate other parts of the message. `Debug`
        /// shows only its size, so that a message can't get into a log by accident.
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            pub const MAX_CHARACTERS: usize = $max;

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "({} characters)", self.0.chars().count())
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                let line = on_one_line(&text);
                if line.is_empty() {
                    return Err("must not be empty");
                }
                Ok(Self(shortened(line, Self::MAX_CHARACTERS)))
            }
        }
    };
}

line!(
    /// An item's title: 1 to 150 characters.
    Title,
    150
);

line!(
    /// The name by which people know somebody: 1 to 80 characters.
    PersonName,
    80
);

line!(
    /// What the author of an article gets, in words: 1 to 80 characters, for example `500 USD`.
    Reward,
    80
);

line!(
    /// The state that an item is in, as its caller names it: 1 to 40 characters, for example `in_review`.
    State,
    40
);

line!(
    /// A line about an item: 1 to 300 characters.
    Line,
    300
);

impl State {
    /// The state in words: `In review` for `in_review`.
    pub fn in_words(&self) -> String {
        let words = self.as_str().replace('_', " ");
        let mut characters = words.chars();
        let first = characters.next().into_iter().flat_map(char::to_uppercase);
        first.chain(characters).collect()
    }
}

/// The text without spaces around it. Characters that end the line become one space; those that change the writing
/// direction of the text after them are left out.
fn on_one_line(text: &str) -> String {
    let text = text.replace(changes_the_direction, "");
    let parts = text.split(ends_the_line).map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

fn ends_the_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Source: Unicode Standard Annex #9, "Explicit Directional Embedding and Override" and "Isolate".
/// Its implicit marks, which right-to-left languages need, are harmless.
fn changes_the_direction(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Cuts a line that is longer than this and ends it with `…`.
fn shortened(line: String, max_characters: usize) -> String {
    const JOINER: char = '\u{200D}';
    if line.chars().count() <= max_characters {
        return line;
    }
    let start: String = line.chars().take(max_characters - 1).collect();
    let start = start.trim_end_matches(|c: char| c.is_whitespace() || c == JOINER);
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::short("R")]
    #[case::longest(&"é".repeat(150))]
    #[case::markup("<!channel> *_~` & </script>")]
    #[case::right_to_left("\u{200F}שלום\u{200E} 2026")]
    #[case::joined_emoji("Pairing 👩‍💻")]
    fn a_line_is_kept_as_it_is(#[case] text: &str) {
        assert_eq!(Title::try_from(text.to_owned()).unwrap().as_str(), text);
    }

    #[rstest]
    #[case::spaces_around(" a b ", "a b")]
    #[case::line_feed("a\nb", "a b")]
    #[case::blank_line("a \r\n\r\n b", "a b")]
    #[case::tab("\ta\tb", "a b")]
    #[case::null("a\0b", "a b")]
    #[case::next_line("a\u{85}b", "a b")]
    #[case::line_separator("a\u{2028}b", "a b")]
    #[case::paragraph_separator("a\u{2029}b", "a b")]
    #[case::right_to_left_override("a\u{202E}b", "ab")]
    #[case::right_to_left_isolate("a\u{2067}b", "ab")]
    #[case::too_long(&"é".repeat(151), &format!("{}…", "é".repeat(149)))]
    #[case::cut_at_a_space(&format!("{} éé", "é".repeat(148)), &format!("{}…", "é".repeat(148)))]
    #[case::cut_in_an_emoji(&format!("{}👩\u{200D}💻é", "é".repeat(147)), &format!("{}👩…", "é".repeat(147)))]
    fn other_text_is_put_on_one_line_and_shortened(#[case] text: &str, #[case] line: &str) {
        assert_eq!(Title::try_from(text.to_owned()).unwrap().as_str(), line);
    }

    #[rstest]
    #[case::empty("")]
    #[case::white_space(" \u{3000}")]
    #[case::control_characters("\n\0\u{202E} \t")]
    fn text_that_shows_nothing_is_rejected(#[case] text: &str) {
        assert_eq!(Title::try_from(text.to_owned()), Err("must not be empty"));
    }

    #[test]
    fn a_name_and_a_reward_have_at_most_80_characters() {
        let (longest, longer) = ("é".repeat(80), "é".repeat(81));
        let cut = format!("{}…", "é".repeat(79));
        let name = |text: &str| PersonName::try_from(text.to_owned()).unwrap();
        let reward = |text: &str| Reward::try_from(text.to_owned()).unwrap();
        assert_eq!(name(&longest).as_str(), longest);
        assert_eq!(reward(&longest).as_str(), longest);
        assert_eq!(name(&longer).as_str(), cut);
        assert_eq!(reward(&longer).as_str(), cut);
    }
}
