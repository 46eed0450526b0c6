/** The same model gives the same greedy answers called directly and by way of node-llama-cpp, token by token. */
import assert from "node:assert/strict";
import type { RunningEngine } from "../../lib/engine/supervisor.ts";
import { post, realEngine, realModel } from "./real_model.ts";

const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12 },
    age: { type: "integer" },
    tags: { type: "array", items: { enum: ["tall", "kind", "old"] }, minItems: 1, maxItems: 3 },
  },
  required: ["name", "age", "tags"],
  additionalProperties: false,
};
const requests = [
  { messages: [{ role: "user", content: "Write one sentence about the sea." }] },
  { messages: [{ role: "user", content: "List three colours, with an emoji each." }] },
  { messages: [{ role: "user", content: "Count from one to twenty." }], frequency_penalty: 0.5 },
  {
    messages: [{ role: "user", content: "Invent a person: name, age and tags, as JSON." }],
    response_format: { type: "json_schema", json_schema: { name: "person", schema: person } },
  },
  {
    messages: [{ role: "user", content: "Invent a person, as JSON." }],
    response_format: { type: "json_object" },
    presence_penalty: 0.5,
  },
];

for (const model of ["smollm2-135m-instruct", "gemma-3-270m"]) {
  Deno.test(`${model}: both ways give the same tokens at temperature 0`, async () => {
    const modelPath = await realModel(model);
    const [directly, byLibrary] = [
      await answersOf(modelPath, true),
      await answersOf(modelPath, false),
    ];
    assert.deepEqual(directly, byLibrary);
    const [text = "", constrained = ""] = [directly[0], directly[3]].map((pieces) => pieces?.join(""));
    assert.ok(text.length > 20, text);
    assert.deepEqual(Object.keys(JSON.parse(constrained)), ["name", "age", "tags"]);
  });
}

async function answersOf(modelPath: string, direct: boolean): Promise<string[][]> {
  await using engine = await realEngine({ modelPath, modelId: "model", alias: "it", direct, threads: 1 });
  assert.equal(engine.direct, engine.directNote === null);
  const isKnown = Deno.build.os === "linux" && Deno.build.arch === "x86_64";
  assert.equal(engine.direct, direct && (isKnown || engine.direct));
  const answers: string[][] = [];
  for (const request of requests) answers.push(await tokensOf(engine, request));
  return answers;
}

/** The answer as it is streamed: one piece of text per readable token. */
async function tokensOf(engine: RunningEngine, request: Record<string, unknown>): Promise<string[]> {
  const body = { model: "it", temperature: 0, max_tokens: 80, stream: true, ...request };
  const response = await post(engine, "/chat/completions", body);
  const events = (await response.text()).split("\n\n").filter((event) => event.startsWith("data: {"));
  return events.map((event) => JSON.parse(event.slice("data: ".length)))
    .flatMap((chunk) => chunk.choices[0]?.delta.content ?? []);
}
