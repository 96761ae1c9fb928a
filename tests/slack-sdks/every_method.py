"""Calls every method of the Slack sandbox with Slack's own SDK.

`cargo test --package slack-sandbox --test sdks` starts the sandbox and this test.
"""

import os
import unittest

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

URL = os.environ["SLACK_SANDBOX_URL"]
TOKEN = os.environ["SLACK_TOKEN"]

slack = WebClient(token=TOKEN, base_url=f"{URL}/api/")


class EveryMethod(unittest.TestCase):
    def error(self, method, **arguments):
        """Slack's error code for a call that Slack rejects."""
        with self.assertRaises(SlackApiError) as raised:
            method(**arguments)
        return raised.exception.response["error"]

    def new_channel(self, name):
        return slack.conversations_create(name=name)["channel"]["id"]

    def test_the_app(self):
        self.assertEqual(slack.api_test(foo="bar")["args"], {"foo": "bar"})
        self.assertEqual(self.error(slack.api_test, error="my_error"), "my_error")
        self.assertEqual(slack.auth_test()["user_id"], "U00BOT")
        other = WebClient(token="xoxb-other", base_url=slack.base_url)
        self.assertEqual(self.error(other.auth_test), "invalid_auth")
        view = {"type": "home", "blocks": [{"type": "divider"}]}
        published = slack.views_publish(user_id="UANA", view=view)
        self.assertEqual(published["view"]["blocks"], view["blocks"])

    def test_users(self):
        found = slack.users_lookupByEmail(email="ana@example.com")
        self.assertEqual(found["user"]["id"], "UANA")
        info = slack.users_info(user="UANA", include_locale=True)["user"]
        self.assertEqual((info["tz"], info["locale"]), ("Europe/Berlin", "en-US"))
        self.assertEqual(self.error(slack.users_info, user="UNOBODY"), "user_not_found")
        ids = [user["id"] for page in slack.users_list(limit=1) for user in page["members"]]
        self.assertLessEqual({"UANA", "UBOB", "U00BOT"}, set(ids))

    def test_the_life_of_a_channel(self):
        channel = self.new_channel("sdk-life")
        self.assertEqual(self.error(slack.conversations_create, name="sdk-life"), "name_taken")
        topic = slack.conversations_setTopic(channel=channel, topic="a topic")
        self.assertEqual(topic["channel"]["topic"]["value"], "a topic")
        purpose = slack.conversations_setPurpose(channel=channel, purpose="a purpose")
        self.assertEqual(purpose["channel"]["purpose"]["value"], "a purpose")
        renamed = slack.conversations_rename(channel=channel, name="sdk-renamed")
        self.assertEqual(renamed["channel"]["name"], "sdk-renamed")
        info = slack.conversations_info(channel=channel, include_num_members=True)["channel"]
        self.assertEqual((info["creator"], info["num_members"]), ("U00BOT", 1))
        slack.conversations_archive(channel=channel)
        self.assertEqual(
            self.error(slack.conversations_unarchive, channel=channel), "not_in_channel"
        )

    def test_lists_of_channels(self):
        channel = slack.conversations_create(name="sdk-private", is_private=True)["channel"]
        self.assertTrue(channel["is_private"])
        types = "public_channel,private_channel"
        for method in (slack.conversations_list, slack.users_conversations):
            pages = method(types=types, exclude_archived=True, limit=1)
            ids = [listed["id"] for page in pages for listed in page["channels"]]
            self.assertIn(channel["id"], ids)
        self.assertEqual(self.error(slack.conversations_list, limit=1_000), "invalid_limit")

    def test_the_members_of_a_channel(self):
        channel = self.new_channel("sdk-members")
        slack.conversations_invite(channel=channel, users=["UANA", "UBOB"])
        members = slack.conversations_members(channel=channel)["members"]
        self.assertEqual(members, ["U00BOT", "UANA", "UBOB"])
        slack.conversations_kick(channel=channel, user="UBOB")
        self.assertEqual(
            self.error(slack.conversations_kick, channel=channel, user="UBOB"), "not_in_channel"
        )
        slack.conversations_leave(channel=channel)
        self.assertTrue(slack.conversations_join(channel=channel)["channel"]["is_member"])
        again = slack.conversations_join(channel=channel)
        self.assertIn("already_in_channel", again["response_metadata"]["warnings"])

    def test_messages_and_threads(self):
        channel = self.new_channel("sdk-messages")
        posted = slack.chat_postMessage(
            channel="#sdk-messages",
            text="hello",
            blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": "*hello*"}}],
            metadata={"event_type": "greeting", "event_payload": {"n": 1}},
        )
        self.assertEqual(posted["channel"], channel)
        self.assertEqual(posted["message"]["blocks"][0]["text"]["text"], "*hello*")
        slack.chat_postMessage(channel=channel, text="reply", thread_ts=posted["ts"])
        history = slack.conversations_history(channel=channel, include_all_metadata=True)
        [message] = history["messages"]
        self.assertEqual(message["metadata"]["event_payload"], {"n": 1})
        replies = slack.conversations_replies(channel=channel, ts=posted["ts"])
        self.assertEqual([reply["text"] for reply in replies["messages"]], ["hello", "reply"])

    def test_changes_of_messages(self):
        channel = self.new_channel("sdk-changes")
        ts = slack.chat_postMessage(channel=channel, text="one")["ts"]
        self.assertEqual(slack.chat_update(channel=channel, ts=ts, text="two")["text"], "two")
        link = slack.chat_getPermalink(channel=channel, message_ts=ts)["permalink"]
        self.assertTrue(link.endswith(f"/{channel}/p{ts.replace('.', '')}"))
        slack.chat_delete(channel=channel, ts=ts)
        self.assertEqual(
            self.error(slack.chat_delete, channel=channel, ts=ts), "message_not_found"
        )

    def test_messages_to_one_user(self):
        channel = self.new_channel("sdk-ephemeral")
        slack.conversations_invite(channel=channel, users="UANA")
        shown = slack.chat_postEphemeral(channel=channel, user="UANA", text="for you")
        self.assertIn("message_ts", shown)
        opened = slack.conversations_open(users=["UANA"], return_im=True)
        self.assertEqual(opened["channel"]["user"], "UANA")
        direct = opened["channel"]["id"]
        slack.chat_postMessage(channel=direct, text="one")
        posted = slack.chat_postMessage(channel="UANA", text="two")
        self.assertEqual(posted["channel"], direct)
        history = slack.conversations_history(channel=direct)
        self.assertEqual([message["text"] for message in history["messages"]], ["two", "one"])
        slack.conversations_close(channel=direct)

    def test_pins(self):
        channel = self.new_channel("sdk-pins")
        item = {
            "channel": channel,
            "timestamp": slack.chat_postMessage(channel=channel, text="pin me")["ts"],
        }
        slack.pins_add(**item)
        self.assertEqual(self.error(slack.pins_add, **item), "already_pinned")
        [pin] = slack.pins_list(channel=channel)["items"]
        self.assertEqual(pin["message"]["ts"], item["timestamp"])
        slack.pins_remove(**item)
        self.assertEqual(self.error(slack.pins_remove, **item), "no_pin")

    def test_reactions(self):
        channel = self.new_channel("sdk-reactions")
        item = {
            "channel": channel,
            "timestamp": slack.chat_postMessage(channel=channel, text="well?")["ts"],
        }
        slack.reactions_add(name="eyes", **item)
        self.assertEqual(self.error(slack.reactions_add, name="eyes", **item), "already_reacted")
        reactions = slack.reactions_get(**item)["message"]["reactions"]
        self.assertEqual(reactions, [{"name": "eyes", "users": ["U00BOT"], "count": 1}])
        [reacted] = slack.reactions_list()["items"]
        self.assertEqual(reacted["message"]["ts"], item["timestamp"])
        slack.reactions_remove(name="eyes", **item)
        self.assertEqual(self.error(slack.reactions_remove, name="eyes", **item), "no_reaction")


if __name__ == "__main__":
    unittest.main()
