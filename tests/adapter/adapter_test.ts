/** Custom models as clients see them, with real processes. */
import assert from "node:assert/strict";
import { join } from "node:path";
import OpenAI from "openai";
import { postOverFetch } from "../../lib/endpoint/timed_client.ts";
import { timedRequest } from "../../lib/endpoint/timed_request.ts";
import { outputTokens } from "../../lib/endpoint/tokens.ts";
import { adapterOf, folder, running, start } from "./adapter_fixture.ts";

const misbehaving = { module: "adapters/misbehaving.ts" };

Deno.test("an adapter is listed, chats, completes and streams for the official client", async () => {
  await using custom = await running({ ...misbehaving, options: { greeting: "Heard:" } });
  const { baseUrl, apiKey = "" } = custom.model.endpoint;
  const client = new OpenAI({ baseURL: baseUrl, apiKey, maxRetries: 0 });
  assert.deepEqual((await client.models.list()).data.map(({ id }) => id), ["custom:code"]);

  const messages = [{ role: "system" as const, content: "x" }, {
    role: "user" as const,
    content: "hello you",
  }];
  const whole = await client.chat.completions.create({ model: "custom", messages });
  assert.equal(whole.choices[0]?.message.content, "Heard: hello you");
  assert.equal(whole.choices[0]?.finish_reason, "stop");
  assert.equal(whole.usage, undefined, "what was not counted is not reported");

  const completion = await client.completions.create({ model: "custom", prompt: "one two", max_tokens: 2 });
  assert.deepEqual(completion.choices[0]?.text, "Heard: one");
  assert.equal(completion.choices[0]?.finish_reason, "length");

  const stream = await client.chat.completions.create({
    model: "custom",
    messages,
    stream: true,
    stop: ["yo"],
    stream_options: { include_usage: true },
  });
  const chunks = await Array.fromAsync(stream);
  assert.deepEqual(chunks.map((chunk) => chunk.choices[0]?.delta.content), [
    "Heard:",
    " hello",
    " ",
    undefined,
  ]);
  assert.equal(await custom.ask("limit", { max_tokens: 5 }), "5");
  assert.equal(await custom.ask("folder"), folder);
  const { residentMb, cpuS } = await custom.model.stats();
  assert.ok(residentMb > 20 && cpuS > 0, `${residentMb} MB, ${cpuS} s`);
});

Deno.test("token counts are the adapter's own, or marked as estimates", async () => {
  const traceOf = async (adapter: Record<string, unknown>) => {
    await using custom = await running(adapter);
    const request = {
      model: "custom",
      messages: [{ role: "user" as const, content: "good morning" }],
      maxTokens: 9,
      temperature: 0,
    };
    const signal = new AbortController().signal;
    const clock = () => performance.now();
    const post = postOverFetch({ clock, fetch });
    return await timedRequest(custom.model.endpoint, request, { clock, post, timeoutMs: 9000, signal });
  };
  const counted = await traceOf({ module: "adapters/counting.ts" });
  assert.deepEqual(outputTokens(counted), { tokens: 4, source: "usage" });
  assert.equal(counted.usage?.promptTokens, 2);
  const guessed = await traceOf(misbehaving);
  assert.equal(guessed.status, "ok");
  assert.deepEqual(outputTokens(guessed), { tokens: 3, source: "chunks" });
});

Deno.test("an adapter that throws ends its own answer, with the reason, and answers the next", async () => {
  await using custom = await running(misbehaving);
  const pid = await custom.ask("pid");
  assert.equal(
    await custom.ask("throw"),
    "500 adapter_error: the adapter failed: it broke in the middle",
  );
  assert.equal(await custom.ask("refuse"), "422 adapter_error: the adapter failed: one word is too few");
  assert.match(await custom.ask("number"), /^500 adapter_error: .*it yielded number: an adapter yields text/);
  assert.match(await custom.ask("x", { response_format: { type: "json_object" } }), /^400 .*response_format/);

  const text = await (await custom.post("throw", { stream: true })).text();
  const events = text.trim().split("\n\n").map((event) => JSON.parse(event.slice("data: ".length)));
  assert.equal(events[0].choices[0].delta.content, "so far");
  assert.deepEqual(events[1].error, {
    message: "the adapter failed: it broke in the middle",
    type: "server_error",
    param: null,
    code: "adapter_error",
  });
  assert.equal(await custom.ask("pid"), pid, "the same process goes on");
});

Deno.test("what an adapter prints does not disturb its answers", async () => {
  await using custom = await running(misbehaving);
  assert.equal(await custom.ask("print"), "printed");
  assert.equal(await custom.ask("print"), "printed");
});

Deno.test("an adapter may do what its entry states, and nothing else", async () => {
  const file = join(folder, "adapter_docs_slow_test.ts");
  const refusal = /^500 .*Requires read access to .*: allow it under "permissions" \("read"\) of the model/;
  {
    await using none = await running(misbehaving);
    assert.match(await none.ask(`read ${file}`), refusal);
    // Not even the code that was loaded: only the process may read that, not the adapter's thread.
    assert.match(await none.ask(`read ${join(folder, "adapters", "misbehaving.ts")}`), refusal);
  }
  await using some = await running({
    ...misbehaving,
    permissions: { read: ["adapter_docs_slow_test.ts"], net: true },
  });
  assert.match(await some.ask(`read ${file}`), /Deno\.test/);
  assert.match(await some.ask(`read ${join(folder, "adapter_test.ts")}`), refusal);
});

const refused: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  [
    "is not there",
    { module: "adapters/none.ts" },
    /adapter of custom:code, .*none\.ts, can't be read: there is no such file; fix "module"/,
  ],
  [
    "has no generate",
    { module: "adapters/no_generate.ts" },
    /custom:code can't be loaded: it exports no function "generate"/,
  ],
  [
    "throws in load",
    { ...misbehaving, options: { fail: "throw" } },
    /custom:code can't be loaded: its weights are lost$/,
  ],
  [
    "never loads",
    { ...misbehaving, options: { fail: "loop" }, load_timeout_s: 0.7 },
    /not loaded within 0.7 s \("load_timeout_s"\)/,
  ],
];

for (const [what, adapter, message] of refused) {
  Deno.test(`an adapter that ${what} is refused in one line`, async () => {
    await assert.rejects(start(adapter), { name: "UserError", message });
  });
}

Deno.test("a module that is not TypeScript is refused in one line", async () => {
  const place = await Deno.makeTempDir();
  try {
    await Deno.copyFile(join(folder, "adapters", "broken_syntax.txt"), join(place, "broken.ts"));
    const failure = await start({ module: "broken.ts" }, join(place, "models.json")).catch(String);
    assert.match(String(failure), /^UserError: the adapter of custom:code can't be loaded: .+/);
    assert.ok(!String(failure).includes("\n"));
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});

Deno.test("a link out of the registry's folder is refused; an absolute path is the owner's word", async () => {
  const place = await Deno.makeTempDir();
  const module = join(folder, "adapters", "counting.ts");
  const registry = join(place, "models.json");
  try {
    assert.equal(adapterOf({ module }, registry).statedAbsolute, true);
    const model = await start({ module }, registry);
    await model.stop();
    if (Deno.build.os === "windows") return;
    await Deno.symlink(module, join(place, "linked.ts"));
    await assert.rejects(
      start({ module: "linked.ts" }, registry),
      /link to a file outside the registry's folder/,
    );
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});

Deno.test("code from the network is refused unless the entry states its host", async () => {
  const place = await Deno.makeTempDir();
  // Deno itself trusts some hosts, of which esm.sh is one.
  const expected = {
    "esm.sh":
      /can't be loaded: it imports "https:\/\/esm\.sh\/x" from the network: allow the host .*"import"/,
    "remote.invalid": /can't be loaded: Requires import access to "remote\.invalid:443": allow it .*"import"/,
  };
  try {
    for (const [host, message] of Object.entries(expected)) {
      await Deno.writeTextFile(join(place, "remote.ts"), `import "https://${host}/x";\n`);
      await assert.rejects(start({ module: "remote.ts" }, join(place, "models.json")), {
        name: "UserError",
        message,
      });
    }
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});

Deno.test({
  name: "an adapter's process gets the variables that its entry names, and no other keys",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    Deno.env.set("PODIUM_TEST_KEY", "sk-secret");
    try {
      for (const env of [[], ["PODIUM_TEST_KEY"]]) {
        await using custom = await running({ ...misbehaving, permissions: { env } });
        const { stdout } = await new Deno.Command("cat", { args: [`/proc/${custom.model.pid}/environ`] })
          .output();
        const environment = new TextDecoder().decode(stdout);
        assert.ok(environment.includes("PATH="), environment);
        assert.equal(environment.includes("sk-secret"), env.length > 0);
      }
    } finally {
      Deno.env.delete("PODIUM_TEST_KEY");
    }
  },
});

Deno.test("an adapter has no cache on disk, no worker of its own, and can't import what lies elsewhere", async () => {
  await using prying = await running({ module: "adapters/prying.ts" });
  assert.equal(await prying.ask("globals"), "none");
  for (const file of ["adapters/counting.ts", "../../deno.json"]) {
    const order = file.endsWith(".json") ? "import" : "code";
    assert.match(await prying.ask(`${order} file://${join(folder, file)}`), /Requires read access to/, file);
  }
});

Deno.test("code that an adapter imports statically must lie in its own folder", async () => {
  const place = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(place, "secret.json"), '{"key":"secret"}');
    await Deno.mkdir(join(place, "code"));
    const imported = `import secret from "../secret.json" with { type: "json" };`;
    const rest =
      "export const load = () => null; export async function* generate() { yield JSON.stringify(secret); }";
    await Deno.writeTextFile(join(place, "code", "adapter.ts"), `${imported}\n${rest}\n`);
    await assert.rejects(start({ module: "code/adapter.ts" }, join(place, "models.json")), {
      message: /can't be loaded: Requires read access to .*secret\.json/,
    });
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});

Deno.test("lines and answers of an adapter are bounded, and the next request is served", async () => {
  await using prying = await running({ module: "adapters/prying.ts" });
  assert.match(await prying.ask("line 64"), /^503 adapter_ended: .*8388608 characters without a line break/);
  assert.match(await prying.ask("answer 64"), /^503 adapter_ended: .*more than 16777216 characters/);
  assert.equal(await prying.ask("globals"), "none");
});
