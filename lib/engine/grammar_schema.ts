/** JSON schemas that the engine can enforce. */
import type { GbnfJsonSchema } from "node-llama-cpp";
import { isObject } from "../bounded_json.ts";
import { ApiError } from "../openai/api_error.ts";
import { parallelStates, SELF_REFERENCE } from "./schema_ambiguity.ts";

/** A schema's keywords and their values. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** Limits of a schema, so that making and applying its grammar takes a bounded time. */
const limits = {
  /** Levels of lists and objects in the schema itself. */
  depth: 64,
  /** Values in it, of every kind. */
  values: 5000,
  /** Characters of its names and strings. */
  characters: 100_000,
  /** `minLength`, `minItems`, `minProperties`: a grammar repeats the rule this many times. */
  least: 500,
  /** `maxLength`, `maxItems`, `maxProperties`. */
  most: 5000,
  /** Whole numbers of a range, which become a list of values. */
  range: 100,
  /** Alternatives that the same text may belong to: a grammar follows all of them at once. */
  alternatives: 500,
} as const;

const types = ["string", "number", "integer", "boolean", "null", "object", "array"];
const formats = ["date-time", "time", "date"];
const handled = ["type", "enum", "const", "oneOf", "$ref"];
const ignoredKeys = new Set([
  ..."title description default examples example deprecated readOnly writeOnly".split(" "),
  ..."strict nullable $schema $id $comment".split(" "),
]);

/**
 * Rewrites a JSON schema with the keywords that the engine's grammar supports (`anyOf`
 * becomes `oneOf`, annotations are dropped), and refuses schemas that a grammar can't express
 * or can't handle in a bounded time.
 *
 * @throws {ApiError} 400 naming the place in the schema
 *
 * ```ts
 * const schema = grammarSchema({ type: "object", properties: { ok: { type: "boolean" } } });
 * if (!("properties" in schema)) throw new Error("kept");
 * ```
 */
export function grammarSchema(schema: unknown): GbnfJsonSchema {
  checkSize(schema);
  const simplified = simplify(schema, "schema");
  const definitions = checkReferences(simplified);
  const states = parallelStates(simplified, definitions, limits.alternatives);
  if (states === SELF_REFERENCE) throw refuse("schema", "refers to itself without anything in between");
  if (states > limits.alternatives) {
    throw refuse("schema", `has too many alternatives that begin alike: ${limits.alternatives} at most`);
  }
  if (!isGrammarSchema(simplified)) throw refuse("schema", "is not a JSON schema");
  return simplified;
}

/** A schema without a grammar is the request's fault, whatever error the grammar gives. */
export function unbuildableSchema(): ApiError {
  return refuse("schema", "is beyond what a grammar can express: shorten its lengths and lists");
}

function refuse(where: string, why: string): ApiError {
  return new ApiError(400, `'response_format.json_schema.${where}' ${why}`, { param: "response_format" });
}

/** Without recursion, which a deep schema would exhaust. */
function checkSize(schema: unknown): void {
  let [values, characters] = [0, 0];
  const open: { value: unknown; depth: number }[] = [{ value: schema, depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, depth } = next;
    values++;
    if (typeof value === "string") characters += value.length;
    if (typeof value === "object" && value !== null) {
      if (depth === limits.depth) throw refuse("schema", `is nested more than ${limits.depth} levels deep`);
      for (const [key, part] of Object.entries(value)) {
        characters += key.length;
        open.push({ value: part, depth: depth + 1 });
      }
    }
    if (values + open.length > limits.values) {
      throw refuse("schema", `has too many parts: ${limits.values} values at most`);
    }
    if (characters > limits.characters) {
      throw refuse("schema", `is too long: ${limits.characters} characters at most`);
    }
  }
}

function simplify(schema: unknown, where: string): SchemaObject {
  if (!isObject(schema)) throw refuse(where, "must be a schema object");
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(schema)) {
    if (ignoredKeys.has(key) || key.startsWith("x-")) continue;
    result[key === "anyOf" ? "oneOf" : key] = simplifyPart(key, value, `${where}.${key}`);
  }
  takeRange(result, where);
  if ("properties" in result && !("type" in result)) result.type = "object";
  if (!handled.some((key) => key in result)) throw refuse(where, `needs one of ${handled.join(", ")}`);
  for (const what of ["Length", "Items", "Properties"]) {
    const [least, most] = [Number(result[`min${what}`] ?? 0), Number(result[`max${what}`] ?? Infinity)];
    if (least > most) throw refuse(where, `has a min${what} above its max${what}`);
  }
  return result;
}

function simplifyPart(key: string, value: unknown, where: string): unknown {
  switch (key) {
    case "type":
      return oneOrMany(value, types, where);
    case "format":
      return oneOf(value, formats, where);
    case "enum":
      return listOf(value, where, "values").map((one) => scalar(one, where));
    case "const":
      return scalar(value, where);
    case "properties":
    case "$defs":
      return schemasByName(value, where);
    case "items":
      return simplify(value, where);
    case "additionalProperties":
      return typeof value === "boolean" ? value : simplify(value, where);
    case "anyOf":
    case "oneOf":
    case "prefixItems":
      return listOf(value, where, "schemas").map((part, index) => simplify(part, `${where}.${index}`));
    case "minLength":
    case "minItems":
    case "minProperties":
      return wholeNumber(value, limits.least, where);
    case "maxLength":
    case "maxItems":
    case "maxProperties":
      return wholeNumber(value, limits.most, where);
    case "minimum":
    case "maximum":
      if (typeof value === "number") return value;
      throw refuse(where, "must be a number");
    case "$ref":
    case "required":
      return value;
    default:
      throw refuse(where, "is not supported by this engine");
  }
}

/** A short range of whole numbers becomes a list of them; a bound that no double reaches has no effect. */
function takeRange(schema: Record<string, unknown>, where: string): void {
  const { minimum, maximum, ...others } = schema;
  delete schema.minimum;
  delete schema.maximum;
  const isBound = (value: unknown) => typeof value === "number" && Math.abs(value) < Number.MAX_SAFE_INTEGER;
  if (!isBound(minimum) && !isBound(maximum)) return;
  const [first, last] = [Math.ceil(Number(minimum)), Math.floor(Number(maximum))];
  if (others.type !== "integer" || "enum" in others || !(last >= first && last - first < limits.range)) {
    const what = isBound(minimum) ? "minimum" : "maximum";
    throw refuse(
      `${where}.${what}`,
      `is not supported by this engine, except in ranges of at most ${limits.range} integers`,
    );
  }
  delete schema.type;
  schema.enum = Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

function oneOf(value: unknown, known: readonly string[], where: string): unknown {
  if (typeof value === "string" && known.includes(value)) return value;
  throw refuse(where, `must be one of ${known.join(", ")}`);
}

function oneOrMany(value: unknown, known: readonly string[], where: string): unknown {
  return Array.isArray(value)
    ? listOf(value, where, "types").map((one) => oneOf(one, known, where))
    : oneOf(value, known, where);
}

function listOf(value: unknown, where: string, what: string): unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw refuse(where, `must be a list of ${what}, with one at least`);
}

function scalar(value: unknown, where: string): unknown {
  if (value === null || ["string", "number", "boolean"].includes(typeof value)) return value;
  throw refuse(where, "must hold strings, numbers, booleans or null");
}

function wholeNumber(value: unknown, most: number, where: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw refuse(where, `must be a whole number from 0 to ${most}`);
}

function schemasByName(value: unknown, where: string): SchemaObject {
  if (!isObject(value)) throw refuse(where, "must be an object of schemas");
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => [name, simplify(part, `${where}.${name}`)]),
  );
}

const reference = "#/$defs/";

/** The schema's definitions by what refers to them; each reference must have one. */
function checkReferences(schema: SchemaObject): ReadonlyMap<string, SchemaObject> {
  const definitions = new Map<string, SchemaObject>();
  for (const [name, definition] of Object.entries(isObject(schema.$defs) ? schema.$defs : {})) {
    if (isObject(definition)) definitions.set(reference + name, definition);
  }
  const open: unknown[] = [schema];
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (typeof part !== "object" || part === null) continue;
    if ("$ref" in part && !(typeof part.$ref === "string" && definitions.has(part.$ref))) {
      throw refuse("schema", `refers to ${JSON.stringify(part.$ref)}, which is not in its $defs`);
    }
    open.push(...Object.values(part).filter((value) => value !== undefined));
  }
  return definitions;
}

function isGrammarSchema(schema: SchemaObject): schema is SchemaObject & GbnfJsonSchema {
  return handled.some((key) => key in schema);
}
