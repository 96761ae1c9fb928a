import { QueryDefinition, QueryString, type ILogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { SLACK_REFUSED } from "./metrics.js";
import type { Settings } from "./settings.js";

export interface LogQueriesProps {
  readonly settings: Settings;
  readonly functions: ILogGroup[];
  readonly workflows: ILogGroup[];
}

/** Saved queries for CloudWatch Logs Insights, in a folder that is named after the prefix. */
export class LogQueries extends Construct {
  constructor(scope: Construct, id: string, { settings, functions, workflows }: LogQueriesProps) {
    super(scope, id);
    const query = (id: string, name: string, logGroups: ILogGroup[], queryString: QueryString) =>
      new QueryDefinition(this, id, {
        queryDefinitionName: `${settings.prefix}/${name}`,
        logGroups,
        queryString,
      });

    query(
      "OneRun",
      "one run",
      [...functions, ...workflows],
      new QueryString({
        fields: [
          "@timestamp",
          "coalesce(step, details.name) as what",
          "coalesce(message, type) as happened",
          "level",
          "error.name",
          "error.reason",
        ],
        filterStatements: [
          'executionId = "PASTE THE EXECUTION ARN" or execution_arn = "PASTE THE EXECUTION ARN"',
        ],
        sort: "@timestamp asc",
        limit: 1000,
      }),
    );
    query(
      "Failures",
      "failures",
      functions,
      new QueryString({
        fields: ["@timestamp"],
        filterStatements: ['level = "ERROR"'],
        statsStatements: [
          "count(*) as times, latest(executionId) as lastExecution, latest(error.reason) as reason by coalesce(step, function) as who, error.name, slack.error",
        ],
        sort: "times desc",
      }),
    );
    query(
      "SlackLimits",
      "slack limits",
      functions,
      new QueryString({
        fields: ["@timestamp"],
        filterStatements: [`message = "${SLACK_REFUSED}"`],
        statsStatements: [
          "count(*) as refused, max(slack.retryAfter) as longestWaitInSeconds by bin(5m), slack.method",
        ],
      }),
    );
  }
}
