import * as fs from "node:fs";
import * as path from "node:path";

const SCHEMAS = path.join(import.meta.dirname, "../../docs/schemas");

/** The parts of a JSON Schema that are used here. */
interface Schema {
  description?: string;
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  const?: string | boolean;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  $ref?: string;
  $defs?: Record<string, Schema>;
}

/** The schemas of a workflow's request and outcome. */
export interface WorkflowSchemas {
  workflow: string;
  request: Schema;
  outcome: Schema;
}

export function schemasOf(workflow: string): WorkflowSchemas {
  const read = (kind: string) =>
    JSON.parse(fs.readFileSync(path.join(SCHEMAS, fileOf(workflow, kind)), "utf8")) as Schema;
  return { workflow, request: read("request"), outcome: read("outcome") };
}

/** A workflow's request and outcome, field by field. */
export function requestAndOutcome({ workflow, request, outcome }: WorkflowSchemas): string {
  const links = ["request", "outcome"].map(
    (kind) => `[${kind}](schemas/${fileOf(workflow, kind)})`,
  );
  const either = request.anyOf?.map((choice) => `\`${choice.required?.join()}\``).join(", ");
  return [
    `JSON Schemas: ${links.join(", ")}.`,
    fields(request, "request"),
    ...(either ? [`At least one of ${either} is required.`] : []),
    fields(outcome, "outcome"),
  ].join("\n\n");
}

/** One section for each type that the tables link to. */
export function types(workflows: WorkflowSchemas[]): string {
  const schemas = workflows.flatMap(({ request, outcome }) => [request, outcome]);
  const all = new Map(schemas.flatMap(({ $defs = {} }) => Object.entries($defs)));
  const sections = [...all].sort(([a], [b]) => (a < b ? -1 : 1));
  return sections.map(([name, type]) => `### ${name}\n\n${explained(type)}`).join("\n\n");
}

function explained(type: Schema): string {
  const object = type.properties ? type : type.anyOf?.find(({ properties }) => properties);
  const others = type.anyOf?.filter(({ $ref }) => $ref).map(typeOf) ?? [];
  const constants = (type.oneOf ?? []).map(
    (constant) => `| \`${valueOf(constant)}\` | ${constant.description} |`,
  );
  const parts = [[type.description, ...limits(type)].filter(Boolean).join(" ")];
  if (others.length) parts.push(`It is one of ${others.join(", ")}.`);
  if (object) parts.push(fields(object, "field"));
  if (constants.length) parts.push(["| value | means |", "|---|---|", ...constants].join("\n"));
  return parts.join("\n\n");
}

/** The value that a choice stands for: a constant, or an object whose only field is `true`. */
function valueOf({ const: constant, properties }: Schema): string {
  const [field] = Object.keys(properties ?? {});
  return field === undefined ? String(constant) : `{"${field}": true}`;
}

function limits(type: Schema): string[] {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems } = type;
  const said = (least: number | undefined, most: number | undefined, what: string) =>
    most === undefined
      ? []
      : [least === undefined ? `At most ${most} ${what}.` : `${least} to ${most} ${what}.`];
  return [
    ...(type.const === undefined ? [] : [`\`${String(type.const)}\`.`]),
    ...(maximum === undefined ? [] : [`An integer from ${minimum ?? 0} to ${maximum}.`]),
    ...said(minLength, maxLength, "characters"),
    ...said(minItems, maxItems, "items"),
  ];
}

function fields({ properties = {}, required = [] }: Schema, heading: string): string {
  const rows = Object.entries(properties).map(([name, field]) => {
    const optional = required.includes(name) ? "" : "?";
    const hasDefault = optional && field.default !== undefined && field.default !== null;
    const meaning = [
      field.description,
      hasDefault && `Default: \`${JSON.stringify(field.default)}\`.`,
    ];
    return `| \`${name}${optional}\` | ${typeOf(field)} | ${meaning.filter(Boolean).join(" ")} |`;
  });
  return [`| ${heading} | type | meaning |`, "|---|---|---|", ...rows].join("\n");
}

function typeOf(schema: Schema): string {
  if (schema.$ref) {
    const name = path.basename(schema.$ref);
    return `[${name}](#${name.toLowerCase()})`;
  }
  const choices = schema.anyOf?.filter(({ type }) => type !== "null");
  if (choices) return choices.map(typeOf).join(" or ");
  if (schema.type === "array" && schema.items) return `list of ${typeOf(schema.items)}`;
  return schema.type ?? "anything";
}

function fileOf(workflow: string, kind: string): string {
  return `${workflow}.${kind}.schema.json`;
}
