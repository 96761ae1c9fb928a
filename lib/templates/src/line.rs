//! Single lines of text that people wrote.

use std::fmt;

use serde::Deserialize;

/// Defines a type for a single line of text.
macro_rules! line {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        ///
        /// Not only white space, and without line breaks, control characters or direction overrides: with
        /// these, the text could imitate other parts of the message. `Debug` shows only its size, so that a
        /// message can't get into a log by accident.
        #[derive(Clone, PartialEq, Eq, Deserialize)]
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
                if text.trim().is_empty() {
                    return Err("must not be empty");
                }
                if text.chars().count() > Self::MAX_CHARACTERS {
                    return Err(concat!("must have at most ", $max, " characters"));
                }
                if text.chars().any(leaves_its_place) {
                    return Err("must hold no line breaks, control characters or direction overrides");
                }
                Ok(Self(text))
            }
        }
    };
}

line!(
    /// An article's title: 1 to 150 characters.
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

/// Whether a character ends the line or changes the writing direction of the text after it.
///
/// Source: Unicode Standard Annex #9, "Explicit Directional Embedding and Override" and "Isolate".
/// Its implicit marks, which right-to-left languages need, are harmless.
fn leaves_its_place(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
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
    #[case::empty("", "must not be empty")]
    #[case::white_space(" \u{3000}", "must not be empty")]
    #[case::too_long(&"é".repeat(151), "must have at most 150 characters")]
    #[case::line_feed("a\nb", CONTROL)]
    #[case::tab("a\tb", CONTROL)]
    #[case::null("a\0b", CONTROL)]
    #[case::next_line("a\u{85}b", CONTROL)]
    #[case::line_separator("a\u{2028}b", CONTROL)]
    #[case::paragraph_separator("a\u{2029}b", CONTROL)]
    #[case::right_to_left_override("a\u{202E}b", CONTROL)]
    #[case::right_to_left_isolate("a\u{2067}b", CONTROL)]
    fn other_text_is_rejected(#[case] text: &str, #[case] rule: &str) {
        assert_eq!(Title::try_from(text.to_owned()), Err(rule));
    }

    const CONTROL: &str = "must hold no line breaks, control characters or direction overrides";

    #[test]
    fn a_name_and_a_reward_have_at_most_80_characters() {
        let (longest, longer) = ("é".repeat(80), "é".repeat(81));
        let rule = "must have at most 80 characters";
        assert!(PersonName::try_from(longest.clone()).is_ok());
        assert!(Reward::try_from(longest).is_ok());
        assert_eq!(PersonName::try_from(longer.clone()), Err(rule));
        assert_eq!(Reward::try_from(longer), Err(rule));
    }
}
