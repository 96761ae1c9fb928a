//! Finds Slack users by their e-mail addresses.
//!
//! An address that the table does not know is looked up in Slack: one call per address, several at the same time.
//! If there are many such addresses, and reading users.list takes fewer calls, the list is read instead. Every
//! result is stored immediately, so a step that is rate-limited continues where it stopped.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use apgl_aws::{SettingError, seconds};
use apgl_contract::{
    Email, Invocation, Run, SkipReason, Skipped, SlackUser, SlackUserId, StepError, epoch::time_of,
};
use apgl_slack::{LimitedBy, RateLimiter, SlackClient, SlackError, User};
use apgl_stores::{KnownUser, LookUps, SlackUsers};
use aws_types::SdkConfig;

/// The smallest number of unknown addresses for which users.list is considered.
const MANY: usize = 20;
/// How many addresses are looked up at the same time. Each call uses its own connection.
const AT_ONCE: usize = 10;
/// The longest time that one call takes, including the writes after it.
const TIME_FOR_A_CALL: Duration = SlackClient::CALL_TIMEOUT.saturating_add(Duration::from_secs(2));

/// The longest time that an id from before the execution is trusted for a removal: an outdated id would leave the person
/// in the channel.
const LONGEST_TRUST_TO_REMOVE: Duration = Duration::from_hours(1);

#[derive(Debug, Clone)]
pub struct People {
    pub known: SlackUsers,
    pub slack: SlackClient,
    /// How long what Slack has returned for an address is trusted. An address can pass to another account.
    pub trust: Duration,
}

/// What the ids are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Invite,
    /// A bot is never invited, but it can be removed.
    Remove,
}

/// The owners of addresses, in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub users: Vec<SlackUser>,
    pub skipped: Vec<Skipped>,
    /// When Slack was asked for the first of them.
    pub resolved_at: SystemTime,
}

/// The owner of an e-mail address in Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    Human(SlackUserId),
    Bot(SlackUserId),
    /// No active user has this address.
    Absent,
    /// Slack refuses to look up this address.
    NotLookedUp,
}

impl LimitedBy for People {
    fn limited_by(&self, limiter: &Arc<dyn RateLimiter>) -> Self {
        Self {
            slack: self.slack.limited_by(limiter),
            ..self.clone()
        }
    }
}

impl People {
    /// Uses the table that `SLACK_USERS_TABLE` names, and trusts its entries for `PERSON_TRUST_SECONDS`.
    pub fn from_env(aws: &SdkConfig, slack: SlackClient) -> Result<Self, SettingError> {
        Ok(Self {
            known: SlackUsers::from_env(aws)?,
            slack,
            trust: seconds("PERSON_TRUST_SECONDS")?,
        })
    }

    /// The owners of these addresses.
    pub async fn resolve(
        &self,
        emails: Vec<Email>,
        purpose: Purpose,
        invocation: &Invocation,
    ) -> Result<Resolved, StepError> {
        let since = self.resolved_since(purpose, &invocation.run);
        let (people, resolved_at) = self.owners(&emails, since, invocation).await?;
        let mut resolved = Resolved {
            users: Vec::with_capacity(emails.len()),
            skipped: Vec::new(),
            resolved_at,
        };
        for email in emails {
            let reason = match (people.get(&email), purpose) {
                (Some(Person::Human(id)), _) | (Some(Person::Bot(id)), Purpose::Remove) => {
                    let id = id.clone();
                    resolved.users.push(SlackUser { email, id });
                    continue;
                }
                (Some(Person::Bot(_)), Purpose::Invite) => SkipReason::Bot,
                (Some(Person::NotLookedUp), _) => SkipReason::CannotLookUp,
                (Some(Person::Absent) | None, _) => SkipReason::NotInSlack,
            };
            resolved.skipped.push(Skipped::new(email, reason));
        }
        Ok(resolved)
    }

    /// Resolves users again who were resolved so long ago that they are no longer trusted: the execution has waited,
    /// or it has been redriven. An older workflow does not say when they were resolved, so the table is asked.
    pub async fn renew(
        &self,
        users: Vec<SlackUser>,
        purpose: Purpose,
        invocation: &Invocation,
    ) -> Result<(Vec<SlackUser>, Vec<Skipped>), StepError> {
        let resolved_at = invocation.run.resolved_at.map(time_of);
        let since = self.resolved_since(purpose, &invocation.run);
        if users.is_empty() || resolved_at.is_some_and(|at| at >= since) {
            return Ok((users, Vec::new()));
        }
        let emails = users.into_iter().map(|user| user.email).collect();
        let renewed = self.resolve(emails, purpose, invocation).await?;
        Ok((renewed.users, renewed.skipped))
    }

    /// The owners of these addresses, as Slack has shown them since the execution began. Empty if the execution's users
    /// were all resolved since then: Slack would show the same.
    pub async fn owners_since_start(
        &self,
        emails: &[Email],
        invocation: &Invocation,
    ) -> Result<HashMap<Email, Person>, StepError> {
        let run = &invocation.run;
        // An older workflow does not say when it began.
        let Some(began_at) = run.began_at() else {
            return Ok(HashMap::new());
        };
        let resolved_at = run.resolved_at.map(time_of);
        if resolved_at.is_some_and(|at| at >= began_at) {
            return Ok(HashMap::new());
        }
        let (owners, _) = self.owners(emails, began_at, invocation).await?;
        Ok(owners)
    }

    /// What Slack has returned since then is trusted. That includes whatever it has returned since the execution
    /// began: otherwise an execution with many addresses would begin again before it reaches the last.
    fn resolved_since(&self, purpose: Purpose, run: &Run) -> SystemTime {
        let trust = match purpose {
            Purpose::Invite => self.trust,
            Purpose::Remove => self.trust.min(LONGEST_TRUST_TO_REMOVE),
        };
        let recent = SystemTime::now().checked_sub(trust).unwrap_or(UNIX_EPOCH);
        run.began_at()
            .map_or(recent, |began_at| recent.min(began_at))
    }

    /// The owner of each address, from what Slack has returned at `since` or later, and the earliest time of that.
    async fn owners(
        &self,
        emails: &[Email],
        since: SystemTime,
        invocation: &Invocation,
    ) -> Result<(HashMap<Email, Person>, SystemTime), StepError> {
        let mut earliest = SystemTime::now();
        if emails.is_empty() {
            return Ok((HashMap::new(), earliest));
        }
        let execution_id = &start_of(&invocation.run);
        let look_ups = self.known.look_up(emails, execution_id).await?;
        let mut people: HashMap<Email, Person> = HashMap::with_capacity(emails.len());
        let mut unknown: Vec<Email> = Vec::new();
        for email in emails {
            let known = look_ups.known.get(email);
            match known.filter(|user| user.seen_at >= since) {
                Some(user) => {
                    earliest = earliest.min(user.seen_at);
                    people.insert(email.clone(), Person::from(user));
                }
                None if look_ups.absent.contains(email) => {
                    people.insert(email.clone(), Person::Absent);
                }
                None => unknown.push(email.clone()),
            }
        }
        if let Some(listing) = Listing::worthwhile(&look_ups, unknown.len()) {
            self.look_in_list(listing, &mut unknown, &mut people, invocation)
                .await?;
        }
        let mut absent = Vec::new();
        let looked_up = self
            .look_up_each(&unknown, &mut people, &mut absent, invocation)
            .await;
        let kept = self.known.keep_absent(execution_id, &absent).await;
        let refused = looked_up?;
        kept?;
        let is_anybody_known = people.values().any(|person| *person != Person::NotLookedUp);
        match SlackError::of_all(refused) {
            // Slack refuses every look-up, and there is nobody to go on with.
            Some(refusal) if !is_anybody_known => Err(refusal.into()),
            _ => Ok((people, earliest)),
        }
    }

    /// The owner of an address whose stored id, `wrong`, Slack no longer knows.
    pub async fn corrected(
        &self,
        email: &Email,
        wrong: &SlackUserId,
        invocation: &Invocation,
    ) -> Result<Person, StepError> {
        let execution_id = &start_of(&invocation.run);
        let emails = std::slice::from_ref(email);
        let look_ups = self.known.look_up(emails, execution_id).await?;
        if look_ups.absent.contains(email) {
            return Ok(Person::Absent);
        }
        match look_ups.known.get(email) {
            Some(user) if user.id != *wrong => return Ok(Person::from(user)),
            Some(_) => self.known.forget(email, wrong).await?,
            None => {}
        }
        let (mut people, mut absent) = (HashMap::new(), Vec::new());
        self.look_up_each(emails, &mut people, &mut absent, invocation)
            .await?;
        self.known.keep_absent(execution_id, &absent).await?;
        tracing::info!(
            slack.user = wrong.0,
            "Slack no longer knows the user; looked the address up again"
        );
        Ok(people.remove(email).unwrap_or(Person::Absent))
    }

    /// Returns the refusals whose codes are not known to be about an address.
    async fn look_up_each(
        &self,
        unknown: &[Email],
        people: &mut HashMap<Email, Person>,
        absent: &mut Vec<Email>,
        invocation: &Invocation,
    ) -> Result<Vec<SlackError>, StepError> {
        let mut refused = Vec::new();
        let mut left = unknown.len();
        for some in unknown.chunks(AT_ONCE) {
            invocation.need_time_for(TIME_FOR_A_CALL, "looking up users")?;
            let slack = self.slack.planning(left);
            let addresses: Vec<&str> = some.iter().map(Email::as_str).collect();
            let asked_at = SystemTime::now();
            let answers = slack.users_lookup_by_email(&addresses).await?;
            let (mut found, mut failed) = (Vec::new(), None);
            for (email, answer) in some.iter().zip(answers) {
                match answer.map(|user| active(&user?, asked_at)) {
                    Ok(Some(user)) => {
                        people.insert(email.clone(), Person::from(&user));
                        found.push((email.clone(), user));
                    }
                    Ok(None) => {
                        people.insert(email.clone(), Person::Absent);
                        absent.push(email.clone());
                    }
                    Err(error) if is_about_the_address(&error) => {
                        tracing::warn!(
                            slack.error = error.rejected_code(),
                            "Slack refuses to look up an address"
                        );
                        people.insert(email.clone(), Person::NotLookedUp);
                        if !is_known_to_be_about_the_address(&error) {
                            refused.push(error);
                        }
                    }
                    // Preferred to other errors, because it says how long to wait.
                    Err(limited @ SlackError::RateLimited { .. }) => failed = Some(limited),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            // The successful look-ups are stored even if another one failed.
            let remembered = self.known.remember(&found).await;
            if let Some(error) = failed {
                return Err(error.into());
            }
            remembered?;
            left -= some.len();
        }
        Ok(refused)
    }

    /// Looks for the `unknown` addresses in users.list. Those without a result stay in `unknown`.
    async fn look_in_list(
        &self,
        mut listing: Listing,
        unknown: &mut Vec<Email>,
        people: &mut HashMap<Email, Person>,
        invocation: &Invocation,
    ) -> Result<(), StepError> {
        let execution_id = &start_of(&invocation.run);
        let mut is_at_the_end = false;
        while !unknown.is_empty() && !is_at_the_end && listing.pages < listing.at_most {
            invocation.need_time_for(TIME_FOR_A_CALL, "paging through the users")?;
            let slack = self.slack.planning(listing.pages_ahead());
            let asked_at = SystemTime::now();
            let page = match slack.users_list(listing.cursor.as_deref()).await {
                Err(error) if is_about_the_cursor(&error) => {
                    self.known.keep_place_in_list(execution_id, None, 0).await?;
                    return Ok(());
                }
                page => page?,
            };
            listing.pages += 1;
            let found = wanted(&page.items, unknown, asked_at);
            self.known.remember(&found).await?;
            for (email, user) in &found {
                people.insert(email.clone(), Person::from(user));
            }
            unknown.retain(|email| !people.contains_key(email));
            if page.unreadable > 0 {
                // Somebody can be in the list without being seen, so the others are looked up one by one.
                return self.known.keep_place_in_list(execution_id, None, 0).await;
            }
            // Without the scope for e-mail addresses the list shows none, so an address that is not in it proves
            // nothing. The look-up then reports the missing scope.
            listing.shows_addresses |= page.items.iter().any(|user| user.profile.email.is_some());
            listing.cursor = page.next_cursor;
            is_at_the_end = listing.cursor.is_none();
            if is_at_the_end && listing.shows_addresses {
                self.known.keep_absent(execution_id, unknown).await?;
                people.extend(unknown.drain(..).map(|email| (email, Person::Absent)));
            }
            self.known
                .keep_place_in_list(execution_id, listing.cursor.as_deref(), listing.pages)
                .await?;
        }
        tracing::info!(
            slack.pages = listing.pages,
            "looked for users in users.list"
        );
        if is_at_the_end || listing.known_pages < listing.pages {
            self.known.remember_list_pages(listing.pages).await?;
        }
        self.known.keep_place_in_list(execution_id, None, 0).await
    }
}

/// An execution's progress in users.list, and the number of pages that it may read.
#[derive(Debug, PartialEq, Eq)]
struct Listing {
    cursor: Option<String>,
    pages: u32,
    at_most: u32,
    /// The known length of the list, in pages; 0 if unknown.
    known_pages: u32,
    shows_addresses: bool,
}

impl Listing {
    /// The expected number of pages that remain.
    fn pages_ahead(&self) -> usize {
        let all = match self.known_pages {
            0 => self.at_most,
            known => known,
        };
        all.saturating_sub(self.pages)
            .try_into()
            .unwrap_or(usize::MAX)
    }

    /// Decides whether to read the list: only if that takes fewer calls than `unknown` look-ups. The first time,
    /// the list's length is unknown; reading then stops after half as many pages as there would be look-ups.
    fn worthwhile(look_ups: &LookUps, unknown: usize) -> Option<Self> {
        if unknown == 0 {
            // The stored position stays, for the other addresses of this execution.
            return None;
        }
        let calls = u32::try_from(unknown).unwrap_or(u32::MAX);
        let known_pages = look_ups.list_pages.unwrap_or_default();
        if let Some((cursor, pages)) = look_ups.place_in_list.clone() {
            return Some(Self {
                cursor: Some(cursor),
                pages,
                at_most: pages.saturating_add(calls),
                known_pages,
                shows_addresses: true,
            });
        }
        let is_shorter = look_ups.list_pages.is_none_or(|pages| pages < calls);
        (unknown >= MANY && is_shorter).then_some(Self {
            cursor: None,
            pages: 0,
            at_most: look_ups.list_pages.map_or(calls / 2, |_| calls),
            known_pages,
            shows_addresses: false,
        })
    }
}

/// The users on the page whose addresses are wanted. Nobody else is stored.
fn wanted(page: &[User], unknown: &[Email], asked_at: SystemTime) -> Vec<(Email, KnownUser)> {
    let unknown: HashSet<&Email> = unknown.iter().collect();
    page.iter()
        .filter_map(|user| {
            let email = Email::try_from(user.profile.email.clone()?).ok()?;
            let user = active(user, asked_at)?;
            unknown.contains(&email).then_some((email, user))
        })
        .collect()
}

fn active(user: &User, asked_at: SystemTime) -> Option<KnownUser> {
    (!user.deleted).then(|| KnownUser {
        id: SlackUserId(user.id.clone()),
        is_bot: user.is_bot,
        tz: user.tz.clone(),
        seen_at: asked_at,
    })
}

/// Whether Slack's refusal may concern this address alone: then the others are invited, and the message is posted.
/// Transient errors, and those about the token, are not `Rejected`.
fn is_about_the_address(error: &SlackError) -> bool {
    let is_known = is_known_to_be_about_the_address(error);
    error.rejected_code().is_some() && (is_known || !error.is_about_the_call())
}

fn is_known_to_be_about_the_address(error: &SlackError) -> bool {
    // Slack may say so of a strange address.
    error.rejected_code() == Some("invalid_arguments")
}

/// What an execution has found out is kept for each of its redrives: somebody may have joined Slack before the redrive.
fn start_of(run: &Run) -> String {
    match run.redrive_count {
        0 => run.execution_id.clone(),
        redrives => format!("{}/{redrives}", run.execution_id),
    }
}

fn is_about_the_cursor(error: &SlackError) -> bool {
    error.rejected_code() == Some("invalid_cursor")
}

impl From<&KnownUser> for Person {
    fn from(user: &KnownUser) -> Self {
        let id = user.id.clone();
        if user.is_bot {
            Self::Bot(id)
        } else {
            Self::Human(id)
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::few(None, 19, None)]
    #[case::many(None, 50, Some(25))]
    #[case::a_short_list(Some(3), 50, Some(50))]
    #[case::a_long_list(Some(50), 50, None)]
    fn the_list_is_read_when_it_takes_fewer_calls(
        #[case] list_pages: Option<u32>,
        #[case] unknown: usize,
        #[case] at_most: Option<u32>,
    ) {
        let look_ups = LookUps {
            list_pages,
            ..LookUps::default()
        };
        let listing = Listing::worthwhile(&look_ups, unknown);
        assert_eq!(listing.map(|listing| listing.at_most), at_most);
    }

    #[test]
    fn an_unfinished_list_is_continued_while_somebody_is_missing() {
        let look_ups = LookUps {
            place_in_list: Some(("next".to_owned(), 7)),
            ..LookUps::default()
        };
        assert_eq!(Listing::worthwhile(&look_ups, 0), None);
        let listing = Listing::worthwhile(&look_ups, 1).unwrap();
        assert_eq!(
            (listing.cursor.as_deref(), listing.pages),
            (Some("next"), 7)
        );
    }

    fn user(email: Option<&str>, deleted: bool, is_bot: bool) -> User {
        serde_json::from_value(serde_json::json!({
            "id": "U1", "deleted": deleted, "is_bot": is_bot, "profile": { "email": email },
        }))
        .unwrap()
    }

    #[rstest]
    #[case::wanted(Some("Ana@Example.com"), false, false, Some(false))]
    #[case::a_bot(Some("ana@example.com"), false, true, Some(true))]
    #[case::deactivated(Some("ana@example.com"), true, false, None)]
    #[case::not_asked_for(Some("bob@example.com"), false, false, None)]
    #[case::without_address(None, false, false, None)]
    fn only_active_users_who_are_asked_for_are_taken_from_the_list(
        #[case] email: Option<&str>,
        #[case] deleted: bool,
        #[case] is_bot: bool,
        #[case] expected: Option<bool>,
    ) {
        let ana = Email::try_from("ana@example.com".to_owned()).unwrap();
        let found = wanted(&[user(email, deleted, is_bot)], &[ana], SystemTime::now());
        let found: Vec<bool> = found.iter().map(|(_, user)| user.is_bot).collect();
        assert_eq!(found, Vec::from_iter(expected));
    }
}
