/** JSON that people edit: what fits on a line stays on one. */

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
