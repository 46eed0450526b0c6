/** What a probe finds out, and at what cost in requests. */
import assert from "node:assert/strict";
import { probe } from "../../lib/endpoint/probe.ts";
import { startFake } from "../fake_endpoint.ts";
import { clock, withPost } from "./helpers.ts";

async function probeFake(behaviour: Parameters<typeof startFake>[0], model = "fake") {
  const fake = startFake(behaviour);
  try {
    const found = await withPost(
      "socket",
      (post) => probe({ name: "fake", baseUrl: fake.baseUrl }, model, { clock, post, timeoutMs: 1000 }),
    );
    return { found, requests: fake.log.length };
  } finally {
    await fake.stop();
  }
}

const able = { route: "chat", stream: true, streamUsage: true, tokenSource: "usage", reasoning: false };

const cases: Record<string, [Parameters<typeof startFake>[0], object, number]> = {
  "an able endpoint takes one request": [{}, {}, 1],
  "no usage": [{ usage: "never" }, { tokenSource: "chunks" }, 1],
  "no usage and long chunks": [
    { usage: "never", tokensPerChunk: 4, tokens: 12 },
    { tokenSource: "chars/4" },
    1,
  ],
  "a stream that comes whole": [{ streaming: "json" }, { stream: false }, 1],
  "stream_options refused": [{ refuseStreamOptions: true, usage: "every" }, { streamUsage: false }, 2],
  "streaming refused": [{ streaming: "refuse" }, { stream: false, streamUsage: false }, 3],
  "completions alone": [{ routes: ["completions"] }, { route: "completions" }, 2],
  "reasoning": [{ reasoning: { tokens: 1, field: "reasoning" } }, { reasoning: true }, 1],
  "an empty answer still shows the manner": [{ tokens: 0 }, {}, 1],
};

for (const [name, [behaviour, difference, requests]] of Object.entries(cases)) {
  Deno.test(`probe: ${name}`, async () => {
    const result = await probeFake(behaviour);
    assert.ok(result.found.ok, JSON.stringify(result.found));
    assert.deepEqual(result.found.abilities, { ...able, ...difference });
    assert.equal(result.requests, requests);
  });
}

Deno.test("probe: an unknown model is told in the endpoint's words, after both routes", async () => {
  const { found, requests } = await probeFake({ models: { other: {} }, strict: true });
  assert.ok(!found.ok);
  assert.equal(found.reason, "HTTP 404: model not found: fake");
  assert.equal(requests, 2);
});

Deno.test("probe: a wrong key or a broken server is not asked again", async () => {
  const key = await probeFake({ apiKey: "secret-secret" });
  assert.ok(!key.found.ok && key.found.trace.httpStatus === 401);
  const broken = await probeFake({ fault: { kind: "http", status: 500, body: "no" } });
  assert.ok(!broken.found.ok);
  assert.equal(broken.requests, 1);
});
