/** What models.json says of an adapter is checked when it is read, and its paths begin at the registry's folder. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { merge } from "../../lib/catalog/learn.ts";
import { parseRegistry } from "../../lib/catalog/registry.ts";

const read = (variant: Record<string, unknown>, where = join("team", "models.json")) =>
  parseRegistry(JSON.stringify([{ alias: "a", variants: [{ name: "v", ...variant }] }]), where).models[0]
    ?.variants[0];

Deno.test("an adapter has every limit and no permission unless it states them", () => {
  const variant = read({ adapter: { module: "x/y.ts" } });
  assert.equal(variant?.format, "adapter");
  const none = { read: undefined, write: undefined, net: undefined, env: undefined, sys: undefined };
  assert.deepEqual(variant?.adapter, {
    module: join("team", "x", "y.ts"),
    folder: "team",
    statedAbsolute: false,
    permissions: { ...none, run: undefined, ffi: undefined, import: undefined },
    options: {},
    memoryMb: 512,
    loadTimeoutS: 60,
    answerTimeoutS: 120,
  });
  assert.equal(read({ format: "gguf" })?.adapter, null);
});

Deno.test("what is stated is taken over; false and an empty list allow nothing", () => {
  const permissions = { read: ["weights", join(Deno.cwd(), "data")], net: true, write: false, env: [] };
  const adapter = read({ adapter: { module: "y.ts", permissions, options: { n: 3 }, memory_mb: 900 } })
    ?.adapter;
  assert.deepEqual(adapter?.permissions.read, [join("team", "weights"), join(Deno.cwd(), "data")]);
  assert.equal(adapter?.permissions.net, true);
  assert.equal(adapter?.permissions.write, undefined);
  assert.equal(adapter?.permissions.env, undefined);
  assert.deepEqual([adapter?.options, adapter?.memoryMb], [{ n: 3 }, 900]);
});

Deno.test("a variant like an adapter takes over whatever it does not state", () => {
  const variants = [{ name: "v", adapter: { module: "y.ts" } }, { name: "w", like: "v", untried: true }];
  const [model] = parseRegistry(JSON.stringify([{ alias: "a", variants }]), "models.json").models;
  assert.equal(model?.variants[1]?.adapter?.module, "y.ts");
});

const wrong: readonly (readonly [string, Record<string, unknown>, RegExp])[] = [
  [
    "leads out of the folder",
    { adapter: { module: "../y.ts" } },
    /adapter\.module: found "\.\.\/y\.ts"; expected a path below the registry's folder/,
  ],
  [
    "leads out by a detour",
    { adapter: { module: "x/../../y.ts" } },
    /expected a path below the registry's folder/,
  ],
  ["is no module", { adapter: { module: "y.py" } }, /expected the path of a module that ends in \.ts/],
  ["names no module", { adapter: {} }, /adapter\.module: found nothing/],
  [
    "is missing",
    { format: "adapter" },
    /\.adapter: found nothing; expected an object with at least "module"/,
  ],
  [
    "is a GGUF file too",
    { format: "gguf", adapter: { module: "y.ts" } },
    /format: found "gguf"; expected adapter/,
  ],
  [
    "asks for an unknown permission",
    { adapter: { module: "y.ts", permissions: { files: true } } },
    /permissions\.files: found an unknown key/,
  ],
  [
    "states a permission by a word",
    { adapter: { module: "y.ts", permissions: { net: "all" } } },
    /permissions\.net: found "all"; expected true, false or a list of HOST/,
  ],
  [
    "may take too little memory",
    { adapter: { module: "y.ts", memory_mb: 64 } },
    /memory_mb: found 64; expected megabytes, at least 128/,
  ],
  [
    "has no time",
    { adapter: { module: "y.ts", answer_timeout_s: 0 } },
    /answer_timeout_s: found 0; expected seconds, a number above 0/,
  ],
];

for (const [what, variant, message] of wrong) {
  Deno.test(`an adapter that ${what} is a fault with its place`, () => {
    assert.throws(() => read(variant), { name: "UserError", message });
  });
}

Deno.test("a teammate's adapter is code: merging names it, and takes over everything else", () => {
  const ours = '[{"name": "small", "task": "chat", "min_ram_gb": 4, "notes": ""}]\n';
  const theirs = JSON.stringify([
    { alias: "sly", variants: [{ name: "v", adapter: { module: "y.ts", permissions: { run: true } } }] },
    { alias: "large", variants: [{ name: "v" }] },
  ]);
  const { text, conflicts } = merge({ text: ours, where: "ours" }, { text: theirs, where: "theirs" });
  assert.deepEqual(parseRegistry(text, "ours").models.map(({ alias }) => alias), ["small", "large"]);
  assert.match(conflicts.join(), /^sly is not taken over: it is an adapter/);
});
