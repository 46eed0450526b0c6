/** JSON files that people edit: laid out for reading, and changed in place. */
import type { Node } from "jsonc-parser";

/**
 * Formats JSON with two spaces; an array or object that fits into `width` columns is written on one line.
 * models.json is kept in this form, so that a program that adds to it changes only the lines it must.
 *
 * ```ts
 * const text = tidyJson({ alias: "a", task: ["chat", "code"] }, 30);
 * if (text !== '{\n  "alias": "a",\n  "task": ["chat", "code"]\n}\n') throw new Error(text);
 * ```
 */
export function tidyJson(value: unknown, width = 110): string {
  return `${layOut(value, "", 0, width)}\n`;
}

/** `taken` counts the columns that the key before and the comma after take of the first line. */
function layOut(value: unknown, indent: string, taken: number, width: number): string {
  const line = oneLine(value);
  if (indent.length + taken + line.length <= width || typeof value !== "object" || value === null) {
    return line;
  }
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const items = value.map((item) => inner + layOut(item, inner, 1, width));
    return `[\n${items.join(",\n")}\n${indent}]`;
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined).map(([key, member]) => {
    const name = `${JSON.stringify(key)}: `;
    return inner + name + layOut(member, inner, name.length + 1, width);
  });
  return `{\n${members.join(",\n")}\n${indent}}`;
}

function oneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(oneLine).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  if (members.length === 0) return "{}";
  return `{ ${members.map(([key, member]) => `${JSON.stringify(key)}: ${oneLine(member)}`).join(", ")} }`;
}

/** The value of an object's member; undefined where there is no such member. */
export function memberNode(node: Node, key: string): Node | undefined {
  if (node.type !== "object") return undefined;
  return node.children?.find((child) => child.children?.[0]?.value === key)?.children?.[1];
}

/** As {@link memberNode}, where the value is a string. */
export function stringMember(node: Node, key: string): string | undefined {
  const value: unknown = memberNode(node, key)?.value;
  return typeof value === "string" ? value : undefined;
}

/** A node as plain data. */
export function nodeValue(node: Node | undefined): unknown {
  if (node === undefined) return undefined;
  if (node.type === "array") return (node.children ?? []).map(nodeValue);
  if (node.type !== "object") return node.value;
  return Object.fromEntries(
    (node.children ?? []).map(({ children }) => [String(children?.[0]?.value), nodeValue(children?.[1])]),
  );
}

/** Sets one member of an object in a text and touches nothing else. */
export function setMember(text: string, node: Node, key: string, value: unknown): string {
  const { indent, unit } = indentOf(text, node);
  const name = `${JSON.stringify(key)}: `;
  const laid = layOutAt(value, { indent, unit, taken: name.length, newline: newlineOf(text) });
  const known = memberNode(node, key);
  if (known !== undefined) return splice(text, known.offset, known.length, laid);
  const last = node.children?.at(-1);
  const at = last === undefined ? node.offset + 1 : last.offset + last.length;
  const comma = last === undefined ? "" : ",";
  return splice(text, at, 0, `${comma}${newlineOf(text)}${indent}${name}${laid}`);
}

/** The text with `length` characters at `offset` replaced by `put`. */
export const splice = (text: string, offset: number, length: number, put: string) =>
  text.slice(0, offset) + put + text.slice(offset + length);

/** The line end that a text uses. */
export const newlineOf = (text: string) => text.includes("\r\n") ? "\r\n" : "\n";

/** The indentation of an object's members, and that of one level. */
export function indentOf(text: string, node: Node): { indent: string; unit: string } {
  const lead = (offset: number) => {
    const line = text.slice(text.lastIndexOf("\n", offset - 1) + 1, offset);
    return { space: /^[ \t]*/.exec(line)?.[0] ?? "", alone: line.trim() === "" };
  };
  const own = lead(node.offset).space;
  const first = node.children?.[0];
  const inner = first === undefined ? null : lead(first.offset);
  if (inner !== null && inner.alone) {
    const unit = inner.space.startsWith(own) ? inner.space.slice(own.length) : "";
    return { indent: inner.space, unit: unit === "" ? "  " : unit };
  }
  return { indent: `${own}  `, unit: "  " };
}

/** As {@link tidyJson}, indented for a place inside a text; `taken` columns of its first line are in use. */
export function layOutAt(
  value: unknown,
  { indent, unit, taken, newline }: { indent: string; unit: string; taken: number; newline: string },
): string {
  const lines = tidyJson(value, 110 - indent.length - taken).trimEnd().split("\n");
  return lines.map((line, i) => {
    if (i === 0) return line;
    const depth = /^ */.exec(line)?.[0].length ?? 0;
    return indent + unit.repeat(depth / 2) + line.slice(depth);
  }).join(newline);
}
