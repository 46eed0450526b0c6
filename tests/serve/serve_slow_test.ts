/** `deno task serve` as a program: real models, an adapter, other people's clients, Ctrl-C, a kill, a bad disk. */
import assert from "node:assert/strict";
import { join } from "node:path";
import OpenAI from "openai";
import { fileURLToPath } from "node:url";
import { parseRouterState } from "../../lib/select/route/router_plan.ts";
import { realModel } from "../engine/real_model.ts";
import { startFake } from "../fake_endpoint.ts";
import { until } from "./set_up.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const flags = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys", "--allow-net", "--allow-run"];

const command = (args: string[]) =>
  new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-prompt", ...flags, "scripts/serve.ts", ...args],
    cwd: root,
    stdout: "piped",
    stderr: "piped",
  });

/** A server on a free port; ends with the test whatever happens. */
async function served(args: string[]) {
  const folder = await Deno.makeTempDir();
  const state = args.includes("--state") ? [] : ["--state", join(folder, "router.json")];
  const child = command(["--port", "0", "--json", ...state, ...args]).spawn();
  let said = "";
  const listening = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) said += text;
  })();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.trimEnd().endsWith("\n}")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(said);
    text += value;
  }
  let running = true;
  const ended = child.status.then((status) => {
    running = false;
    return status;
  });
  const end = async (signal: Deno.Signal) => {
    if (running) child.kill(signal);
    const { code } = await ended;
    await Promise.all([listening, reader.cancel()]);
    return code;
  };
  const { url, models } = JSON.parse(text);
  return {
    url: String(url),
    models,
    pid: child.pid,
    said: () => said,
    end,
    ask: (body: unknown) => fetch(`${url}/chat/completions`, { method: "POST", body: JSON.stringify(body) }),
    get: async (path: string) => await (await fetch(`${url}${path}`)).json(),
    [Symbol.asyncDispose]: async () => {
      await end("SIGKILL");
      await Deno.remove(folder, { recursive: true });
    },
  };
}

const user = (content: string) => [{ role: "user", content }];

Deno.test({
  name:
    "a real model is loaded on demand; killed in mid-stream it ends its stream with an error, and comes back",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await realModel();
    await using it = await served(["smollm2", "--threads", "1", "--gpu", "off"]);
    assert.deepEqual(it.models.map(({ id, state }: Record<string, string>) => [id, state]), [[
      "smollm2-135m-instruct",
      "asleep",
    ]]);
    const body = {
      model: "smollm2",
      messages: user("Write one sentence about the sea."),
      max_tokens: 20,
      temperature: 0,
    };
    const answer = await (await it.ask(body)).json();
    assert.match(answer.choices[0].message.content, /sea/i);
    assert.match(it.said(), /loaded in .* s on cpu/);
    const stream = await it.ask({
      ...body,
      stream: true,
      max_tokens: 2000,
      messages: user("Tell a very long story."),
    });
    const reader = (stream.body ?? assert.fail("a stream")).pipeThrough(new TextDecoderStream()).getReader();
    await reader.read();
    const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "pid=,ppid=,args="] }).output();
    const engine = new TextDecoder().decode(stdout).split("\n").map((line) => line.trim().split(/\s+/))
      .find(([, parent, ...args]) =>
        parent === String(it.pid) && args.join(" ").includes("engine/engine_program.ts")
      );
    Deno.kill(Number(engine?.[0]), "SIGKILL");
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) rest += part.value;
    assert.match(rest, /data: \{"error":\{"message":"the model's endpoint failed/);
    assert.equal((await it.ask(body)).status, 200);
    assert.equal(await it.end("SIGINT"), 130);
  },
});

Deno.test("an adapter is served like any other model", async () => {
  await using it = await served(["extractive-notes"]);
  const response = await it.ask({
    model: "auto",
    messages: user("Anna: we ship on Friday.\nBen: I write the notes."),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  assert.equal(response.headers.get("x-podium-model"), "extractive-notes");
  assert.ok(answer.choices[0].message.content.length > 0);
});

/** A decision of the golden files, with another choice. */
async function decisionFor(choice: string, folder: string): Promise<string> {
  const text = await Deno.readTextFile(join(root, "tests/golden/expected/select/unscored.json"));
  const path = join(folder, "decision.json");
  await Deno.writeTextFile(path, JSON.stringify({ ...JSON.parse(text), choice }));
  return path;
}

Deno.test("--decision alone serves the chosen model with its engine options, and no other", async () => {
  await realModel();
  const folder = await Deno.makeTempDir();
  try {
    const candidate = "smollm2-135m-instruct:q4_1+threads=1+context=512";
    await using it = await served(["--decision", await decisionFor(candidate, folder), "--gpu", "off"]);
    assert.deepEqual(it.models.map((model: Record<string, string>) => model.candidate), [candidate]);
    const answer = await it.ask({ model: "auto", messages: user("Hello"), max_tokens: 2 });
    assert.equal(answer.status, 200, await answer.text());
    const [model] = (await it.get("/models")).data;
    assert.equal(model.context_length, 512);
    await it.end("SIGINT");
    const { code, stderr } = await command(["--decision", await decisionFor("phi@lab", folder)]).output();
    assert.equal(code, 2);
    assert.match(
      new TextDecoder().decode(stderr),
      /chose phi@lab: give its service too, as in --endpoint lab=/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what auto learned survives a kill at any moment, and a restart", async () => {
  const fake = startFake({});
  const folder = await Deno.makeTempDir();
  const state = join(folder, "router.json");
  const args = ["--endpoint", `lab=${fake.baseUrl}`, "--state", state];
  try {
    {
      await using it = await served(args);
      for (let i = 0; i < 20; i++) {
        await (await it.ask({ model: "auto", messages: user(`Question ${i}`) })).text();
      }
      await until(() => Array.from(Deno.readDirSync(folder)).length > 0);
      const more = Array.from(
        { length: 50 },
        (_, i) => it.ask({ model: "auto", messages: user(`More ${i}`) }),
      );
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await it.end("SIGKILL");
      await Promise.allSettled(more.map(async (one) => await (await one).body?.cancel()));
    }
    const text = await Deno.readTextFile(state);
    const seen = parseRouterState(text, state).seen.any?.["fake@lab"]?.successes ?? 0;
    assert.ok(seen >= 20, `${seen} were kept`);
    assert.ok(!text.includes("Question"), "no prompt on disk");
    await using again = await served(args);
    const { routing } = await again.get("/router");
    assert.equal(routing.intents.any.arms["fake@lab"].successes, seen);
  } finally {
    await fake.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a state that can't be written is said once, and serving goes on", async () => {
  const fake = startFake({});
  const inTheWay = await Deno.makeTempFile();
  try {
    await using it = await served(["--endpoint", fake.baseUrl, "--state", join(inTheWay, "router.json")]);
    for (let i = 0; i < 3; i++) {
      assert.equal((await it.ask({ model: "auto", messages: user(`${i}`) })).status, 200);
    }
    await until(() => it.said().includes("can't be saved"));
  } finally {
    await fake.stop();
    await Deno.remove(inTheWay);
  }
});

const PYTHON = `
import sys
from openai import OpenAI, NotFoundError
client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
assert "auto" in [m.id for m in client.models.list()]
messages = [{"role": "user", "content": "Hello"}]
whole = client.chat.completions.create(model="auto", messages=messages)
assert whole.choices[0].message.content == " t1 t2 t3", whole
stream = client.chat.completions.create(model="fake", messages=messages, stream=True, stream_options={"include_usage": True})
chunks = list(stream)
assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == " t1 t2 t3"
assert chunks[-1].usage.completion_tokens == 3
raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages)
assert raw.headers["x-podium-model"] == "fake", raw.headers
try:
    client.chat.completions.create(model="gpt", messages=messages)
    raise SystemExit("an unknown model must be refused")
except NotFoundError as error:
    assert error.code == "model_not_found", error
print("fine")
`;

/** Calls of tools, with a model that calls them well or badly: the protocol is right either way. */
const PYTHON_TOOLS = `
import json, sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)
parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": parameters}}]
asked = dict(model=sys.argv[2], messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=tools, temperature=0, max_tokens=100)
def check(message, reason):
    assert reason == "tool_calls" and message.tool_calls, (message, reason)
    for call in message.tool_calls:
        assert call.id and call.type == "function" and call.function.name == "get_weather", call
        assert isinstance(json.loads(call.function.arguments)["city"], str), call
named = {"type": "function", "function": {"name": "get_weather"}}
for choice in ["required", named]:
    whole = client.chat.completions.create(**asked, tool_choice=choice).choices[0]
    check(whole.message, whole.finish_reason)
with client.chat.completions.stream(**asked, tool_choice=named) as stream:
    final = stream.get_final_completion().choices[0]
check(final.message, final.finish_reason)
assert final.message.tool_calls[0].function.arguments == whole.message.tool_calls[0].function.arguments
free = client.chat.completions.create(**asked).choices[0]
assert free.message.tool_calls or free.message.content, free
result = {"role": "tool", "tool_call_id": whole.message.tool_calls[0].id, "content": "sunny, 21 degrees"}
answer = client.chat.completions.create(**{**asked, "messages": asked["messages"] + [whole.message, result]}, tool_choice="none").choices[0]
assert answer.message.content and not answer.message.tool_calls, answer
print("fine")
`;

async function toolsByNode(baseURL: string, model: string): Promise<void> {
  const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const asked = {
    model,
    messages: [{ role: "user" as const, content: "What is the weather in Paris?" }],
    tools: [{ type: "function" as const, function: { name: "get_weather", parameters } }],
    tool_choice: "required" as const,
    parallel_tool_calls: false,
    temperature: 0,
    max_tokens: 100,
  };
  const whole = (await client.chat.completions.create(asked)).choices[0]?.message.tool_calls ?? [];
  const streamed = (await client.chat.completions.stream(asked).finalMessage()).tool_calls ?? [];
  for (const [call] of [whole, streamed]) {
    assert.ok(call?.type === "function" && call.function.name === "get_weather");
    assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
  }
  const { tools: _tools, tool_choice: _choice, parallel_tool_calls: _parallel, ...plain } = asked;
  const told = await client.chat.completions.create({
    ...plain,
    max_tokens: 3,
    logprobs: true,
    top_logprobs: 2,
  });
  const tokens = told.choices[0]?.logprobs?.content ?? [];
  assert.equal(tokens.length, 3);
  assert.ok(tokens.every(({ logprob, top_logprobs }) => logprob <= 0 && top_logprobs.length === 2));
}

Deno.test("the official clients for Python and Node work unchanged, with tools too", async () => {
  const folder = await Deno.makeTempDir();
  const python = join(folder, "venv", Deno.build.os === "windows" ? "Scripts/python.exe" : "bin/python");
  const run = async (program: string, args: string[]) => {
    const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
    const text = new TextDecoder();
    return { success, text: text.decode(stdout) + text.decode(stderr) };
  };
  const fake = startFake({ tokens: 3 });
  try {
    const venv = await run(Deno.build.os === "windows" ? "python" : "python3", [
      "-m",
      "venv",
      join(folder, "venv"),
    ])
      .catch((error) => ({ success: false, text: String(error) }));
    const pip = venv.success ? await run(python, ["-m", "pip", "install", "-q", "openai"]) : venv;
    if (!pip.success) {
      console.warn(
        `NOT TESTED: the Python client can't be installed here: ${pip.text.trim().split("\n").at(-1)}`,
      );
      return;
    }
    await using it = await served(["--endpoint", fake.baseUrl, "--state", join(folder, "router.json")]);
    const { success, text } = await run(python, ["-c", PYTHON, it.url]);
    assert.ok(success, text);
    const calls = [{ name: "get_weather", arguments: '{"city": "Paris"}' }];
    const calling = startFake({ calls });
    try {
      await realModel();
      await using both = await served(["smollm2", "--endpoint", calling.baseUrl, "--gpu", "off"]);
      for (const model of ["fake", "smollm2"]) {
        const tools = await run(python, ["-c", PYTHON_TOOLS, both.url, model]);
        assert.ok(tools.success, `${model}: ${tools.text}`);
      }
      await toolsByNode(both.url, "smollm2");
    } finally {
      await calling.stop();
    }
  } finally {
    await fake.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

for (
  const [name, args, message] of [
    ["an unknown model", ["nosuch"], /nosuch/],
    ["a port that is none", ["--port", "x"], /--port/],
    ["an engine option that is none", ["smollm2:threads=0"], /threads=0/],
    ["other machines without a key", ["--host", "0.0.0.0"], /--host 0\.0\.0\.0 .*--api-key/],
    ["a key that anybody guesses", ["--api-key", "key"], /--api-key is shorter/],
    [
      "a plan that is not there",
      ["--endpoint", "http://127.0.0.1:1", "--routing", "nosuch.json"],
      /--routing nosuch\.json/,
    ],
    [
      "limits that are none",
      ["--endpoint", "http://127.0.0.1:1", "--slo", "fast"],
      /--slo <limits>' argument 'fast' is invalid. Give limits as in/,
    ],
    ["two endpoints of one name", [
      "--endpoint",
      "a=http://127.0.0.1:1",
      "--endpoint",
      "a=http://127.0.0.1:2",
    ], /"a"/],
  ] as const
) {
  Deno.test(`wrong usage is one line and exit code 2: ${name}`, async () => {
    const { code, stderr, stdout } = await command([...args]).output();
    const text = new TextDecoder().decode(stderr);
    assert.equal(code, 2, text);
    assert.match(text, message);
    assert.ok(!/\n\s+at /.test(text), text);
    assert.equal(stdout.length, 0);
  });
}

Deno.test("a server with nothing to serve ends, and says why; one with something starts without the rest", async () => {
  const down = ["--endpoint", "http://127.0.0.1:1"];
  const { code, stderr, stdout } = await command(["--port", "0", ...down]).output();
  const text = new TextDecoder().decode(stderr);
  assert.equal(code, 1, text);
  assert.match(text, /^error: nothing to serve: \S+: cannot reach http:\/\/127\.0\.0\.1:1\/v1: [^\n]+\n$/);
  assert.equal(stdout.length, 0);
  const fake = startFake({});
  try {
    await using it = await served([...down, "--endpoint", fake.baseUrl]);
    assert.equal(it.models.length, 1);
    assert.match(it.said(), /cannot reach [^\n]+\. Its models are served as soon as it answers\n/);
  } finally {
    await fake.stop();
  }
});
