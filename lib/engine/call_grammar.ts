/** Grammars for tool calls: where an answer must be a call, or a template teaches no form of its own. */
import { isObject } from "../bounded_json.ts";
import { ApiError } from "../openai/api_error.ts";
import type { AnswerRequest } from "../openai/request.ts";
import type { ToolDefinition } from "../prompts/request_settings.ts";
import type { CallForm } from "./call_reader.ts";
import { grammarSchema, type SchemaObject } from "./grammar_schema.ts";

/** Most calls in one answer that must be calls: a small model may not find the end. */
const MOST_CALLS = 4;
/** Most optional arguments: each subset becomes an alternative of the grammar, 2ⁿ in all. */
const MOST_OPTIONAL = 4;

/** What a grammar is made for. */
type ToolRequest = Pick<AnswerRequest, "tools" | "toolChoice" | "parallelCalls">;

/**
 * The GBNF grammar of an answer to a request with tools; null where the model may write what it likes: with
 * the choice `auto` and a template that teaches it a form.
 *
 * @param form the form that the template teaches; null where Podium lists the tools
 * @param grammarOf the GBNF grammar of a JSON schema, with `root` as its first rule
 * @throws {ApiError} 400 where the form has no grammar
 */
export async function callGrammar(
  request: ToolRequest,
  form: CallForm | null,
  grammarOf: (schema: SchemaObject) => Promise<string>,
): Promise<string | null> {
  const { tools, toolChoice, parallelCalls } = request;
  if (toolChoice === "auto" && form !== null) return null;
  const isNamed = typeof toolChoice === "object";
  const root = rootRule(form, isNamed || !parallelCalls ? 1 : MOST_CALLS);
  const allowed = isNamed ? tools.filter(({ name }) => name === toolChoice.name) : tools;
  const key = form === "json" ? "parameters" : "arguments";
  const all = { oneOf: allowed.flatMap((tool) => callSchemas(tool, key)) };
  const loose = { oneOf: allowed.flatMap(({ name }) => callSchemas({ name }, key, [ANY])) };
  const grammar = await grammarOf(all).catch((error: unknown) => {
    if (error instanceof ApiError) return grammarOf(loose); // together they are beyond a grammar
    throw error;
  });
  const rules = compact(grammar).replace(/^root ::=/m, "call ::=").trimEnd();
  // Any other beginning is an answer in words.
  const free = toolChoice === "auto" ? " | [^{] .*" : "";
  return `root ::= ${root}${free}\n${rules}\n`;
}

/** Without line breaks and indentation: small models would waste their tokens on them. */
const compact = (grammar: string) =>
  grammar
    .replaceAll(/^(whitespace-[\w-]+) ::= .*$/gm, "$1 ::= [ ]?")
    .replaceAll(/^(comma-whitespace-[\w-]+) ::= .*$/gm, '$1 ::= "," [ ]?');

function rootRule(form: CallForm | null, most: number): string {
  const times = (more: string) => most === 1 ? "" : ` (${more}){0,${most - 1}}`;
  switch (form) {
    case "hermes": {
      const tag = '"<tool_call>\\n" call "\\n</tool_call>"';
      return `${tag}${times(`"\\n" ${tag}`)}`;
    }
    case "mistral":
      return `"[TOOL_CALLS][" call${times('", " call')} "]"`;
    case "json":
      return "call";
    case null:
      return `call${times('"\\n" call')}`;
    case "gemma":
      throw new ApiError(
        400,
        "'tool_choice' must be auto for this model: its form of calls has no grammar here",
        {
          param: "tool_choice",
        },
      );
  }
}

/**
 * The schemas of a tool's calls: one for each subset of optional arguments, since a grammar demands every
 * property of a schema.
 */
function callSchemas(
  { name, parameters = {} }: ToolDefinition,
  key: string,
  schemas = argumentSchemas(parameters),
): SchemaObject[] {
  return schemas.map((schema) => ({
    type: "object",
    properties: { name: { const: name }, [key]: schema },
  }));
}

function argumentSchemas(parameters: SchemaObject): SchemaObject[] {
  const properties: SchemaObject = isObject(parameters.properties) ? parameters.properties : {};
  const required: unknown[] = Array.isArray(parameters.required) ? parameters.required : [];
  const keys = Object.keys(properties);
  const optional = keys.filter((key) => !required.includes(key));
  if (keys.length === 0) return [{ type: "object", properties: {} }];
  if (optional.length > MOST_OPTIONAL) return [ANY];
  const schemas = Array.from({ length: 2 ** optional.length }, (_, choice) => {
    const left = optional.filter((_, at) => (choice >> at & 1) === 0);
    const kept = Object.entries(properties).filter(([key]) => !left.includes(key));
    return { ...parameters, properties: Object.fromEntries(kept), required: kept.map(([key]) => key) };
  });
  return schemas.every(isBuildable) ? schemas : [ANY];
}

/** Any JSON object, where a grammar can't express a schema. */
const ANY: SchemaObject = { type: "object", additionalProperties: true };

function isBuildable(schema: SchemaObject): boolean {
  try {
    grammarSchema(schema);
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}
