import assert from "node:assert/strict";
import { join } from "node:path";
import { findRun, requireRun } from "../../lib/bench/find_run.ts";

async function withRuns(ids: readonly string[], check: (root: string) => Promise<void>) {
  const root = await Deno.makeTempDir();
  try {
    for (const id of ids) {
      await Deno.mkdir(join(root, id));
      await Deno.writeTextFile(join(root, id, "run.json"), "{}");
    }
    // What came from others is no run here, and neither is a folder without a run.json.
    await Deno.mkdir(join(root, "imports", "2027-01-01T00-00-00-zzzz"), { recursive: true });
    await check(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const EARLY = "2026-11-20T10-00-00-ab12";
const LATE = "2026-11-21T04-55-07-x1y2";

Deno.test("a run is named by its folder, its id or the start of its id", async () => {
  await withRuns([EARLY, LATE], async (root) => {
    for (const name of [join(root, LATE), LATE, "2026-11-21", "2026-11-21T04"]) {
      assert.equal(await findRun(name, root), join(root, LATE), name);
    }
    assert.equal(await findRun("2025", root), null);
    await assert.rejects(findRun("2026-11", root), {
      message: `2026-11: several runs start like that: ${EARLY}, ${LATE}`,
    });
  });
});

Deno.test("without a name it is the latest run", async () => {
  await withRuns([LATE, EARLY], async (root) => {
    assert.equal(await requireRun(undefined, root), join(root, LATE));
  });
  await withRuns([], async (root) => {
    await assert.rejects(requireRun(undefined, root), {
      message: `there is no run below ${root}: deno task bench makes one`,
    });
  });
});
