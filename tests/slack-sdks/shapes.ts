/**
 * Compares responses with the SDK's types of responses. TypeScript itself does it: each response becomes a literal in
 * a file that the compiler checks. A property that the type doesn't have, or has with another type, is an error.
 */
import * as path from "node:path";
import ts from "typescript";

export interface Recorded {
  method: string;
  response: unknown;
}

const FILE = path.resolve(import.meta.dirname, "recorded-responses.ts");

/** An enum of the SDK becomes the strings that it stands for, since JSON has strings. */
const PLAIN = `
type Plain<T, Null = never> = T extends string
  ? \`\${T}\`
  : T extends (infer E)[]
    ? Plain<E, Null>[]
    : T extends object
      ? { [K in keyof T]: Plain<T[K], Null> | Null }
      : T;
`;

/** Slack's page of the method shows fields with null, which the SDK's type does not allow. */
const WITH_NULLS = ["views.publish"];

/** What Slack's page of the method shows and the SDK's type lacks: the fields of a direct message. */
const ON_SLACKS_PAGE: Record<string, string> = {
  "conversations.info": "{ channel?: { user?: string; priority?: number } }",
};

/** `conversations.info` → `ConversationsInfoResponse`. */
function typeOf(method: string): string {
  const words = method.split(".").map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return `${words.join("")}Response`;
}

/** What TypeScript says about the responses, with the method that each is about. */
export function differences(recorded: Recorded[]): string[] {
  const literals = recorded.map(({ method, response }, n) => {
    const nulls = WITH_NULLS.includes(method) ? ", null" : "";
    const more = ON_SLACKS_PAGE[method] ?? "{}";
    const type = `Plain<slack.${typeOf(method)}${nulls}> & ${more}`;
    return `export const response${n}: ${type} = ${JSON.stringify(response, null, 2)};`;
  });
  const source = ['import type * as slack from "@slack/web-api";', PLAIN, ...literals].join("\n");
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ["node"],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => name === FILE || fileExists(name);
  host.readFile = (name) => (name === FILE ? source : readFile(name));
  host.getSourceFile = (name, version, ...rest) =>
    name === FILE
      ? ts.createSourceFile(name, source, version)
      : getSourceFile(name, version, ...rest);
  const diagnostics = ts.getPreEmitDiagnostics(ts.createProgram([FILE], options, host));
  return diagnostics.map((diagnostic) => described(diagnostic, source));
}

function described(diagnostic: ts.Diagnostic, source: string): string {
  const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n");
  const before = source.slice(0, diagnostic.start ?? 0);
  const type = before.split("Plain<slack.").at(-1)?.split(/[,>]/)[0];
  const line = source.slice(before.lastIndexOf("\n") + 1).split("\n")[0];
  return `${type}: ${line?.trim()}: ${message}`;
}
