/**
 * WHY: speed chooses nothing by itself. This captures answers, scores them by checks, lets people rate them
 * blind, and lets a model judge only after it has shown that it can.
 *
 * deno task quality capture                            the meeting-notes scenario, every candidate, temperature 0
 * deno task quality check RUN                          score recorded answers again
 * deno task quality annotate RUN --annotator ana       a blinded sheet; with --page, a page with keyboard scoring
 * deno task quality import RUN reports/…/ana-fluency.csv
 * deno task quality judge RUN --judge MODEL            tried on anchored answers first
 */
import { runCli } from "./cli.ts";
import { UserError } from "../lib/errors.ts";

const help = `Usage: quality <capture|check|annotate|import|judge> [options]

  capture              ask every candidate every prompt, keep the answers, score them
  check RUN            score the answers of a run again
  annotate RUN         a blinded, shuffled sheet for people, or a page (--page)
  import RUN SHEET     take a filled-in sheet, show how far people agree
  judge RUN            let a model rate, if it passes the trial on anchored answers

deno task quality <command> --help shows every option.`;

await runCli(async () => {
  const [name, ...args] = Deno.args;
  switch (name) {
    case "capture":
      return await (await import("./quality/capture.ts")).capture(args);
    case "check":
      return await (await import("./quality/check.ts")).check(args);
    case "annotate":
      return await (await import("./quality/annotate.ts")).annotate(args);
    case "import":
      return await (await import("./quality/import.ts")).importSheet(args);
    case "judge":
      return await (await import("./quality/judge.ts")).judge(args);
    case "--help":
    case "-h":
    case "help":
      console.log(help);
      return 0;
    default:
      throw new UserError(
        `${name === undefined ? "a command is missing" : `"${name}" is no command`}: ` +
          "give capture, check, annotate, import or judge (deno task quality --help)",
      );
  }
});
