//! The page that shows the channels and their messages.

use serde_json::json;
use slack_sandbox::Sandbox;

use crate::team::{call, start};

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
    let page = reqwest::get(format!("{}/?channel={channel}", sandbox.url()));
    page.await.unwrap().text().await.unwrap()
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
