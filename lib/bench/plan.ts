/**
 * The order of a run. A block is one prompt for every live candidate; prompts come in seeded random order
 * inside a round, candidates in seeded random order inside a block, so that drift of the machine affects all
 * candidates alike. Every order is a function of the seed and the block's number: a plan needs no memory, and
 * a run that is resumed meets the same blocks again.
 */
import type { ChatMessage } from "../endpoint/trace.ts";
import { seededRandom, shuffle } from "../stats/random.ts";
import type { PlanInfo } from "./records.ts";

/** The plan of a run where neither a flag nor the caller says otherwise. Every task starts from these. */
export const PLAN_DEFAULTS = {
  rounds: 1,
  /** At most: warm-ups end when two in a row take about the same time per token. */
  warmup: 5,
  maxTokens: 40,
  temperature: 0,
  prefix: "cold",
  seed: 1,
  timeoutS: 120,
  concurrency: 1,
  stream: true,
  fixedOutput: false,
} as const;

/** One case for every live candidate. */
export interface PlannedBlock {
  /** Counts up from 1 through the run. */
  readonly number: number;
  /** The stretch that it belongs to. */
  readonly stretch: number;
  readonly round: number;
  /** Index into the plan's prompts. */
  readonly prompt: number;
  /** 1 at first; 2 … for a block that makes up for a disturbed one. */
  readonly attempt: number;
}

/**
 * A unit that is executed, watched and judged as a whole: each candidate of `order` runs all the blocks. The
 * unit of evidence under load, where requests of one stretch share the state of the machine.
 */
export interface Stretch {
  readonly order: readonly string[];
  readonly blocks: readonly PlannedBlock[];
}

/** The part of a plan that decides the order. */
export type PlanShape = Pick<PlanInfo, "rounds" | "seed" | "order" | "concurrency" | "rate"> & {
  readonly prompts: number;
};

/** Under load candidates take at least this many turns, so that drift of the machine falls on all of them. */
export const LEAST_STRETCHES = 6;

/**
 * The stretches of a plan, one at a time. In a closed loop of one client a stretch is one block, and
 * candidates come in random order. Under load the blocks are cut into at least six stretches of equal length,
 * longer ones where that still leaves six; every second one has the order of the one before reversed, so that
 * steady drift falls on all alike. Where models don't fit in memory together (`by model`), every candidate
 * runs the whole plan in its turn.
 *
 * ```ts
 * const shape = { rounds: 2, prompts: 3, seed: 1, order: "interleaved", concurrency: 1, rate: null } as const;
 * const stretches = [...schedule(shape, ["a", "b"])];
 * if (stretches.length !== 6) throw new Error("two rounds of three prompts are six blocks");
 * if (stretches.some((stretch) => stretch.order.length !== 2)) throw new Error("a block is for every candidate");
 * const loaded = [...schedule({ ...shape, rounds: 10, concurrency: 4 }, ["a", "b"])];
 * if (loaded.length !== 6 || loaded[0]?.order.join() !== loaded[1]?.order.toReversed().join()) throw new Error();
 * ```
 */
export function* schedule(plan: PlanShape, candidates: readonly string[]): Generator<Stretch> {
  const turns = plan.order === "interleaved" ? [candidates] : shuffled(candidates, plan.seed, "turns");
  const [blocks, stretches] = [plan.rounds * plan.prompts, stretchCount(plan, candidates.length)];
  const loaded = underLoad(plan);
  for (const turn of turns) {
    const all = planBlocks(plan);
    for (let stretch = 1; stretch <= stretches; stretch++) {
      const length = Math.floor(stretch * blocks / stretches) -
        Math.floor((stretch - 1) * blocks / stretches);
      const piece = Array.from({ length }, () => all.next().value ?? []).flat();
      const purpose = loaded ? `stretch ${Math.ceil(stretch / 2)}` : `block ${stretch}`;
      const order = typeof turn === "string" ? [turn] : shuffled(turn, plan.seed, purpose);
      yield {
        order: loaded && stretch % 2 === 0 ? order.toReversed() : order,
        blocks: piece.map((block) => ({ ...block, stretch })),
      };
    }
  }
}

/**
 * How many stretches a plan has: a block each in a closed loop of one client. Under load as many
 * as leave each of them eight requests per client, or ten seconds at the rate, and at least six
 * where candidates take turns.
 */
export function stretchCount(plan: PlanShape, candidates: number): number {
  const blocks = plan.rounds * plan.prompts;
  if (!underLoad(plan)) return blocks;
  const steady = plan.rate === null ? 8 * plan.concurrency : Math.ceil(10 * plan.rate);
  const least = plan.order === "interleaved" && candidates > 1 ? LEAST_STRETCHES : 1;
  return Math.min(blocks, Math.max(least, Math.floor(blocks / steady)));
}

/**
 * Rounds that a plan under load has where no number is given: enough for six stretches of two requests per
 * client, or of two seconds at the rate.
 *
 * ```ts
 * if (roundsUnderLoad({ prompts: 10, concurrency: 8, rate: null }) !== 10) throw new Error("96 requests");
 * if (roundsUnderLoad({ prompts: 10, concurrency: 1, rate: null }) !== 1) throw new Error("the default");
 * ```
 */
export function roundsUnderLoad(plan: Pick<PlanShape, "prompts" | "concurrency" | "rate">): number {
  if (!underLoad(plan)) return PLAN_DEFAULTS.rounds;
  const requests = LEAST_STRETCHES * (plan.rate === null ? 2 * plan.concurrency : Math.ceil(2 * plan.rate));
  return Math.max(PLAN_DEFAULTS.rounds, Math.ceil(requests / plan.prompts));
}

/** Whether requests overlap, or come at a constant rate. */
export function underLoad(plan: Pick<PlanShape, "concurrency" | "rate">): boolean {
  return plan.concurrency > 1 || plan.rate !== null;
}

/** The blocks of all rounds, in the order in which they run. */
function* planBlocks(plan: PlanShape): Generator<Omit<PlannedBlock, "stretch">, null> {
  for (let round = 1; round <= plan.rounds; round++) {
    const prompts = Array.from({ length: plan.prompts }, (_, index) => index);
    const order = shuffled(prompts, plan.seed, `round ${round}`);
    for (const [at, prompt] of order.entries()) {
      yield { number: (round - 1) * plan.prompts + at + 1, round, prompt, attempt: 1 };
    }
  }
  return null;
}

function shuffled<T>(values: readonly T[], seed: number, purpose: string): T[] {
  return shuffle([...values], seededRandom(`${seed} ${purpose}`));
}

/**
 * The stretch that makes up for a disturbed one: the same prompts and candidates, new block numbers.
 *
 * ```ts
 * const stretch = { order: ["a"], blocks: [{ number: 4, stretch: 4, round: 1, prompt: 0, attempt: 1 }] };
 * const again = makeUpFor(stretch, 21);
 * if (again.blocks[0]?.number !== 21 || again.blocks[0].attempt !== 2) throw new Error("numbered anew");
 * ```
 */
export function makeUpFor(stretch: Stretch, firstNumber: number): Stretch {
  const blocks = stretch.blocks.map((block, at) => ({
    ...block,
    number: firstNumber + at,
    stretch: firstNumber,
    attempt: block.attempt + 1,
  }));
  return { order: stretch.order, blocks };
}

/**
 * The name of a request, unique in a run; a resumed run skips the names it finds on disk.
 *
 * ```ts
 * if (requestId("timed", 1, "rag", "smollm2", 1) !== "timed/1/rag/smollm2") throw new Error();
 * if (requestId("timed", 1, "rag", "smollm2", 2) !== "timed/1/rag/smollm2/2") throw new Error();
 * ```
 */
export function requestId(
  phase: "warmup" | "timed",
  round: number,
  promptId: string,
  candidate: string,
  attempt: number | string,
): string {
  const id = `${phase}/${round}/${promptId}/${candidate}`;
  return attempt === 1 ? id : `${id}/${attempt}`;
}

/**
 * The name of an earlier request of a conversation, whose last one has the name that `requestId` gives.
 *
 * ```ts
 * if (turnId({ id: "timed/1/refund/smollm2" }, 2) !== "turn/1/refund/smollm2/turn2") throw new Error();
 * ```
 */
export const turnId = ({ id }: { readonly id: string }, turn: number): string =>
  `${id.replace(/^timed/, "turn")}/turn${turn}`;

/**
 * Opens the system message with a number that no earlier request had, so that nothing the server cached of
 * an earlier prompt can be used again: the prefix is cold. It stands in the system message because templates
 * put that first: a number in the user's message would leave everything before it warm. Eight digits, so
 * that it costs every request about the same.
 *
 * @param purpose what makes the number: the same for all candidates of a block, another for any other block
 *
 * ```ts
 * const [system] = withColdPrefix([{ role: "user", content: "Hello" }], "run 7, block 3");
 * if (!/^Conversation \d{8}\.$/.test(system?.content ?? "")) throw new Error("a system message is added");
 * ```
 */
export function withColdPrefix(messages: readonly ChatMessage[], purpose: string): ChatMessage[] {
  const number = 10_000_000 + Math.floor(seededRandom(purpose)() * 90_000_000);
  const opening = `Conversation ${number}.`;
  const [first, ...rest] = messages;
  return first?.role === "system"
    ? [{ role: "system", content: `${opening} ${first.content}` }, ...rest]
    : [{ role: "system", content: opening }, ...messages];
}
