/**
 * Calls every method of the Slack sandbox with Slack's own SDK, and compares each response with the SDK's type.
 * `cargo test --package slack-sandbox --test sdks` starts the sandbox and this test.
 */
import {
  ErrorCode,
  WebClient,
  type ViewsPublishArguments,
  type WebAPICallResult,
  type WebAPIPlatformError,
} from "@slack/web-api";
import { describe, expect, it } from "vitest";
import { differences, type Recorded } from "./shapes.js";

const url = process.env.SLACK_SANDBOX_URL;
if (url === undefined) {
  throw new Error("SLACK_SANDBOX_URL must be the address of a Slack sandbox");
}
const slack = new WebClient(process.env.SLACK_TOKEN, {
  slackApiUrl: `${url}/api/`,
  retryConfig: { retries: 0 },
});

const recorded: Recorded[] = [];

/** Keeps the response, to compare it with its type. */
async function of<T extends WebAPICallResult>(method: string, response: Promise<T>): Promise<T> {
  const answer = await response;
  recorded.push({ method, response: answer });
  return answer;
}

/** Slack's error code for a call that Slack rejects. Keeps the response too. */
async function errorOf(method: string, response: Promise<WebAPICallResult>): Promise<string> {
  const error = await response.then(
    () => Promise.reject(new Error(`${method} succeeded`)),
    (error: WebAPIPlatformError) => error,
  );
  expect(error.code).toBe(ErrorCode.PlatformError);
  recorded.push({ method, response: error.data });
  return error.data.error;
}

/** The id of a new public channel. */
async function newChannel(name: string): Promise<string> {
  const created = await of("conversations.create", slack.conversations.create({ name }));
  return defined(created.channel?.id);
}

async function post(channel: string, text: string): Promise<string> {
  const posted = await of("chat.postMessage", slack.chat.postMessage({ channel, text }));
  return defined(posted.ts);
}

function defined<T>(value: T | undefined): T {
  expect(value).toBeDefined();
  return value as T;
}

describe("the app", () => {
  it("tests the API", async () => {
    const answer = await of("api.test", slack.apiCall("api.test", { foo: "bar" }));
    expect(answer).toMatchObject({ args: { foo: "bar" } });
    expect(await errorOf("api.test", slack.api.test({ error: "my_error" }))).toBe("my_error");
  });

  it("knows who it is", async () => {
    const who = await of("auth.test", slack.auth.test());
    expect(who).toMatchObject({ user_id: "U00BOT", bot_id: "B00BOT", team_id: "T00SANDBOX" });
    expect(who.response_metadata?.scopes).toContain("chat:write");
    expect(
      await errorOf(
        "auth.test",
        new WebClient("xoxb-other", { slackApiUrl: `${url}/api/` }).auth.test(),
      ),
    ).toBe("invalid_auth");
  });

  it("publishes a home tab", async () => {
    const view: ViewsPublishArguments["view"] = { type: "home", blocks: [{ type: "divider" }] };
    const published = await of("views.publish", slack.views.publish({ user_id: "UANA", view }));
    expect(published.view?.blocks?.[0]?.type).toBe("divider");
    const hash = published.view?.hash;
    await of("views.publish", slack.views.publish({ user_id: "UANA", view, hash }));
    expect(
      await errorOf("views.publish", slack.views.publish({ user_id: "UANA", view, hash })),
    ).toBe("hash_conflict");
  });
});

describe("users", () => {
  it("are found", async () => {
    const email = "ana@example.com";
    const found = await of("users.lookupByEmail", slack.users.lookupByEmail({ email }));
    expect(found.user?.id).toBe("UANA");
    const info = await of("users.info", slack.users.info({ user: "UANA", include_locale: true }));
    expect(info.user).toMatchObject({ tz: "Europe/Berlin", locale: "en-US" });
    expect(info.user?.profile?.email).toBe(email);
    expect(await errorOf("users.info", slack.users.info({ user: "UNOBODY" }))).toBe(
      "user_not_found",
    );
  });

  it("are listed page by page", async () => {
    const ids: (string | undefined)[] = [];
    for await (const page of slack.paginate("users.list", { limit: 1 })) {
      recorded.push({ method: "users.list", response: page });
      const { members } = page as { members?: { id?: string }[] };
      ids.push(...(members ?? []).map(({ id }) => id));
    }
    expect(ids).toEqual(expect.arrayContaining(["UANA", "UBOB", "U00BOT"]));
    const list = await of("users.list", slack.users.list({}));
    expect(list.members?.map(({ id }) => id)).toEqual(ids);
  });
});

describe("a channel", () => {
  it("is created, described, renamed and archived", async () => {
    const channel = await newChannel("sdk-life");
    const topic = await of(
      "conversations.setTopic",
      slack.conversations.setTopic({ channel, topic: "a topic" }),
    );
    expect(topic.channel?.topic?.value).toBe("a topic");
    const purpose = await of(
      "conversations.setPurpose",
      slack.conversations.setPurpose({ channel, purpose: "a purpose" }),
    );
    expect(purpose.channel?.purpose?.value).toBe("a purpose");
    const renamed = await of(
      "conversations.rename",
      slack.conversations.rename({ channel, name: "sdk-renamed" }),
    );
    expect(renamed.channel?.name).toBe("sdk-renamed");
    const info = await of(
      "conversations.info",
      slack.conversations.info({ channel, include_num_members: true }),
    );
    expect(info.channel).toMatchObject({
      creator: "U00BOT",
      num_members: 1,
      previous_names: ["sdk-life"],
      is_ext_shared: false,
    });
    await of("conversations.archive", slack.conversations.archive({ channel }));
    expect(
      await errorOf("conversations.unarchive", slack.conversations.unarchive({ channel })),
    ).toBe("not_in_channel");
  });

  it("is listed", async () => {
    const channel = await newChannel("sdk-listed");
    const types = "public_channel,private_channel";
    const list = await of("conversations.list", slack.conversations.list({ types, limit: 999 }));
    expect(list.channels?.find(({ id }) => id === channel)?.is_member).toBe(true);
    const own = await of(
      "users.conversations",
      slack.users.conversations({ types, exclude_archived: true }),
    );
    expect(own.channels?.map(({ id }) => id)).toContain(channel);
    expect(await errorOf("conversations.list", slack.conversations.list({ limit: 1_000 }))).toBe(
      "invalid_limit",
    );
  });

  it("has members who come and go", async () => {
    const channel = await newChannel("sdk-members");
    await of("conversations.invite", slack.conversations.invite({ channel, users: "UANA,UBOB" }));
    const members = await of("conversations.members", slack.conversations.members({ channel }));
    expect(members.members).toEqual(["U00BOT", "UANA", "UBOB"]);
    expect(
      await errorOf(
        "conversations.invite",
        slack.conversations.invite({ channel, users: "UANA,UNOBODY" }),
      ),
    ).toBe("already_in_channel");
    await of("conversations.kick", slack.conversations.kick({ channel, user: "UBOB" }));
    await of("conversations.leave", slack.conversations.leave({ channel }));
    const joined = await of("conversations.join", slack.conversations.join({ channel }));
    expect(joined.channel?.is_member).toBe(true);
    const again = await of("conversations.join", slack.conversations.join({ channel }));
    expect(again.warning).toBe("already_in_channel");
  });
});

describe("messages", () => {
  it("are posted with blocks and metadata, and read again", async () => {
    const channel = await newChannel("sdk-messages");
    const posted = await of(
      "chat.postMessage",
      slack.chat.postMessage({
        channel: "#sdk-messages",
        text: "hello",
        blocks: [{ type: "section", text: { type: "mrkdwn", text: "*hello*" } }],
        metadata: { event_type: "greeting", event_payload: { n: 1 } },
      }),
    );
    expect(posted.channel).toBe(channel);
    expect(posted.message?.blocks?.[0]?.text?.text).toBe("*hello*");
    const thread_ts = defined(posted.ts);
    const reply = await of(
      "chat.postMessage",
      slack.chat.postMessage({ channel, text: "reply", thread_ts }),
    );
    expect(reply.message).toMatchObject({ thread_ts, parent_user_id: "U00BOT" });
    const history = await of(
      "conversations.history",
      slack.conversations.history({ channel, include_all_metadata: true }),
    );
    expect(history.messages).toHaveLength(1);
    expect(history.messages?.[0]).toMatchObject({ reply_count: 1, latest_reply: reply.ts });
    expect(history.messages?.[0]?.metadata?.event_type).toBe("greeting");
    const replies = await of(
      "conversations.replies",
      slack.conversations.replies({ channel, ts: thread_ts }),
    );
    expect(replies.messages?.map(({ text }) => text)).toEqual(["hello", "reply"]);
    expect(
      await errorOf("conversations.replies", slack.conversations.replies({ channel, ts: "1.0" })),
    ).toBe("thread_not_found");
  });

  it("are changed and deleted", async () => {
    const channel = await newChannel("sdk-changes");
    const ts = await post(channel, "one");
    const updated = await of("chat.update", slack.chat.update({ channel, ts, text: "two" }));
    expect(updated.message).toMatchObject({ text: "two", edited: { user: "U00BOT" } });
    const link = await of(
      "chat.getPermalink",
      slack.chat.getPermalink({ channel, message_ts: ts }),
    );
    expect(link.permalink).toBe(
      `https://sandbox.slack.com/archives/${channel}/p${ts.replace(".", "")}`,
    );
    await of("chat.delete", slack.chat.delete({ channel, ts }));
    expect(await errorOf("chat.delete", slack.chat.delete({ channel, ts }))).toBe(
      "message_not_found",
    );
  });

  it("are truncated with a warning", async () => {
    const channel = await newChannel("sdk-long");
    const text = "x".repeat(40_001);
    const posted = await of("chat.postMessage", slack.chat.postMessage({ channel, text }));
    expect(posted.response_metadata?.warnings).toEqual(["message_truncated"]);
    const history = await of("conversations.history", slack.conversations.history({ channel }));
    expect(history.messages).toHaveLength(10);
  });

  it("are shown to one user", async () => {
    const channel = await newChannel("sdk-ephemeral");
    await of("conversations.invite", slack.conversations.invite({ channel, users: "UANA" }));
    const shown = { channel, user: "UANA", text: "for you" };
    const posted = await of("chat.postEphemeral", slack.chat.postEphemeral(shown));
    expect(posted.message_ts).toMatch(/^\d+\.\d{6}$/);
    expect(
      await errorOf("chat.postEphemeral", slack.chat.postEphemeral({ ...shown, user: "UBOB" })),
    ).toBe("user_not_in_channel");
  });

  it("are sent to a user", async () => {
    const opened = await of(
      "conversations.open",
      slack.conversations.open({ users: "UANA", return_im: true }),
    );
    expect(opened.channel?.user).toBe("UANA");
    const channel = defined(opened.channel?.id);
    await post(channel, "one");
    const posted = await of(
      "chat.postMessage",
      slack.chat.postMessage({ channel: "UANA", text: "two" }),
    );
    expect(posted.channel).toBe(channel);
    const history = await of("conversations.history", slack.conversations.history({ channel }));
    expect(history.messages?.map(({ text }) => text)).toEqual(["two", "one"]);
    await of("conversations.info", slack.conversations.info({ channel }));
    const open = await of("conversations.open", slack.conversations.open({ channel }));
    expect(open.already_open).toBe(true);
    await of("conversations.close", slack.conversations.close({ channel }));
    const closed = await of("conversations.close", slack.conversations.close({ channel }));
    expect(closed.already_closed).toBe(true);
    await of("conversations.open", slack.conversations.open({ users: "UANA,UBOB" }));
    await of("conversations.list", slack.conversations.list({ types: "im,mpim" }));
  });

  it("are pinned", async () => {
    const channel = await newChannel("sdk-pins");
    const timestamp = await post(channel, "pin me");
    await of("pins.add", slack.pins.add({ channel, timestamp }));
    expect(await errorOf("pins.add", slack.pins.add({ channel, timestamp }))).toBe(
      "already_pinned",
    );
    const pins = await of("pins.list", slack.pins.list({ channel }));
    expect(pins.items?.[0]?.message?.ts).toBe(timestamp);
    await of("pins.remove", slack.pins.remove({ channel, timestamp }));
    expect(await errorOf("pins.remove", slack.pins.remove({ channel, timestamp }))).toBe("no_pin");
  });

  it("have reactions", async () => {
    const channel = await newChannel("sdk-reactions");
    const item = { channel, timestamp: await post(channel, "what do you think?"), name: "eyes" };
    await of("reactions.add", slack.reactions.add(item));
    expect(await errorOf("reactions.add", slack.reactions.add(item))).toBe("already_reacted");
    const got = await of("reactions.get", slack.reactions.get(item));
    expect(got.message?.reactions).toEqual([{ name: "eyes", users: ["U00BOT"], count: 1 }]);
    const list = await of("reactions.list", slack.reactions.list({}));
    expect(list.items?.[0]?.message?.ts).toBe(item.timestamp);
    await of("conversations.history", slack.conversations.history({ channel }));
    await of("reactions.remove", slack.reactions.remove(item));
    expect(await errorOf("reactions.remove", slack.reactions.remove(item))).toBe("no_reaction");
  });
});

describe("every response", () => {
  it("has the shape of the SDK's type", { timeout: 120_000 }, () => {
    expect(differences(recorded)).toEqual([]);
  });

  it("is compared", async () => {
    const methods = (await (await fetch(`${url}/admin/methods`)).json()) as string[];
    const compared = new Set(recorded.map(({ method }) => method));
    expect([...compared].sort()).toEqual(methods.sort());
  });

  it("would be reported if it had another shape", { timeout: 120_000 }, () => {
    const wrong = [
      { method: "auth.test", response: { ok: true, user_id: 1 } },
      {
        method: "conversations.info",
        response: { ok: true, channel: { id: "C1", colour: "red" } },
      },
      { method: "pins.add", response: { ok: true, pinned: true } },
    ];
    const reported = differences(wrong).map((text) => text.split(": ").slice(0, 2).join(": "));
    expect(reported).toEqual([
      'AuthTestResponse: "user_id"',
      'ConversationsInfoResponse: "colour"',
      'PinsAddResponse: "pinned"',
    ]);
  });
});
