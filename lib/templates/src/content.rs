//! Articles on their way into the library.

use serde::Deserialize;

use crate::{
    DueDate, Link, PersonName, Rendered, Title,
    announcement::{Announcement, ToPerson, Wording},
};

/// An article of the AWS Prescriptive Guidance Library whose state has just changed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContentItem {
    /// The article's title.
    pub title: Title,
    /// Where the article is worked on; once published, where everybody reads it.
    pub link: Link,
    /// The state that the article is in now.
    pub state: ContentState,
    /// Who brought the article into this state.
    #[serde(default)]
    pub actor: Option<PersonName>,
    /// The day by which the reviewers or authors are to act. Not shown in a state that asks nobody
    /// to act.
    #[serde(default)]
    pub due_date: Option<DueDate>,
}

impl ContentItem {
    /// The message to the article's authors and reviewers. If `mentions`, it has a place for those who must act.
    pub fn render(&self, mentions: bool) -> Rendered {
        self.announcement(self.state.wording(), mentions).render()
    }

    /// The message to a person who must act; `None` in a state in which nobody must.
    pub fn render_to_person(&self) -> Option<Rendered> {
        let wording = self.state.wording().for_person()?;
        Some(self.announcement(wording, false).render())
    }

    /// One line to the article's channel, in which a card shows everything else. Ready for mrkdwn.
    pub fn render_short(&self) -> String {
        self.announcement(self.state.wording(), false)
            .render_short()
    }

    /// What a card says that the readers should do next.
    pub fn next_step(&self) -> &'static str {
        self.state.wording().next_step
    }

    /// What a card shows besides title, state, due date and those who must act.
    pub fn facts(&self) -> Vec<String> {
        self.announcement(self.state.wording(), false).card_facts()
    }

    fn announcement(&self, wording: Wording, mentions: bool) -> Announcement<'_> {
        Announcement {
            wording,
            title: &self.title,
            link: &self.link,
            actor: self.actor.as_ref(),
            due_date: self.due_date,
            reward: None,
            mentions,
        }
    }
}

/// How far an article is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ContentState {
    /// The authors handed it in; no review has begun.
    Submitted,
    /// Reviewers are reading it.
    InReview,
    /// The authors are to change it.
    ChangesRequested,
    /// It passed its review and is not published yet.
    Approved,
    /// It is in the library.
    Published,
    /// It will not be published.
    Withdrawn,
}

impl ContentState {
    /// The state as the data names it, for example `in_review`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::InReview => "in_review",
            Self::ChangesRequested => "changes_requested",
            Self::Approved => "approved",
            Self::Published => "published",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// Whether somebody must act in this state.
    pub fn asks_for_action(self) -> bool {
        self.wording().to_person.is_some()
    }

    fn wording(self) -> Wording {
        match self {
            Self::Submitted => Wording {
                headline: "Submitted for review",
                next_step: "Reviewers, the article is ready for you: please start the review.",
                actor: "Submitted by",
                due_date: Some("Review due"),
                to_person: Some(ToPerson {
                    headline: "Ready for your review",
                    next_step: "Please start the review.",
                }),
            },
            Self::InReview => Wording {
                headline: "In review",
                next_step: "Reviewers, please read the article and comment on it. Authors, please \
                            leave it as it is until the review is over.",
                actor: "Review started by",
                due_date: Some("Review due"),
                to_person: Some(ToPerson {
                    headline: "Waiting for your review",
                    next_step: "Please read the article and comment on it.",
                }),
            },
            Self::ChangesRequested => Wording {
                headline: "Changes requested",
                next_step: "Authors, please make the changes that the review asks for, then submit \
                            the article again.",
                actor: "Requested by",
                due_date: Some("Due"),
                to_person: Some(ToPerson {
                    headline: "Waiting for your changes",
                    next_step: "Please make the changes that the review asks for, then submit the \
                                article again.",
                }),
            },
            Self::Approved => Wording {
                headline: "Approved",
                next_step: "The article passed its review and will be published. There is nothing \
                            left for you to do.",
                actor: "Approved by",
                due_date: None,
                to_person: None,
            },
            Self::Published => Wording {
                headline: "Published",
                next_step: "The article is in the AWS Prescriptive Guidance Library. Thank you, \
                            authors and reviewers! Please share the link.",
                actor: "Published by",
                due_date: None,
                to_person: None,
            },
            Self::Withdrawn => Wording {
                headline: "Withdrawn",
                next_step: "The article will not be published. Authors and reviewers, please stop \
                            working on it.",
                actor: "Withdrawn by",
                due_date: None,
                to_person: None,
            },
        }
    }
}
