/** The timed client: connections kept, reopened and closed; what it leaves to `fetch`. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import type { Fetch } from "../../lib/clock.ts";
import { limitedText } from "../../lib/endpoint/timed_body.ts";
import { isLoopback, noProxyForLoopback } from "../../lib/endpoint/loopback.ts";
import { type TimedClient, timedClient } from "../../lib/endpoint/timed_client.ts";
import { startFake } from "../fake_endpoint.ts";
import { ask, clock, hello } from "./helpers.ts";
import { timedRequest } from "../../lib/endpoint/timed_request.ts";

const nobody: Fetch = () => Promise.reject(new TypeError("the platform's fetch was not meant to be asked"));

/** The text of an answer to a POST without a body. */
async function postText({ post }: TimedClient, url: string): Promise<string> {
  const response = post(url, undefined, "");
  await response.head();
  return await limitedText(response, 1000);
}

/** Sends several requests over one transport, one after the other. */
async function several(baseUrl: string, times: number, pauseMs = 0) {
  const transport = timedClient({ clock, fetch: nobody });
  const traces = [];
  for (let i = 0; i < times; i++) {
    traces.push(
      await timedRequest({ name: "fake", baseUrl }, hello, {
        clock,
        post: transport.post,
        timeoutMs: 5000,
      }),
    );
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  transport.close();
  return traces;
}

Deno.test("a connection is reused", async () => {
  const fake = startFake({});
  const traces = await several(fake.baseUrl, 5);
  assert.ok(traces.every((trace) => trace.status === "ok"));
  assert.equal(fake.connections(), 1);
  await fake.stop();
});

Deno.test("a server that closes after each answer is connected to again", async () => {
  for (const behaviour of [{ closeAfter: true }, { framing: "close" as const }]) {
    const fake = startFake(behaviour);
    const traces = await several(fake.baseUrl, 4);
    assert.ok(traces.every((trace) => trace.status === "ok"), JSON.stringify(traces));
    assert.equal(fake.connections(), 4);
    await fake.stop();
  }
});

Deno.test("an idle connection that the server has closed is not reused", async () => {
  const response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let taken = 0;
  const serving = (async () => {
    for await (const connection of listener) {
      taken++;
      await connection.read(new Uint8Array(4096));
      await connection.write(new TextEncoder().encode(response));
      connection.close(); // without having said so
    }
  })();
  const transport = timedClient({ clock, fetch: nobody });
  for (let i = 0; i < 3; i++) {
    assert.equal(await postText(transport, `http://127.0.0.1:${listener.addr.port}/`), "{}");
  }
  assert.equal(taken, 3);
  transport.close();
  listener.close();
  await serving;
});

Deno.test("a request that a server accepted and dropped is a failure, and is not sent again", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let requests = 0;
  const serve = async (connection: Deno.TcpConn) => {
    const buffer = new Uint8Array(4096);
    while (await connection.read(buffer) !== null) {
      if (++requests === 2) {
        await new Promise((resolve) => setTimeout(resolve, 150)); // it had time to work on it
        break;
      }
      await connection.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
    }
    connection.close();
  };
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) serving.push(serve(connection));
  })();
  const transport = timedClient({ clock, fetch: nobody });
  const url = `http://127.0.0.1:${listener.addr.port}/`;
  assert.equal(await postText(transport, url), "{}");
  await assert.rejects(postText(transport, url), /closed before an answer came/);
  assert.equal(requests, 2);
  transport.close();
  listener.close();
  await accepting;
  await Promise.all(serving);
});

Deno.test("requests at the same time have connections of their own", async () => {
  const fake = startFake({ ttftMs: 30 });
  const transport = timedClient({ clock, fetch: nobody });
  const endpoint = { name: "fake", baseUrl: fake.baseUrl };
  const options = { clock, post: transport.post, timeoutMs: 5000 };
  await Promise.all(Array.from({ length: 6 }, () => timedRequest(endpoint, hello, options)));
  assert.equal(fake.connections(), 6);
  await Promise.all(Array.from({ length: 6 }, () => timedRequest(endpoint, hello, options)));
  assert.equal(fake.connections(), 6);
  transport.close();
  await fake.stop();
});

Deno.test("https, redirects and refused targets go to the platform's fetch", async () => {
  const asked: string[] = [];
  const platform: Fetch = (input) => {
    asked.push(String(input));
    return Promise.resolve(new Response("platform"));
  };
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(4096));
      await connection.write(
        new TextEncoder().encode("HTTP/1.1 307 Elsewhere\r\nLocation: /v2\r\nContent-Length: 0\r\n\r\n"),
      );
      connection.close();
    }
  })();
  const base = `http://127.0.0.1:${listener.addr.port}`;
  const transport = timedClient({ clock, fetch: platform, accepts: isLoopback });
  for (const url of ["https://127.0.0.1/v1", `${base}/v1`, "http://models.example/v1"]) {
    assert.equal(await postText(transport, url), "platform");
  }
  assert.deepEqual(asked, ["https://127.0.0.1/v1", `${base}/v1`, "http://models.example/v1"]);
  transport.close();
  listener.close();
  await serving;
});

Deno.test("an answer that is compressed all the same is decompressed", async () => {
  const packed = gzipSync('{"data":[]}');
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      await connection.read(new Uint8Array(4096));
      const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${packed.length}\r\n\r\n`;
      await connection.write(new Uint8Array([...new TextEncoder().encode(head), ...packed]));
      connection.close();
    }
  })();
  const transport = timedClient({ clock, fetch: nobody });
  assert.equal(await postText(transport, `http://127.0.0.1:${listener.addr.port}/`), '{"data":[]}');
  transport.close();
  listener.close();
  await serving;
});

Deno.test("times are taken at the socket, not when the body is read", async () => {
  const fake = startFake({ tokens: 2 });
  let now = 0;
  const transport = timedClient({ clock: () => ++now, fetch: nobody });
  const response = transport.post(
    `${fake.baseUrl}/chat/completions`,
    undefined,
    JSON.stringify({ model: "fake", messages: [{ role: "user", content: "Hi" }] }),
  );
  await response.head();
  const seenMs = now;
  now = 1000;
  const piece = await response.next();
  assert.ok(piece !== null && piece.atMs <= seenMs);
  assert.equal(await response.next(), null);
  transport.close();
  await fake.stop();
});

Deno.test("an answer's last piece stays as it came while its connection serves the next one", async () => {
  const fake = startFake({ models: { one: { words: ["111"] }, two: { words: ["222"] } } });
  const transport = timedClient({ clock, fetch: nobody });
  const ask = async (model: string) => {
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }] });
    const answer = transport.post(`${fake.baseUrl}/chat/completions`, undefined, body);
    assert.equal((await answer.head()).status, 200);
    return (await answer.next())?.bytes ?? new Uint8Array();
  };
  const first = await ask("one");
  const asItCame = first.slice();
  await ask("two");
  assert.equal(fake.connections(), 1);
  assert.deepEqual(first, asItCame);
  transport.close();
  await fake.stop();
});

Deno.test("JSON goes over the platform's fetch where a bare socket may not", async () => {
  const fake = startFake({ tokens: 2, apiKey: "sesame-open" });
  const transport = timedClient({ clock, fetch, accepts: () => false });
  const answer = transport.post(
    `${fake.baseUrl}/chat/completions`,
    "sesame-open",
    JSON.stringify({ model: "fake", messages: [{ role: "user", content: "Hi" }] }),
  );
  const { status, headers } = await answer.head();
  assert.deepEqual([status, headers.get("content-type")], [200, "application/json"]);
  assert.match(new TextDecoder().decode((await answer.next())?.bytes), / t1 t2/);
  assert.equal(await answer.next(), null);
  await fake.stop();
});

Deno.test("an invalid address or key is refused where the answer is awaited, and the trace does not show the key", async () => {
  const transport = timedClient({ clock, fetch });
  await assert.rejects(transport.post("no address", undefined, "{}").head(), TypeError);
  const trace = await timedRequest(
    { name: "fake", baseUrl: "http://127.0.0.1:9/v1", apiKey: "open\nsesame" },
    { model: "fake", messages: [{ role: "user", content: "Hi" }], maxTokens: 1, temperature: 0 },
    { clock, post: transport.post, timeoutMs: 5000 },
  );
  assert.equal(trace.status, "failed");
  assert.ok(trace.reason !== null && !trace.reason.includes("sesame"), String(trace.reason));
  transport.close();
});

Deno.test("an answer that is given up while connecting, waiting or reading ends with the reason", async () => {
  const fake = startFake({ tokens: 3, fault: { kind: "hang", afterChunks: 1 } });
  const transport = timedClient({ clock, fetch: nobody });
  const post = () =>
    transport.post(`${fake.baseUrl}/chat/completions`, undefined, '{"model":"fake","stream":true}');
  const dialled = post();
  await dialled.cancel("given up");
  await assert.rejects(dialled.head(), (reason) => reason === "given up");
  const awaited = post();
  const head = awaited.head();
  await awaited.cancel("given up");
  await assert.rejects(head, (reason) => reason === "given up");
  const reading = post();
  await reading.head();
  await reading.next();
  const next = reading.next();
  await reading.cancel("given up");
  await assert.rejects(next, (reason) => reason === "given up");
  transport.close();
  await fake.stop();
});

Deno.test("localhost is reached whichever address family answers", async () => {
  const fake = startFake({});
  const trace = await ask(fake.baseUrl.replace("127.0.0.1", "localhost"), "socket");
  assert.equal(trace.status, "ok");
  await fake.stop();
});

Deno.test("loopback is distinguished from everything else", () => {
  for (
    const [url, expected] of [
      ["http://localhost:1/", true],
      ["http://127.0.0.1/", true],
      ["http://127.9.9.9/", true],
      ["http://[::1]:8080/", true],
      ["http://localhost.example/", false],
      ["http://10.0.0.1/", false],
      ["http://127.0.0.1.example/", false],
    ] as const
  ) assert.equal(isLoopback(new URL(url)), expected, url);
});

Deno.test("fetch is kept from sending requests to this machine through a proxy", () => {
  const noProxy = (env: Record<string, string>) => noProxyForLoopback(new Map(Object.entries(env)));
  assert.equal(noProxy({}), null);
  assert.equal(noProxy({ NO_PROXY: ".corp" }), null);
  assert.equal(noProxy({ HTTPS_PROXY: "http://p:1" }), "localhost,127.0.0.0/8,::1");
  assert.equal(noProxy({ HTTP_PROXY: "http://p:1", no_proxy: "a,::1" }), "a,::1,localhost,127.0.0.0/8");
  assert.equal(noProxy({ ALL_PROXY: "http://p:1", NO_PROXY: "localhost,127.0.0.0/8,::1" }), null);
});
