//! Lone surrogates in JSON.
//!
//! A program that cuts text between the two UTF-16 units of an emoji sends one half of it, for example `\ud83e`. JSON
//! allows this, and Step Functions, EventBridge and SQS pass it on, but no Unicode text can contain it.

use std::borrow::Cow;

/// `\ufffd`, the replacement character, is as long as the escape that it replaces.
const REPLACEMENT: &[u8; 4] = b"fffd";
/// The length of an escape such as `\ud83e`.
const ESCAPE: usize = 6;

/// Replaces each lone surrogate in the JSON's strings by U+FFFD. Changes nothing else.
pub fn without_lone_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let mut repaired = Cow::Borrowed(json);
    let mut is_in_string = false;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at += match byte {
            b'"' => {
                is_in_string = !is_in_string;
                1
            }
            b'\\' if is_in_string => match (unit(json, at), unit(json, at + ESCAPE)) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 2 * ESCAPE,
                (Some(0xD800..=0xDFFF), _) => {
                    repaired.to_mut()[at + 2..at + ESCAPE].copy_from_slice(REPLACEMENT);
                    ESCAPE
                }
                (Some(_), _) => ESCAPE,
                (None, _) => 2,
            },
            _ => 1,
        };
    }
    repaired
}

/// The UTF-16 unit that is escaped at this place, if one is.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + ESCAPE)?.strip_prefix(b"\\u")?;
    let digits = str::from_utf8(digits).ok()?;
    // The parser alone would also accept a sign.
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn repaired(json: &str) -> String {
        let repaired = without_lone_surrogates(json.as_bytes()).into_owned();
        String::from_utf8(repaired).unwrap()
    }

    #[rstest]
    #[case::first_half(r#""a\ud83e""#, r#""a\ufffd""#)]
    #[case::second_half(r#""\udd16a""#, r#""\ufffda""#)]
    #[case::upper_case(r#""\uD83E\n""#, r#""\ufffd\n""#)]
    #[case::first_half_twice(r#""\ud83e\ud83e\udd16""#, r#""\ufffd\ud83e\udd16""#)]
    #[case::halves_in_the_wrong_order(r#""\udd16\ud83e""#, r#""\ufffd\ufffd""#)]
    #[case::halves_of_two_strings(r#"["\ud83e","\udd16"]"#, r#"["\ufffd","\ufffd"]"#)]
    #[case::before_another_escape(r#""\ud83e\u0041""#, r#""\ufffd\u0041""#)]
    #[case::after_a_backslash(r#""\\\ud83e""#, r#""\\\ufffd""#)]
    #[case::after_a_quote(r#""\"\ud83e""#, r#""\"\ufffd""#)]
    #[case::in_a_fields_name(r#"{"\ud83e":1}"#, r#"{"\ufffd":1}"#)]
    fn a_lone_surrogate_becomes_the_replacement_character(
        #[case] json: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(repaired(json), expected);
        assert!(serde_json::from_str::<serde_json::Value>(expected).is_ok());
    }

    #[rstest]
    #[case::pair(r#""\ud83e\udd16""#)]
    #[case::no_escape("\"🤖\"")]
    #[case::escaped_backslash(r#""\\ud83e""#)]
    #[case::other_escapes(r#""\u00e9\n\"\\\/\uffff""#)]
    #[case::outside_of_a_string(r"\ud83e")]
    #[case::too_short(r#""\ud83"#)]
    #[case::no_digits(r#""\u+83e""#)]
    #[case::nothing("")]
    fn everything_else_stays_as_it_is(#[case] json: &str) {
        assert!(
            matches!(without_lone_surrogates(json.as_bytes()), Cow::Borrowed(same) if same == json.as_bytes())
        );
    }

    proptest! {
        #[test]
        fn json_without_lone_surrogates_stays_as_it_is(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(repaired(&json), json);
        }

        #[test]
        fn text_in_any_utf_16_units_can_be_read(units in proptest::collection::vec(any::<u16>(), 0..20)) {
            use std::fmt::Write;
            let mut json = "\"".to_owned();
            for unit in &units {
                write!(json, "\\u{unit:04x}").unwrap();
            }
            json.push('"');
            let text: String = serde_json::from_str(&repaired(&json)).unwrap();
            prop_assert_eq!(text, String::from_utf16_lossy(&units));
        }
    }
}
