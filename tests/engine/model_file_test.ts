/** A model file that can't be loaded is refused by name before any process is started. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { startEngine } from "../../lib/engine/supervisor.ts";
import { UserError } from "../../lib/errors.ts";

async function withFiles(names: readonly string[], use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of names) await Deno.writeTextFile(join(folder, name), "GGUF");
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function refused(modelPath: string, message: RegExp): Promise<void> {
  // No program of this name exists: a process that were started would fail in other words.
  const options = { modelId: "tiny", gpu: "off", denoPath: "/no/such/deno", env: new Map() } as const;
  return assert.rejects(
    startEngine({ ...options, modelPath, clock: () => 0 }),
    (error: unknown) => error instanceof UserError && message.test(error.message),
  );
}

Deno.test("a split model names the parts that are missing", async () => {
  await withFiles(["a-00001-of-00003.gguf", "a-00003-of-00003.gguf"], async (folder) => {
    await refused(
      join(folder, "a-00001-of-00003.gguf"),
      /^1 of the 3 parts of the split model .*a-00001-of-00003\.gguf is missing \(a-00002-of-00003\.gguf\)/,
    );
  });
});

Deno.test("many missing parts are counted, and three are named", async () => {
  await withFiles(["b-00001-of-00009.gguf"], async (folder) => {
    await refused(
      join(folder, "b-00001-of-00009.gguf"),
      /^8 of the 9 parts .*are missing \(.*00004-of-00009\.gguf and more\)/,
    );
  });
});

Deno.test("a later part of a split model names the first one", async () => {
  await withFiles(["c-00002-of-00002.gguf"], async (folder) => {
    await refused(
      join(folder, "c-00002-of-00002.gguf"),
      /is part 2 of a split model: give its first part, .*c-00001-of-00002\.gguf$/,
    );
  });
});

Deno.test("a whole split model is started", async () => {
  await withFiles(["d-00001-of-00002.gguf", "d-00002-of-00002.gguf"], async (folder) => {
    const modelPath = join(folder, "d-00001-of-00002.gguf");
    const options = { modelId: "tiny", gpu: "off", denoPath: "/no/such/deno", env: new Map() } as const;
    await assert.rejects(startEngine({ ...options, modelPath, clock: () => 0 }), Deno.errors.NotFound);
  });
});
