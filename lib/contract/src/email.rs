//! E-mail addresses: how people are named in requests, profiles and outcomes.

use std::{collections::HashSet, fmt};

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::decode::{MAX_DEPTH, TOO_DEEP, is_deeper};

/// An e-mail address in lower case, without spaces around it. `Debug` masks it, so that it can't get into a log by accident.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

impl Email {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`. Requests name people by their addresses only, and this is how people know them.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(name, _)| name)
    }
}

impl TryFrom<String> for Email {
    type Error = &'static str;

    fn try_from(address: String) -> Result<Self, Self::Error> {
        let options = Options::default()
            .with_required_tld()
            .without_display_text()
            .without_domain_literal();
        // Convert to lower case first, then check the result: some letters are longer in lower case.
        let address = address.trim().to_lowercase();
        EmailAddress::parse_with_options(&address, options)
            .map_err(|_| "must be an e-mail address such as ana@example.com")?;
        Ok(Self(address))
    }
}

impl fmt::Debug for Email {
    /// Shows the first character and the domain: enough to tell two people apart in a test.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.0.chars().next().unwrap_or_default();
        let domain = self.0.rsplit_once('@').map_or("", |(_, domain)| domain);
        write!(f, "{first}***@{domain}")
    }
}

const TOO_MANY: &str = "must contain at most 1,000 addresses";

/// The people that a request names: at most [`Members::MAX`], without duplicates, in the request's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Email>")]
pub struct Members(Vec<Email>);

impl Members {
    /// The maximum number of addresses in a request, including duplicates.
    pub const MAX: usize = 1_000;

    pub fn as_slice(&self) -> &[Email] {
        &self.0
    }

    /// These people and those whom the message addresses.
    #[must_use]
    pub(crate) fn with(mut self, mention: &Mentions) -> Self {
        self.0.extend_from_slice(mention.as_slice());
        remove_duplicates(&mut self.0);
        self
    }
}

impl TryFrom<Vec<Email>> for Members {
    type Error = &'static str;

    fn try_from(mut emails: Vec<Email>) -> Result<Self, Self::Error> {
        if emails.len() > Self::MAX {
            return Err(TOO_MANY);
        }
        remove_duplicates(&mut emails);
        Ok(Self(emails))
    }
}

fn remove_duplicates(emails: &mut Vec<Email>) {
    let mut seen = HashSet::new();
    emails.retain(|email| seen.insert(email.clone()));
}

/// The people whom a message addresses: at most [`Mentions::MAX`], without duplicates, in the request's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Email>")]
pub struct Mentions(Vec<Email>);

impl Mentions {
    /// The maximum number of addresses, including duplicates. A message that addresses more people addresses nobody.
    pub const MAX: usize = 50;

    pub fn as_slice(&self) -> &[Email] {
        &self.0
    }
}

impl TryFrom<Vec<Email>> for Mentions {
    type Error = &'static str;

    fn try_from(mut emails: Vec<Email>) -> Result<Self, Self::Error> {
        if emails.len() > Self::MAX {
            return Err("must contain at most 50 addresses");
        }
        remove_duplicates(&mut emails);
        Ok(Self(emails))
    }
}

/// A list of at most [`Members::MAX`] addresses whose entries have not been checked: each can be any JSON value.
/// `Debug` shows only its size.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Value>")]
pub struct UncheckedAddresses(Vec<Value>);

impl UncheckedAddresses {
    /// The valid addresses, and the text of each other entry, both without duplicates and in the list's order.
    pub fn divided(self) -> (Vec<Email>, Vec<String>) {
        let (mut valid, mut invalid) = (Vec::new(), Vec::new());
        let mut seen = HashSet::new();
        for entry in self.0 {
            let text = match entry {
                Value::String(text) => text,
                other => other.to_string(),
            };
            match Email::try_from(text.clone()) {
                Ok(email) if seen.insert(email.as_str().to_owned()) => valid.push(email),
                Err(_) if seen.insert(text.clone()) => invalid.push(text),
                Ok(_) | Err(_) => {}
            }
        }
        (valid, invalid)
    }
}

impl TryFrom<Vec<Value>> for UncheckedAddresses {
    type Error = &'static str;

    fn try_from(entries: Vec<Value>) -> Result<Self, Self::Error> {
        if entries.len() > Members::MAX {
            return Err(TOO_MANY);
        }
        // A step can't read JSON with 128 levels.
        if entries.iter().any(|entry| is_deeper(entry, MAX_DEPTH)) {
            return Err(TOO_DEEP);
        }
        Ok(Self(entries))
    }
}

impl fmt::Debug for UncheckedAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} entries)", self.0.len())
    }
}

/// An address as an outcome reports it: an e-mail address, or the text that a request has in its place. `Debug`
/// masks it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReportedAddress(String);

impl ReportedAddress {
    /// The length of the longest valid address: RFC 5321, section 4.5.3.1.3, without the angle brackets.
    pub const MAX_CHARACTERS: usize = 254;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reports text that is not an address: at most 254 characters, with control characters replaced.
    pub fn of_invalid(text: &str) -> Self {
        let shown = |c: char| {
            if is_shown(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        };
        Self(text.chars().take(Self::MAX_CHARACTERS).map(shown).collect())
    }
}

/// Whether a character can't change how the text around it is shown.
fn is_shown(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

impl From<Email> for ReportedAddress {
    fn from(Email(address): Email) -> Self {
        Self(address)
    }
}

impl fmt::Debug for ReportedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Email::try_from(self.0.clone()) {
            Ok(email) => email.fmt(f),
            Err(_) => write!(f, "({} characters)", self.0.chars().count()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::space("ana@example.com ")]
    #[case::line_end("ana@example.com\r\n")]
    #[case::no_break_space("\u{a0}Ana@Example.com\t")]
    fn spaces_around_an_address_are_trimmed(#[case] address: &str) {
        let email = Email::try_from(address.to_owned()).unwrap();
        assert_eq!(email.as_str(), "ana@example.com");
    }

    #[test]
    fn a_list_is_divided_into_its_addresses_and_the_rest() {
        let list = json!([
            " Ana@Example.com",
            "svc-build",
            null,
            7,
            "",
            "ana@example.com",
            "svc-build",
            ["a@b.org"],
        ]);
        let list: UncheckedAddresses = serde_json::from_value(list).unwrap();
        let (valid, invalid) = list.divided();
        assert_eq!(valid, [Email("ana@example.com".to_owned())]);
        assert_eq!(invalid, ["svc-build", "null", "7", "", r#"["a@b.org"]"#]);
    }

    #[rstest]
    #[case::as_it_was_sent("Svc-Build ", "Svc-Build ")]
    #[case::control_characters(
        "a\0b\u{1b}[31m\n\u{202e}",
        "a\u{fffd}b\u{fffd}[31m\u{fffd}\u{fffd}"
    )]
    #[case::long(&"é".repeat(1_000), &"é".repeat(254))]
    fn invalid_text_is_reported_in_a_form_that_is_safe_to_show(
        #[case] text: &str,
        #[case] reported: &str,
    ) {
        assert_eq!(ReportedAddress::of_invalid(text).as_str(), reported);
    }

    #[rstest]
    #[case(ReportedAddress("ana@example.com".to_owned()), "a***@example.com")]
    #[case(ReportedAddress("ana at example".to_owned()), "(14 characters)")]
    fn debug_masks_a_reported_address(#[case] address: ReportedAddress, #[case] shown: &str) {
        assert_eq!(format!("{address:?}"), shown);
    }
}
