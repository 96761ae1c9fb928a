// Reads the token from Secrets Manager and calls Slack once. Bundled and minified, as for a deployment.
// The loop over the Runtime API is minimal; Lambda's own runtime for Node does more.

import http from "node:http";

import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { WebClient } from "@slack/web-api";

const { AWS_LAMBDA_RUNTIME_API: runtime, SLACK_API_URL: slackApiUrl, SLACK_TOKEN_SECRET: secret } = process.env;
const agent = new http.Agent({ keepAlive: true });
const secrets = new SecretsManagerClient({});
let slack;

async function handle() {
  if (!slack) {
    const { SecretString: token } = await secrets.send(new GetSecretValueCommand({ SecretId: secret }));
    slack = new WebClient(token, { slackApiUrl: `${slackApiUrl}/` });
  }
  const { team } = await slack.auth.test();
  return { team };
}

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const url = `http://${runtime}/2018-06-01/runtime/invocation/${path}`;
    const request = http.request(url, { method, agent }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.headers));
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function run() {
  for (;;) {
    const { "lambda-runtime-aws-request-id": id } = await ask("GET", "next");
    try {
      await ask("POST", `${id}/response`, JSON.stringify(await handle()));
    } catch (error) {
      await ask("POST", `${id}/error`, JSON.stringify({ errorType: error.name, errorMessage: error.message }));
    }
  }
}

run();
