/**
 * WHY: speed alone chooses no model. This captures answers, scores them by checks, lets people rate them
 * blind, and lets a model judge only after it has shown that it can.
 *
 * deno task quality capture                            the meeting-notes scenario, every candidate, temperature 0
 * deno task quality check RUN                          score recorded answers again
 * deno task quality annotate RUN --annotator ana       a blinded sheet; with --page, a page with keyboard scoring
 * deno task quality import RUN reports/…/ana-fluency.csv
 * deno task quality judge RUN --judge MODEL            tried on anchored answers first
 */
import { runSubcommand } from "./cli.ts";

const help = `Usage: deno task quality <capture|check|annotate|import|judge> [options]

  capture              send every prompt to every candidate, keep and score the answers
  check RUN            score a run's answers again
  annotate RUN         write a blinded, shuffled sheet for people, or serve it as a page (--page)
  import RUN SHEET     read a filled-in sheet, and show how far people agree
  judge RUN            let a model rate the answers, if it passes a test on anchored answers

deno task quality <command> --help lists all options.`;

await runSubcommand("quality", help, {
  capture: async (args) => await (await import("./quality/capture.ts")).capture(args),
  check: async (args) => await (await import("./quality/score.ts")).check(args),
  annotate: async (args) => await (await import("./quality/annotate.ts")).annotate(args),
  import: async (args) => await (await import("./quality/import.ts")).importSheet(args),
  judge: async (args) => await (await import("./quality/judge.ts")).judge(args),
});
