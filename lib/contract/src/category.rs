//! What a message is about, so that people can opt out of some messages and keep the others.

use serde::{Deserialize, Serialize};

/// What a message is about. A person's preferences say which categories they want.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Category {
    /// Somebody has to do something, for example review an article.
    #[default]
    Action,
    /// Something has happened, and nobody has to do anything.
    News,
    /// Work is offered to many people: a bounty is posted, claimed or awarded, or expires.
    Bounty,
    /// What people must know. It reaches everybody who has a profile and has not turned Slack notifications off.
    Critical,
}

impl Category {
    pub const ALL: [Self; 4] = [Self::Action, Self::News, Self::Bounty, Self::Critical];

    /// The category, as requests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::News => "news",
            Self::Bounty => "bounty",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_written_in_lower_case() {
        for category in Category::ALL {
            let json = format!("{:?}", category.as_str());
            assert_eq!(serde_json::to_string(&category).unwrap(), json);
            assert_eq!(serde_json::from_str::<Category>(&json).unwrap(), category);
        }
    }

    #[test]
    fn an_unknown_category_is_refused_with_the_known_ones() {
        let error = serde_json::from_str::<Category>("\"News\"").unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("unknown variant `News`, expected one of `action`, `news`"),
            "{error}"
        );
    }

    #[test]
    fn a_message_without_a_category_asks_for_action() {
        assert_eq!(Category::default(), Category::Action);
    }
}
