//! The page that shows the channels and their messages.

use serde_json::{Value, json};
use slack_sandbox::{Admin, Sandbox, Seed, seed::TokenSeed, server::UserChange};

use crate::team::{TOKEN, call, page, start};

#[tokio::test]
async fn the_page_shows_messages_and_escapes_them_once() {
    let (sandbox, admin) = start(1.0).await;
    let id = admin.channel("team").await.unwrap().unwrap().id;
    let text = "*bold* <https://example.com/?a=1&amp;b=2|link> &lt;script&gt;alert(1)&lt;/script&gt; <javascript:alert(1)|click>";
    call(
        &sandbox,
        "chat.postMessage",
        &[("channel", &id), ("text", text)],
    )
    .await
    .unwrap();
    let page = page_of(&sandbox, "team").await;
    assert!(page.contains("ana@example.com"));
    assert!(page.contains("<b>bold</b>"));
    assert!(page.contains("<a href=\"https://example.com/?a=1&amp;b=2\">link</a>"));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
    assert!(!page.contains("javascript:"));
}

#[tokio::test]
async fn mentions_are_shown_by_name_in_text_and_in_blocks() {
    let (sandbox, admin) = start(1.0).await;
    let id = admin.channel("team").await.unwrap().unwrap().id;
    let section = json!({ "type": "rich_text_section", "elements": [
        { "type": "text", "text": "Waiting for " }, { "type": "user", "user_id": "UANA" },
    ] });
    let blocks = json!([{ "type": "rich_text", "elements": [section] }]).to_string();
    let text = "<@UANA>, <@U0GONE>: <!channel>";
    let plain = [("channel", id.as_str()), ("text", text)];
    let rich = [("channel", id.as_str()), ("text", "x"), ("blocks", &blocks)];
    for arguments in [&plain[..], &rich[..]] {
        call(&sandbox, "chat.postMessage", arguments).await.unwrap();
    }
    let page = page_of(&sandbox, "team").await;
    let ana = "<b class=\"mention\">@ana</b>";
    let gone = "<b class=\"mention\">@U0GONE</b>";
    assert!(
        page.contains(&format!("{ana}, {gone}: <b>!channel</b>")),
        "{page}"
    );
    assert!(page.contains(&format!("Waiting for {ana}")), "{page}");
}

#[tokio::test]
async fn a_direct_message_is_shown_under_the_persons_name() {
    let (sandbox, admin) = start(1.0).await;
    let arguments = [("channel", "UANA"), ("text", "for you")];
    call(&sandbox, "chat.postMessage", &arguments)
        .await
        .unwrap();
    let id = admin.direct_message("UANA").await.unwrap().unwrap().id;
    let page = page_of(&sandbox, &id).await;
    assert!(page.contains("<h2>@ ana</h2>"), "{page}");
    assert!(page.contains("Direct message · 2 members"));
    assert!(page.contains("for you"));
    let link = format!("href=\"/?channel={id}\" title=\"ana\"");
    assert!(page.contains(&link), "{page}");
    assert!(page.contains(" · 1 channel</p>"), "{page}");
}

async fn page_of(sandbox: &Sandbox, channel: &str) -> String {
    page(sandbox, &[("channel", channel)]).await
}

#[tokio::test]
async fn the_page_shows_rich_text_as_it_is() {
    let (sandbox, admin) = start(1.0).await;
    let id = admin.channel("team").await.unwrap().unwrap().id;
    let section = |elements| json!({ "type": "rich_text_section", "elements": elements });
    let link = json!({
        "type": "link", "url": "https://example.com/a", "text": "A *title* <b>",
        "style": { "bold": true },
    });
    let script = json!({ "type": "link", "url": "javascript:alert(1)", "text": "click" });
    let blocks = json!([{ "type": "rich_text", "elements": [
        section(json!([link, script, { "type": "text", "text": "one\ntwo" }])),
        { "type": "rich_text_list", "style": "bullet", "elements": [
            section(json!([{ "type": "text", "text": "a fact" }])),
        ] },
    ] }]);
    let arguments = [
        ("channel", id.as_str()),
        ("text", "x"),
        ("blocks", &blocks.to_string()),
    ];
    call(&sandbox, "chat.postMessage", &arguments)
        .await
        .unwrap();
    let page = page_of(&sandbox, "team").await;
    let title = "<strong><a href=\"https://example.com/a\">A *title* &lt;b&gt;</a></strong>";
    assert!(page.contains(title), "{page}");
    assert!(page.contains("one<br>two"));
    assert!(page.contains("<li><div>a fact</div></li>"));
    assert!(!page.contains("javascript:"));
}

/// Calls the method in the channel `team`, and returns the answer.
async fn in_team(
    sandbox: &Sandbox,
    admin: &Admin,
    method: &str,
    arguments: &[(&str, &str)],
) -> Value {
    let id = admin.channel("team").await.unwrap().unwrap().id;
    let arguments = [&[("channel", id.as_str())], arguments].concat();
    let answer = call(sandbox, method, &arguments).await;
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    answer
}

#[tokio::test]
async fn a_message_that_was_updated_is_marked_as_edited() {
    let (sandbox, admin) = start(1.0).await;
    let post = [("text", "one")];
    let posted = in_team(&sandbox, &admin, "chat.postMessage", &post).await;
    assert!(!page_of(&sandbox, "team").await.contains("(edited)"));
    let update = [("ts", posted["ts"].as_str().unwrap()), ("text", "two")];
    in_team(&sandbox, &admin, "chat.update", &update).await;
    let page = page_of(&sandbox, "team").await;
    assert!(page.contains("(edited)</span>"), "{page}");
    assert!(page.contains("two") && !page.contains("one<"), "{page}");
}

#[tokio::test]
async fn a_pinned_message_is_marked_and_linked_from_the_header() {
    let (sandbox, admin) = start(1.0).await;
    let post = [("text", "*Review* of chapter 3\nsecond line")];
    let posted = in_team(&sandbox, &admin, "chat.postMessage", &post).await;
    let ts = posted["ts"].as_str().unwrap();
    assert!(!page_of(&sandbox, "team").await.contains("Pinned by"));
    in_team(&sandbox, &admin, "pins.add", &[("timestamp", ts)]).await;
    let page = page_of(&sandbox, "team").await;
    assert!(
        page.contains(" Pinned by APGL-Notifications</div>"),
        "{page}"
    );
    let (header, messages) = page.split_once("</header>").unwrap();
    assert!(
        header.contains(&format!("<a href=\"#message-{ts}\">")),
        "{page}"
    );
    assert!(header.contains("<b>Review</b> of chapter 3</li>"), "{page}");
    assert!(messages.contains(&format!("id=\"message-{ts}\"")), "{page}");
}

#[tokio::test]
async fn the_header_links_to_the_latest_pins_and_counts_the_others() {
    let (sandbox, admin) = start(0.01).await;
    for text in ["a", "b", "c", "d", "e", "f", "g"] {
        let posted = in_team(&sandbox, &admin, "chat.postMessage", &[("text", text)]).await;
        let pin = [("timestamp", posted["ts"].as_str().unwrap())];
        in_team(&sandbox, &admin, "pins.add", &pin).await;
    }
    let page = page_of(&sandbox, "team").await;
    assert_eq!(page.matches("href=\"#message-").count(), 5);
    assert!(page.contains("<li>and 2 more</li>"), "{page}");
}

#[tokio::test]
async fn every_link_keeps_the_time_zone_and_the_search() {
    let (sandbox, _admin) = start(1.0).await;
    for user in ["UANA", "UBOB"] {
        let arguments = [("channel", user), ("text", "hi")];
        call(&sandbox, "chat.postMessage", &arguments)
            .await
            .unwrap();
    }
    let query = [("tz", "Europe/Berlin"), ("q", "a"), ("refresh", "60")];
    let page = page(&sandbox, &query).await;
    let links: Vec<&str> = page.split("href=\"/").skip(1).collect();
    assert!(links.len() >= 3, "{page}");
    for link in links {
        let link = link.split('"').next().unwrap();
        let kept = "&amp;q=a&amp;refresh=60&amp;tz=Europe%2FBerlin";
        assert!(link.ends_with(kept), "{link}");
    }
    assert!(page.contains("<input type=\"hidden\" name=\"refresh\" value=\"60\">"));
}

#[tokio::test]
async fn the_time_zones_of_the_users_can_be_chosen() {
    let (sandbox, admin) = start(1.0).await;
    let change = UserChange {
        tz: Some("Asia/Kathmandu".to_owned()),
        ..UserChange::default()
    };
    admin.change_user("UANA", &change).await.unwrap();
    let page = page(&sandbox, &[("channel", "team"), ("tz", "Asia/Tokyo")]).await;
    assert!(page.contains("<option>Asia/Kathmandu</option>"), "{page}");
    assert!(
        page.contains("<option selected>Asia/Tokyo</option>"),
        "{page}"
    );
    assert!(
        page.contains("<input type=\"hidden\" name=\"channel\" value=\"team\">"),
        "{page}"
    );
}

#[tokio::test]
async fn an_unknown_time_zone_is_named() {
    let (sandbox, _admin) = start(1.0).await;
    let page = page(&sandbox, &[("tz", "Europe/Atlantis")]).await;
    assert!(
        page.contains("There is no time zone Europe/Atlantis."),
        "{page}"
    );
}

#[tokio::test]
async fn a_direct_message_links_to_itself_in_the_persons_time_zone() {
    let (sandbox, admin) = start(1.0).await;
    let arguments = [("channel", "UANA"), ("text", "for you")];
    call(&sandbox, "chat.postMessage", &arguments)
        .await
        .unwrap();
    let id = admin.direct_message("UANA").await.unwrap().unwrap().id;
    assert!(!page_of(&sandbox, &id).await.contains("as seen in"));
    let change = UserChange {
        tz: Some("Europe/Berlin".to_owned()),
        ..UserChange::default()
    };
    admin.change_user("UANA", &change).await.unwrap();
    let page = page_of(&sandbox, &id).await;
    let link =
        format!("<a href=\"/?channel={id}&amp;tz=Europe%2FBerlin\">as seen in Europe/Berlin</a>");
    assert!(page.contains(&link), "{page}");
}

#[tokio::test]
async fn the_latest_direct_message_is_listed_first() {
    let (sandbox, _admin) = start(0.001).await;
    let first = async || {
        let page = page_of(&sandbox, "team").await;
        let (_, listed) = page.split_once("id=\"direct-messages\"").unwrap();
        let (_, title) = listed.split_once("title=\"").unwrap();
        title.split('"').next().unwrap().to_owned()
    };
    for (user, name) in [("UANA", "ana"), ("UBOB", "bob"), ("UANA", "ana")] {
        let arguments = [("channel", user), ("text", "hi")];
        call(&sandbox, "chat.postMessage", &arguments)
            .await
            .unwrap();
        assert_eq!(first().await, name);
    }
}

#[tokio::test]
async fn a_person_is_found_by_name_and_by_address() {
    let (sandbox, admin) = start(1.0).await;
    let seed: Seed = serde_json::from_value(json!({
        "users": [{ "id": "UCHI", "name": "Chi Ling", "email": "cling@example.com" }],
    }))
    .unwrap();
    admin.seed(&seed).await.unwrap();
    let arguments = [("channel", "UCHI"), ("text", "hi")];
    call(&sandbox, "chat.postMessage", &arguments)
        .await
        .unwrap();
    for (search, is_found) in [("chi l", true), ("CLING@", true), ("ana", false)] {
        let page = page(&sandbox, &[("channel", "team"), ("q", search)]).await;
        let listed = page.contains("title=\"Chi Ling\"");
        assert_eq!(listed, is_found, "{search}: {page}");
    }
}

#[tokio::test]
async fn a_direct_message_with_several_people_is_shown_under_their_names() {
    let (sandbox, admin) = start(1.0).await;
    let mut token = TokenSeed::new(TOKEN);
    token.scopes.insert("mpim:write".to_owned());
    admin.add_token(&token).await.unwrap();
    let opened = call(&sandbox, "conversations.open", &[("users", "UANA,UBOB")]).await;
    let opened: Value = opened.unwrap().json().await.unwrap();
    let id = opened["channel"]["id"].as_str().unwrap();
    let page = page_of(&sandbox, id).await;
    assert!(page.contains("<h2>@ ana, bob</h2>"), "{page}");
    assert!(page.contains("title=\"ana, bob\""), "{page}");
}
