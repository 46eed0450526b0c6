/** What a probe finds out, and how many requests it takes. */
import assert from "node:assert/strict";
import { probe, type ProbeSettings } from "../../lib/endpoint/probe.ts";
import { postOverFetch } from "../../lib/endpoint/timed_client.ts";
import { skippingTime, startFake } from "../fake_endpoint.ts";
import { withPost } from "./helpers.ts";

const { clock, sleep } = skippingTime();

async function probeFake(
  behaviour: Parameters<typeof startFake>[0],
  { model = "fake", settings = {}, timeoutMs = 1000 }: {
    model?: string;
    settings?: ProbeSettings;
    timeoutMs?: number;
  } = {},
) {
  const fake = startFake(behaviour, clock);
  try {
    const found = await withPost(
      "socket",
      (post) =>
        probe({ name: "fake", baseUrl: fake.baseUrl }, model, { clock, sleep, post, timeoutMs, settings }),
      clock,
    );
    return { found, requests: fake.log.length, last: fake.log.at(-1) };
  } finally {
    await fake.stop();
  }
}

const able = {
  route: "chat",
  stream: true,
  streamUsage: true,
  foldSystem: false,
  leaveOut: [],
  systemMessage: null,
  tokenSource: "usage",
  reasoning: false,
  thinkingField: "chat_template_kwargs",
};

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
  "streaming refused": [{ streaming: "refuse" }, { stream: false, streamUsage: false }, 2],
  "completions alone": [{ routes: ["completions"] }, { route: "completions" }, 2],
  "reasoning": [{ reasoning: { tokens: 1, field: "reasoning" } }, { reasoning: true }, 1],
  "an empty answer still shows what the endpoint takes": [{ tokens: 0 }, {}, 1],
  "a system message refused (Gemma 2 behind vLLM)": [
    { systemMessage: "refuse" },
    { foldSystem: true, systemMessage: "refused" },
    2,
  ],
  "a system message refused with HTTP 500 (sglang)": [
    { systemMessage: "refuse with 500" },
    { foldSystem: true, systemMessage: "refused" },
    2,
  ],
  "a system message dropped by the template (Phi-3)": [
    { systemMessage: "drop" },
    { foldSystem: true, systemMessage: "dropped" },
    2,
  ],
  "a dropped system message shows only where tokens are counted": [
    { systemMessage: "drop", usage: "never" },
    { tokenSource: "chunks" },
    1,
  ],
  "temperature 0 refused (TGI)": [{ refuseZeroTemperature: true }, { leaveOut: ["temperature"] }, 2],
  "max_tokens refused": [{ refuseFields: ["max_tokens"] }, { leaveOut: ["max_tokens"] }, 2],
  "several things refused at once": [
    { refuseZeroTemperature: true, systemMessage: "refuse", refuseStreamOptions: true, usage: "every" },
    { foldSystem: true, systemMessage: "refused", leaveOut: ["temperature"], streamUsage: false },
    4,
  ],
};

for (const [name, [behaviour, difference, requests]] of Object.entries(cases)) {
  Deno.test(`probe: ${name}`, async () => {
    const result = await probeFake(behaviour);
    assert.ok(result.found.ok, JSON.stringify(result.found));
    assert.deepEqual(result.found.abilities, { ...able, ...difference });
    assert.equal(result.requests, requests);
  });
}

Deno.test("probe: an unknown model is reported in the endpoint's words, after both routes", async () => {
  const { found, requests } = await probeFake({ models: { other: {} }, strict: true });
  assert.ok(!found.ok);
  assert.equal(found.reason, "HTTP 404: model not found: fake");
  assert.equal(requests, 2);
});

Deno.test("probe: a wrong key or a broken server costs one request", async () => {
  const key = await probeFake({ apiKey: "secret-secret" });
  assert.ok(!key.found.ok && key.found.trace.httpStatus === 401);
  const broken = await probeFake({ fault: { kind: "http", status: 500, body: "no" } });
  assert.ok(!broken.found.ok);
  assert.equal(broken.requests, 1);
});

Deno.test("probe: it refuses in the probe what it would refuse later: the plan's settings are used", async () => {
  const settings = { temperature: 0.7, seed: 7, stop: ["\n"], fixedOutput: true };
  const able = await probeFake({ refuseZeroTemperature: true }, { settings });
  assert.ok(able.found.ok && able.found.abilities.leaveOut.length === 0);
  const { found, requests, last } = await probeFake({ refuseFields: ["seed", "stop", "ignore_eos"] }, {
    settings,
  });
  assert.ok(found.ok);
  assert.deepEqual(found.abilities.leaveOut, ["seed", "stop", "ignore_eos"]);
  assert.equal(requests, 4, "each refused field costs one request");
  const sent = Object.keys(last?.body ?? {});
  assert.ok(
    sent.includes("temperature") && ["seed", "stop", "ignore_eos"].every((name) => !sent.includes(name)),
  );
  assert.deepEqual(found.notes, [
    "it refuses seed: the field is left out",
    "it refuses stop: the field is left out",
    "it refuses ignore_eos: the field is left out",
  ]);
});

Deno.test("probe: response_format is left out where it is refused, and kept where it is not", async () => {
  const settings = { responseFormat: { name: "answer", schema: { type: "object" } } };
  const refused = await probeFake({ refuseFields: ["response_format"] }, { settings });
  assert.ok(refused.found.ok);
  assert.deepEqual(refused.found.abilities.leaveOut, ["response_format"]);
  const taken = await probeFake({}, { settings });
  assert.ok(taken.found.ok && taken.found.abilities.leaveOut.length === 0);
});

Deno.test("probe: tools that are refused are left out, and the endpoint's words kept", async () => {
  const settings = { tools: [{ name: "f" }] };
  const { found } = await probeFake({ refuseFields: ["tools"] }, { settings });
  assert.ok(found.ok);
  assert.deepEqual(found.abilities.leaveOut, ["tools"]);
  assert.match(found.refusals.get("tools") ?? "", /Unrecognized request argument supplied: tools/);
  const able = await probeFake({ calls: [{ name: "f", arguments: "{}" }] }, { settings });
  assert.ok(able.found.ok && able.found.abilities.leaveOut.length === 0);
  assert.equal(able.found.trace.toolCalls[0]?.name, "f");
});

const reasons = { tokens: 3, field: "reasoning_content" } as const;
for (const thinkingField of ["chat_template_kwargs", "reasoning_effort", "enable_thinking"] as const) {
  Deno.test(`probe: thinking is switched off by ${thinkingField} where that has the effect`, async () => {
    const settings = { thinking: "off" } as const;
    const { found } = await probeFake({ reasoning: reasons, thinkingField }, { settings });
    assert.ok(found.ok);
    assert.equal(found.abilities.thinkingField, thinkingField);
    assert.equal(found.trace.reasoning, "");
  });
}

Deno.test("probe: a field for thinking that is refused is replaced by the next", async () => {
  const refuseFields = ["chat_template_kwargs"];
  const fake = { reasoning: reasons, thinkingField: "reasoning_effort" as const, refuseFields };
  const { found, last } = await probeFake(fake, { settings: { thinking: 512 } });
  assert.ok(found.ok);
  assert.equal(found.abilities.thinkingField, "reasoning_effort");
  assert.equal(Reflect.get(Object(last?.body), "reasoning_effort"), "low");
});

Deno.test("probe: a model that reasons whatever is asked for is unsupported where thinking is to be off", async () => {
  const { found } = await probeFake({ reasoning: reasons }, { settings: { thinking: "off" } });
  assert.ok(!found.ok);
  assert.match(found.reason, /^unsupported: it reasons although thinking is off/);
  const on = await probeFake({}, { settings: { thinking: "on" } });
  assert.ok(on.found.ok && on.found.notes.some((note) => note.includes("held no reasoning")));
});

Deno.test("probe: an endpoint that refuses everything without a word is tried in every manner, and then reported", async () => {
  const { found, requests } = await probeFake({ fault: { kind: "http", status: 400, body: "bad request" } });
  assert.ok(!found.ok);
  assert.equal(found.reason, "HTTP 400: bad request");
  assert.equal(requests, 5 + 4, "the plain request and its guesses, on either route");
});

Deno.test("probe: an endpoint that loads its model is waited for, and the wait counts as load", async () => {
  const { found } = await probeFake({ loadingMs: 300 }, { timeoutMs: 5000 });
  assert.ok(found.ok);
  assert.ok((found.loadingMs ?? 0) >= 250 && (found.loadingMs ?? 0) < 3000, String(found.loadingMs));
  assert.ok(found.trace.status === "ok");
  const able = await probeFake({});
  assert.ok(able.found.ok && able.found.loadingMs === null);
});

Deno.test("probe: an endpoint that loads for longer than the time-out is a failure", async () => {
  const { found } = await probeFake({ loadingMs: 60_000 }, { timeoutMs: 600 });
  assert.ok(!found.ok);
  assert.equal(found.reason, "HTTP 503: Loading model");
});

Deno.test("probe: a system message is refused in many words", async () => {
  for (
    const [status, message] of [
      [400, "System role not supported"],
      [400, "Conversation roles must alternate user/assistant/user/assistant/..."],
      [422, "Only user and assistant roles are supported, got the role 'system'"],
      [400, "this model does not take a system prompt"],
      [500, "Error in template: messages with role system are not allowed"],
    ] as const
  ) {
    let requests = 0;
    const respond = async (_: unknown, init?: RequestInit) => {
      requests++;
      const { messages } = await new Response(init?.body).json();
      return messages.some(({ role }: { role: string }) => role === "system")
        ? Response.json({ error: { message } }, { status })
        : Response.json({ choices: [{ message: { content: "one" } }] });
    };
    const found = await probe({ name: "stub", baseUrl: "http://127.0.0.1:1/v1" }, "m", {
      clock,
      sleep,
      post: postOverFetch({ clock, fetch: respond }),
      timeoutMs: 1000,
    });
    assert.ok(found.ok && found.abilities.systemMessage === "refused", message);
    assert.equal(requests, 2, message);
  }
});

Deno.test("probe: a temperature of 0 is refused in many words, or in none", async () => {
  for (
    const [status, message, requests] of [
      [422, "temperature must be > 0", 2],
      [400, "Unsupported value: 'temperature' does not support 0 with this model", 2],
      [422, "Input should be greater than 0 [loc: body.Temperature]", 2],
      [400, "bad request", 5],
    ] as const
  ) {
    let sent = 0;
    const respond = async (_: unknown, init?: RequestInit) => {
      sent++;
      const { temperature } = await new Response(init?.body).json();
      return temperature === 0
        ? Response.json({ error: { message } }, { status })
        : Response.json({ choices: [{ message: { content: "one" } }] });
    };
    const found = await probe({ name: "stub", baseUrl: "http://127.0.0.1:1/v1" }, "m", {
      clock,
      sleep,
      post: postOverFetch({ clock, fetch: respond }),
      timeoutMs: 1000,
    });
    assert.ok(found.ok && found.abilities.leaveOut.join() === "temperature", message);
    assert.equal(sent, requests, message);
  }
});

Deno.test("probe: 503 is waited for, whatever its body: JSON, a page, nothing", async () => {
  for (const body of ['{"status":"loading model"}', "<html>Service Unavailable</html>", ""]) {
    let sent = 0;
    const respond = () =>
      Promise.resolve(
        ++sent < 3
          ? new Response(body, { status: 503, headers: { "retry-after": "30" } })
          : Response.json({ choices: [{ message: { content: "one" } }] }),
      );
    const found = await probe({ name: "stub", baseUrl: "http://127.0.0.1:1/v1" }, "m", {
      clock,
      sleep,
      post: postOverFetch({ clock, fetch: respond }),
      timeoutMs: 5000,
    });
    assert.ok(found.ok && (found.loadingMs ?? 0) >= 400, body);
  }
});
