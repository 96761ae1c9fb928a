//! The values that arguments can have. Each error is the rule that a value breaks.

use apgl_contract::{
    Category, Email, Sequence, Timestamp,
    notice::{SequenceKey, SequenceNumber},
};
use clap::builder::{PossibleValuesParser, TypedValueParser};

pub fn email(text: &str) -> Result<Email, &'static str> {
    Email::try_from(text.to_owned())
}

pub fn time(text: &str) -> Result<Timestamp, &'static str> {
    Timestamp::try_from(text.to_owned())
}

/// Parses `KEY=NUMBER`; the key can contain `=`.
pub fn sequence(text: &str) -> Result<Sequence, String> {
    let parts = text.rsplit_once('=');
    let (key, number) = parts.ok_or("must be KEY=NUMBER, such as guide-42=3")?;
    let key = SequenceKey::try_from(key.to_owned()).map_err(|rule| format!("the key {rule}"))?;
    // What is not a number breaks the same rule as one that is too large.
    let number = SequenceNumber::try_from(number.parse().unwrap_or(u64::MAX))
        .map_err(|rule| format!("the number {rule}"))?;
    Ok(Sequence { key, number })
}

pub fn category() -> impl TypedValueParser<Value = Category> {
    let words = Category::ALL.map(Category::as_str);
    PossibleValuesParser::new(words).try_map(|word| category_named(&word).ok_or("is no category"))
}

pub fn category_named(word: &str) -> Option<Category> {
    let mut categories = Category::ALL.into_iter();
    categories.find(|category| category.as_str() == word)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("guide-42=3", "guide-42", 3)]
    #[case("guide=42=0", "guide=42", 0)]
    #[case("a b=9007199254740991", "a b", 9_007_199_254_740_991)]
    fn a_sequence_is_a_key_and_a_number(#[case] text: &str, #[case] key: &str, #[case] n: u64) {
        let sequence = sequence(text).unwrap();
        assert_eq!((sequence.key.as_str(), sequence.number.get()), (key, n));
    }

    #[rstest]
    #[case("guide-42", "must be KEY=NUMBER, such as guide-42=3")]
    #[case("=3", "the key must not be empty")]
    #[case(
        "guide-42=",
        "the number must be an integer from 0 to 9007199254740991"
    )]
    #[case(
        "guide-42=-1",
        "the number must be an integer from 0 to 9007199254740991"
    )]
    #[case(
        "guide-42=9007199254740992",
        "the number must be an integer from 0 to 9007199254740991"
    )]
    fn other_text_is_not_a_sequence(#[case] text: &str, #[case] rule: &str) {
        assert_eq!(sequence(text).unwrap_err(), rule);
    }
}
