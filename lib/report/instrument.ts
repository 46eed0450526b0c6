/** What the last self-check found out about the instrument itself, on the machine of the run. */
import type { SelfcheckResult } from "../selfcheck/selfcheck.ts";
import { plain } from "./format.ts";
import { type Markup, markup } from "./markup.ts";

/**
 * The instrument's own error in one line, for a single client on plain http: what a run of this project is
 * usually measured with.
 *
 * @example
 * ```ts ignore
 * console.log(instrumentText(selfcheck));
 * ```
 */
export function instrumentText(check: SelfcheckResult): string {
  const single = check.accuracy.find((one) => one.concurrency === 1) ?? check.accuracy[0];
  const date = check.created_at.slice(0, 10);
  if (single === undefined) return `self-check of ${date}: no accuracy measured`;
  const { ttft_error_ms: error } = single;
  const p99 = error.p99 === null ? "" : `, p99 ${plain(error.p99)} ms`;
  return `self-check of ${date}: TTFT error p50 ${
    error.p50 === null ? "unknown" : `${plain(error.p50)} ms`
  }${p99} ` +
    `(n = ${error.n}, ${single.concurrency} at a time, other programs ${
      plain(check.others_cpu_percent)
    } % of a core)`;
}

/** The self-check as a section of the page; null where none was made. */
export function instrumentSection(check: SelfcheckResult | null): Markup | null {
  if (check === null) return null;
  return markup`
    <section>
      <h2>The instrument</h2>
      <p>${sentence(instrumentText(check))}</p>
      <details>
        <summary>What can be trusted on this machine</summary>
        <ul>${check.trust.map((text) => markup`<li>${sentence(text)}</li>`)}</ul>
      </details>
    </section>
  `;
}

/** A first letter to begin with, and a full stop to end. */
function sentence(text: string): string {
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
