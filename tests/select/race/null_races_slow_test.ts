import assert from "node:assert/strict";
import { NULL_WORLDS, nullRaces } from "../../../benchmarks/null_races.ts";
import { seededRandom } from "../../../lib/stats/random.ts";

for (const { candidates, blocks } of [{ candidates: 2, blocks: 200 }, { candidates: 4, blocks: 60 }]) {
  for (const [name, world] of Object.entries(NULL_WORLDS)) {
    Deno.test(`2,000 races of ${candidates} identical candidates, ${name}: false winners and losses within δ`, () => {
      const size = { candidates, races: 2000, blocks };
      const { winners, firstDropped } = nullRaces(world, size, seededRandom(`null/${candidates}/${name}`));
      assert.ok(winners <= 0.05 * 2000, `${winners} winners in 2000`);
      // Each is a best one, and may go with probability at most δ(K − 1)/K.
      assert.ok(firstDropped <= 0.05 * 2000 * (candidates - 1) / candidates, `${firstDropped} of 2000`);
    });
  }
}
