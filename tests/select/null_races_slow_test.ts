import assert from "node:assert/strict";
import { NULL_WORLDS, nullRaces } from "./null_races.ts";

for (const [candidates, blocks] of [[2, 200], [4, 60]] as const) {
  for (const [name, world] of Object.entries(NULL_WORLDS)) {
    Deno.test(`2,000 races of ${candidates} identical candidates, ${name}: false winners and losses within δ`, () => {
      const { winners, firstDropped } = nullRaces(candidates, world, 2000, blocks);
      assert.ok(winners <= 0.05 * 2000, `${winners} winners in 2000`);
      // Each is a best one, and may go with probability at most δ(K − 1)/K.
      assert.ok(firstDropped <= 0.05 * 2000 * (candidates - 1) / candidates, `${firstDropped} of 2000`);
    });
  }
}
