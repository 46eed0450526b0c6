/** From a case of the plan to the request that one candidate gets: the job's settings, and the candidate's own. */
import type { ProbeSettings } from "../endpoint/probe.ts";
import type { RefusableField } from "../endpoint/generation_request.ts";
import type { ChatMessage, GenerationRequest } from "../endpoint/trace.ts";
import { UserError } from "../errors.ts";
import type { Prompt } from "../prompts/prompts.ts";
import type { RequestSettings } from "../prompts/request_settings.ts";
import type { RequestVariation } from "./candidate_name.ts";
import type { CandidateInfo, PlanInfo, RequestSettingsRecord, StatedSetting } from "./records.ts";

/** The settings that decide a case's request. */
export type CaseToSend =
  & Pick<Prompt, "messages">
  & Partial<Pick<Prompt, "tools" | "settings" | "turns" | "wordings" | "targetTokens">>;

/** A case as run.json holds it. */
type PlannedCase = PlanInfo["prompt_set"]["prompts"][number];

/** Settings as run.json names them. */
export function settingsRecord(
  { maxTokens, toolChoice, stop, schema, ...same }: RequestSettings,
): RequestSettingsRecord {
  return {
    ...same,
    ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
    ...(toolChoice === undefined ? {} : { tool_choice: toolChoice }),
    ...(stop === undefined ? {} : { stop: [...stop] }),
    ...(schema === undefined ? {} : { schema: { ...schema } }),
  };
}

/** A case of run.json in the shape of a prompt set. */
export function caseOf(
  { messages, tools = [], turns = [], settings = {}, wordings = {}, target_tokens: targetTokens }:
    PlannedCase,
) {
  const { max_tokens, tool_choice, ...same } = settings;
  return {
    messages,
    tools,
    turns,
    wordings: new Map(Object.entries(wordings)),
    ...(targetTokens === undefined ? {} : { targetTokens }),
    settings: {
      ...same,
      ...(max_tokens === undefined ? {} : { maxTokens: max_tokens }),
      ...(tool_choice === undefined ? {} : { toolChoice: tool_choice }),
    } satisfies RequestSettings,
  };
}

/**
 * The messages that a candidate gets for a case: the job's, or those of the wording that its name states.
 *
 * @throws {UserError} where the case has no such wording
 */
export function messagesFor(one: CaseToSend, request: RequestVariation = {}): readonly ChatMessage[] {
  const { wording } = request;
  if (wording === undefined) return one.messages;
  const messages = one.wordings?.get(wording);
  if (messages === undefined) throw new UserError(`the case has no wording "${wording}"`);
  return messages;
}

/** The fields of a request besides model, messages and length. */
type StatedSettings = Pick<
  GenerationRequest,
  "responseFormat" | "tools" | "toolChoice" | "thinking" | "stop"
>;

/**
 * The settings of a case's requests; the candidate's own take precedence over the job's.
 *
 * ```ts
 * const job = { messages: [], settings: { format: "schema", schema: { type: "object" }, stop: ["\n"] } } as const;
 * if (settingsFor(job).responseFormat === undefined) throw new Error("as the job says");
 * const { responseFormat, stop } = settingsFor(job, { format: "free" });
 * if (responseFormat !== undefined || stop?.length !== 1) throw new Error("as the candidate's name says");
 * ```
 */
export function settingsFor(
  { tools = [], settings = {} }: CaseToSend,
  request: RequestVariation = {},
): StatedSettings {
  const format = request.format ?? settings.format ?? "free";
  const thinking = request.thinking ?? settings.thinking;
  const { stop, schema, toolChoice } = settings;
  return {
    ...(stop === undefined ? {} : { stop }),
    ...(thinking === undefined ? {} : { thinking }),
    ...(tools.length === 0 ? {} : { tools }),
    ...(tools.length === 0 || toolChoice === undefined ? {} : { toolChoice }),
    ...(format === "json" ? { responseFormat: "json" as const } : {}),
    ...(format === "schema" && schema !== undefined ? { responseFormat: { name: "answer", schema } } : {}),
  };
}

/**
 * What a probe sends, so that what an endpoint refuses is known before the first request: the settings of the
 * first case that has them.
 */
export function probeSettingsFor(cases: readonly CaseToSend[], request?: RequestVariation): ProbeSettings {
  const all = cases.map((one) => settingsFor(one, request));
  return Object.assign({}, ...all.toReversed());
}

/** Fields that the job can't do without: a candidate whose endpoint refuses one of them is unsupported. */
export const neededFields = (settings: ProbeSettings): RefusableField[] => [
  ...(settings.tools === undefined ? [] : ["tools" as const]),
  ...(settings.toolChoice === undefined || settings.toolChoice === "auto" ? [] : ["tool_choice" as const]),
  ...(settings.responseFormat === undefined ? [] : ["response_format" as const]),
];

/**
 * Checks that the job holds what a candidate's name states.
 *
 * @throws {UserError} for a wording that no case has, and for `format=schema` without a schema
 */
export function checkVariation(
  { id, request = {} }: Pick<CandidateInfo, "id" | "request">,
  cases: readonly CaseToSend[],
): void {
  const { wording, format } = request;
  if (wording !== undefined && !cases.every(({ wordings }) => wordings?.has(wording))) {
    const known = [...new Set(cases.flatMap(({ wordings }) => [...wordings?.keys() ?? []]))];
    throw new UserError(
      `${id}: the job has no wording "${wording}"${known.length > 0 ? `, only ${known.join(", ")}` : ""}: ` +
        'add it to "wordings" in the job file',
    );
  }
  if (format === "schema" && !cases.every(({ settings }) => settings?.schema !== undefined)) {
    throw new UserError(`${id}: the job has no JSON schema for every case: add "schema" to the job file`);
  }
}

/**
 * The request for a case, as a plan and a candidate make it. `messages` are those of `messagesFor`, with what
 * the run puts before and after them.
 */
export function requestFor(
  planned: PlannedCase,
  messages: readonly ChatMessage[],
  plan: Pick<PlanInfo, "max_tokens" | "temperature" | "stated" | "fixed_output" | "sampling_seed">,
  { model_id, request }: Pick<CandidateInfo, "model_id" | "request">,
): GenerationRequest {
  const one = caseOf(planned);
  const isStated = (setting: StatedSetting) => plan.stated?.includes(setting) ?? false;
  return {
    model: model_id,
    messages,
    maxTokens: isStated("max_tokens") ? plan.max_tokens : one.settings.maxTokens ?? plan.max_tokens,
    temperature: isStated("temperature") ? plan.temperature : one.settings.temperature ?? plan.temperature,
    ...settingsFor(one, request),
    ...(plan.fixed_output === true ? { fixedOutput: true } : {}),
    ...(plan.sampling_seed === null ? {} : { seed: plan.sampling_seed }),
  };
}
