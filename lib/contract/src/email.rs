//! E-mail addresses: how people are named in requests, profiles and outcomes.

use std::{collections::HashSet, fmt};

use email_address::{EmailAddress, Options};
use serde::{Deserialize, Serialize};

/// An e-mail address in lower case. `Debug` masks it, so that it can't get into a log by accident.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Email(String);

impl Email {
    pub fn as_str(&self) -> &str {
        &self.0
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
        let address = address.to_lowercase();
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
}

impl TryFrom<Vec<Email>> for Members {
    type Error = &'static str;

    fn try_from(mut emails: Vec<Email>) -> Result<Self, Self::Error> {
        if emails.len() > Self::MAX {
            return Err("must contain at most 1,000 addresses");
        }
        let mut seen = HashSet::new();
        emails.retain(|email| seen.insert(email.clone()));
        Ok(Self(emails))
    }
}
