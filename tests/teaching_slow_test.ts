/** The teaching kit as a teacher uses it: its pages printed by a real browser, its questions put to the real models. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { launchBrowser } from "../scripts/notebook/lab.ts";
import { runTask } from "./bench/command.ts";
import { commandsOf, root } from "./docs_commands.ts";

const PAPERS = ["A4", "Letter"] as const;

Deno.test("the handout is exactly one sheet, and every slide one page", async () => {
  const browser = await launchBrowser();
  if (browser === null) return console.warn("SKIPPED: there is no Chromium: nothing was printed");
  const out = await Deno.makeTempDir({ prefix: "podium-kit-" });
  try {
    const { code, stderr } = await runTask("kit", ["--out", out]);
    assert.equal(code, 0, stderr);
    const slides = await Deno.readTextFile(join(root, "docs", "teaching", "slides.md"));
    const page = await browser.newPage();
    const pagesOf = async (name: string, format: string) => {
      await page.goto(`file://${join(out, name)}`);
      const pdf = await page.pdf({ format, preferCSSPageSize: name === "slides.html" });
      return [...new TextDecoder("latin1").decode(pdf).matchAll(/\/Type\s*\/Page\b(?!s)/g)].length;
    };
    for (const paper of PAPERS) assert.equal(await pagesOf("handout.html", paper), 1, `on ${paper}`);
    assert.equal(await pagesOf("slides.html", "A4"), [...slides.matchAll(/^##? /gm)].length);
    for (const name of ["assignment", "worksheet"]) {
      for (const paper of PAPERS) {
        assert.ok(await pagesOf(`${name}.html`, paper) <= 2, `${name} on ${paper}`);
      }
    }
  } finally {
    await browser.close();
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("what answers.md quotes is what the class's models say at temperature 0", async () => {
  const plan = await Deno.readTextFile(join(root, "docs", "teaching.md"));
  const answers = await Deno.readTextFile(join(root, "docs", "answers.md"));
  const chats = commandsOf("teaching.md", plan).filter(({ words }) => words[0] === "chat");
  assert.equal(chats.length, 2);
  for (const { words: [, model = "", ...flags] } of chats) {
    const { code, stdout, stderr } = await runTask("chat", [model, ...flags]);
    assert.equal(code, 0, stderr);
    const [, quoted = ""] = new RegExp(`\n${model}:\n\n((?:>.*\n)+)`).exec(answers) ?? [];
    assert.notEqual(quoted, "", `answers.md quotes nothing of ${model}`);
    const words = (text: string) => text.replaceAll(/^> ?/gm, "").trim().split(/\s+/).join(" ");
    assert.equal(words(stdout), words(quoted));
    // The slides ask the same.
    const slides = await Deno.readTextFile(join(root, "docs", "teaching", "slides.md"));
    assert.ok(slides.includes(flags.at(-1) ?? "?"));
  }
});
