/** The page on adapters is true: its example runs as it stands there, and so does the one in the registry. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findModel, loadRegistry } from "../../lib/catalog/registry.ts";
import { startModel } from "../../lib/bench/start_model.ts";
import { folder } from "./adapter_fixture.ts";

const root = join(folder, "..", "..");
const around = { denoPath: Deno.execPath(), env: Deno.env, clock: () => performance.now() };

/** Starts what a registry names, and asks it. */
async function answers(registryPath: string, name: string, prompts: readonly string[]): Promise<string[]> {
  const variant = findModel(await loadRegistry(registryPath), name)?.variants[0];
  assert.ok(variant !== undefined && variant.adapter !== null, `${name} is an adapter`);
  const model = await startModel(
    { modelId: name, path: variant.adapter.module, adapter: variant.adapter },
    around,
  );
  try {
    const answer = async (prompt: string) => {
      const response = await fetch(`${model.endpoint.baseUrl}/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${model.endpoint.apiKey}` },
        body: JSON.stringify({ model: name, messages: [{ role: "user", content: prompt }] }),
      });
      return (await response.json()).choices[0].message.content;
    };
    return await Promise.all(prompts.map(answer));
  } finally {
    await model.stop();
  }
}

Deno.test("the example of docs/adapters.md runs as it is written there", async () => {
  const page = await Deno.readTextFile(join(root, "docs", "adapters.md"));
  const code = /```ts\n(\/\/ (adapters\/\w+\.ts)\n[\s\S]*?)```/.exec(page);
  const entry = /```json\n(\{\n\s+"alias"[\s\S]*?)```/.exec(page)?.[1];
  assert.ok(code !== null && entry !== undefined, "the page has a module and its entry");
  const [, text = "", path = ""] = code;
  const place = await Deno.makeTempDir();
  try {
    await Deno.mkdir(dirname(join(place, path)), { recursive: true });
    // Types are looked up where the page's reader has them.
    await Deno.writeTextFile(
      join(place, path),
      text.replaceAll("../lib/", new URL("../../lib/", import.meta.url).href),
    );
    await checkTypes(join(place, path));
    await Deno.writeTextFile(join(place, "models.json"), `[${entry}]`);
    const said = await answers(join(place, "models.json"), "longest-line", ["a\nthe longest line\nb"]);
    assert.deepEqual(said, ["It says: the longest line"]);
  } finally {
    await Deno.remove(place, { recursive: true });
  }
});

async function checkTypes(path: string): Promise<void> {
  const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", "--config", config, path],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

Deno.test("the summariser in the registry picks sentences, keeps to the length asked for, and invents nothing", async () => {
  const set = JSON.parse(await Deno.readTextFile(join(root, "prompts", "meeting_notes.json")));
  const standup: string = set.prompts[0].prompt;
  const bullets =
    "Give exactly two bullet points.\n\nNotes:\nThe lift fails since Monday.\nWe like the new lamps a lot." +
    "\nJo will call the firm by Friday.";
  const [summary = "", again, list, nothing] = await answers(join(root, "models.json"), "extractive-notes", [
    standup,
    standup,
    bullets,
    "Notes:\n",
  ]);
  assert.equal(summary, again);
  assert.ok(summary.split(/\s+/).length <= 60 && summary.includes("6 March"), summary);
  for (const sentence of summary.split(/(?<=\.)\s+(?=[A-Z])/)) {
    assert.ok(standup.includes(sentence), `invented: ${sentence}`);
  }
  assert.equal(list, "- The lift fails since Monday.\n- Jo will call the firm by Friday.");
  assert.equal(nothing, "There are no notes to pick sentences from.");
});
