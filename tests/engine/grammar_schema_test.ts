/** Schemas are brought into the grammar's words, and what a grammar can't hold an answer to is refused. */
import assert from "node:assert/strict";
import { grammarSchema } from "../../lib/engine/grammar_schema.ts";
import { ApiError } from "../../lib/openai/api_error.ts";

Deno.test("a strict schema as clients send it is read", () => {
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Minutes",
    type: "object",
    properties: {
      owner: { description: "who", anyOf: [{ type: "string" }, { type: "null" }] },
      tags: { type: "array", items: { enum: ["a", "b"] }, maxItems: 2 },
      nested: { properties: { ok: { type: "boolean" } } },
    },
    required: ["owner", "tags", "nested"],
    additionalProperties: false,
  };
  assert.deepEqual(grammarSchema(schema), {
    type: "object",
    properties: {
      owner: { oneOf: [{ type: "string" }, { type: "null" }] },
      tags: { type: "array", items: { enum: ["a", "b"] }, maxItems: 2 },
      nested: { type: "object", properties: { ok: { type: "boolean" } } },
    },
    required: ["owner", "tags", "nested"],
    additionalProperties: false,
  });
});

function nested(levels: number): unknown {
  let schema: unknown = { type: "string" };
  for (let level = 0; level < levels; level++) schema = { type: "array", items: schema };
  return schema;
}

function listOf(name: string) {
  return { type: "array", items: { $ref: `#/$defs/${name}` } };
}

/** Two lists that begin alike, of two lists that begin alike, and so on. */
function doubling(levels: number) {
  const names = Array.from({ length: levels }, (_, level) => `d${level}`);
  const ends = [...names.slice(1), "end"];
  const defs = names.map((
    name,
    level,
  ) => [name, { anyOf: [listOf(ends[level] ?? ""), listOf(ends[level] ?? "")] }]);
  return { $ref: "#/$defs/d0", $defs: { ...Object.fromEntries(defs), end: { type: "string" } } };
}

/** Definitions that refer to the next one, and the last to the first. */
function chain(length: number) {
  const defs = Array.from({ length }, (_, i) => [`c${i}`, { $ref: `#/$defs/c${(i + 1) % length}` }]);
  return { $ref: "#/$defs/c0", $defs: Object.fromEntries(defs) };
}

const refusals: [string, unknown, RegExp][] = [
  ["not an object", "string", /'response_format\.json_schema\.schema' must be a schema object/],
  ["nothing in it", {}, /schema' needs one of type/],
  ["a pattern", { type: "string", pattern: "^a" }, /schema\.pattern' is not supported/],
  ["deep inside", { type: "object", properties: { a: { not: {} } } }, /schema\.properties\.a\.not' is not/],
  ["properties that are a list", { type: "object", properties: [] }, /properties' must be an object/],
  ["alternatives that are no list", { anyOf: {} }, /anyOf' must be a list/],
  ["a type that does not exist", { type: "banana" }, /schema\.type' must be one of string, number/],
  ["an unknown keyword", { type: "integer", multipleOf: 3 }, /schema\.multipleOf' is not supported/],
  [
    "an open range",
    { type: "integer", minimum: 3 },
    /schema\.minimum' is not supported .* ranges of at most 100/,
  ],
  ["a long range", { type: "integer", minimum: 0, maximum: 100 }, /schema\.minimum' is not supported/],
  ["an empty range", { type: "integer", minimum: 3, maximum: 2 }, /schema\.minimum' is not supported/],
  ["a range of fractions", { type: "number", minimum: 0, maximum: 1 }, /schema\.minimum' is not supported/],
  ["a range in words", { type: "integer", maximum: "9" }, /schema\.maximum' must be a number/],
  ["an unknown format", { type: "string", format: "email" }, /format' must be one of date-time, time, date/],
  ["no values", { enum: [] }, /enum' must be a list of values, with one at least/],
  ["a value that is a list", { const: [1] }, /const' must hold strings, numbers, booleans or null/],
  ["a negative length", { type: "string", minLength: -1 }, /minLength' must be a whole number from 0 to 500/],
  [
    "a length in words",
    { type: "string", maxLength: "9" },
    /maxLength' must be a whole number from 0 to 5000/,
  ],
  ["a length of 1e9", { type: "string", minLength: 1e9 }, /minLength' must be a whole number from 0 to 500/],
  ["lengths that cross", { type: "array", minItems: 3, maxItems: 2 }, /a minItems above its maxItems/],
  ["a missing definition", { $ref: "#/$defs/b", $defs: {} }, /"#\/\$defs\/b", which is not in its \$defs/],
  ["a loop", { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/a" } } }, /refers to itself without/],
  [
    "a loop of three",
    {
      $ref: "#/$defs/a",
      $defs: { a: { anyOf: [{ $ref: "#/$defs/b" }, { type: "null" }] }, b: { $ref: "#/$defs/a" } },
    },
    /refers to itself without/,
  ],
  ["20,000 values", { enum: Array.from({ length: 20_000 }, (_, i) => `v${i}`) }, /too many parts/],
  ["600 values", { enum: Array.from({ length: 600 }, (_, i) => `v${i}`) }, /too many alternatives/],
  ["20,000 nested lists", nested(20_000), /nested more than 64 levels deep/],
  ["a name of 200,000 characters", { const: "x".repeat(200_000) }, /too long: 100000 characters/],
  ["2,000 references in a row that end nowhere", chain(2000), /refers to itself without/],
  ["lists that double", doubling(12), /too many alternatives that begin alike/],
  [
    "lists that double without end",
    { $ref: "#/$defs/a", $defs: { a: { anyOf: [listOf("a"), listOf("a"), { type: "null" }] } } },
    /too many alternatives that begin alike/,
  ],
];
for (const [name, schema, message] of refusals) {
  Deno.test(`a schema is refused by place: ${name}`, () => {
    assert.throws(() => grammarSchema(schema), (error: unknown) => {
      assert.ok(error instanceof ApiError);
      assert.equal(error.status, 400);
      assert.match(error.message, message);
      return true;
    });
  });
}

const person = { type: "object", properties: { kind: { const: "person" }, name: { type: "string" } } };
const accepted: [string, unknown][] = [
  ["a tree", {
    $ref: "#/$defs/node",
    $defs: {
      node: { properties: { value: { type: "integer" }, children: listOf("node") } },
    },
  }],
  ["a linked list", {
    $ref: "#/$defs/node",
    $defs: { node: { properties: { next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } } } },
  }],
  ["an expression of nested expressions", {
    $ref: "#/$defs/term",
    $defs: {
      term: {
        anyOf: [
          { properties: { kind: { const: "sum" }, terms: listOf("term") } },
          { properties: { kind: { const: "product" }, terms: listOf("term") } },
          { properties: { kind: { const: "number" }, value: { type: "number" } } },
        ],
      },
    },
  }],
  ["objects that differ by name", { anyOf: [person, { properties: { colour: { enum: ["red", "blue"] } } }] }],
  ["500 values", { enum: Array.from({ length: 500 }, (_, i) => i) }],
  ["lists that double six times", doubling(6)],
];
for (const [name, schema] of accepted) {
  Deno.test(`a schema is accepted: ${name}`, () => void grammarSchema(schema));
}

Deno.test("hostile schemas are refused at once", () => {
  const startedAt = performance.now();
  for (const [, schema] of refusals) assert.throws(() => grammarSchema(schema));
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < 10_000, `${tookMs} ms`);
});

Deno.test("a short range of integers is a list of them, and the bounds of doubles say nothing", () => {
  assert.deepEqual(grammarSchema({ type: "integer", minimum: 1, maximum: 5 }), { enum: [1, 2, 3, 4, 5] });
  const { MIN_SAFE_INTEGER: minimum, MAX_SAFE_INTEGER: maximum } = Number;
  assert.deepEqual(grammarSchema({ type: "integer", minimum, maximum }), { type: "integer" });
});
