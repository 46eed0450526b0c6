/**
 * An instrument must be compared with delays that another process makes. This is that process.
 *
 * It prints one line of JSON, `{"baseUrl": …}`, and serves until its standard input closes, so that it never
 * outlives the process that started it.
 *
 *     deno run --allow-net=127.0.0.1 lib/selfcheck/fake_endpoint.ts '{"ttftMs":50,"itlMs":10,"tokens":64}'
 *     deno run --allow-net=127.0.0.1 lib/selfcheck/fake_endpoint.ts '{"models":{"quick":{},"slow":{"ttftMs":900}}}'
 */
import { startFakeServer } from "./fake_server.ts";

const fake = startFakeServer(JSON.parse(Deno.args[0] ?? "{}"), () => performance.now());
console.log(JSON.stringify({ baseUrl: fake.baseUrl }));
for await (const _ of Deno.stdin.readable);
await fake.stop();
