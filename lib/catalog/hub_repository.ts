/** A Hugging Face repository as a model: its GGUF files as variants, read from the hub's API. */
import { z } from "zod";
import type { Fetch } from "../clock.ts";
import { reasonOf, UserError } from "../errors.ts";
import type { Environment } from "../program.ts";
import { ggufParts } from "./gguf.ts";
import { hubEndpoint, hubUrl } from "./hub.ts";
import { parseRegistry } from "./registry.ts";
import type { Model } from "./model.ts";

/** The fields of `GET /api/models/OWNER/REPO?blobs=true` that are used. */
const repositoryInfo = z.object({
  sha: z.string().optional(),
  gated: z.union([z.boolean(), z.string()]).optional(),
  cardData: z.object({
    license: z.union([z.string(), z.array(z.string())]).optional(),
    license_name: z.string().optional(),
    license_link: z.string().optional(),
  }).nullish(),
  gguf: z.object({ context_length: z.number().optional(), total: z.number().optional() }).nullish(),
  siblings: z.array(z.object({
    rfilename: z.string(),
    size: z.number().optional(),
    lfs: z.object({ sha256: z.string().optional(), size: z.number().optional() }).nullish(),
  })),
});
type RepositoryInfo = z.infer<typeof repositoryInfo>;

/**
 * The model of `hf:OWNER/REPO`. Its variants are named by the quantisation in their files' names (`q4_k_m`);
 * Q4_K_M, the usual compromise, comes first, then the others by size.
 *
 * @throws {UserError} exit code 1 where the hub can't be reached or refuses; 2 for a
 * repository without GGUF files
 *
 * ```ts ignore
 * const model = await hubModel("bartowski/Qwen_Qwen3-4B-GGUF", { fetch, env: Deno.env });
 * console.log(model.variants.map(({ name, sizeMb }) => `${name}: ${sizeMb} MB`));
 * ```
 */
export async function hubModel(
  repo: string,
  { fetch, env }: { readonly fetch: Fetch; readonly env: Environment },
): Promise<Model> {
  const info = await repositoryOf(repo, { fetch, env });
  const variants = variantsOf(repo, info);
  if (variants.length === 0) {
    throw new UserError(
      `hf:${repo}: the repository has no GGUF file that holds a whole model: name another one`,
    );
  }
  const { license } = info.cardData ?? {};
  const id = info.cardData?.license_name ?? [license ?? "unknown"].flat()[0] ?? "unknown";
  const link = info.cardData?.license_link;
  const model = {
    alias: repo,
    other_names: [`hf:${repo}`],
    license: {
      id,
      url: link !== undefined && /^https?:/.test(link) ? link : `${hubEndpoint(env)}/${repo}`,
    },
    ...(info.gguf?.context_length === undefined ? {} : { context_tokens: info.gguf.context_length }),
    variants,
  };
  const [parsed] = parseRegistry(JSON.stringify({ models: [model] }), `hf:${repo}`).models;
  if (parsed === undefined) throw new TypeError(`Cannot make a model of hf:${repo}`);
  return parsed;
}

async function repositoryOf(
  repo: string,
  { fetch, env }: { readonly fetch: Fetch; readonly env: Environment },
): Promise<RepositoryInfo> {
  const url = `${hubEndpoint(env)}/api/models/${repo}?blobs=true`;
  let response: Response;
  try {
    const { token } = hubUrl({ kind: "huggingface", repo, path: "", revision: "main", sha256: null }, env);
    response = await fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
  } catch (error) {
    throw new UserError(
      `hf:${repo}: ${new URL(url).host} can't be reached (${reasonOf(error)}): ` +
        "name a mirror with HF_ENDPOINT, or download the file elsewhere and give its path",
      1,
    );
  }
  if (!response.ok) {
    await response.body?.cancel();
    const why = response.status === 404
      ? "there is no such repository"
      : response.status === 401 || response.status === 403
      ? "it needs an account that accepted its terms: set HF_TOKEN"
      : `the hub answered ${response.status}`;
    throw new UserError(`hf:${repo}: ${why}`, 1);
  }
  const parsed = repositoryInfo.safeParse(await response.json().catch(() => null));
  if (parsed.success) return parsed.data;
  throw new UserError(`hf:${repo}: ${new URL(url).host} gave no description of a repository`, 1);
}

/** The quantisation in a file's name, with the prefix that some publishers put before it (`UD-Q4_K_XL`). */
const QUANTIZATION =
  /(?:^|[-._])((?:UD-)?(?:IQ[1-4]_[A-Z]+|Q[2-8]_K(?:_[A-Z]+)?|Q[2-8]_[01]|TQ[12]_0|MXFP4(?:_MOE)?|BF16|F16|F32))(?=[-._]|$)/i;

function variantsOf(repo: string, { siblings, sha }: RepositoryInfo) {
  const sizes = new Map(siblings.map((file) => [file.rfilename, file]));
  const names = new Set<string>();
  return siblings
    .filter(({ rfilename }) => isModelFile(rfilename))
    .map(({ rfilename: path }) => {
      const files = ggufParts(path).map((part) => sizes.get(part));
      const sizeBytes = files.reduce((sum, file) => sum + (file?.lfs?.size ?? file?.size ?? NaN), 0);
      const quantization = QUANTIZATION.exec(path.replace(/^.*\//, ""))?.[1] ?? null;
      return { path, sizeBytes, quantization, sha256: sizes.get(path)?.lfs?.sha256 };
    })
    .sort((a, b) => rank(a.quantization) - rank(b.quantization) || a.sizeBytes - b.sizeBytes)
    .flatMap(({ path, sizeBytes, quantization, sha256 }) => {
      const file = path.replace(/^.*\//, "");
      const name = (quantization ?? file.replace(/\.gguf$/i, "")).toLowerCase().replaceAll(/[^\w.-]+/g, "-");
      if (names.has(name)) return [];
      names.add(name);
      return [{
        name,
        format: "gguf",
        ...(quantization === null ? {} : { quantization: quantization.toUpperCase() }),
        ...(Number.isFinite(sizeBytes) ? { size_bytes: sizeBytes } : {}),
        file,
        ...(sha256 === undefined ? {} : { sha256 }),
        untried: true,
        sources: [{ kind: "huggingface", repo, path, ...(sha === undefined ? {} : { revision: sha }) }],
      }];
    });
}

const rank = (quantization: string | null) => quantization?.toUpperCase() === "Q4_K_M" ? 0 : 1;

/** A whole model or the first part of one: no projector for images, no importance matrix, no draft. */
function isModelFile(path: string): boolean {
  const file = path.replace(/^.*\//, "");
  if (!/\.gguf$/i.test(file) || /(?:^|[-._])(?:mmproj|imatrix|draft)/i.test(file)) return false;
  const parts = ggufParts(path);
  return parts.length === 1 || parts[0] === path;
}
