/** The commands of README and docs that need no model and no network are run as they stand there. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { RECORDED_RUN } from "../scripts/pack/tree.ts";
import { printedCommands, root } from "./docs_commands.ts";

/** What needs no model, no network and changes nothing but the folder of runs. */
const runnable = [
  /^models (list|fit|cache)\b(?!.*\bNAME\b)/,
  new RegExp(`^report ${RECORDED_RUN}$`),
  new RegExp(`^race --replay ${RECORDED_RUN}( --by \\w+)?$`),
  /^race --simulate [-\w.,\s]+$/,
  /^test:arrows$/,
];

Deno.test("commands of the pages that need no model end well", async () => {
  const wanted = new Set<string>();
  for (const { words } of await printedCommands()) {
    const command = words.join(" ");
    if (runnable.some((shape) => shape.test(command))) wanted.add(command);
  }
  assert.ok(wanted.size >= 6, `only these were found: ${[...wanted].join("; ")}`);
  const out = await Deno.makeTempDir({ prefix: "podium-docs-" });
  try {
    const copy = join(out, RECORDED_RUN);
    await Deno.mkdir(copy);
    for await (const { name } of Deno.readDir(join(root, "reports", RECORDED_RUN))) {
      await Deno.copyFile(join(root, "reports", RECORDED_RUN, name), join(copy, name));
    }
    const failed: string[] = [];
    for (const command of wanted) {
      const args = command.split(/\s+/);
      const elsewhere = /^(report|race)$/.test(args[0] ?? "") ? ["--out", out] : [];
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["task", "--quiet", ...args, ...elsewhere],
        cwd: root,
        env: { NO_COLOR: "1" },
        stdout: "null",
      }).output();
      if (code !== 0) {
        failed.push(`${command}: exit code ${code}, ${new TextDecoder().decode(stderr).trim()}`);
      }
    }
    assert.deepEqual(failed, []);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
