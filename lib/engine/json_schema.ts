/** JSON schemas that the engine can hold an answer to. */
import type { GbnfJsonSchema } from "node-llama-cpp";
import { ApiError } from "../openai/api_error.ts";

const handled = ["type", "enum", "const", "oneOf", "$ref"];
const ignoredKeys = new Set(["title", "description", "default", "examples", "$schema", "strict"]);
const refusedKeys = ["allOf", "not", "if", "pattern", "patternProperties", "dependentSchemas"];

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Brings a JSON schema into the words that the engine's grammar knows (`anyOf` becomes `oneOf`, notes for the
 * reader go), and refuses what a grammar can't hold an answer to, rather than ignoring it in silence.
 *
 * @throws {ApiError} 400 naming the place in the schema
 *
 * ```ts
 * const schema = grammarSchema({ type: "object", properties: { ok: { type: "boolean" } } });
 * if (!("properties" in schema)) throw new Error("kept");
 * ```
 */
export function grammarSchema(schema: unknown): GbnfJsonSchema {
  const simplified = simplify(schema, "schema");
  if (!isGrammarSchema(simplified)) throw refuse("schema", "is not a JSON schema");
  return simplified;
}

function refuse(where: string, why: string): ApiError {
  return new ApiError(400, `'response_format.json_schema.${where}' ${why}`, { param: "response_format" });
}

function simplify(schema: unknown, where: string): Json {
  if (!isObject(schema)) throw refuse(where, "must be a schema object");
  const refused = refusedKeys.find((key) => key in schema);
  if (refused !== undefined) throw refuse(`${where}.${refused}`, "is not supported by this engine");
  const result: Json = {};
  for (const [key, value] of Object.entries(schema)) {
    if (ignoredKeys.has(key)) continue;
    result[key === "anyOf" ? "oneOf" : key] = simplifyPart(key, value, `${where}.${key}`);
  }
  if ("properties" in result && !("type" in result)) result.type = "object";
  if (!handled.some((key) => key in result)) throw refuse(where, `needs one of ${handled.join(", ")}`);
  return result;
}

function simplifyPart(key: string, value: unknown, where: string): unknown {
  if (key === "items" || (key === "additionalProperties" && typeof value === "object")) {
    return simplify(value, where);
  }
  if (key === "properties" || key === "$defs") {
    if (!isObject(value)) throw refuse(where, "must be an object of schemas");
    return Object.fromEntries(
      Object.entries(value).map(([name, part]) => [name, simplify(part, `${where}.${name}`)]),
    );
  }
  if (key === "anyOf" || key === "oneOf" || key === "prefixItems") {
    if (!Array.isArray(value)) throw refuse(where, "must be a list of schemas");
    return value.map((part, i) => simplify(part, `${where}.${i}`));
  }
  return value;
}

function isGrammarSchema(schema: Json): schema is Json & GbnfJsonSchema {
  return handled.some((key) => key in schema);
}
