/** The code in an answer, and a case's tests made ready to run against it. */

const fence = /^[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n]*$/gm;
const languages = new Set(["", "ts", "typescript", "tsx", "js", "javascript", "jsx", "mjs"]);
/** A definition at the beginning of a line or statement: prose about functions and classes has none. */
const definition =
  /(?:^|[;{}])[ \t]*(?:export\s+)?(?:default\s+)?(?:async\s+|abstract\s+)?(?:function\b\s*\*?\s*[\w$]*\s*[(<]|class\s+[\w$]+[^.\n]*\{|(?:const|let|var)\s+[\w$]+\s*[=:])/m;

/**
 * The code in an answer: its first block of TypeScript or JavaScript that defines something, or all of it
 * where it has no blocks; null where there is no code.
 *
 * ```ts
 * const code = answerCode("Here it is:\n~~~ts\nconst two = () => 2;\n~~~\nCall two().");
 * if (code !== "const two = () => 2;") throw new Error(String(code));
 * ```
 */
export function answerCode(answer: string): string | null {
  const marks = [...answer.matchAll(fence)];
  if (marks.length === 0) return definition.test(answer) ? answer.trim() : null;
  for (let at = 0; at < marks.length; at++) {
    const [open, close] = [marks[at], marks[at + 1]];
    if (open === undefined) break;
    // An answer that was cut has no closing mark.
    const text = answer.slice(open.index + open[0].length, close?.index ?? answer.length).trim();
    if (languages.has((open[2] ?? "").toLowerCase()) && definition.test(text)) return text;
    at++;
  }
  return null;
}

/** Comments, texts and patterns; what is left is code. A template's `${…}` is taken for text. */
const notCode =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|(?<=[=(,:[!&|?{};+\n]\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g;

/**
 * What the code imports, except for modules that are part of the runtime (`node:…`). This gives a clear
 * reason; the process that runs the code refuses files, the network and packages by itself.
 *
 * ```ts
 * const found = importsOf('// import "x"\nimport fs from "node:fs";\nconst y = await import("npm:left-pad");');
 * if (found.join() !== "npm:left-pad") throw new Error(found.join());
 * ```
 */
export function importsOf(code: string): string[] {
  const texts: string[] = [];
  const bare = code.replaceAll(notCode, (found) => {
    if (found.startsWith("/")) return " ";
    return `"${texts.push(found.slice(1, -1)) - 1}"`;
  });
  const kinds = [
    /(?<![.\w$])import\s*(?:[\w$*{][^"();]*?\bfrom\s*)?"(\d+)"/g,
    /(?<![.\w$])export\s*[*{][^"();=]*?\bfrom\s*"(\d+)"/g,
    /(?<![.\w$])import\s*\(\s*(?:"(\d+)"\s*\))?/g,
  ];
  return kinds.flatMap((kind) => [...bare.matchAll(kind)])
    .map(([, at]) => at === undefined ? "a module by a computed name" : texts[Number(at)] ?? "")
    .filter((name) => !name.startsWith("node:"));
}

const importStatement =
  /^[ \t]*import\s+(type\s+)?([\w$*{][^"'();]*?)\s*\bfrom\s*["']([^"']+)["'](?:\s*with\s*\{[^}]*\})?;?/gm;
const assertionModule = /@?std\/(?:assert|testing)|\bassert(?:s|ions)?(?:\.ts)?$/;

/**
 * A test file as it is run: assertions need no import, and whatever it imports from
 * another file is the answer's.
 *
 * ```ts
 * const text = preparedTests('import { assert } from "jsr:@std/assert@1";\nimport { add as plus } from "./add.ts";\nassert(plus);');
 * if (!text.includes('const plus = fromAnswer("add");') || text.includes("jsr:")) throw new Error(text);
 * ```
 */
export function preparedTests(tests: string): string {
  return tests.replaceAll(importStatement, (whole, type: string | undefined, names: string, from: string) => {
    if (from.startsWith("node:")) return whole;
    if (type !== undefined || assertionModule.test(from)) return "";
    const [, single = "", listed = ""] = /^([\w$]*)\s*,?\s*(?:\{([\s\S]*)\})?$/.exec(names.trim()) ?? [];
    const pairs = listed.split(",").map((one) => one.trim()).filter((one) =>
      one !== "" && !one.startsWith("type ")
    )
      .map((one) => one.split(/\s+as\s+/)).map(([name = "", local = name]) => [name, local] as const);
    return [...(single === "" ? [] : [["default", single] as const]), ...pairs]
      .map(([name, local]) => `const ${local} = fromAnswer("${name}");`).join(" ");
  });
}

/** Every name in a test file: those that the answer defines are the answer's. */
export function testNames(tests: string): string[] {
  return [...new Set(tests.match(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu))];
}
