//! Bounties: offers for somebody to write an article.

use serde::Deserialize;

use crate::{
    DueDate, Link, PersonName, Rendered, Reward, Title,
    announcement::{Announcement, Wording},
};

/// An offer for somebody to write an article, of which there is news.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContentBounty {
    /// The title of the article to be written.
    pub title: Title,
    /// Where the offer is described and can be claimed.
    pub link: Link,
    /// The state that the offer is in now.
    pub state: BountyState,
    /// Who claimed the offer or was awarded the bounty; before that, who made the offer.
    #[serde(default)]
    pub actor: Option<PersonName>,
    /// The last day to claim the offer; once it is claimed, the day by which the article is due.
    /// Not shown when the bounty is awarded.
    #[serde(default)]
    pub due_date: Option<DueDate>,
    /// What the author gets.
    #[serde(default)]
    pub reward: Option<Reward>,
}

impl ContentBounty {
    /// The message to everybody who may want to write the article. If `mentions`, it has a place for those who must act.
    pub fn render(&self, mentions: bool) -> Rendered {
        self.announcement(mentions).render()
    }

    /// One line to a channel in which a card shows everything else. Ready for mrkdwn.
    pub fn render_short(&self) -> String {
        self.announcement(false).render_short()
    }

    /// What a card says that the readers should do next.
    pub fn next_step(&self) -> &'static str {
        self.state.wording().next_step
    }

    /// What a card shows besides title, state and those who must act.
    pub fn facts(&self) -> Vec<String> {
        self.announcement(false).facts()
    }

    fn announcement(&self, mentions: bool) -> Announcement<'_> {
        Announcement {
            wording: self.state.wording(),
            title: &self.title,
            link: &self.link,
            actor: self.actor.as_ref(),
            due_date: self.due_date,
            reward: self.reward.as_ref(),
            mentions,
        }
    }
}

/// How far an offer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BountyState {
    /// It is open: anybody may claim it.
    Posted,
    /// Somebody is writing the article.
    Claimed,
    /// The article is written, and its author gets the bounty.
    Awarded,
    /// Nobody has claimed it, and it ends soon.
    Expiring,
}

impl BountyState {
    /// The state as the data names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::Claimed => "claimed",
            Self::Awarded => "awarded",
            Self::Expiring => "expiring",
        }
    }

    /// Whether its message is news that an update of the card would hide. A new offer's card is the news.
    pub fn is_news_beside_a_card(self) -> bool {
        self == Self::Expiring
    }

    /// Whether somebody must act in this state.
    pub fn asks_for_action(self) -> bool {
        self != Self::Awarded
    }

    fn wording(self) -> Wording {
        match self {
            Self::Posted => Wording {
                headline: "Bounty posted",
                next_step: "This article is looking for an author. If you would like to write it, \
                            claim the bounty.",
                actor: "Posted by",
                due_date: Some("Open until"),
                to_person: None,
            },
            Self::Claimed => Wording {
                headline: "Bounty claimed",
                next_step: "This article has found its author. The bounty can no longer be claimed.",
                actor: "Claimed by",
                due_date: Some("Article due"),
                to_person: None,
            },
            Self::Awarded => Wording {
                headline: "Bounty awarded",
                next_step: "The article is written, and the bounty goes to its author. \
                            Congratulations!",
                actor: "Awarded to",
                due_date: None,
                to_person: None,
            },
            Self::Expiring => Wording {
                headline: "Bounty ends soon",
                next_step: "This article is still looking for an author. If you would like to write \
                            it, claim the bounty while it is open.",
                actor: "Posted by",
                due_date: Some("Open until"),
                to_person: None,
            },
        }
    }
}
