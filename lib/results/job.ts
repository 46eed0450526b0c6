/** A job with its views: the cases that the models are given, and how their answers are checked. */
import { reasonOf, UserError } from "../errors.ts";
import { expectedText } from "../prompts/expected.ts";
import { type Prompt, type PromptSet, promptSetJson } from "../prompts/prompts.ts";
import { scoreAnswer } from "../quality/check.ts";
import { defaultPassMark } from "../quality/pass_rate.ts";
import { Result, TableView, TextView, type View } from "./view.ts";

/**
 * The models' task: cases (prompts), each with the checks that score an answer to it.
 *
 * ```ts ignore
 * const notes = await job("meeting_notes", { first: 12 });
 * const run = await quality(null, { job: notes });
 * ```
 */
export class Job extends Result {
  /**
   * Made by `job`.
   *
   * @param whole every case of the set
   * @param set the cases that the models are given
   * @param document the job file that it was made from, where it was given as an object
   */
  constructor(readonly whole: PromptSet, readonly set: PromptSet, readonly document: object | null = null) {
    super();
  }

  /** The cases that the models are given. */
  get cases(): readonly Prompt[] {
    return this.set.prompts;
  }

  /** What it shows: a sentence. */
  override main(): View {
    return new TextView(this.#words);
  }

  get #words(): string {
    return `**${this.cases.length}** of the ${this.whole.prompts.length} cases of ${this.whole.name}.`;
  }

  /** The cases, with the expected answer where a case's checks state one. */
  list(): TableView {
    return new TableView(
      this.cases.map(({ id, messages, checks }) => ({
        case: id,
        text: messages.at(-1)?.content ?? null,
        expected: expectedText(checks),
      })),
      "The models see the text only.",
    );
  }

  /**
   * Writes the job as a file that every task takes with `--prompts`.
   *
   * @throws {UserError} where the file can't be written
   */
  async save(path: string): Promise<TextView> {
    const text = this.document === null
      ? promptSetJson(this.whole)
      : `${JSON.stringify(this.document, null, 2)}\n`;
    try {
      await Deno.writeTextFile(path, text);
    } catch (error) {
      throw new UserError(`can't write the job ${path}: ${reasonOf(error)}`, 1, { cause: error });
    }
    return new TextView(`Saved. Use it with: deno task quality capture --prompts ${path}`);
  }

  /** The checks of a case, with their weights. */
  checks(id?: string): TableView {
    const one = this.case(id);
    return new TableView(
      one.checks.map(({ name, kind, weight, required }) => ({
        check: name,
        kind,
        weight,
        required: required ? "yes" : "no",
      })),
      `The checks of "${one.id}". An answer passes when it earns ${
        Math.round(100 * defaultPassMark)
      } % of the weight and passes every required check.`,
    );
  }

  /** A case: the prompt, the expected answer, the aspects of a good answer, and an example of one. */
  example(id?: string): TableView {
    const one = this.case(id);
    return new TableView(
      [
        { part: "the case", text: one.messages.at(-1)?.content ?? null },
        { part: "expected", text: expectedText(one.checks) },
        { part: "must cover", text: one.aspects.join("\n") || null },
        { part: "a good answer", text: one.reference },
      ].filter(({ text }) => text !== null),
      "The models see the first row only.",
    );
  }

  /**
   * Scores an answer to a case by its checks, from 0 to 1.
   *
   * @throws {UserError} for a case that is not in this job
   */
  score(answer: string, id?: string): TextView {
    const one = this.case(id);
    const { score, passed } = scoreAnswer(answer, one.checks, one);
    return new TextView(
      `The score is **${score.toFixed(2)}**: the answer ${passed ? "passes" : "does not pass"}.`,
    );
  }

  /**
   * A case by its id; without one, the first case.
   *
   * @throws {UserError} for a case that is not in this job
   */
  case(id?: string): Prompt {
    const found = id === undefined ? this.cases[0] : this.cases.find((one) => one.id === id);
    if (found === undefined) {
      throw new UserError(
        `no case of ${this.whole.name} is called "${id}": there are ${
          this.cases.map((one) => one.id).join(", ")
        }`,
      );
    }
    return found;
  }
}
