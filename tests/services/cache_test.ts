/** Cache folders: read as the runtime reads them, and written so that a failure leaves them as they were. */
import assert from "node:assert/strict";
import { join } from "node:path";
import {
  addToFoundryCache,
  assertCanAdd,
  copyCache,
  type OwnModel,
} from "../../lib/services/foundry_layout.ts";
import { readFoundryCache } from "../../lib/services/foundry_cache.ts";
import { UserError } from "../../lib/errors.ts";

async function inFolder(work: (dir: string) => Promise<void>) {
  const dir = await Deno.makeTempDir({ prefix: "podium-cache-" });
  try {
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function model(dir: string, alias = "mine"): Promise<OwnModel> {
  const made = join(dir, `made-${alias}`);
  await Deno.mkdir(made);
  await Deno.writeTextFile(join(made, "genai_config.json"), "{}");
  await Deno.writeTextFile(join(made, "model.onnx"), alias);
  const createdAt = new Date("2026-11-21T00:00:00Z");
  return {
    alias,
    displayName: alias,
    dir: made,
    sizeMb: 1,
    contextTokens: 64,
    quantization: "int4",
    license: null,
    createdAt,
  };
}

const user = (pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.match(error.message, pattern);
  return true;
};

Deno.test("a model that was added is read back", () =>
  inFolder(async (dir) => {
    const cacheDir = join(dir, "cache");
    await addToFoundryCache(cacheDir, await model(dir), { replace: false });
    await addToFoundryCache(cacheDir, await model(dir, "other"), { replace: false });
    const cache = await readFoundryCache(cacheDir);
    assert.deepEqual(cache.models.map(({ id, complete }) => [id, complete]).toSorted(), [
      ["mine-generic-cpu:1", true],
      ["other-generic-cpu:1", true],
    ]);
    assert.deepEqual(
      cache.catalogue.map(({ alias, device, executionProvider }) => [alias, device, executionProvider]),
      [
        ["mine", "cpu", "CPUExecutionProvider"],
        ["other", "cpu", "CPUExecutionProvider"],
      ],
    );
  }));

Deno.test("a model that is half downloaded is seen, and not complete", () =>
  inFolder(async (dir) => {
    const folder = await addToFoundryCache(dir, await model(await Deno.makeTempDir({ dir, prefix: "." })), {
      replace: false,
    });
    await Deno.writeTextFile(join(folder, "download.tmp"), "");
    const [half] = (await readFoundryCache(dir)).models;
    assert.equal(half?.complete, false);
  }));

Deno.test("a folder that is no cache is refused, whether to be read or written", () =>
  inFolder(async (dir) => {
    await assert.rejects(
      readFoundryCache(dir),
      user(/not a Foundry Local cache: it has no foundry\.modelinfo\.json/),
    );
    await assert.rejects(readFoundryCache(join(dir, "none")), user(/not a Foundry Local cache/));
    const mine = await model(dir);
    await assert.rejects(
      addToFoundryCache(dir, mine, { replace: false }),
      user(/not a Foundry Local cache.*made-mine/),
    );
    await Deno.writeTextFile(join(dir, "foundry.modelinfo.json"), "{ torn");
    await assert.rejects(readFoundryCache(dir), user(/can't be read/));
    await assert.rejects(
      addToFoundryCache(dir, mine, { replace: false }),
      user(/can't be read.*fix or remove it/),
    );
  }));

Deno.test("an id is reused only with --replace, another model's alias never", () =>
  inFolder(async (dir) => {
    const cacheDir = join(dir, "cache");
    const mine = await model(dir);
    const folder = await addToFoundryCache(cacheDir, mine, { replace: false });
    await assert.rejects(
      addToFoundryCache(cacheDir, mine, { replace: false }),
      user(/in the cache already.*--replace/),
    );
    await assert.rejects(assertCanAdd(cacheDir, "mine", { replace: false }), user(/in the cache already/));
    await assertCanAdd(cacheDir, "mine", { replace: true });
    await assertCanAdd(cacheDir, "new", { replace: false });
    await Deno.writeTextFile(join(mine.dir, "model.onnx"), "newer");
    await addToFoundryCache(cacheDir, mine, { replace: true });
    assert.equal(await Deno.readTextFile(join(folder, "model.onnx")), "newer");
    const info = join(cacheDir, "foundry.modelinfo.json");
    const text = (await Deno.readTextFile(info)).replaceAll("mine-generic-cpu", "mine-cuda-gpu");
    await Deno.writeTextFile(info, text);
    await assert.rejects(
      addToFoundryCache(cacheDir, mine, { replace: true }),
      user(/alias mine belongs to mine-cuda-gpu:1/),
    );
  }));

Deno.test("what fails leaves the cache as it was", () =>
  inFolder(async (dir) => {
    const cacheDir = join(dir, "cache");
    await addToFoundryCache(cacheDir, await model(dir), { replace: false });
    const before = await Deno.readTextFile(join(cacheDir, "foundry.modelinfo.json"));
    const gone = { ...await model(dir, "gone"), dir: join(dir, "not-there") };
    await assert.rejects(
      addToFoundryCache(cacheDir, gone, { replace: false }),
      user(/is not a compiled model/),
    );
    const blocked = await model(dir, "blocked");
    await Deno.mkdir(join(cacheDir, "foundry.modelinfo.json.part")); // nothing can be written there
    await assert.rejects(addToFoundryCache(cacheDir, blocked, { replace: false }));
    await Deno.remove(join(cacheDir, "foundry.modelinfo.json.part")).catch(() => {});
    assert.equal(await Deno.readTextFile(join(cacheDir, "foundry.modelinfo.json")), before);
    const names = [];
    for await (const { name } of Deno.readDir(join(cacheDir, "byom"))) names.push(name);
    assert.deepEqual(names, ["mine"]);
  }));

Deno.test("a cache is copied as a whole, to a new folder", () =>
  inFolder(async (dir) => {
    const cacheDir = join(dir, "cache");
    await addToFoundryCache(cacheDir, await model(dir), { replace: false });
    await assert.rejects(copyCache(cacheDir, join(cacheDir, "below")), user(/is inside the other/));
    await assert.rejects(copyCache(cacheDir, join(dir, "made-mine")), user(/is not empty/));
    const target = join(dir, "new", "place");
    assert.ok(await copyCache(cacheDir, target) > 0);
    const [old, moved] = [await readFoundryCache(cacheDir), await readFoundryCache(target)];
    assert.deepEqual(moved.catalogue, old.catalogue);
    assert.deepEqual(moved.models.map(({ id }) => id), ["mine-generic-cpu:1"]);
  }));
