/**
 * Clients that break the rules, against an engine's server and the gateway alike: they get a refusal or a closed
 * connection, no model ever sees their request, and an honest client is served right after.
 */
import assert from "node:assert/strict";
import { setUp } from "../serve/set_up.ts";
import { fakeCore, serveFace, token } from "./fake_core.ts";

const messages = [{ role: "user" as const, content: "Hello" }];
const KEY = "a-long-secret-key";

interface Target extends AsyncDisposable {
  readonly port: number;
  readonly key: string;
  /** Requests that reached a model. */
  answered(): number;
}

/** The servers under test; a body of more than 4,000 bytes is too long for both. */
const targets: Readonly<Record<string, (bodyMs?: number) => Promise<Target>>> = {
  engine: async (bodyMs) => {
    const core = fakeCore(() => ["x"]);
    const face = await serveFace(core, { bodyBytes: 4000, ...(bodyMs === undefined ? {} : { bodyMs }) });
    return {
      port: Number(new URL(face.origin).port),
      key: token,
      answered: () => core.jobs.length,
      [Symbol.asyncDispose]: () => face[Symbol.asyncDispose](),
    };
  },
  gateway: async (bodyMs) => {
    const it = await setUp({
      models: { tiny: { tokens: 1 } },
      access: { apiKey: KEY },
      limits: { bodyBytes: 4000, ...(bodyMs === undefined ? {} : { bodyMs }) },
    });
    return {
      port: it.port,
      key: KEY,
      answered: () => it.records.length,
      async [Symbol.asyncDispose]() {
        assert.deepEqual(it.faults, []);
        await it[Symbol.asyncDispose]();
      },
    };
  },
};

const encoder = new TextEncoder();
const body = JSON.stringify({ model: "tiny", messages });

const request = (target: Target, headers: readonly string[] = [], text = body, length = text.length) =>
  [
    "POST /v1/chat/completions HTTP/1.1",
    ...(headers.some((line) => line.toLowerCase().startsWith("host:")) ? [] : ["Host: localhost"]),
    `Authorization: Bearer ${target.key}`,
    `Content-Length: ${length}`,
    ...headers,
    "",
    text,
  ].join("\r\n");

/** What the server says to some bytes until it closes, or until it has nothing more to say. */
async function said(port: number, text: string, { quietMs = 2000, halfClose = false } = {}): Promise<string> {
  using socket = await Deno.connect({ hostname: "127.0.0.1", port });
  // A server that refuses may close before it has read everything.
  const writing = socket.readable && writeAll(socket, encoder.encode(text)).catch(() => {});
  if (halfClose) await writing.then(() => socket.closeWrite());
  const decoder = new TextDecoder();
  const reader = socket.readable.getReader();
  let answer = "";
  while (true) {
    const quiet = Promise.withResolvers<null>();
    const timer = setTimeout(() => quiet.resolve(null), answer === "" ? quietMs : 200);
    const part = await Promise.race([reader.read().catch(() => null), quiet.promise]);
    clearTimeout(timer);
    if (part === null || part.done) break;
    answer += decoder.decode(part.value, { stream: true });
  }
  await reader.cancel().catch(() => {});
  return answer;
}

async function writeAll(socket: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await socket.write(bytes.subarray(at));
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? NaN);

async function honestIsServed({ port, key }: Target): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}` },
    body,
    signal: AbortSignal.timeout(5000),
  });
  assert.equal(response.status, 200, await response.text());
}

const POST = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n";
const badFraming: readonly (readonly [name: string, text: string])[] = [
  ["no request line", "hello\r\n\r\n"],
  ["no host", "GET /v1/models HTTP/1.1\r\n\r\n"],
  ["two hosts", "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"],
  ["two lengths", `${POST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`],
  ["a length and chunks", `${POST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["an unknown encoding", `${POST}Transfer-Encoding: gzip\r\n\r\n`],
  ["chunks that are none", `${POST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
  ["a negative length", `${POST}Content-Length: -3\r\n\r\n`],
  ["a length that is no number", `${POST}Content-Length: 0x10\r\n\r\n`],
  ["a folded header", "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n x: 1\r\n\r\n"],
  ["a header without a colon", "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n"],
  ["a control character in a name", "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX\u0001: 1\r\n\r\n"],
  ["an unknown version", "GET /v1/models HTTP/3.7\r\nHost: localhost\r\n\r\n"],
  ["two megabytes of headers", `GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(2e6)}\r\n\r\n`],
  ["headers without an end", `GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(2e6)}`],
  ["a length beyond the limit", `${POST}Content-Length: 5000\r\n\r\n`],
  ["a length beyond all limits", `${POST}Content-Length: 99999999999\r\n\r\n`],
];

for (const [server, start] of Object.entries(targets)) {
  for (const [name, text] of badFraming) {
    Deno.test(`${server}: refused or closed, and an honest client is served: ${name}`, async () => {
      await using target = await start();
      const answer = await said(target.port, text, { quietMs: 4000 });
      const status = statusOf(answer);
      assert.ok(Number.isNaN(status) || (status >= 400 && status < 600), answer.slice(0, 300));
      if (!Number.isNaN(status) && name !== "no host") {
        assert.match(answer, /\{"error":\{"message":"/, "in OpenAI's shape");
      }
      assert.equal(target.answered(), 0);
      await honestIsServed(target);
    });
  }

  Deno.test(`${server}: a body that is longer than it may be ends in 413, with a length or in chunks`, async () => {
    await using target = await start();
    const long = JSON.stringify({ model: "tiny", messages, pad: "x".repeat(5000) });
    assert.equal(statusOf(await said(target.port, request(target, ["Connection: close"], long))), 413);
    const chunk = `1000\r\n${"x".repeat(0x1000)}\r\n`;
    const chunked = `${POST}Authorization: Bearer ${target.key}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const endless = await said(target.port, chunked + chunk.repeat(3), { quietMs: 4000 });
    assert.equal(statusOf(endless), 413, endless.slice(0, 200));
    assert.equal(target.answered(), 0);
    await honestIsServed(target);
  });

  Deno.test(`${server}: a body that stops coming is given up`, async () => {
    await using target = await start(80);
    const answer = await said(target.port, request(target, [], '{"model":', 1000), { quietMs: 4000 });
    assert.ok(answer === "" || statusOf(answer) === 408, answer);
    assert.equal(target.answered(), 0);
  });

  Deno.test(`${server}: 300 clients that send half a head, half a body or nothing stop nobody`, async () => {
    await using target = await start();
    const sockets = await Promise.all(Array.from({ length: 300 }, async (_, i) => {
      const socket = await Deno.connect({ hostname: "127.0.0.1", port: target.port });
      const bytes = ["", "GET /v1/mod", request(target, [], '{"mod', 1000)][i % 3] ?? "";
      if (bytes !== "") await socket.write(encoder.encode(bytes));
      return socket;
    }));
    try {
      await honestIsServed(target);
      assert.equal(target.answered(), 1);
    } finally {
      for (const socket of sockets) socket.close();
    }
    await honestIsServed(target);
  });

  Deno.test(`${server}: pipelined requests are answered in order, one after the other`, async () => {
    await using target = await start();
    const health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const answer = await said(
      target.port,
      request(target) + health + request(target, ["Connection: close"]),
      { quietMs: 5000 },
    );
    assert.equal(answer.match(/HTTP\/1\.1 200 OK/g)?.length, 3, answer);
    assert.match(answer, /"choices".*"status":"ok".*"choices"/s);
    assert.equal(target.answered(), 2);
  });

  Deno.test(`${server}: a client that pipelines and never reads stops nobody`, async () => {
    await using target = await start();
    using socket = await Deno.connect({ hostname: "127.0.0.1", port: target.port });
    const many = encoder.encode(
      `GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${target.key}\r\n\r\n`.repeat(200),
    );
    const writing = (async () => {
      while (true) await writeAll(socket, many);
    })().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 300));
    await honestIsServed(target);
    socket.close();
    await writing;
    await honestIsServed(target);
  });

  Deno.test(`${server}: names that were pointed here and web pages of other sites are refused`, async () => {
    await using target = await start();
    for (
      const host of [
        "evil.example",
        `evil.example:${target.port}`,
        "127.0.0.1.evil.example",
        "localhost.",
        "[::2]",
      ]
    ) {
      const answer = await said(target.port, request(target, [`Host: ${host}`, "Connection: close"]));
      assert.equal(statusOf(answer), 403, host);
      assert.match(answer, /forbidden_host/);
    }
    for (
      const origin of [
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
      ]
    ) {
      const answer = await said(target.port, request(target, [`Origin: ${origin}`, "Connection: close"]));
      assert.equal(statusOf(answer), 403, origin);
      assert.match(answer, /forbidden_origin/);
    }
    assert.equal(target.answered(), 0);
    for (const host of ["127.0.0.1", `localhost:${target.port}`, `LOCALHOST:${target.port}`, "[::1]:80"]) {
      const answer = await said(target.port, request(target, [`Host: ${host}`, "Connection: close"]));
      assert.equal(statusOf(answer), 200, host);
    }
  });

  Deno.test(`${server}: a wrong key is refused, whatever it shares with the right one`, async () => {
    await using target = await start();
    const { key } = target;
    for (
      const authorization of [
        null,
        "",
        key,
        "Bearer",
        "Bearer ",
        `Basic ${key}`,
        `Bearer ${key.slice(0, -1)}`,
        `Bearer ${key}x`,
        `Bearer ${key.slice(0, -1)}\u00e9`,
        `Bearer ${key.toUpperCase()}`,
        `Bearer ${key}, Bearer ${key}`,
      ]
    ) {
      const response = await fetch(`http://127.0.0.1:${target.port}/v1/chat/completions`, {
        method: "POST",
        headers: authorization === null ? {} : { authorization },
        body,
      });
      assert.equal(response.status, 401, `${authorization}`);
      assert.equal((await response.json()).error.code, "invalid_api_key");
    }
    assert.equal(target.answered(), 0);
  });
}
