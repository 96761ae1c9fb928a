"""Reads the token from Secrets Manager and calls Slack once.

The loop over the Runtime API is minimal; Lambda's own runtime for Python does more.
"""

import http.client
import json
import os

import boto3
from slack_sdk import WebClient

INVOCATION = "/2018-06-01/runtime/invocation"

runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
secrets = boto3.client("secretsmanager")
slack = None


def handle():
    global slack
    if slack is None:
        token = secrets.get_secret_value(SecretId=os.environ["SLACK_TOKEN_SECRET"])["SecretString"]
        slack = WebClient(token, base_url=os.environ["SLACK_API_URL"] + "/")
    return {"team": slack.auth_test()["team"]}


def ask(method, path, body=None):
    runtime.request(method, f"{INVOCATION}/{path}", None if body is None else json.dumps(body))
    answer = runtime.getresponse()
    answer.read()
    return answer.headers


while True:
    request_id = ask("GET", "next")["lambda-runtime-aws-request-id"]
    try:
        ask("POST", f"{request_id}/response", handle())
    except Exception as error:
        ask("POST", f"{request_id}/error", {"errorType": type(error).__name__, "errorMessage": str(error)})
