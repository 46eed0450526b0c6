/** From chat messages to the one text that a model continues. */
import { Template } from "@huggingface/jinja";
import type { ChatMessage } from "../endpoint/trace.ts";
import { reasonOf } from "../errors.ts";

/** `own`: the template in the model file. `plain`: speakers' names, for a model without a template. */
export type ChatTemplateKind = "own" | "plain";

/** How messages become a prompt. */
export interface ChatTemplate {
  readonly kind: ChatTemplateKind;
  /** Strings that end an answer, besides the model's own end token. */
  readonly stops: readonly string[];
  /** The whole prompt, which ends where the model's answer begins. */
  render(messages: readonly ChatMessage[]): string;
}

/** The special tokens that a template may place itself. */
export interface TemplateTokens {
  readonly bos: string;
  readonly eos: string;
}

/** A template that can't be used is replaced by the plain one; the note says why. */
export interface ChosenTemplate {
  readonly template: ChatTemplate;
  /** Null where there is nothing to say. */
  readonly note: string | null;
}

/**
 * The chat template to use: the model's own (Jinja, as in the file's metadata) where it has one, otherwise a
 * plain one with the speakers' names, which a base model can continue. `file` names the model in the note about
 * a template that is not valid Jinja.
 *
 * ```ts
 * const { template, note } = chatTemplate("{% for %}", { bos: "<s>", eos: "</s>" }, "tiny.gguf");
 * const text = template.render([{ role: "user", content: "Hello" }]);
 * if (text !== "User: Hello\n\nAssistant:" || !note?.includes("tiny.gguf")) throw new Error(text);
 * ```
 */
export function chatTemplate(
  source: string | undefined,
  tokens: TemplateTokens,
  file: string,
): ChosenTemplate {
  if (source === undefined || source.trim() === "") return { template: plainTemplate, note: null };
  let jinja: Template;
  try {
    jinja = new Template(source);
  } catch (error) {
    const note = `the chat template in ${file} (tokenizer.chat_template) is not valid Jinja ` +
      `(${reasonOf(error)}); plain speakers' names take its place`;
    return { template: plainTemplate, note };
  }
  const render = (messages: readonly ChatMessage[]) =>
    jinja.render({
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: true,
      bos_token: tokens.bos,
      eos_token: tokens.eos,
    });
  const template: ChatTemplate = {
    kind: "own",
    stops: [],
    render: (messages) => renderOwn(render, messages),
  };
  return { template, note: null };
}

/** A piece of a prompt. In what the template wrote, special tokens are meant; elsewhere they are text. */
export interface PromptPart {
  readonly text: string;
  readonly isTemplate: boolean;
}

/**
 * Renders messages so that the names of special tokens in them stay text. Wherever a message contains one,
 * marks around it show later what the template did not write; the template sees everything else as it is.
 * `specialTexts` finds the names of special tokens in a message.
 *
 * @throws {Error} what the template throws
 *
 * ```ts
 * const messages = [{ role: "user", content: "Say <|end|>." }] as const;
 * const { template } = chatTemplate("{{ messages[0].content }}<|end|>", { bos: "", eos: "" }, "a.gguf");
 * const parts = renderParts(template, messages, () => ["<|end|>"]);
 * if (parts[1]?.text !== "<|end|>" || parts[1].isTemplate || !parts[2]?.isTemplate) throw new Error("marked");
 * ```
 */
export function renderParts(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  specialTexts: (content: string) => readonly string[],
): PromptPart[] {
  const names = new Set(
    messages.flatMap(({ content }) => specialTexts(content)).filter((name) => name !== ""),
  );
  if (names.size === 0) return [{ text: template.render(messages), isTemplate: true }];
  const { open, close } = unusedMarks(messages);
  // Longer names first, so that a name inside another one is not marked alone.
  const longestFirst = [...names].sort((a, b) => b.length - a.length);
  const name = new RegExp(longestFirst.map((text) => RegExp.escape(text)).join("|"), "g");
  const marked = messages.map((message) => ({
    ...message,
    content: message.content.replaceAll(name, (text) => open + text + close),
  }));
  const pieces = template.render(marked).split(new RegExp(`(${open}[^${open}${close}]*${close})`));
  const stray = new RegExp(`[${open}${close}]`, "g");
  return pieces.map((piece, index) => ({ text: piece.replaceAll(stray, ""), isTemplate: index % 2 === 0 }))
    .filter(({ text }) => text !== "");
}

/** Two characters for private use that no message contains. */
function unusedMarks(messages: readonly ChatMessage[]): { open: string; close: string } {
  const used = new Set(messages.flatMap(({ content }) => [...content]));
  const free: string[] = [];
  for (let code = 0xe000; free.length < 2 && code < 0xf8ff; code++) {
    const mark = String.fromCodePoint(code);
    if (!used.has(mark)) free.push(mark);
  }
  const [open = "", close = ""] = free;
  return { open, close };
}

/** Some templates refuse a system message; its text then opens the first user message. */
function renderOwn(
  render: (messages: readonly ChatMessage[]) => string,
  messages: readonly ChatMessage[],
): string {
  try {
    return render(messages);
  } catch (error) {
    const folded = foldSystem(messages);
    if (folded === null) throw error;
    return render(folded);
  }
}

function foldSystem(messages: readonly ChatMessage[]): ChatMessage[] | null {
  const system = messages.filter(({ role }) => role === "system");
  const others = messages.filter(({ role }) => role !== "system");
  const [first, ...rest] = others;
  if (system.length === 0 || first === undefined || first.role !== "user") return null;
  const content = [...system, first].map((message) => message.content).join("\n\n");
  return [{ role: "user", content }, ...rest];
}

const speakers = { system: "", user: "User: ", assistant: "Assistant: ", tool: "Tool: " } as const;

const plainTemplate: ChatTemplate = {
  kind: "plain",
  stops: ["\nUser:"],
  render: (messages) =>
    [...messages.map(({ role, content }) => `${speakers[role]}${content}`), "Assistant:"].join("\n\n"),
};
