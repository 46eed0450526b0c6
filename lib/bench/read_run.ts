/** Reads a run's files: run.json, and its records one at a time. */
import { join } from "node:path";
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { parseDocument } from "../text_file.ts";
import {
  type AnswerRecord,
  answerRecord,
  RUN_SCHEMA,
  type RunInfo,
  runInfo,
  type SampleRecord,
  sampleRecord,
} from "./records.ts";

/**
 * run.json of a run. A byte order mark, which some editors add, is skipped.
 *
 * @throws {UserError} when it is missing or damaged
 */
export async function readRunInfo(path: string): Promise<RunInfo> {
  let text: string;
  try {
    text = await Deno.readTextFile(join(path, "run.json"));
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound ? "it has no run.json" : reasonOf(error);
    throw new UserError(`${path} is not the folder of a run: ${reason}`, 2, { cause: error });
  }
  return parseDocument(text, { schema: runInfo, newest: RUN_SCHEMA, name: `run.json in ${path}` });
}

/**
 * The records of a run, one at a time, whatever their number. A torn last line (the process was killed while
 * it wrote) is left out and reported.
 *
 * @param onTorn called with the torn text when there is one
 * @throws {UserError} when a line other than the last can't be read: the file was edited or damaged
 */
export function readSamples(
  path: string,
  onTorn: (text: string) => void = () => {},
): AsyncGenerator<SampleRecord> {
  return readJsonLines(join(path, "samples.jsonl"), parseSample, onTorn);
}

/** The answers of a run, one at a time; a torn last line is left out. */
export function readAnswers(path: string): AsyncGenerator<AnswerRecord> {
  return readJsonLines(join(path, "answers.jsonl"), (text) => answerRecord.parse(JSON.parse(text)), () => {});
}

function parseSample(text: string): SampleRecord {
  return sampleRecord.parse(JSON.parse(text));
}

async function* readJsonLines<T>(
  path: string,
  parse: (text: string) => T,
  onTorn: (text: string) => void,
): AsyncGenerator<T> {
  let number = 0;
  for await (const { texts, torn } of lineBatches(path)) {
    for (const text of texts) {
      number++;
      try {
        yield parse(text);
      } catch (error) {
        const reason = error instanceof z.ZodError ? z.prettifyError(error) : reasonOf(error);
        throw new UserError(`${path}, line ${number} can't be read: ${reasonOf(reason)}`, 2, {
          cause: error,
        });
      }
    }
    if (torn !== null) onTorn(torn);
  }
}

/**
 * The lines of a file, as many at a time as one read brings (a step of a generator for every line would cost
 * as much as reading it); last, what follows the last newline. A missing file has no lines.
 */
async function* lineBatches(path: string): AsyncGenerator<{ texts: string[]; torn: string | null }> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  let rest = "";
  for await (const chunk of file.readable.pipeThrough(new TextDecoderStream())) {
    const texts = (rest + chunk).split("\n");
    rest = texts.pop() ?? "";
    if (texts.length > 0) yield { texts, torn: null };
  }
  if (rest !== "") yield { texts: [], torn: rest };
}
