/** The HTTP server under engines and the gateway: bodies in pieces, slow readers, breaking connections. */
import assert from "node:assert/strict";
import { type HttpHandler, serveHttp } from "../../lib/openai/http_server.ts";

function serving(handler: HttpHandler) {
  const faults: unknown[] = [];
  const server = serveHttp(handler, {
    hostname: "127.0.0.1",
    port: 0,
    clock: () => performance.now(),
    onFault: (error) => void faults.push(error),
  });
  return {
    origin: `http://127.0.0.1:${server.port}`,
    port: server.port,
    faults,
    [Symbol.asyncDispose]: () => server.close(),
  };
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("a body in pieces arrives whole, with its headers, method and path", async () => {
  await using it = serving((request, reply) =>
    reply.whole(
      201,
      [["x-answer", "yes"]],
      JSON.stringify({
        method: request.method,
        path: request.path,
        header: request.headers.get("x-test"),
        length: request.body.length,
      }),
    )
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

Deno.test("a body beyond the limit is refused in OpenAI's shape", async () => {
  await using it = serving((_, reply) => reply.whole(200, [], "never"));
  const response = await fetch(it.origin, { method: "POST", body: new Uint8Array(17 * 1024 * 1024) });
  assert.equal(response.status, 413);
  assert.match((await response.json()).error.message, /16777216 bytes/);
});

Deno.test("a handler that throws is a 500 that tells nothing of the inside; the next request is served", async () => {
  let calls = 0;
  await using it = serving((_, reply) =>
    calls++ === 0 ? Promise.reject(new Error("secret path")) : reply.whole(200, [], "fine")
  );
  const failed = await fetch(it.origin);
  assert.equal(failed.status, 500);
  assert.ok(!(await failed.text()).includes("secret"));
  assert.match(String(it.faults), /secret path/, "but we are told");
  assert.equal(await (await fetch(it.origin)).text(), "fine");
});

Deno.test("a stream goes out as it comes, to a slow reader too, in order and complete", async () => {
  const piece = "x".repeat(64 * 1024);
  await using it = serving(async (_, reply) => {
    reply.begin(200, []);
    for (let left = 199; left >= 0; left--) {
      await reply.write(new TextEncoder().encode(`${left}:${piece}`));
    }
    await reply.end();
  });
  const response = await fetch(it.origin);
  let length = 0;
  for await (const bytes of response.body ?? []) {
    length += bytes.length;
    if (length % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.equal(
    length,
    Array.from({ length: 200 }, (_, i) => `${i}:`.length).reduce((a, b) => a + b, 200 * piece.length),
  );
});

Deno.test("a request stays as it came while the next one arrives on its connection", async () => {
  const go = Promise.withResolvers<void>();
  await using it = serving(async (request, reply) => {
    await go.promise;
    await reply.whole(200, [], text(request.body));
  });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: it.port });
  const ask = (body: string) =>
    connection.write(
      new TextEncoder().encode(`POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n${body}`),
    );
  await ask("first");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await ask("other");
  await new Promise((resolve) => setTimeout(resolve, 20));
  go.resolve();
  let seen = "";
  const buffer = new Uint8Array(1024);
  while (!seen.includes("other")) seen += text(buffer.subarray(0, await connection.read(buffer) ?? 0));
  assert.match(seen, /first.*other/s);
});

Deno.test("connections that break in the middle of a request or send no HTTP do no harm", async () => {
  let handled = 0;
  await using it = serving((request, reply) => {
    handled++;
    return reply.whole(200, [], text(request.body));
  });
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
  assert.deepEqual([handled, it.faults], [1, []], "no handler but the last was running");
});

Deno.test("a port that is taken is the system's error", async () => {
  await using it = serving((_, reply) => reply.whole(200, [], ""));
  assert.throws(
    () =>
      serveHttp((_, reply) => reply.whole(200, [], ""), {
        hostname: "127.0.0.1",
        port: it.port,
        clock: () => 0,
        onFault: () => {},
      }),
    Deno.errors.AddrInUse,
  );
});
