/** Schemas are brought into the grammar's words, and what a grammar can't hold an answer to is refused. */
import assert from "node:assert/strict";
import { grammarSchema } from "../../lib/engine/json_schema.ts";
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

const refusals: [string, unknown, RegExp][] = [
  ["not an object", "string", /'response_format\.json_schema\.schema' must be a schema object/],
  ["nothing in it", {}, /schema' needs one of type/],
  ["a pattern", { type: "string", pattern: "^a" }, /schema\.pattern' is not supported/],
  ["deep inside", { type: "object", properties: { a: { not: {} } } }, /schema\.properties\.a\.not' is not/],
  ["properties that are a list", { type: "object", properties: [] }, /properties' must be an object/],
  ["alternatives that are no list", { anyOf: {} }, /anyOf' must be a list/],
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
