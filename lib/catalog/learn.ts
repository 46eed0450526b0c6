/**
 * Writes measurements back into models.json: a list `measured` in each model's object. Only that list
 * changes; every other character of the file, including notes, order and spacing, stays as it is.
 */
import { type Node, parseTree } from "jsonc-parser";
import { z } from "zod";
import { UserError } from "../errors.ts";
import {
  indentOf,
  layOutAt,
  memberNode,
  newlineOf,
  nodeValue,
  setMember,
  splice,
  stringMember,
} from "./json_text.ts";
import { parseRegistry } from "./registry.ts";
import { shown } from "./registry_faults.ts";

const figure = z.number().nonnegative().nullable();

/** The figures of one run for one variant on one machine. Nothing in it names a host, a user or a folder. */
const measuredFigures = z.object({
  variant: z.string().nullable(),
  where: z.enum(["embedded", "service"]),
  machine: z.object({
    cpu: z.string(),
    cores: z.number(),
    ram_gb: z.number(),
    gpu: z.array(z.string()),
    os: z.string(),
    arch: z.string(),
  }),
  /** Day of the run, UTC. */
  date: z.string().regex(/^\d{4}-\d{2}-\d{2}$/, "a day such as 2026-11-21"),
  run: z.string(),
  podium: z.string(),
  prompts: z.string(),
  max_tokens: z.number().int(),
  prefix: z.string(),
  requests: z.number().int(),
  /** Blocks of the run, and those in which other programs were busy. */
  blocks: z.object({ timed: z.number().int(), disturbed: z.number().int() }),
  latency_s: figure,
  ttft_s: figure,
  output_tokens_per_s: figure,
  memory_mb: figure,
  load_s: figure,
  quality: z.object({ score: figure, passed: z.number(), prompts: z.number() }).nullable(),
});
export type MeasuredFigures = z.infer<typeof measuredFigures>;

/** Figures, and the model that they are of. */
export interface Lesson {
  readonly alias: string;
  readonly measured: MeasuredFigures;
}

export interface Learned {
  readonly text: string;
  /** Models that the registry does not have. */
  readonly unknown: readonly string[];
  /** Fields in which two registries differ: the own ones stay, and a person decides. */
  readonly conflicts: readonly string[];
}

/**
 * Adds figures to a registry's text.
 *
 * @param where the file's name in messages
 * @throws {UserError} when the text is not a registry, or a list `measured` in it is damaged
 *
 * ```ts
 * const machine = { cpu: "c", cores: 2, ram_gb: 8, gpu: [], os: "o", arch: "x" };
 * const measured = { variant: null, where: "service" as const, machine, date: "2026-11-21", run: "r", podium: "0.1.0",
 *   prompts: "default", max_tokens: 128, prefix: "cold", requests: 24, blocks: { timed: 24, disturbed: 0 },
 *   latency_s: 1.2, ttft_s: 0.1, output_tokens_per_s: 90, memory_mb: null,
 *   load_s: null, quality: null };
 * const before = '[\n    {"name": "phi-4-mini", "task": "chat", "min_ram_gb": 8, "notes":  "mine"}\n]\n';
 * const { text } = learn(before, "models.json", [{ alias: "phi-4-mini", measured }]);
 * if (!text.includes('"notes":  "mine"') || !text.includes('"latency_s": 1.2')) throw new Error(text);
 * ```
 */
export function learn(text: string, where: string, lessons: readonly Lesson[]): Learned {
  parseRegistry(text, where);
  const unknown = new Set<string>();
  let learned = text;
  for (const [alias, all] of Map.groupBy(lessons, ({ alias }) => alias)) {
    const node = modelNode(learned, alias);
    if (node === null) {
      unknown.add(alias);
      continue;
    }
    const before = measuredOf(node, `${where}, ${alias}`);
    const after = newest([...before, ...all.map(({ measured }) => measured)]);
    if (JSON.stringify(before) !== JSON.stringify(after)) {
      learned = setMember(learned, node, "measured", after);
    }
  }
  assertOnlyMeasured(text, learned, where);
  return { text: learned, unknown: [...unknown], conflicts: [] };
}

/**
 * Takes over a teammate's figures, and the models that this registry lacks. Where both have a model, its own
 * fields stay, and the ones that differ are listed. Code is never taken over: an
 * adapter that it lacks is listed.
 *
 * @throws {UserError} when one of the two is not a registry
 */
export function merge(
  ours: { readonly text: string; readonly where: string },
  theirs: { readonly text: string; readonly where: string },
): Learned {
  parseRegistry(theirs.text, theirs.where);
  const models = modelNodes(theirs.text);
  const lessons = models.flatMap(({ alias, node }) =>
    measuredOf(node, `${theirs.where}, ${alias}`).map((measured) => ({ alias, measured }))
  );
  const first = learn(ours.text, ours.where, lessons);
  let text = first.text;
  const conflicts: string[] = [];
  for (const { alias, node } of models) {
    const own = modelNode(text, alias);
    if (own === null && isAdapter(node)) {
      conflicts.push(
        `${alias} is not taken over: it is an adapter, code that would run here; copy its module and its lines ` +
          "yourself, if you trust both",
      );
    } else if (own === null) text = addModel(text, alias, node);
    else conflicts.push(...differences(alias, own, node));
  }
  parseRegistry(text, ours.where);
  return { text, unknown: [], conflicts };
}

/** One of a variant, place and machine is kept, the newest; quality and speed may come from different runs. */
const figuresKey = ({ variant, where, machine: { cpu, cores, ram_gb, gpu } }: MeasuredFigures) =>
  JSON.stringify([variant, where, cpu, cores, Math.round(ram_gb), gpu]);

const newer = (a: MeasuredFigures, b: MeasuredFigures) => a.date === b.date ? a.run > b.run : a.date > b.date;

/**
 * The newest figures of each variant and machine, oldest first. Quality that only an older run measured is
 * carried over with it, since it belongs to the same weights.
 */
function newest(all: readonly MeasuredFigures[]): MeasuredFigures[] {
  const kept = new Map<string, MeasuredFigures>();
  for (const one of all) {
    const other = kept.get(figuresKey(one));
    if (other === undefined) kept.set(figuresKey(one), one);
    else {
      const [first, second] = newer(one, other) ? [one, other] : [other, one];
      kept.set(figuresKey(one), { ...first, quality: first.quality ?? second.quality });
    }
  }
  return [...kept.values()].sort((a, b) => a.date + a.run < b.date + b.run ? -1 : 1);
}

/** Whether any of a model's variants is code that would run here. */
const isAdapter = (node: Node): boolean =>
  memberNode(node, "variants")?.children?.some((variant) => memberNode(variant, "adapter") !== undefined) ??
    false;

interface ModelNode {
  readonly alias: string;
  readonly node: Node;
}

/** The three shapes that a registry may have: a list, a map of alias to model, or either inside `models`. */
function modelNodes(text: string): ModelNode[] {
  const list = listNode(text);
  return (list.children ?? []).flatMap((child): ModelNode[] => {
    if (child.type !== "property") {
      const alias = stringMember(child, "alias") ?? stringMember(child, "name");
      return alias === undefined ? [] : [{ alias, node: child }];
    }
    const [key, node] = child.children ?? [];
    if (key === undefined || node === undefined) return [];
    return [{ alias: stringMember(node, "alias") ?? String(key.value), node }];
  });
}

function listNode(text: string): Node {
  const root = parseTree(text.replace(/^\uFEFF/, " "));
  if (root === undefined) throw new UserError("the registry is empty");
  const models = memberNode(root, "models");
  return models !== undefined && (models.type === "array" || models.type === "object") ? models : root;
}

function modelNode(text: string, name: string): Node | null {
  const wanted = name.toLowerCase();
  const models = modelNodes(text);
  const others = ({ node }: ModelNode) => {
    const names: unknown = nodeValue(memberNode(node, "other_names"));
    return [names].flat().map((one) => String(one).toLowerCase());
  };
  const found = models.find(({ alias }) => alias.toLowerCase() === wanted) ??
    models.find((model) => others(model).includes(wanted));
  return found?.node ?? null;
}

function measuredOf(node: Node, where: string): MeasuredFigures[] {
  const value = nodeValue(memberNode(node, "measured"));
  if (value === undefined) return [];
  const parsed = z.array(measuredFigures).safeParse(value);
  if (parsed.success) return parsed.data;
  const reason = z.prettifyError(parsed.error).replaceAll(/\s+/g, " ");
  throw new UserError(`${where}: its list "measured" is damaged (${reason}): fix it, or remove it`);
}

/** A model that this registry lacks, as the teammate's file has it, at the end. */
function addModel(text: string, alias: string, theirs: Node): string {
  const list = listNode(text);
  const value = nodeValue(theirs);
  const { indent, unit } = indentOf(text, list);
  const newline = newlineOf(text);
  if (list.type === "object") return setMember(text, list, alias, value);
  const named = typeof value === "object" && value !== null && !("alias" in value) && !("name" in value)
    ? { alias, ...value }
    : value;
  const laid = layOutAt(named, { indent, unit, taken: 0, newline });
  const last = list.children?.at(-1);
  const at = last === undefined ? list.offset + 1 : last.offset + last.length;
  return splice(text, at, 0, `${last === undefined ? "" : ","}${newline}${indent}${laid}`);
}

function differences(alias: string, ours: Node, theirs: Node): string[] {
  const keys = (theirs.children ?? []).map(({ children }) => String(children?.[0]?.value));
  return keys.filter((key) => key !== "measured").flatMap((key) => {
    const [own, other] = [nodeValue(memberNode(ours, key)), nodeValue(memberNode(theirs, key))];
    if (JSON.stringify(own) === JSON.stringify(other)) return [];
    return [`${alias}.${key}: ours ${shown(own)} stays, theirs is ${shown(other)}`];
  });
}

/** A safety net for editing text: all but `measured` must parse as before. */
function assertOnlyMeasured(before: string, after: string, where: string): void {
  parseRegistry(after, where);
  const rest = (text: string) =>
    JSON.stringify(
      JSON.parse(text.replace(/^\uFEFF/, "")),
      (key, value: unknown) => key === "measured" ? undefined : value,
    );
  if (rest(before) !== rest(after)) {
    throw new Error(`editing ${where} would have changed more than "measured"`);
  }
}
