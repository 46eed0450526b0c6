/**
 * How many alternatives of a schema a grammar must follow at once. Each is a state of its own, and every
 * token is tested against all of them: thousands would block the engine for minutes. They multiply where
 * alternatives that begin alike lie inside each other, and without end where they do so by reference.
 */
import { isObject } from "../bounded_json.ts";

type SchemaObject = Readonly<Record<string, unknown>>;

/** A schema that is only a reference to itself has no grammar. */
export const SELF_REFERENCE = "self-reference";

/** Rounds after which growth that has not settled counts as endless. */
const mostRounds = 50;
/** Alternatives of all schemas together; above it the analysis would grow with their square. */
const mostLeaves = 20_000;

/**
 * The most alternatives that one text can belong to; above `most`, any number above it.
 *
 * Objects whose first properties differ, in name or in a constant value, are distinguished by it.
 *
 * ```ts
 * const twice = { oneOf: [{ type: "array", items: { type: "string" } }, { type: "array" }, { type: "null" }] };
 * if (parallelStates(twice, new Map(), 100) !== 2) throw new Error("two lists, and null apart");
 * ```
 */
export function parallelStates(
  schema: SchemaObject,
  definitions: Definitions,
  most: number,
): number | typeof SELF_REFERENCE {
  const nodes = [...nodesOf(schema)];
  const leaves: LeavesByNode = new Map();
  let known = 0;
  for (const node of nodes) {
    const found = leavesOf(node, definitions, most, leaves);
    if (found === SELF_REFERENCE) return found;
    known += found.length;
    if (found.length > most || known > mostLeaves) return most + 1;
  }
  const widths = new Map<SchemaObject, number>(nodes.map((node) => [node, 1]));
  for (let round = 0; round < mostRounds; round++) {
    const inside = new Map(nodes.map((node) => [node, insideWidth(node, widths)]));
    let changed = false;
    for (const node of nodes) {
      const width = widthOf(leaves.get(node) ?? [], inside, definitions);
      if (width > most) return width;
      changed ||= width !== widths.get(node);
      widths.set(node, width);
    }
    if (!changed) return [...widths.values()].reduce((a, b) => Math.max(a, b), 1);
  }
  return most + 1;
}

type Definitions = ReadonlyMap<string, SchemaObject>;
/** `null` while the leaves of a node are being looked for. */
type LeavesByNode = Map<SchemaObject, readonly SchemaObject[] | null>;

/** The widest part of a list or an object. */
function insideWidth(node: SchemaObject, widths: ReadonlyMap<SchemaObject, number>): number {
  return insides(node).reduce((widest, part) => Math.max(widest, widths.get(part) ?? 1), 1);
}

const schemas = (value: unknown) => Array.isArray(value) ? value.filter(isObject) : [];
const named = (value: unknown) => isObject(value) ? Object.values(value).filter(isObject) : [];
/** The schemas of the parts of a list or an object. */
const insides = (node: SchemaObject) => [
  ...[node.items, node.additionalProperties].filter(isObject),
  ...schemas(node.prefixItems),
  ...named(node.properties),
];

function* nodesOf(schema: SchemaObject): Generator<SchemaObject> {
  yield schema;
  for (const part of [...insides(schema), ...schemas(schema.oneOf), ...named(schema.$defs)]) {
    yield* nodesOf(part);
  }
}

/** The alternatives of a schema, behind its references and lists of alternatives. */
function leavesOf(
  node: SchemaObject,
  definitions: Definitions,
  most: number,
  known: LeavesByNode,
): readonly SchemaObject[] | typeof SELF_REFERENCE {
  const before = known.get(node);
  if (before !== undefined) return before ?? SELF_REFERENCE;
  const target = typeof node.$ref === "string" ? definitions.get(node.$ref) : undefined;
  const parts = target === undefined ? schemas(node.oneOf) : [target];
  known.set(node, null);
  const found: SchemaObject[] = parts.length === 0 ? [node] : [];
  for (const part of parts) {
    const leaves = leavesOf(part, definitions, most, known);
    if (leaves === SELF_REFERENCE) return leaves;
    found.push(...leaves);
    if (found.length > most) break;
  }
  known.set(node, found);
  return found;
}

function widthOf(
  leaves: readonly SchemaObject[],
  inside: ReadonlyMap<SchemaObject, number>,
  definitions: Definitions,
): number {
  const byKind = new Map<string, number>();
  const add = (kind: string, width: number) => byKind.set(kind, (byKind.get(kind) ?? 0) + width);
  const objects: SchemaObject[] = [];
  for (const leaf of leaves) {
    const values: unknown[] = Array.isArray(leaf.enum) ? leaf.enum : "const" in leaf ? [leaf.const] : [];
    for (const value of values) add(value === null ? "null" : typeof value, 1);
    if (values.length > 0) continue;
    for (const type of Array.isArray(leaf.type) ? leaf.type : [leaf.type]) {
      if (type === "object") objects.push(leaf);
      else add(type === "integer" ? "number" : String(type), type === "array" ? inside.get(leaf) ?? 1 : 1);
    }
  }
  return Math.max(1, ...byKind.values(), objectWidth(objects, inside, definitions));
}

/** Objects count together only where their first properties don't distinguish them. */
function objectWidth(
  objects: readonly SchemaObject[],
  inside: ReadonlyMap<SchemaObject, number>,
  definitions: Definitions,
): number {
  const byFirst = new Map<string, { open: number; closed: Map<string, number> }>();
  for (const leaf of objects) {
    const [name = "", property] = Object.entries(isObject(leaf.properties) ? leaf.properties : {})[0] ?? [];
    const first = byFirst.get(name) ?? { open: 0, closed: new Map<string, number>() };
    const value = constantOf(property, definitions);
    const width = inside.get(leaf) ?? 1;
    if (value === null) first.open += width;
    else first.closed.set(value, (first.closed.get(value) ?? 0) + width);
    byFirst.set(name, first);
  }
  const groups = [...byFirst.values()].map(({ open, closed }) => open + Math.max(0, ...closed.values()));
  return Math.max(objects.length, ...groups);
}

/** A property's one possible value, as JSON; null where it has several. */
function constantOf(property: unknown, definitions: Definitions): string | null {
  if (!isObject(property)) return null;
  if (typeof property.$ref === "string") {
    const target = definitions.get(property.$ref);
    return target === undefined || "$ref" in target ? null : constantOf(target, definitions);
  }
  if ("const" in property) return JSON.stringify(property.const);
  return Array.isArray(property.enum) && property.enum.length === 1 ? JSON.stringify(property.enum[0]) : null;
}
