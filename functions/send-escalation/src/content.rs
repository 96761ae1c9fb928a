//! The messages that tell of an overdue item: to the person who is told, and in the item's channel.

use apgl_contract::{Item, SlackUserId, mrkdwn::escaped};
use apgl_delivery::rich_text::{bold, date, date_in_text, plain, section, title};
use apgl_reminders::Waiting;
use jiff::Timestamp;
use serde_json::{Value, json};

/// More people than this are counted instead of listed.
const MOST_PEOPLE: usize = 10;

/// A message: the text for notifications, and the blocks.
pub(crate) struct Message {
    pub text: String,
    pub blocks: Vec<Value>,
}

/// What a message says of a person for whom the item waits.
struct Line {
    name: String,
    times: usize,
    last: Option<Timestamp>,
}

/// What both messages say.
pub(crate) struct Story<'a> {
    item: &'a Item,
    lines: Vec<Line>,
}

impl<'a> Story<'a> {
    /// `rows` say what the people have been told for whom the item waits.
    pub fn new(item: &'a Item, rows: &[Waiting]) -> Self {
        let lines = item.waiting_for.as_slice().iter().map(|email| {
            let row = rows.iter().find(|row| row.email == *email);
            Line {
                name: email.name().to_owned(),
                times: row.map_or(0, |row| row.told.len()),
                last: row.and_then(|row| row.told.values().max().copied()),
            }
        });
        Self {
            lines: lines.collect(),
            item,
        }
    }

    /// The direct message.
    pub fn to_person(&self) -> Message {
        self.message(&[], "You are told because nobody has acted.")
    }

    /// The message in the channel. It mentions the person who was told.
    pub fn to_channel(&self, told: Option<&SlackUserId>) -> Message {
        let user = told.map(|SlackUserId(id)| json!({ "type": "user", "user_id": id }));
        let after = match told {
            Some(_) => " has been told.",
            None => "Nobody else could be told.",
        };
        self.message(&user.into_iter().collect::<Vec<_>>(), after)
    }

    fn message(&self, who: &[Value], after: &str) -> Message {
        let item = self.item;
        let due = item
            .due_date
            .map_or(0, apgl_contract::DueDate::epoch_seconds);
        let mut overdue = vec![
            title(item),
            plain(" was due "),
            date(due, "{date_long}"),
            plain(&format!(
                " and is still {}. ",
                item.state.in_words().to_lowercase()
            )),
        ];
        overdue.extend_from_slice(who);
        overdue.push(plain(after));
        let shown = &self.lines[..self.lines.len().min(MOST_PEOPLE)];
        let mut people: Vec<Value> = shown.iter().map(|line| section(&told(line))).collect();
        let others = self.lines.len() - shown.len();
        if others > 0 {
            people.push(section(&[plain(&format!("and {others} more"))]));
        }
        let names: Vec<&str> = shown.iter().map(|line| line.name.as_str()).collect();
        let text = format!(
            "Overdue: {} (due {}), waiting for {}",
            escaped(item.title.as_str()),
            date_in_text(due, "{date_short}"),
            escaped(&names.join(", ")),
        );
        let list = json!({ "type": "rich_text_list", "style": "bullet", "elements": people });
        Message {
            text,
            blocks: vec![
                json!({ "type": "header", "text": { "type": "plain_text", "text": "Overdue" } }),
                json!({ "type": "rich_text", "elements": [section(&overdue), list] }),
            ],
        }
    }
}

/// How often the person was reminded, and when.
fn told(Line { name, times, last }: &Line) -> Vec<Value> {
    let often = match times {
        0 => ": not reminded",
        1 => ": reminded once, ",
        _ => ": reminded ",
    };
    let mut told = vec![plain("Waiting for "), bold(name), plain(often)];
    if *times > 1 {
        told.push(plain(&format!("{times} times, last ")));
    }
    told.extend(last.map(|last| date(last.as_second(), "{date_short} {time}")));
    told
}
