/** answers.csv: every answer of a run beside its sample, for people and spreadsheets. */
import type { RequestRecord } from "../bench/records.ts";
import { byteOrderMark, formatCsv } from "../csv.ts";
import type { RecordedAnswers } from "./quality.ts";
import type { QualityReport } from "./quality_schema.ts";
import { visibleAnswer } from "./text.ts";

const columns = [
  "id",
  "candidate",
  "prompt_id",
  "round",
  "status",
  "reason",
  "latency_s",
  "ttft_s",
  "prompt_tokens",
  "output_tokens",
  "token_source",
  "finish_reason",
  "score",
  "passed",
  "answer",
];

/**
 * The answers of a run as CSV, failures among them, one row a request.
 *
 * @param report adds score and passed; null where nothing was checked
 */
export function formatAnswers({ requests, answers }: RecordedAnswers, report: QualityReport | null): string {
  const scored = new Map(report?.answers.map((answer) => [answer.id, answer]));
  const rows = requests.map((request) => {
    const quality = scored.get(request.id);
    return [
      request.id,
      request.candidate,
      request.prompt_id,
      request.round,
      request.status,
      request.reason,
      seconds(request.chunk_ms.at(-1)),
      request.streamed ? seconds(request.chunk_ms[0]) : null,
      request.prompt_tokens,
      request.output_tokens,
      request.token_source,
      request.finish_reason,
      quality?.score ?? null,
      quality?.passed ?? null,
      visibleAnswer(answers.get(request.id)?.content ?? ""),
    ];
  });
  return byteOrderMark + formatCsv(columns, rows);
}

function seconds(ms: RequestRecord["chunk_ms"][number] | undefined): number | null {
  return ms === undefined ? null : Math.round(ms) / 1000;
}
