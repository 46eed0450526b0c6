/** The HTTP server under engines and the gateway: bodies, defects, slow readers, breaking connections. */
import assert from "node:assert/strict";
import {
  bodyText,
  DEFAULT_LIMITS,
  type HttpHandler,
  serveHttp,
  type ServerLimits,
} from "../../lib/openai/server.ts";

async function serving(handler: HttpHandler, limits: Partial<ServerLimits> = {}) {
  const faults: unknown[] = [];
  const server = await serveHttp(handler, {
    clock: () => performance.now(),
    limits,
    hostname: "127.0.0.1",
    port: 0,
    onFault: (error) => void faults.push(error),
  });
  return {
    origin: `http://127.0.0.1:${server.port}`,
    port: server.port,
    faults,
    [Symbol.asyncDispose]: () => server.close(),
  };
}

Deno.test("a body in pieces arrives whole, with its headers, method and path", async () => {
  await using it = await serving(async (request) =>
    Response.json({
      method: request.method,
      path: request.path,
      header: request.headers.get("x-test"),
      length: (await bodyText(request, DEFAULT_LIMITS)).length,
    }, { status: 201, headers: { "x-answer": "yes" } })
  );
  const pieces = ReadableStream.from(["a".repeat(70_000), "b".repeat(70_000)]).pipeThrough(
    new TextEncoderStream(),
  );
  const response = await fetch(`${it.origin}/v1/x?y=1`, {
    method: "POST",
    headers: { "x-test": "1" },
    body: pieces,
  });
  assert.equal(response.status, 201);
  assert.equal(response.headers.get("x-answer"), "yes");
  assert.deepEqual(await response.json(), { method: "POST", path: "/v1/x", header: "1", length: 140_000 });
});

Deno.test("a body beyond the limit is refused in OpenAI's shape, and the client reads why", async () => {
  await using it = await serving(async (request) => new Response(await bodyText(request, DEFAULT_LIMITS)));
  const response = await fetch(it.origin, { method: "POST", body: new Uint8Array(17 * 1024 * 1024) });
  assert.equal(response.status, 413);
  assert.match((await response.json()).error.message, /16777216 bytes/);
});

Deno.test("a handler that throws is a 500 that tells nothing of the inside; the next request is served", async () => {
  let calls = 0;
  await using it = await serving(() => {
    if (calls++ === 0) throw new Error("secret path");
    return new Response("fine");
  });
  const failed = await fetch(it.origin);
  assert.equal(failed.status, 500);
  assert.ok(!(await failed.text()).includes("secret"));
  assert.match(String(it.faults), /secret path/, "but the log gets it");
  assert.equal(await (await fetch(it.origin)).text(), "fine");
});

Deno.test("a stream reaches a slow reader complete, and is made no faster than the reader takes it", async () => {
  const piece = new Uint8Array(64 * 1024);
  let made = 0;
  await using it = await serving(() =>
    new Response(
      new ReadableStream({
        pull(controller) {
          if (made++ < 2000) controller.enqueue(piece);
          else controller.close();
        },
      }, { highWaterMark: 0 }),
      { headers: { "content-type": "text/event-stream" } },
    )
  );
  const response = await fetch(it.origin);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.ok(made < 500, `${made} of 2000 pieces were made for a client that does not read`);
  let length = 0;
  for await (const bytes of response.body ?? []) length += bytes.length;
  assert.equal(length, 2000 * piece.length);
});

Deno.test("connections that break in the middle of a request do no harm", async () => {
  await using it = await serving(async (request) => new Response(await bodyText(request, DEFAULT_LIMITS)));
  for (
    const bytes of [
      "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf",
      "nonsense\r\n\r\n",
      "GET / HT",
    ]
  ) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: it.port });
    await connection.write(new TextEncoder().encode(bytes));
    await new Promise((resolve) => setTimeout(resolve, 20));
    connection.close();
  }
  assert.equal(await (await fetch(it.origin, { method: "POST", body: "fine" })).text(), "fine");
  assert.deepEqual(it.faults, []);
});

Deno.test("connections beyond the limit, idle ones and slow heads are closed", async () => {
  await using it = await serving(() => new Response("fine"), { connections: 3, headMs: 50, idleMs: 300 });
  const closedAfterMs = async (bytes: string) => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: it.port });
    if (bytes !== "") await connection.write(new TextEncoder().encode(bytes));
    const sinceMs = performance.now();
    await connection.read(new Uint8Array(100)).catch(() => {});
    return performance.now() - sinceMs;
  };
  const [slowHead, idle] = await Promise.all([closedAfterMs("GET /v1/mod"), closedAfterMs("")]);
  assert.ok(slowHead < idle && idle >= 250, `${slowHead} ${idle}`);
  const open = await Promise.all(
    Array.from({ length: 3 }, () => Deno.connect({ hostname: "127.0.0.1", port: it.port })),
  );
  const idleEnd = open.map((connection) => connection.read(new Uint8Array(1)).then(() => "an idle one"));
  assert.equal(
    await Promise.race([closedAfterMs("").then(() => "one too many"), ...idleEnd]),
    "one too many",
    "the connections within the limit are still open",
  );
  await Promise.all(idleEnd);
  for (const connection of open) connection.close();
});

Deno.test("a client that pipelines, or takes a stream, and never reads is dropped", async () => {
  const event = new TextEncoder().encode(`data: ${"x".repeat(60_000)}\n\n`);
  await using it = await serving(
    (request) =>
      request.method === "GET"
        ? new Response("x".repeat(1000))
        : new Response(new ReadableStream({ pull: (controller) => controller.enqueue(event) }), {
          headers: { "content-type": "text/event-stream" },
        }),
    { unreadMs: 400 },
  );
  for (const text of ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\n\r\n"]) {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: it.port });
    const bytes = new TextEncoder().encode(text.repeat(500));
    const dropped = (async () => {
      while (true) await connection.write(bytes);
    })();
    await assert.rejects(dropped, Error);
  }
  assert.equal(await (await fetch(it.origin)).text(), "x".repeat(1000));
});

Deno.test("a port that is taken is the system's error", async () => {
  await using it = await serving(() => new Response(""));
  const again = serveHttp(() => new Response(""), {
    hostname: "127.0.0.1",
    port: it.port,
    clock: () => performance.now(),
    onFault: () => {},
  });
  await assert.rejects(again, { code: "EADDRINUSE" });
});

Deno.test("a server that is asked to wait closes after the answers under way, and no later than that", async () => {
  for (const [graceMs, answered] of [[5000, true], [0, false]] as const) {
    const asked = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const server = await serveHttp(async () => {
      asked.resolve();
      await go.promise;
      return new Response("the last one");
    }, { hostname: "127.0.0.1", port: 0, clock: () => performance.now(), onFault: () => {} });
    const got = fetch(`http://127.0.0.1:${server.port}`).then((response) => response.text(), () => null);
    await asked.promise;
    const closed = server.close(graceMs);
    go.resolve();
    assert.equal(await got, answered ? "the last one" : null);
    await closed;
  }
});
