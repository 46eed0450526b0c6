/** What is wrong in a registry, and how a message says it: the line, what the field holds, what it takes. */
import { findNodeAtLocation, type Node, parseTree } from "jsonc-parser";
import type { z } from "zod";
import { valueAt } from "../prompts/issue_text.ts";
import { nearest } from "./model.ts";

/** A step into a JSON value: a key of an object or an index of an array. */
export type PathStep = string | number;

/** One thing that is wrong in a registry. */
export interface Fault {
  readonly path: readonly PathStep[];
  /** What the field holds, as a message shows it. */
  readonly holds: string;
  /** What the field takes. */
  readonly takes: string;
  /** The line of the text, from 1; otherwise found by `path`. */
  readonly line?: number;
}

/** Zod's issues as faults. `base` is the path of `raw` in `json`. */
export function faultsOf(error: z.ZodError, base: readonly PathStep[], json: unknown, raw: object): Fault[] {
  return error.issues.flatMap((issue) => {
    const steps = issue.path.map((step) => typeof step === "symbol" ? String(step) : step);
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        path: [...base, ...steps, key],
        holds: "an unknown key",
        takes: "no such key",
      }));
    }
    const named = steps[0] === "alias" && !("alias" in raw) ? ["name", ...steps.slice(1)] : steps;
    const path = [...base, ...named];
    return [{ path, holds: shown(valueAt(json, path)), takes: issue.message }];
  });
}

/** Unknown keys that look like a misspelling of a known one. Any other unknown key is the owner's own field. */
export function misspelledKeys(
  raw: Record<string, unknown>,
  known: readonly string[],
  path: readonly PathStep[],
): Fault[] {
  return Object.keys(raw).filter((key) => !known.includes(key)).flatMap((key) => {
    const [meant] = nearest(key, known.filter((own) => !(own in raw)), 1);
    const close = meant !== undefined && meant.length > 4 && Math.abs(meant.length - key.length) <= 2;
    return close
      ? [{ path: [...path, key], holds: "an unknown key", takes: `"${meant}", if that was meant` }]
      : [];
  });
}

/** Keys that one object holds twice: JSON.parse keeps the last one without a word. */
export function duplicateKeys(text: string): Fault[] {
  const faults: Fault[] = [];
  const visit = (node: Node, path: readonly PathStep[]) => {
    const seen = new Set<string>();
    for (const [index, child] of (node.children ?? []).entries()) {
      const [key, value] = child.children ?? [];
      if (node.type === "array") visit(child, [...path, index]);
      if (node.type !== "object" || key === undefined || value === undefined) continue;
      const own = [...path, String(key.value)];
      if (seen.has(String(key.value))) {
        faults.push({
          path: own,
          holds: "a key that is given twice",
          takes: "each key once",
          line: lineAt(text, key.offset),
        });
      }
      seen.add(String(key.value));
      visit(value, own);
    }
  };
  const root = parseTree(text);
  if (root !== undefined) visit(root, []);
  return faults;
}

/** A value as a message shows it, cut to 60 characters. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

const pathText = (path: readonly PathStep[]) =>
  path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    if (!/^[A-Za-z_]\w*$/.test(step)) return `${text}[${JSON.stringify(step)}]`;
    return text === "" ? step : `${text}.${step}`;
  }, "");

/** One message for all faults, in the order of their lines in `text`. */
export function faultMessage(faults: readonly Fault[], text: string, where: string): string {
  const root = parseTree(text);
  const sorted = faults.map((fault) => ({ ...fault, line: fault.line ?? lineOf(fault.path, root, text) }))
    .sort((a, b) => a.line - b.line);
  const list = sorted.map(({ path, line, holds, takes }) =>
    `  line ${line}, ${pathText(path) || "the file"}: found ${holds}; expected ${takes}`
  );
  const count = sorted.length === 1 ? "1 fault" : `${sorted.length} faults`;
  return [`${where} has ${count}:`, ...list].join("\n");
}

const lineAt = (text: string, offset: number) => text.slice(0, offset).split("\n").length;

/** The line, from 1, on which the value at `path` begins, or its nearest ancestor where it is missing. */
export function lineOf(path: readonly PathStep[], root: Node | undefined, text: string): number {
  for (let length = path.length; root !== undefined && length >= 0; length--) {
    const node = findNodeAtLocation(root, path.slice(0, length));
    if (node !== undefined) return lineAt(text, node.offset);
  }
  return 1;
}
