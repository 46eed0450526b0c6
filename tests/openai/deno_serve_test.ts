/**
 * Why the servers stand on `node:http`: what `Deno.serve` lacks, shown. Where one of these fails after an update of
 * Deno, the reason is gone, and lib/openai/server.ts can move.
 */
import assert from "node:assert/strict";

const bytes = (text: string) => new TextEncoder().encode(text);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Whether a client that goes away 100 ms after its request was noticed, while the answer was pending. */
async function noticesLeaving(pieces: readonly string[]): Promise<boolean> {
  const noticed = Promise.withResolvers<boolean>();
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    request.signal.addEventListener("abort", () => noticed.resolve(true));
    await request.text();
    await pause(1000);
    noticed.resolve(false);
    return new Response("late");
  });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
  for (const piece of pieces) {
    await client.write(bytes(piece));
    await pause(100);
  }
  client.close();
  return await noticed.promise;
}

const HEAD = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n";

Deno.test("Deno.serve does not notice that a client left whose body came in two reads", async () => {
  assert.equal(await noticesLeaving([`${HEAD}body`]), true, "in one read: it does");
  assert.equal(await noticesLeaving([`${HEAD}bo`, "dy"]), false, "this can move to Deno.serve now");
});

Deno.test("Deno.serve can't close the connection of a client that does not read", async () => {
  const full = Promise.withResolvers<void>();
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {}, onError: () => new Response() },
    () => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const body = new ReadableStream<Uint8Array>({
        pull(to) {
          controller = to;
          to.enqueue(new Uint8Array(64 * 1024));
          clearTimeout(timer);
          timer = setTimeout(full.resolve, 200); // nothing was pulled for a while: the client's buffers are full
        },
      }, { highWaterMark: 0 });
      return new Response(body);
    },
  );
  const client = await Deno.connect({ hostname: "127.0.0.1", port: server.addr.port });
  await client.write(bytes("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"));
  await full.promise;
  controller?.error(new Error("the client does not read"));
  await pause(300);
  // A connection that was closed would refuse what is written, at the second write at the latest.
  const isOpen = await client.write(bytes("x")).then(() => pause(100)).then(() => client.write(bytes("x")))
    .then(() => true, () => false);
  client.close();
  await server.shutdown();
  assert.equal(isOpen, true, "this can move to Deno.serve now");
});
