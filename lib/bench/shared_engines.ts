/** One engine process for candidates that differ only in what they request. */
import type { CandidateInfo } from "./records.ts";
import type { StartedModel } from "./start_model.ts";

/**
 * Engine processes by what runs in them: candidates that differ only in what they request share one, so that
 * the model is loaded once. It ends when the last of them is closed.
 */
export class SharedEngines {
  readonly #engines = new Map<string, { users: number; readonly started: Promise<StartedModel> }>();

  /** The engine of a candidate, started at its first use; its `stop` releases it. */
  async take(key: string, start: () => Promise<StartedModel>): Promise<StartedModel> {
    const known = this.#engines.get(key) ?? { users: 0, started: start() };
    this.#engines.set(key, known);
    known.users++;
    const forget = () => void (this.#engines.get(key) === known && this.#engines.delete(key));
    const model = await known.started.catch((error: unknown) => {
      forget();
      throw error;
    });
    void model.exited.then(forget);
    const giveBack = async () => {
      if (--known.users > 0) return;
      forget();
      await model.stop();
    };
    return withStop(model, giveBack);
  }
}

/** A started model whose `stop` is another one; an adapter's `pid` stays the one of the moment. */
function withStop(model: StartedModel, stop: () => Promise<void>): StartedModel {
  return {
    ...model,
    get pid() {
      return model.pid;
    },
    stop,
  };
}

/** What embedded candidates must have in common to share an engine; those that are named twice (`#2`) never do. */
export const engineKey = ({ id, model_id }: CandidateInfo) => `${model_id}${/#\d+$/.exec(id)?.[0] ?? ""}`;
