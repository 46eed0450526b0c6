/** Tools for a model whose template has no place for them: Podium lists them, and reads calls in JSON. */
import { toolJson } from "../endpoint/generation_request.ts";
import type { ChatMessage } from "../endpoint/trace.ts";
import type { ToolDefinition } from "../prompts/request_settings.ts";

/**
 * Messages with the tools in the system message, earlier calls as the assistant's text, and
 * their results as the user's.
 *
 * ```ts
 * const [system, user] = withListedTools([{ role: "user", content: "Time?" }], [{ name: "get_time" }]);
 * if (system?.role !== "system" || !system.content.includes('"get_time"')) throw new Error("listed");
 * if (user?.content !== "Time?") throw new Error("the rest stays");
 * ```
 */
export function withListedTools(
  messages: readonly ChatMessage[],
  tools: readonly ToolDefinition[],
): ChatMessage[] {
  const list = tools.length === 0 ? [] : [instructions(tools)];
  const system = messages.filter(({ role }) => role === "system").map(({ content }) => content);
  const opening = [...system, ...list].join("\n\n");
  const rest = plainTurns(messages.filter(({ role }) => role !== "system"));
  return opening === "" ? rest : [{ role: "system", content: opening }, ...rest];
}

function instructions(tools: readonly ToolDefinition[]): string {
  return [
    "You can call these functions:",
    ...tools.map((tool) => JSON.stringify(toolJson(tool).function)),
    "To call one, answer with nothing but JSON in this form, one line per call: " +
    '{"name": "FUNCTION", "arguments": {…}}. Where no function is needed, answer in words.',
  ].join("\n");
}

/** Results of one answer's calls are one message, since some templates demand that roles alternate. */
function plainTurns(messages: readonly ChatMessage[]): ChatMessage[] {
  const names = new Map<string, string>();
  const turns: ChatMessage[] = [];
  for (const { role, content, tool_calls = [], tool_call_id = "" } of messages) {
    for (const { id, name } of tool_calls) names.set(id, name);
    if (role !== "tool") {
      const calls = tool_calls.map(({ name, arguments: text }) =>
        `{"name": ${JSON.stringify(name)}, "arguments": ${text}}`
      );
      turns.push({ role, content: [content, ...calls].filter((text) => text !== "").join("\n") });
      continue;
    }
    const result = `Result of ${names.get(tool_call_id) ?? "the function"}: ${content}`;
    const last = turns.at(-1);
    const joins = last?.role === "user" && last.content.startsWith("Result of ");
    if (joins) turns[turns.length - 1] = { role: "user", content: `${last.content}\n${result}` };
    else turns.push({ role: "user", content: result });
  }
  return turns;
}
