/** What is wrong in a registry, and how it is told: where, what it holds, what it takes. */
import type { z } from "zod";
import type { JsonLines, PathStep } from "./json_lines.ts";
import { nearest } from "./names.ts";

/** One thing that is wrong. */
export interface Fault {
  readonly path: readonly PathStep[];
  readonly holds: string;
  readonly takes: string;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What zod found, as faults. */
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

/** Keys that look like a slip of one of ours: a field of somebody's own stays. */
export function slips(
  raw: Record<string, unknown>,
  known: readonly string[],
  also: readonly string[],
  path: readonly PathStep[],
): Fault[] {
  const unknown = Object.keys(raw).filter((key) => !known.includes(key) && !also.includes(key));
  return unknown.flatMap((key) => {
    const meant = nearest(key, known.filter((own) => !(own in raw)), 1)[0];
    const close = meant !== undefined && meant.length > 4 && Math.abs(meant.length - key.length) <= 2;
    return close
      ? [{ path: [...path, key], holds: "an unknown key", takes: `"${meant}", if that was meant` }]
      : [];
  });
}

function valueAt(json: unknown, path: readonly PathStep[]): unknown {
  return path.reduce<unknown>((value, step) => {
    if (Array.isArray(value) && typeof step === "number") return value[step];
    return isRecord(value) ? value[String(step)] : undefined;
  }, json);
}

/** A value as a message shows it. */
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

/** One message for all faults, in the order of their lines. */
export function faultMessage(faults: readonly Fault[], lines: JsonLines, where: string): string {
  const sorted = faults.map((fault) => ({
    path: pathText(fault.path) || "the file",
    line: lines.lineOf(fault.path),
    holds: fault.holds,
    takes: fault.takes,
  })).sort((a, b) => a.line - b.line);
  const count = sorted.length === 1 ? "1 fault" : `${sorted.length} faults`;
  const list = sorted.map(({ path, line, holds, takes }) =>
    `  line ${line}, ${path}: holds ${holds}; takes ${takes}`
  );
  return [`${where} has ${count}:`, ...list].join("\n");
}
