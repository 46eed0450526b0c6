/**
 * The judgements of people and judges on a run's answers, one JSON record per line: read as a
 * whole, changed under a lock.
 */
import { z } from "zod";
import { reasonOf, UserError } from "../errors.ts";
import { cannotWrite, writeRunFile } from "./recorded_answers.ts";

/**
 * The records of a file, in its order; empty without such a file.
 *
 * @throws {UserError} for a line that can't be read, with its number
 */
export async function readRecordLines<T>(path: string, schema: z.ZodType<T>): Promise<T[]> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw new UserError(`can't read ${path}: ${reasonOf(error)}`, 1, { cause: error });
  }
  return text.replace(/^\uFEFF/, "").split(/\r?\n/).flatMap((line, at) =>
    line === "" ? [] : [parseLine(line, schema, `${path}, line ${at + 1}`)]
  );
}

function parseLine<T>(line: string, schema: z.ZodType<T>, where: string): T {
  try {
    return schema.parse(JSON.parse(line));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : reasonOf(error);
    throw new UserError(`${where} can't be read: ${reasonOf(reason)}`, 2, { cause: error });
  }
}

/** Writes all records of a file anew, in one step. */
export async function writeRecordLines(path: string, records: readonly unknown[]): Promise<void> {
  await writeRunFile(path, records.map((one) => `${JSON.stringify(one)}\n`).join(""));
}

/** Changes a file under a lock: of two changes at once, one would be lost. */
export async function underLock<T>(path: string, change: () => Promise<T>): Promise<T> {
  const lockPath = `${path}.lock`;
  using lock = await Deno.open(lockPath, { create: true, write: true }).catch((error: unknown) => {
    throw cannotWrite(lockPath, error);
  });
  await lock.lock(true);
  try {
    return await change();
  } finally {
    await lock.unlock();
  }
}
