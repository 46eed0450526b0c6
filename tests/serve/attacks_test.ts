/** What strangers, hostile clients and hostile services try against the gateway. */
import assert from "node:assert/strict";
import { startFake } from "../fake_endpoint.ts";
import { fakeCore, serveFace } from "../openai/fake_core.ts";
import { rawExchange, setUp } from "./set_up.ts";

const messages = [{ role: "user", content: "Hello" }];
const KEY = "a-long-secret-key";

/** Bodies whose reading would take many seconds, were it not bounded. */
const costly: readonly (readonly [name: string, body: string, status: number])[] = [
  ["5,000,000 opening brackets", "[".repeat(5_000_000), 400],
  ["brackets in a value", `{"model":"tiny","messages":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, 400],
  ["objects in objects", `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`, 400],
  [
    "20,000 `model` keys",
    `{"messages":[{"role":"user","content":"x"}],${
      Array.from({ length: 20_000 }, () => '"model":"tiny"').join(",")
    }}`,
    200,
  ],
  [
    "a string of backslashes",
    `{"model":"tiny","x":"${"\\\\".repeat(2_000_000)}","messages":[{"role":"user","content":"x"}]}`,
    200,
  ],
  [
    "a list of 500,000 objects",
    `{"model":"tiny","messages":[{"role":"user","content":"x"}],"unknown":[${'{"a":1},'.repeat(500_000)}1]}`,
    200,
  ],
  [
    "300,000 keys",
    `{"model":"tiny","messages":[{"role":"user","content":"x"}],${
      Array.from({ length: 300_000 }, (_, i) => `"k${i}":1`).join(",")
    }}`,
    200,
  ],
  [
    "a text of escaped control characters",
    `{"model":"tiny","messages":[{"role":"user","content":"x"}],"x":"${"\\u0000".repeat(1_000_000)}"}`,
    200,
  ],
];
for (const [name, body, status] of costly) {
  Deno.test(`reading is bounded: ${name}`, async () => {
    const refusing = { fault: { kind: "http" as const, status: 400, body: '{"error":{"message":"no"}}' } };
    await using it = await setUp({ models: { tiny: status === 200 ? {} : refusing } });
    await using engine = await serveFace(fakeCore(() => ["x"]));
    for (
      const post of [
        (text: string) => it.post(text),
        (text: string) => engine.post("/v1/chat/completions", text),
      ]
    ) {
      const startMs = performance.now();
      const response = await post(body);
      assert.equal(response.status, status, await response.text());
      // Far above what a busy machine needs, far below what unbounded reading takes.
      assert.ok(performance.now() - startMs < 30_000, `${performance.now() - startMs} ms`);
    }
    assert.equal(it.models.of("tiny@fake")?.breaker.state(), "closed");
  });
}

Deno.test("what a client got wrong says nothing about the model, however often", async () => {
  const body = '{"error":{"message":"this schema has no grammar","code":"invalid_schema"}}';
  await using it = await setUp({
    models: { one: { fault: { kind: "http", status: 400, body } } },
    failuresToOpen: 1,
  });
  for (let i = 0; i < 5; i++) {
    const response = await it.post({ model: "one", messages, response_format: { type: "json_schema" } });
    assert.equal(response.status, 400);
    await response.body?.cancel();
  }
  assert.equal(it.models.of("one@fake")?.breaker.state(), "closed");
});

Deno.test("the key is checked before anything of the body is read", async () => {
  await using it = await setUp({ models: { one: {} }, access: { apiKey: KEY } });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n`;
  const answers = await Promise.all(Array.from({ length: 40 }, () => rawExchange(it.port, head)));
  for (const answer of answers) {
    assert.match(answer, /^HTTP\/1\.1 401 .*connection: close.*invalid_api_key/is);
  }
});

Deno.test("/healthz checks Host and Origin, and tells clients without the key its status alone", async () => {
  await using it = await setUp({ models: { one: {} }, access: { apiKey: KEY } });
  assert.deepEqual(JSON.parse((await it.get("/healthz")).text), { status: "ok" });
  const own = await it.get("/healthz", { authorization: `Bearer ${KEY}` });
  assert.deepEqual(JSON.parse(own.text).models, [{ id: "one", kind: "up" }]);
  assert.equal((await it.get("/healthz", { origin: "https://evil.example" })).status, 403);
  const rebound = await rawExchange(
    it.port,
    "GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
  );
  assert.match(rebound, /^HTTP\/1\.1 403 /);
});

Deno.test("the page at / says what this is, and names the models to clients with the key alone", async () => {
  await using it = await setUp({ models: { one: {} }, access: { apiKey: KEY } });
  const strange = await it.get("/");
  assert.match(strange.headers.get("content-type") ?? "", /^text\/html/);
  assert.match(strange.text, /OpenAI protocol/);
  assert.doesNotMatch(strange.text, /<li>/);
  const own = await it.get("/", { authorization: `Bearer ${KEY}` });
  assert.match(own.text, /<code>one<\/code>/);
  assert.equal((await it.get("/", { origin: "https://evil.example" })).status, 403);
});

Deno.test("headers with which a service could steer a client's browser, or speak for the gateway, don't pass", async () => {
  const json = '{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}';
  const steering = [
    "location: https://evil.example/",
    "refresh: 0; url=https://evil.example/",
    "clear-site-data: *",
    "set-cookie: a=b",
    "www-authenticate: Basic realm=x",
    "content-disposition: attachment; filename=x.exe",
    'report-to: {"endpoints":[{"url":"https://evil.example"}]}',
    'nel: {"report_to":"x"}',
    "access-control-allow-origin: *",
    "content-security-policy: default-src *",
    "content-location: https://evil.example/",
    "sourcemap: https://evil.example/",
    'speculation-rules: "https://evil.example/"',
    "permissions-policy: camera=*",
    "x-podium-extra: x",
    "x-podium-model: other",
    "x-request-id: kept",
  ];
  const text = [
    "HTTP/1.1 200 OK",
    "content-type: application/json",
    `content-length: ${json.length}`,
    ...steering,
    "",
    json,
  ]
    .join("\r\n");
  await using it = await setUp({ models: { one: { fault: { kind: "raw", base64: btoa(text) } } } });
  const response = await it.post({ model: "one", messages });
  assert.equal(response.status, 200, await response.text());
  assert.equal(response.headers.get("x-podium-model"), "one");
  assert.equal(response.headers.get("x-request-id"), "kept");
  for (const line of steering.slice(0, -2)) {
    const [name = ""] = line.split(":");
    assert.equal(response.headers.get(name), null, name);
  }
});

for (const status of [301, 302, 307, 308]) {
  Deno.test(`a service's redirect is not followed: no other host gets the prompt (HTTP ${status})`, async () => {
    const other = startFake({});
    try {
      const text =
        `HTTP/1.1 ${status} Moved\r\nlocation: ${other.baseUrl}/chat/completions\r\ncontent-length: 0\r\n\r\n`;
      await using it = await setUp({ models: { one: { fault: { kind: "raw", base64: btoa(text) } } } });
      const response = await it.post({ model: "one", messages });
      const { error } = await response.json();
      assert.deepEqual([response.status, error.code], [502, "upstream_error"]);
      assert.match(error.message, /redirects to another address/);
      assert.equal(response.headers.get("location"), null);
      assert.equal(other.log.length, 0);
    } finally {
      await other.stop();
    }
  });
}
