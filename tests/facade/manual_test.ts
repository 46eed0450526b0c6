/** `deno doc mod.ts` is the manual: every symbol says what it is for, every function and result shows how it is used. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { z } from "zod";
import { root } from "./run_script.ts";

const jsDoc = z.looseObject({ doc: z.string().optional() }).optional();
const declaration = z.looseObject({ kind: z.string(), jsDoc });
const manual = z.looseObject({
  nodes: z.record(
    z.string(),
    z.looseObject({
      symbols: z.array(z.object({ name: z.string(), declarations: z.array(declaration) })),
    }),
  ),
});

async function symbols() {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", join(root, "mod.ts")],
  }).output();
  const { nodes } = manual.parse(JSON.parse(new TextDecoder().decode(stdout)));
  return Object.values(nodes).flatMap(({ symbols }) => symbols);
}

Deno.test("every exported symbol of mod.ts has a doc comment, every function an example", async () => {
  const found = await symbols();
  const names = found.map(({ name }) => name);
  for (const name of ["bench", "race", "decide", "quality", "models", "serve", "show"]) {
    assert.ok(names.includes(name), `${name} is not exported`);
  }
  const bare = found.flatMap(({ name, declarations }) =>
    declarations.flatMap(({ kind, jsDoc }) => {
      const doc = jsDoc?.doc ?? "";
      if (doc === "") return [`${name} has no doc comment`];
      return kind === "function" && !JSON.stringify(jsDoc).includes("```ts")
        ? [`${name} has no example`]
        : [];
    })
  );
  assert.deepEqual(bare, []);
});

Deno.test("every member of what mod.ts exports has a doc comment, and no drawing takes a type that it hides", async () => {
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", join(root, "mod.ts")],
    env: { NO_COLOR: "1" },
  }).output();
  const faults = new TextDecoder().decode(stderr).split("\n\n").map((one) =>
    one.trim().split("\n").slice(0, 2).join(" ")
  );
  assert.ok(faults.length > 5, "deno doc --lint said nothing: the test reads nothing");
  assert.deepEqual(faults.filter((one) => /missing-jsdoc|public type '\w+Plot'/.test(one)), []);
});
