/** Whatever a server does, a file that gets its name is whole, and is one of the files that were offered. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { pull } from "../../lib/catalog/pull.ts";
import { openStore } from "../../lib/catalog/store.ts";
import { UserError } from "../../lib/errors.ts";
import {
  type Fault,
  fileServer,
  only,
  registryOf,
  scratch,
  sha256,
  surroundings,
  tinyGguf,
} from "./fixtures.ts";

const versions = [tinyGguf(60_000, 1), tinyGguf(60_000, 2), tinyGguf(45_000, 3)];
const hashes = versions.map(sha256);

const drop = fc.record({
  kind: fc.constant("drop" as const),
  afterBytes: fc.integer({ min: 0, max: 50_000 }),
});
const fault: fc.Arbitrary<Fault> = fc.oneof(
  { arbitrary: drop, weight: 6 },
  fc.constant({ kind: "ignore-range" as const }),
  fc.constant({ kind: "wrong-range" as const }),
  fc.record({ kind: fc.constant("status" as const), status: fc.constantFrom(408, 429, 500, 503, 404) }),
);

const story = fc.record({
  faults: fc.array(fault, { maxLength: 6 }),
  /** Which version the server offers from one request to the next. */
  offered: fc.array(fc.constantFrom(0, 1, 1, 2), { minLength: 1, maxLength: 8 }),
  tagged: fc.boolean(),
  known: fc.boolean(),
});

Deno.test("no story of drops, wrong ranges and changing files ends in a mixture", async () => {
  await fc.assert(
    fc.asyncProperty(story, async ({ faults, offered, tagged, known }) => {
      const tag = (version: number) => tagged ? `"v${version}"` : null;
      const at = (request: number) => offered[Math.min(request, offered.length - 1)] ?? 0;
      const first = versions[at(0)] ?? versions[0];
      assert.ok(first);
      await using server = fileServer({ content: first, faults, etag: tag(at(0)) });
      await using folder = await scratch();
      const sources = [{ kind: "url", url: `${server.url}/f` }];
      const { entry, variant } = only(registryOf({ sources, ...(known && { sha256: hashes[0] }) }));
      const { options } = surroundings();
      const changing = {
        ...options,
        fetch: (input: string | URL | Request, init?: RequestInit) => {
          const version = at(server.log.length);
          Object.assign(server.state, { content: versions[version], etag: tag(version) });
          return fetch(input, init);
        },
        retry: { ...options.retry, backoffMs: 1 },
      };
      const path = await pull(await openStore(folder.dir), entry, variant, changing).catch(
        (error: unknown) => {
          assert.ok(error instanceof UserError, String(error));
          return null;
        },
      );
      if (path === null) return;
      const got = sha256(await Deno.readFile(path));
      assert.ok(known ? got === hashes[0] : hashes.includes(got), `${got} was never offered`);
    }),
    { numRuns: 100 },
  );
});
