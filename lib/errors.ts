/** The error class for what a user can fix, and what to show of any error. */

/**
 * A mistake of the user's, or a limit of their machine: a wrong value, an unreachable service, a full disk.
 * Its message is shown as it is, without a stack trace, so it says what failed, the value, what is
 * accepted and what to do. A fault of Podium itself stays a plain `Error`, `TypeError` …
 *
 * `exitCode` is 2 for wrong usage or input, 1 where nothing could be measured or written.
 *
 * ```ts
 * const error = new UserError("--rounds is -3: give a whole number of at least 1");
 * if (error.exitCode !== 2) throw new Error("usage errors end with exit code 2");
 * ```
 */
export class UserError extends Error {
  /** Tells it from other errors by name. */
  override readonly name = "UserError";

  /**
   * An error whose message is shown as it is.
   *
   * @param exitCode 2 for wrong usage or input, 1 where nothing could be measured or written
   */
  constructor(message: string, readonly exitCode: 1 | 2 = 2, options?: ErrorOptions) {
    super(message, options);
  }
}

/**
 * The message of any thrown value, on one line: for reasons in records and in messages.
 *
 * ```ts
 * if (reasonOf(new RangeError("too\nbig")) !== "too big") throw new Error("a reason is one line");
 * ```
 */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s+/g, " ").trim();
}
