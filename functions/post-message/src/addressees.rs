//! The people whom a message addresses: those whom it mentions, so that Slack notifies them, and those who appear in it
//! by name.

use apgl_contract::{Email, Notice, SkipReason, Skipped, SlackUser, SlackUserId, mrkdwn::escaped};
use serde_json::{Value, json};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Addressees {
    /// In the order of the request.
    shown: Vec<Shown>,
    pub mentioned: Vec<Email>,
    pub not_mentioned: Vec<Skipped>,
}

#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Mention(SlackUserId),
    Name(String),
}

impl Addressees {
    /// Nobody is mentioned for what they did themselves, nor if an earlier step skipped them.
    pub fn of(notice: &Notice, users: &[SlackUser], skipped: &[Skipped]) -> Self {
        let mut addressees = Self::default();
        for email in notice.mention.as_slice() {
            match mention_of(email, notice, users, skipped) {
                Ok(id) => {
                    addressees.shown.push(Shown::Mention(id));
                    addressees.mentioned.push(email.clone());
                }
                Err(reason) => {
                    addressees.shown.push(Shown::Name(email.name().to_owned()));
                    let skipped = Skipped::new(email.clone(), reason);
                    addressees.not_mentioned.push(skipped);
                }
            }
        }
        let invalid = notice.not_mentioned.iter().cloned();
        addressees.not_mentioned.extend(invalid);
        addressees
    }

    /// The people in mrkdwn; `None` if the message addresses nobody.
    pub fn mrkdwn(&self) -> Option<String> {
        let people = self.shown.iter().map(|person| match person {
            Shown::Mention(SlackUserId(id)) => format!("<@{id}>"),
            Shown::Name(name) => escaped(name),
        });
        let people: Vec<String> = people.collect();
        (!people.is_empty()).then(|| people.join(", "))
    }

    /// The people as elements of rich text.
    pub fn elements(&self) -> Vec<Value> {
        let text = |text: &str| json!({ "type": "text", "text": text });
        let mut elements = Vec::new();
        for person in &self.shown {
            if !elements.is_empty() {
                elements.push(text(", "));
            }
            elements.push(match person {
                Shown::Mention(SlackUserId(id)) => json!({ "type": "user", "user_id": id }),
                Shown::Name(name) => text(name),
            });
        }
        elements
    }
}

/// The Slack id of the person, or why they are not mentioned.
fn mention_of(
    email: &Email,
    notice: &Notice,
    users: &[SlackUser],
    skipped: &[Skipped],
) -> Result<SlackUserId, SkipReason> {
    if notice.actor.as_ref() == Some(email) {
        return Err(SkipReason::Acted);
    }
    let mut reasons = skipped.iter();
    if let Some(skipped) = reasons.find(|skipped| skipped.email.as_str() == email.as_str()) {
        return Err(skipped.reason);
    }
    let user = users.iter().find(|user| user.email == *email);
    user.map(|user| user.id.clone())
        .ok_or(SkipReason::NotInSlack)
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn email(name: &str) -> Email {
        Email::try_from(format!("{name}@example.com")).unwrap()
    }

    fn user(name: &str) -> SlackUser {
        SlackUser {
            email: email(name),
            id: SlackUserId(format!("U{}", name.to_uppercase())),
        }
    }

    fn notice(mention: &[&str], actor: Option<&str>) -> Notice {
        let mention: Vec<Email> = mention.iter().map(|name| email(name)).collect();
        from_value(json!({ "mention": mention, "actor": actor.map(email) })).unwrap()
    }

    #[test]
    fn those_who_can_be_mentioned_are_and_the_others_appear_by_name() {
        let notice = notice(&["ana", "bob", "cem", "dora", "eve"], Some("dora"));
        let users = ["ana", "bob", "dora"].map(user);
        let skipped = [Skipped::new(email("bob"), SkipReason::Restricted)];
        let addressees = Addressees::of(&notice, &users, &skipped);
        assert_eq!(addressees.mentioned, [email("ana")]);
        let reasons = [
            ("bob", SkipReason::Restricted),
            ("cem", SkipReason::NotInSlack),
            ("dora", SkipReason::Acted),
            ("eve", SkipReason::NotInSlack),
        ];
        let reasons = reasons.map(|(name, reason)| Skipped::new(email(name), reason));
        assert_eq!(addressees.not_mentioned, reasons);
        assert_eq!(addressees.mrkdwn().unwrap(), "<@UANA>, bob, cem, dora, eve");
        let elements = addressees.elements();
        assert_eq!(elements[0], json!({ "type": "user", "user_id": "UANA" }));
        assert_eq!(elements[1], json!({ "type": "text", "text": ", " }));
        assert_eq!(elements[2], json!({ "type": "text", "text": "bob" }));
    }

    #[test]
    fn a_name_is_no_markup() {
        let address = json!("a&b@example.com");
        let mention = from_value(json!({ "mention": [address] })).unwrap();
        let addressees = Addressees::of(&mention, &[], &[]);
        assert_eq!(addressees.mrkdwn().unwrap(), "a&amp;b");
        let text = json!({ "type": "text", "text": "a&b" });
        assert_eq!(addressees.elements(), [text]);
    }

    #[test]
    fn entries_that_are_no_addresses_are_reported_and_not_shown() {
        let reported = json!([{ "email": "the reviewers", "reason": "invalid_address" }]);
        let notice = from_value(json!({ "notMentioned": reported })).unwrap();
        let addressees = Addressees::of(&notice, &[], &[]);
        assert_eq!(json!(addressees.not_mentioned), reported);
        assert_eq!(addressees.mrkdwn(), None);
    }
}
