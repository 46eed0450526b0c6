/** Finding services and listing their models: clear words for everything that can be wrong. */
import assert from "node:assert/strict";
import type { Fetch } from "../../lib/clock.ts";
import { UserError } from "../../lib/errors.ts";
import { findServices, listServiceModels, parseEndpoint } from "../../lib/services/discovery.ts";
import { startFake } from "../fake_endpoint.ts";

const env = (values: Record<string, string> = {}) => ({ get: (name: string) => values[name] });

Deno.test("an endpoint is NAME=URL or URL; its name does not contain the host", () => {
  const names = Object.entries({
    "lab=https://models.example/v1": ["lab", "https://models.example/v1"],
    "https://models.example/v1/": ["remote", "https://models.example/v1"],
    "http://models.example:9000": ["remote-9000", "http://models.example:9000/v1"],
    "http://127.0.0.1:5273/v1": ["foundry", "http://127.0.0.1:5273/v1"],
    "http://[::1]:7777/openai/v1": ["local-7777", "http://[::1]:7777/openai/v1"],
  });
  for (const [text, [name, baseUrl]] of names) {
    assert.deepEqual(parseEndpoint(text), { name, baseUrl });
  }
  assert.equal(parseEndpoint("http://localhost:1/v1", "k").apiKey, "k");
  assert.ok(!("apiKey" in parseEndpoint("http://localhost:1/v1", "")));
});

Deno.test("an invalid endpoint is refused, without showing the password", () => {
  for (
    const text of [
      "",
      "localhost",
      "5273",
      "ftp://h/v1",
      "a=b",
      "http://user:secret@h/v1",
      "http://h/v1?key=secret",
    ]
  ) {
    assert.throws(() => parseEndpoint(text), (error) => {
      assert.ok(error instanceof UserError, text);
      assert.ok(!error.message.includes("secret"));
      return true;
    });
  }
});

const options = { fetch, timeoutMs: 1000 };

async function listFake(behaviour: Parameters<typeof startFake>[0], path = "", apiKey?: string) {
  const fake = startFake(behaviour);
  try {
    return await listServiceModels(parseEndpoint(`${fake.baseUrl}${path}`, apiKey), options);
  } finally {
    await fake.stop();
  }
}

Deno.test("models are listed in the endpoint's order", async () => {
  const { models, listed, problem } = await listFake({ models: { b: {}, a: {} } });
  assert.deepEqual(models, [{ id: "b", ownedBy: "fake" }, { id: "a", ownedBy: "fake" }]);
  assert.deepEqual([listed, problem], [true, null]);
});

Deno.test("a missing key, a wrong key and a service that is down each get their own message", async () => {
  const missing = await listFake({ apiKey: "right-key" });
  assert.match(missing.problem ?? "", /refused a request without a key \(HTTP 401\).*API_KEY/);
  const wrong = await listFake({ apiKey: "right-key" }, "", "wrong-key");
  assert.match(wrong.problem ?? "", /refused the key \(HTTP 401\)/);
  assert.ok(!wrong.problem?.includes("wrong-key"));
  const gone = startFake();
  await gone.stop();
  const { problem } = await listServiceModels(parseEndpoint(gone.baseUrl), options);
  assert.match(problem ?? "", /cannot reach http:\/\/127\.0\.0\.1:\d+\/v1: connection refused/);
});

/** Lists the models of a service whose `/models` has this body and status; every other path is 404. */
async function listBody(body: unknown, status = 200) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const stub: Fetch = (input) =>
    Promise.resolve(
      String(input).endsWith("/v1/models")
        ? new Response(text, { status })
        : new Response("", { status: 404 }),
    );
  const list = await listServiceModels(parseEndpoint("http://127.0.0.1:1/v1"), { ...options, fetch: stub });
  return { ids: list.models.map(({ id }) => id), listed: list.listed, problem: list.problem };
}

Deno.test("an endpoint of another kind is named as such", async () => {
  for (const body of ["<html>hello</html>", "{}", "5", '{"data":"none"}', ""]) {
    assert.match((await listBody(body)).problem ?? "", /is not an OpenAI-compatible endpoint/, body);
  }
});

Deno.test("an empty list is empty, however the service writes it", async () => {
  for (
    const body of [
      { object: "list", data: [] },
      { object: "list", data: null },
      { data: null },
      { object: "list" },
      { models: [] },
      [],
    ]
  ) assert.deepEqual(await listBody(body), { ids: [], listed: true, problem: null }, JSON.stringify(body));
});

Deno.test("a list is read whole: bare, under another key, with broken entries in it", async () => {
  const good = { id: "a", owned_by: 7 };
  for (
    const body of [
      [good],
      { models: [good] },
      { data: [good, { name: "no id" }, null, "text", { id: "" }, { id: "  " }, { id: 5 }] },
    ]
  ) assert.deepEqual(await listBody(body), { ids: ["a"], listed: true, problem: null }, JSON.stringify(body));
});

Deno.test("a service without a list is usable: it has no problem, and is marked as unlisted", async () => {
  for (const status of [404, 405, 501]) {
    assert.deepEqual(await listBody("", status), { ids: [], listed: false, problem: null });
  }
  assert.match((await listBody({ error: { message: "busy" } }, 500)).problem ?? "", /HTTP 500: busy/);
});

Deno.test("a service that loads its model lists it as soon as it can; one that takes longer is unlisted", async () => {
  let answers = 0;
  const loading = (until: number): Fetch => (input) =>
    Promise.resolve(
      !String(input).endsWith("/v1/models")
        ? new Response("", { status: 404 })
        : ++answers < until
        ? Response.json({ error: { message: "Loading model" } }, { status: 503 })
        : Response.json({ data: [{ id: "a" }] }),
    );
  const endpoint = parseEndpoint("http://127.0.0.1:1/v1");
  const soon = await listServiceModels(endpoint, { ...options, fetch: loading(3) });
  assert.deepEqual([soon.models.length, soon.listed, soon.problem], [1, true, null]);
  const never = await listServiceModels(endpoint, { fetch: loading(Infinity), timeoutMs: 300 });
  assert.deepEqual([never.models.length, never.listed, never.problem], [0, false, null]);
});

Deno.test("a service that never answers is given up in time", async () => {
  const silent: Fetch = () => new Promise(() => {});
  const endpoint = parseEndpoint("http://127.0.0.1:1/v1");
  const { problem } = await listServiceModels(endpoint, { fetch: silent, timeoutMs: 10 });
  assert.match(problem ?? "", /no answer within 0\.01 s/);
  assert.deepEqual(await findServices({ fetch: silent, env: env(), timeoutMs: 10 }), []);
});

/** Answers for some base URLs, refuses everything else, and remembers who was given the key. */
function serving(models: Record<string, string[]>) {
  const keyed: string[] = [];
  const stub: Fetch = (input, init) => {
    const url = String(input);
    if (new Headers(init?.headers).has("authorization")) keyed.push(url);
    const ids = models[url];
    if (ids === undefined) return Promise.reject(new TypeError("Connection refused"));
    return Promise.resolve(Response.json({ data: ids.map((id) => ({ id })) }));
  };
  return { stub, keyed };
}

Deno.test("named services come first and alone get the key; known ports follow", async () => {
  const { stub, keyed } = serving({
    "http://lab.example:5273/v1/models": ["phi"],
    "http://127.0.0.1:5273/v1/models": ["a"],
    "http://127.0.0.1:11434/v1/models": ["b"],
  });
  const found = await findServices({
    fetch: stub,
    env: env({ FOUNDRY_LOCAL_ENDPOINT: "http://lab.example:5273/v1", API_KEY: "secret" }),
  });
  assert.deepEqual(found.map((one) => [one.endpoint.name, one.kind, one.source, one.models.length]), [
    ["remote-5273", "Foundry Local", "FOUNDRY_LOCAL_ENDPOINT", 1],
    ["foundry", "Foundry Local", "known port", 1],
    ["ollama", "Ollama", "known port", 1],
  ]);
  assert.ok(keyed.length > 0 && keyed.every((url) => url.startsWith("http://lab.example:5273/")));
});

Deno.test("a named service that is found again on its port counts once", async () => {
  const { stub } = serving({
    "http://localhost:5273/v1/models": ["a"],
    "http://127.0.0.1:5273/v1/models": ["a"],
  });
  const found = await findServices({
    fetch: stub,
    env: env({ FOUNDRY_LOCAL_ENDPOINT: "http://localhost:5273/v1" }),
  });
  assert.equal(found.length, 1);
});

Deno.test("a named service that does not answer is kept, with its problem", async () => {
  const { stub } = serving({});
  const [found] = await findServices({
    fetch: stub,
    env: env({ FOUNDRY_LOCAL_ENDPOINT: "http://127.0.0.1:5273/v1" }),
  });
  assert.match(found?.problem ?? "", /cannot reach .* connection refused/);
  await assert.rejects(
    findServices({ fetch: stub, env: env({ FOUNDRY_LOCAL_ENDPOINT: "5273" }) }),
    /^UserError: FOUNDRY_LOCAL_ENDPOINT: not an endpoint: "5273"/,
  );
});
