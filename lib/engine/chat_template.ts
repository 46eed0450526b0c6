/** From chat messages to the one text that a model continues. */
import { Template } from "@huggingface/jinja";
import type { ChatMessage } from "../endpoint/trace.ts";

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

/**
 * The chat template to use: the model's own (Jinja, as in the file's metadata) where it has one, otherwise a
 * plain one with the speakers' names, which a base model can continue.
 *
 * @throws {SyntaxError} where the model's template is not valid Jinja
 *
 * ```ts
 * const template = chatTemplate(undefined, { bos: "<s>", eos: "</s>" });
 * const text = template.render([{ role: "user", content: "Hello" }]);
 * if (template.kind !== "plain" || text !== "User: Hello\n\nAssistant:") throw new Error(text);
 * ```
 */
export function chatTemplate(source: string | undefined, tokens: TemplateTokens): ChatTemplate {
  if (source === undefined || source.trim() === "") return plainTemplate;
  const template = new Template(source);
  const render = (messages: readonly ChatMessage[]) =>
    template.render({
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: true,
      bos_token: tokens.bos,
      eos_token: tokens.eos,
    });
  return { kind: "own", stops: [], render: (messages) => renderOwn(render, messages) };
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

const speakers = { system: "", user: "User: ", assistant: "Assistant: " } as const;

const plainTemplate: ChatTemplate = {
  kind: "plain",
  stops: ["\nUser:"],
  render: (messages) =>
    [...messages.map(({ role, content }) => `${speakers[role]}${content}`), "Assistant:"].join("\n\n"),
};
