//! Dates in messages, as people in a chosen time zone see them.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use rstest::rstest;
use serde_json::{Value, json};
use slack_sandbox::{Admin, Sandbox};

use crate::team::{call, page, start};

/// The time in Slack's own examples: 6:39:42 AM in Los Angeles.
const EXAMPLE: i64 = 1_392_734_382;

/// A sandbox whose page shows one message.
struct Page {
    sandbox: Sandbox,
}

impl Page {
    /// A message whose text is Slack's markup.
    async fn of_text(text: &str) -> Self {
        Self::of(&[("text", text)]).await
    }

    /// A message with a `date` element.
    async fn of_element(element: &Value) -> Self {
        let section = json!({ "type": "rich_text_section", "elements": [element] });
        let blocks = json!([{ "type": "rich_text", "elements": [section] }]).to_string();
        Self::of(&[("text", "x"), ("blocks", &blocks)]).await
    }

    async fn of(content: &[(&str, &str)]) -> Self {
        let (sandbox, admin) = start(1.0).await;
        let channel = channel_of(&admin).await;
        let arguments = [&[("channel", channel.as_str())], content].concat();
        let posted = call(&sandbox, "chat.postMessage", &arguments).await;
        let posted: Value = posted.unwrap().json().await.unwrap();
        assert_eq!(posted["ok"], true, "{posted}");
        Self { sandbox }
    }

    async fn in_zone(&self, tz: &str) -> String {
        page(&self.sandbox, &[("channel", "team"), ("tz", tz)]).await
    }

    /// Checks which date the page shows.
    async fn shows(&self, tz: &str, expected: &str) {
        let page = self.in_zone(tz).await;
        let shown = format!(">{expected}</span>");
        assert!(page.contains(&shown), "{expected} in {tz}: {page}");
    }
}

async fn channel_of(admin: &Admin) -> String {
    admin.channel("team").await.unwrap().unwrap().id
}

fn token(seconds: i64, format: &str) -> String {
    format!("<!date^{seconds}^{format}|the fallback>")
}

fn today(zone: &TimeZone) -> Date {
    Timestamp::now().to_zoned_datetime(zone.clone()).date()
}

/// Noon, when it is the same day before and after a change of the clocks.
fn noon(day: Date, zone: &TimeZone) -> i64 {
    let noon = zone.to_timestamp(day.at(12, 0, 0, 0));
    noon.unwrap().as_second()
}

#[rstest]
#[case("{date_num}", "2014-02-18")]
#[case("{date_slash}", "18/02/2014")]
#[case("{date}", "February 18th, 2014")]
#[case("{date_short}", "Feb 18, 2014")]
#[case("{date_long}", "Tuesday, February 18th, 2014")]
#[case("{date_long_full}", "February 18, 2014")]
#[case("{date_pretty}", "February 18th, 2014")]
#[case("{date_short_pretty}", "Feb 18, 2014")]
#[case("{date_long_pretty}", "Tuesday, February 18th, 2014")]
#[case("{day_divider_pretty}", "Tuesday, February 18th, 2014")]
#[case("{time}", "6:39 AM")]
#[case("{time_secs}", "6:39:42 AM")]
#[case("Posted {date_num} {time_secs}", "Posted 2014-02-18 6:39:42 AM")]
#[case("{date} at {time}", "February 18th, 2014 at 6:39 AM")]
#[tokio::test]
async fn a_date_is_shown_in_the_format_of_the_message(
    #[case] format: &str,
    #[case] expected: &str,
    #[values(false, true)] in_rich_text: bool,
) {
    let page = if in_rich_text {
        let date = json!({ "type": "date", "timestamp": EXAMPLE, "format": format });
        Page::of_element(&date).await
    } else {
        Page::of_text(&token(EXAMPLE, format)).await
    };
    page.shows("America/Los_Angeles", expected).await;
}

#[rstest]
#[case("", "2014-02-18 2:39 PM")]
#[case("UTC", "2014-02-18 2:39 PM")]
#[case("Europe/Berlin", "2014-02-18 3:39 PM")]
#[case("Pacific/Auckland", "2014-02-19 3:39 AM")]
#[tokio::test]
async fn a_date_is_shown_in_the_chosen_time_zone(#[case] tz: &str, #[case] expected: &str) {
    let page = Page::of_text(&token(EXAMPLE, "{date_num} {time}")).await;
    page.shows(tz, expected).await;
}

#[rstest]
#[case(1, "January 1st")]
#[case(2, "January 2nd")]
#[case(3, "January 3rd")]
#[case(4, "January 4th")]
#[case(11, "January 11th")]
#[case(12, "January 12th")]
#[case(13, "January 13th")]
#[case(21, "January 21st")]
#[case(22, "January 22nd")]
#[case(23, "January 23rd")]
#[case(31, "January 31st")]
#[tokio::test]
async fn a_day_has_its_english_ending(#[case] day: i8, #[case] expected: &str) {
    let day = jiff::civil::date(2014, 1, day);
    let page = Page::of_text(&token(noon(day, &TimeZone::UTC), "{date}")).await;
    page.shows("UTC", &format!("{expected}, 2014")).await;
}

#[rstest]
#[case(-2, "{date_short_pretty}", "%b %-d")]
#[case(-1, "{date_short_pretty}", "Yesterday")]
#[case(0, "{date_pretty}", "Today")]
#[case(1, "{date_long_pretty}", "Tomorrow")]
#[case(2, "{date_long_pretty}", "%A, ")]
#[case(-1, "since {date_pretty}", "since yesterday")]
#[case(0, "due {day_divider_pretty}", "due today")]
#[case(1, "due {date_short_pretty} at {time}", "due tomorrow at 12:00 PM")]
#[tokio::test]
async fn a_day_close_to_today_has_a_word(
    #[case] days: i64,
    #[case] format: &str,
    #[case] expected: &str,
    #[values("Pacific/Pago_Pago", "Europe/Berlin", "Pacific/Kiritimati")] tz: &str,
) {
    let zone = TimeZone::get(tz).unwrap();
    loop {
        let today = today(&zone);
        let day = today.checked_add(days.days()).unwrap();
        let page = Page::of_text(&token(noon(day, &zone), format)).await;
        let page = page.in_zone(tz).await;
        if today == self::today(&zone) {
            let shown = format!(">{}", day.strftime(expected));
            assert!(page.contains(&shown), "{shown}: {page}");
            return;
        }
    }
}

#[rstest]
#[case(-200, "{date_short}", "%b %-d, %Y")]
#[case(-100, "{date_short}", "%b %-d")]
#[case(100, "{date_short}", "%b %-d")]
#[case(200, "{date_short}", "%b %-d, %Y")]
#[case(100, "{date_long_full}", "%B %-d, %Y")]
#[tokio::test]
async fn a_year_is_left_out_within_six_months(
    #[case] days: i64,
    #[case] format: &str,
    #[case] expected: &str,
) {
    let day = today(&TimeZone::UTC).checked_add(days.days()).unwrap();
    let page = Page::of_text(&token(noon(day, &TimeZone::UTC), format)).await;
    page.shows("UTC", &day.strftime(expected).to_string()).await;
}

#[tokio::test]
async fn a_day_divider_leaves_out_the_current_year() {
    loop {
        let year = today(&TimeZone::UTC).year();
        let is_early = today(&TimeZone::UTC).month() <= 6;
        let (month, day, words) = if is_early {
            (12, 31, "%A, December 31st")
        } else {
            (1, 1, "%A, January 1st")
        };
        let this_year = jiff::civil::date(year, month, day);
        let last_year = jiff::civil::date(year - 1, month, day);
        let [this, last] = [this_year, last_year]
            .map(|day| token(noon(day, &TimeZone::UTC), "{day_divider_pretty}"));
        let page = Page::of_text(&format!("{this} {last}")).await;
        let page = page.in_zone("UTC").await;
        if year == today(&TimeZone::UTC).year() {
            let this_year = format!(">{}</span>", this_year.strftime(words));
            let last_year = format!(">{}, {}</span>", last_year.strftime(words), year - 1);
            assert!(page.contains(&this_year), "{this_year}: {page}");
            assert!(page.contains(&last_year), "{last_year}: {page}");
            return;
        }
    }
}

#[rstest]
#[case(-200, "3 minutes ago")]
#[case(-3_660, "1 hour ago")]
#[case(-14_500, "4 hours ago")]
#[case(-180_000, "2 days ago")]
#[case(-70 * 86_400, "2 months ago")]
#[case(230, "in 3 minutes")]
#[case(90_000, "in 1 day")]
#[tokio::test]
async fn a_distance_in_time_is_shown_in_its_largest_unit(
    #[case] seconds: i64,
    #[case] expected: &str,
) {
    let at = Timestamp::now().as_second() + seconds;
    let page = Page::of_text(&token(at, "then: {ago}")).await;
    page.shows("UTC", &format!("then: {expected}")).await;
}

#[rstest]
#[case::unknown_token("<!date^1392734382^{date_lang}|&lt;fallback&gt;>")]
#[case::open_brace("<!date^1392734382^{date|&lt;fallback&gt;>")]
#[case::no_format("<!date^1392734382|&lt;fallback&gt;>")]
#[case::no_time("<!date^soon^{date}|&lt;fallback&gt;>")]
#[case::too_late("<!date^99999999999999^{date}|&lt;fallback&gt;>")]
#[tokio::test]
async fn a_date_that_cannot_be_shown_is_its_fallback(#[case] text: &str) {
    let page = Page::of_text(&format!("It is {text}.")).await;
    let page = page.in_zone("UTC").await;
    assert!(page.contains("It is &lt;fallback&gt;."), "{page}");
}

#[rstest]
#[case(json!({ "timestamp": EXAMPLE, "format": "{date_lang}", "fallback": "the fallback" }), "the fallback")]
#[case(json!({ "timestamp": "soon", "format": "{date}", "fallback": "the fallback" }), "the fallback")]
#[case(json!({ "timestamp": EXAMPLE, "format": "{date_lang}" }), "{date_lang}")]
#[tokio::test]
async fn a_date_of_rich_text_that_cannot_be_shown_is_its_fallback(
    #[case] mut date: Value,
    #[case] expected: &str,
) {
    date["type"] = json!("date");
    let page = Page::of_element(&date).await;
    let page = page.in_zone("UTC").await;
    assert!(page.contains(&format!("<div>{expected}</div>")), "{page}");
}

#[tokio::test]
async fn a_date_can_be_a_link() {
    let link = "<a href=\"https://example.com/?a=1&amp;b=2\"><span class=\"date\"";
    let text = "<!date^1392734382^{date}^https://example.com/?a=1&amp;b=2|then> \
        <!date^1392734382^{date}^javascript:alert(1)|then>";
    let page = Page::of_text(text).await.in_zone("UTC").await;
    assert!(page.contains(link), "{page}");
    assert!(!page.contains("javascript:"), "{page}");
    let date = json!({
        "type": "date", "timestamp": EXAMPLE, "format": "{date}",
        "url": "https://example.com/?a=1&b=2", "style": { "bold": true },
    });
    let page = Page::of_element(&date).await.in_zone("UTC").await;
    assert!(page.contains(&format!("<strong>{link}")), "{page}");
}

#[tokio::test]
async fn a_date_keeps_the_style_of_the_text_around_it() {
    let text = "*Due _by <!date^1392734382^{date_num} {time_secs}|then>_*";
    let page = Page::of_text(text).await.in_zone("UTC").await;
    assert!(page.contains("<b>Due <i>by <span class=\"date\""), "{page}");
    assert!(page.contains("2014-02-18 2:39:42 PM</span></i></b>"));
}

#[tokio::test]
async fn a_date_in_code_is_shown_as_it_is_written() {
    let text = "`<!date^1392734382^{date_num}|then>`";
    let page = Page::of_text(text).await.in_zone("UTC").await;
    let code = "<code>&lt;!date^1392734382^{date_num}|then&gt;</code>";
    assert!(page.contains(code), "{page}");
}

#[rstest]
#[case("UTC")]
#[case("Asia/Tokyo")]
#[case("America/St_Johns")]
#[tokio::test]
async fn a_messages_time_is_shown_in_the_chosen_time_zone(#[case] tz: &str) {
    let (sandbox, admin) = start(1.0).await;
    let channel = channel_of(&admin).await;
    let arguments = [("channel", channel.as_str()), ("text", "hi")];
    let posted = call(&sandbox, "chat.postMessage", &arguments).await;
    let posted: Value = posted.unwrap().json().await.unwrap();
    let ts = posted["ts"].as_str().unwrap();
    let seconds = ts.split('.').next().unwrap().parse().unwrap();
    let at = Timestamp::from_second(seconds).unwrap();
    let at = at.to_zoned_datetime(TimeZone::get(tz).unwrap());
    let page = page(&sandbox, &[("channel", "team"), ("tz", tz)]).await;
    let time = at.strftime("%b %-d, %H:%M:%S");
    let time = format!("<time title=\"{ts}\">{time}</time>");
    assert!(page.contains(&time), "{time}: {page}");
}
