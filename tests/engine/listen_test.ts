/** The HTTP server under the engine: bodies in pieces, slow readers, breaking connections. */
import assert from "node:assert/strict";
import { type Handler, listen } from "../../lib/engine/listen.ts";

async function serving(handler: Handler) {
  const server = await listen(handler, "127.0.0.1", 0);
  return {
    origin: `http://127.0.0.1:${server.port}`,
    port: server.port,
    [Symbol.asyncDispose]: () => server.close(),
  };
}

Deno.test("a body in pieces arrives whole, with its headers, method and path", async () => {
  await using it = await serving(async (request) => {
    const { pathname, search } = new URL(request.url);
    return Response.json({
      method: request.method,
      path: pathname + search,
      header: request.headers.get("x-test"),
      length: (await request.text()).length,
    }, { status: 201, headers: { "x-answer": "yes" } });
  });
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
  assert.deepEqual(await response.json(), {
    method: "POST",
    path: "/v1/x?y=1",
    header: "1",
    length: 140_000,
  });
});

Deno.test("a body beyond the limit is refused in OpenAI's shape", async () => {
  await using it = await serving(() => Promise.resolve(new Response("never")));
  const response = await fetch(it.origin, { method: "POST", body: new Uint8Array(17 * 1024 * 1024) });
  assert.equal(response.status, 413);
  assert.match((await response.json()).error.message, /16777216 bytes/);
});

Deno.test("a handler that throws is a 500 that tells nothing of the inside; the next request is served", async () => {
  let calls = 0;
  await using it = await serving(() =>
    calls++ === 0 ? Promise.reject(new Error("secret path")) : Promise.resolve(new Response("fine"))
  );
  const failed = await fetch(it.origin);
  assert.equal(failed.status, 500);
  assert.ok(!(await failed.text()).includes("secret"));
  assert.equal(await (await fetch(it.origin)).text(), "fine");
});

Deno.test("a stream goes out as it comes, to a slow reader too, in order and complete", async () => {
  const piece = "x".repeat(64 * 1024);
  await using it = await serving(() => {
    let left = 200;
    const body = new ReadableStream<string>({
      pull: (stream) => left-- > 0 ? stream.enqueue(`${left}:${piece}`) : stream.close(),
    });
    return Promise.resolve(new Response(body.pipeThrough(new TextEncoderStream())));
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

Deno.test("connections that break in the middle of a request or send no HTTP do no harm", async () => {
  let goneCount = 0;
  await using it = await serving(async (request, gone) => {
    gone.addEventListener("abort", () => goneCount++);
    return new Response(await request.text());
  });
  for (
    const text of [
      "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf",
      "nonsense\r\n\r\n",
      "GET / HT",
    ]
  ) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: it.port });
    await connection.write(new TextEncoder().encode(text));
    await new Promise((resolve) => setTimeout(resolve, 20));
    connection.close();
  }
  assert.equal(await (await fetch(it.origin, { method: "POST", body: "fine" })).text(), "fine");
  assert.equal(goneCount, 0, "no handler was running");
});

Deno.test("a port that is taken is an error with the system's code", async () => {
  await using it = await serving(() => Promise.resolve(new Response("")));
  await assert.rejects(listen(() => Promise.resolve(new Response("")), "127.0.0.1", it.port), {
    code: "EADDRINUSE",
  });
});
