/** HTML templates that escape every value unless it is marked as trusted: a model's answer is hostile input. */

/** Text that is already HTML. */
export class Markup {
  constructor(readonly text: string) {}
  toString(): string {
    return this.text;
  }
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Escapes text for use inside an element or a quoted attribute. Control characters, and those that turn the
 * direction of the text around them, become U+FFFD.
 *
 * ```ts
 * if (escapeHtml("<b>") !== "&lt;b&gt;") throw new Error("not escaped");
 * ```
 */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => entities[c] ?? c)
    // deno-lint-ignore no-control-regex -- these are the characters that must not get through
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

/** What a template may hold: `null`, `undefined` and `false` become nothing, arrays are joined, text is escaped. */
export type Content = Markup | string | number | null | undefined | false | readonly Content[];

/**
 * A template whose values are escaped.
 *
 * ```ts
 * if (String(markup`<p>${"<b>"}</p>`) !== "<p>&lt;b&gt;</p>") throw new Error("not escaped");
 * ```
 */
export function markup(parts: TemplateStringsArray, ...values: Content[]): Markup {
  return new Markup(parts.reduce((text, part, i) => text + render(values[i - 1]) + part));
}

/** Marks text as HTML that is not escaped; only for what Podium itself generates. */
export function trusted(text: string): Markup {
  return new Markup(text);
}

function render(value: Content): string {
  if (value === null || value === undefined || value === false) return "";
  if (value instanceof Markup) return value.text;
  if (typeof value === "string" || typeof value === "number") return escapeHtml(String(value));
  return value.map(render).join("");
}
