/** The commands that README, docs, teaching kit and notebooks print, read as a shell would read them. */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** A command of Podium's as a page prints it. */
export interface PrintedCommand {
  /** Path of the page, from the project's folder. */
  readonly page: string;
  /** The words after `deno task`, without quotes, comments, pipes and redirections. */
  readonly words: readonly string[];
  /** Environment variables that stand before it, as in `NAME=value deno task …`. */
  readonly env: Readonly<Record<string, string>>;
}

const STARTERS = /^(?:deno task|podium|(?:\.[/\\])?(?:podium-pack[/\\])?start\.(?:sh|ps1)) +(?=\S)/;
/** Where a command may begin inside a line of code. */
const INSIDE = /(?:^|[\s;])((?:[A-Z_]+=\S* +)*(?:deno task|podium|\S*start\.(?:sh|ps1)) .*)$/;

/** Every page: README, docs with their folders, and the notebooks' sources, as Markdown. */
export async function pages(): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const read = async (folder: string, shape: RegExp, nested: boolean) => {
    for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
      const path = join(root, folder, name);
      if (isDirectory && nested) await read(join(folder, name), shape, nested);
      else if (shape.test(name)) {
        const text = await Deno.readTextFile(path);
        texts.set(relative(root, path), name.endsWith(".ts") ? text.replaceAll(/^\/\/ ?/gm, "") : text);
      }
    }
  };
  await read("", /^README\.md$/, false);
  await read("docs", /\.md$/, true);
  await read("notebooks", /(?:^\d\d_.*|^session.*|^START)\.(?:ts|md)$/i, false);
  return texts;
}

/** The commands of every page, in their order. */
export async function printedCommands(): Promise<PrintedCommand[]> {
  return [...await pages()].flatMap(([page, text]) => commandsOf(page, text));
}

/** The commands of one page: from code blocks line by line, and from code between backticks. */
export function commandsOf(page: string, text: string): PrintedCommand[] {
  const found: PrintedCommand[] = [];
  let fenced = false;
  for (const line of text.replaceAll(/\\\n\s*/g, "").split("\n")) {
    if (/^\s*```/.test(line)) {
      fenced = !fenced;
      continue;
    }
    const codes = fenced ? [line] : [...line.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
    for (const code of codes) {
      const command = commandOf(page, code);
      if (command !== null) found.push(command);
    }
  }
  return found;
}

function commandOf(page: string, code: string): PrintedCommand | null {
  const env: Record<string, string> = {};
  for (const [, name = "", value = ""] of code.matchAll(/\$env:([A-Z_]+) = "([^"]*)";/g)) env[name] = value;
  let rest = INSIDE.exec(code.trim().replace(/\s#\s.*$/, ""))?.[1];
  if (rest === undefined) return null;
  for (let match; (match = /^([A-Z_]+)=(\S*) +/.exec(rest)) !== null; rest = rest.slice(match[0].length)) {
    env[match[1] ?? ""] = match[2] ?? "";
  }
  const start = STARTERS.exec(rest);
  if (start === null) return null;
  const words = shellWords(rest.slice(start[0].length));
  // "podium" is also the name of an import and of a folder.
  return words.length === 0 || !/^[a-z]([\w:-]*\w)?$/.test(words[0] ?? "") ? null : { page, words, env };
}

/** The words of a command line up to a comment (also one set apart by two blanks), a pipe, `;`, `&` or `>`. */
export function shellWords(line: string): string[] {
  const words: string[] = [];
  const word = /\s*(?:"([^"]*)"|'([^']*)'|([^\s"'|;&>#][^\s"'|;&>]*(?:"[^"]*"[^\s"'|;&>]*)*))( {2,})?/y;
  for (let match; (match = word.exec(line)) !== null;) {
    words.push(match[1] ?? match[2] ?? (match[3] ?? "").replaceAll('"', ""));
    if (match[4] !== undefined) break;
  }
  return words;
}
