//! Text that is easily misread.

use proptest::{collection::vec, prelude::*, sample::select};

/// Two confidential values: a message's text and an address. No field has such a name.
const CONFIDENTIAL: [&str; 2] = ["a classified plan", "classified.mallory@example.com"];

/// Slack's markup, whole and in fragments.
const MARKUP: [&str; 34] = [
    "<!channel>",
    "<!channel|everybody>",
    "<!here|<",
    "<!everyone^x>",
    "<!group>",
    "<!HERE>",
    "<!",
    "<",
    ">",
    "!",
    "|",
    "^",
    "@",
    "&",
    "channel",
    "here",
    "everyone",
    "group",
    "@channel",
    "@here",
    "<!subteam^S012AB3CD>",
    "<@U012AB3CD>",
    "<@",
    "<#C012AB3CD>",
    "<https://evil.example|Read>",
    "https://evil.example/",
    "&lt;!channel&gt;",
    "&amp;lt;",
    "&#60;",
    "\u{ff1c}!channel\u{ff1e}",
    " ",
    "\n",
    "*_~`",
    "ſ",
];

/// Characters that break a line, are invisible, change the writing direction, end a string or are long in UTF-8.
const ODD: [&str; 26] = [
    "\0",
    "\t",
    "\r\n",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{ad}",
    "\u{200b}",
    "\u{200d}",
    "\u{200f}",
    "\u{202e}",
    "\u{2060}",
    "\u{2067}",
    "\u{feff}",
    "\u{fffd}",
    "\u{10ffff}",
    "😀",
    "e\u{301}\u{301}\u{301}",
    "İ",
    "Σ",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\"}\n{\"level\":\"ERROR\"}",
];

/// Whether a text that others can see contains something confidential.
pub fn leaks(shown: &str) -> bool {
    shown.contains("classified")
}

/// Any text, including long ones.
pub fn text() -> impl Strategy<Value = String> + Clone {
    let odd = pieces(prop_oneof![
        select(&ODD[..]).prop_map(str::to_owned),
        select(&CONFIDENTIAL[..]).prop_map(str::to_owned),
        vec(any::<char>(), 0..8).prop_map(String::from_iter),
    ]);
    let short = prop_oneof![odd, markup()];
    prop_oneof![
        20 => short.clone(),
        1 => (short, 1..20_000_usize).prop_map(|(text, times)| {
            let most = 200_000 / text.len().max(1);
            text.repeat(times.min(most))
        }),
    ]
}

/// Text made of fragments of Slack's markup, with invisible characters in between.
pub fn markup() -> impl Strategy<Value = String> + Clone {
    pieces(prop_oneof![
        4 => select(&MARKUP[..]),
        1 => select(&ODD[..]),
        1 => select(&CONFIDENTIAL[..]),
    ])
}

fn pieces(
    piece: impl Strategy<Value = impl AsRef<str> + std::fmt::Debug> + Clone,
) -> impl Strategy<Value = String> + Clone {
    vec(piece, 0..10).prop_map(|pieces| pieces.iter().map(AsRef::as_ref).collect())
}
