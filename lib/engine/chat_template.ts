/** Turns chat messages into the text that a model continues. */
import { Template } from "@huggingface/jinja";
import { toolJson } from "../endpoint/generation_request.ts";
import type { ChatMessage } from "../endpoint/trace.ts";
import type { ToolDefinition } from "../prompts/request_settings.ts";
import type { CallForm } from "./call_reader.ts";
import { reasonOf } from "../errors.ts";

/** `own`: the template in the model file. `plain`: speakers' names, for a model without a template. */
export type ChatTemplateKind = "own" | "plain";

/** How messages become a prompt. */
export interface ChatTemplate {
  readonly kind: ChatTemplateKind;
  /** Strings that end an answer, besides the model's own end token. */
  readonly stops: readonly string[];
  /**
   * The form in which the model's own template teaches calls; null where it teaches none, or one
   * that Podium doesn't read.
   */
  readonly callForm: CallForm | null;
  /** Whether the template uses a variable, such as `enable_thinking`. */
  reads(variable: string): boolean;
  /** The whole prompt, which ends where the model's answer begins. */
  render(messages: readonly ChatMessage[], extras?: TemplateExtras): string;
}

/** Inputs of a template besides messages. */
export interface TemplateExtras {
  readonly tools?: readonly ToolDefinition[];
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** The special tokens that a template may write itself. */
export interface TemplateTokens {
  readonly bos: string;
  readonly eos: string;
}

/** A template that can't be used is replaced by the plain one; the note says why. */
export interface ChosenTemplate {
  readonly template: ChatTemplate;
  /** Null where there is nothing to report. */
  readonly note: string | null;
}

/**
 * The chat template to use: the model's own (Jinja, as in the file's metadata) where it has one, otherwise a
 * plain one with the speakers' names, which a base model can continue. `file` names the model in the note
 * about a template that is not valid Jinja, or renders no message at all.
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
  const replaced = (fault: string): ChosenTemplate => ({
    template: plainTemplate,
    note:
      `the chat template in ${file} (tokenizer.chat_template) ${fault}; plain speakers' names take its place`,
  });
  let jinja: Template;
  try {
    jinja = new Template(source);
  } catch (error) {
    // The parser reads past the end of a text that is cut.
    const reason = error instanceof TypeError ? "it ends too early" : reasonOf(error);
    return replaced(`is not valid Jinja (${reason})`);
  }
  const renderAs =
    (form: CallForm | null): ChatTemplate["render"] => (messages, { tools = [], variables = {} } = {}) =>
      jinja.render({
        ...variables,
        messages: messagesJson(messages, form),
        ...(tools.length === 0 ? {} : { tools: tools.map(toolJson) }),
        add_generation_prompt: true,
        bos_token: tokens.bos,
        eos_token: tokens.eos,
      });
  const callForm = callFormOf(renderAs(null));
  const render = renderAs(callForm);
  const fault = renderFault(render);
  if (fault !== null) return replaced(`can't be rendered (${fault})`);
  const template: ChatTemplate = {
    kind: "own",
    stops: [],
    callForm,
    reads: (variable) => new RegExp(`\\b${RegExp.escape(variable)}\\b`).test(source),
    render: (messages, extras) => renderOwn((some) => render(some, extras), messages),
  };
  return { template, note: null };
}

/** Why a template can't render a question, with or without a system message; null where it can. */
function renderFault(render: ChatTemplate["render"]): string | null {
  const question: ChatMessage = { role: "user", content: "Hello" };
  let fault: string | null = null;
  for (const before of [[], [{ role: "system", content: "Be brief." } satisfies ChatMessage]]) {
    try {
      render([...before, question]);
      return null;
    } catch (error) {
      fault ??= reasonOf(error);
    }
  }
  return fault;
}

/** Messages as templates expect them: arguments are objects, and a tool's message names its tool. */
function messagesJson(messages: readonly ChatMessage[], form: CallForm | null) {
  const names = new Map(
    messages.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id, name }) => [id, name] as const)),
  );
  // Mistral's templates demand ids of nine letters and digits.
  const idOf = (id: string) =>
    form === "mistral" ? id.replaceAll(/[^a-z0-9]/gi, "").slice(-9).padStart(9, "0") : id;
  return messages.map(({ role, content, tool_calls, tool_call_id }) => ({
    role,
    content,
    ...(tool_calls === undefined ? {} : {
      tool_calls: tool_calls.map(({ id, name, arguments: text }) => ({
        id: idOf(id),
        type: "function",
        function: { name, arguments: objectOrText(text) },
      })),
    }),
    ...(tool_call_id === undefined
      ? {}
      : { tool_call_id: idOf(tool_call_id), name: names.get(tool_call_id) ?? "" }),
  }));
}

function objectOrText(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

const PROBE = "podium_probe";

/** The rendering of a tool, a call and its result shows whether a template takes tools, and in which form. */
function callFormOf(render: ChatTemplate["render"]): CallForm | null {
  const tools = [{ name: PROBE, description: "A test.", parameters: { type: "object", properties: {} } }];
  const call = { id: "abcdef123", name: PROBE, arguments: '{"a":1}' };
  const asked: ChatMessage = { role: "user", content: "Hello" };
  let listed: string;
  try {
    listed = render([asked], { tools });
  } catch {
    return null;
  }
  if (!listed.includes(PROBE)) return null;
  let called = "";
  try {
    const made: ChatMessage = { role: "assistant", content: "", tool_calls: [call] };
    called = render([asked, made, { role: "tool", content: "done", tool_call_id: call.id }], { tools });
  } catch {
    // A template that takes no result still shows with its tools how calls are written.
  }
  const text = called === "" ? listed : called;
  if (text.includes("[TOOL_CALLS]")) return "mistral";
  if (text.includes(`<start_function_call>call:${PROBE}`)) return "gemma";
  if (/<tool_call>\s*\{/.test(text)) return "hermes";
  return new RegExp(`\\{\\s*"(?:name|type)":[^{}]*"${PROBE}",\\s*"(?:arguments|parameters)":`).test(called)
    ? "json"
    : null;
}

/** A piece of a prompt. Only in the template's own text are the names of special tokens tokens. */
export interface PromptPart {
  readonly text: string;
  readonly isTemplate: boolean;
}

/**
 * Renders messages so that the names of special tokens in them stay text. Marks around such a name in a
 * message later show that the template did not write it; everything else reaches the template unchanged.
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
  extras: TemplateExtras = {},
): PromptPart[] {
  const { tools = [] } = extras;
  const texts = [
    ...messages.map(({ content }) => content),
    ...messages.flatMap(({ tool_calls = [] }) => tool_calls.flatMap((call) => [call.name, call.arguments])),
    ...tools.map((tool) => JSON.stringify(tool)),
  ];
  const names = new Set(texts.flatMap((text) => specialTexts(text)).filter((name) => name !== ""));
  if (names.size === 0) return [{ text: template.render(messages, extras), isTemplate: true }];
  const { open, close } = unusedMarks(texts);
  // Longer names first, so that a name inside another one is not marked alone.
  const longestFirst = [...names].sort((a, b) => b.length - a.length);
  const name = new RegExp(longestFirst.map((text) => RegExp.escape(text)).join("|"), "g");
  const mark = (text: string) => text.replaceAll(name, (found) => open + found + close);
  const marked = messages.map((message) => ({
    ...message,
    content: mark(message.content),
    ...(message.tool_calls === undefined ? {} : {
      tool_calls: message.tool_calls.map((call) => ({ ...call, arguments: mark(call.arguments) })),
    }),
  }));
  const markedTools = tools.map((tool) => markedDeep(tool, mark));
  const pieces = template.render(marked, { ...extras, tools: markedTools }).split(
    new RegExp(`(${open}[^${open}${close}]*${close})`),
  );
  const stray = new RegExp(`[${open}${close}]`, "g");
  return pieces.map((piece, index) => ({ text: piece.replaceAll(stray, ""), isTemplate: index % 2 === 0 }))
    .filter(({ text }) => text !== "");
}

/** A tool with its description and the texts of its schema marked; its names stay. */
function markedDeep(tool: ToolDefinition, mark: (text: string) => string): ToolDefinition {
  const parameters: ToolDefinition["parameters"] = tool.parameters === undefined
    ? undefined
    : JSON.parse(JSON.stringify(tool.parameters), (_, value) =>
      typeof value === "string" ? mark(value) : value);
  return {
    name: tool.name,
    ...(tool.description === undefined ? {} : { description: mark(tool.description) }),
    ...(parameters === undefined ? {} : { parameters }),
  };
}

/** Two characters for private use that no text contains. */
function unusedMarks(texts: readonly string[]): { open: string; close: string } {
  const used = new Set(texts.flatMap((text) => [...text]));
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
  callForm: null,
  reads: () => false,
  render: (messages) =>
    [...messages.map(({ role, content }) => `${speakers[role]}${content}`), "Assistant:"].join("\n\n"),
};
