import type { Redis } from "ioredis";

import { MementoError } from "../../core/errors.ts";

/** What a server says of itself, as far as it was allowed to be asked; what is missing cannot be told. */
export type ServerFacts = ReadonlyMap<string, string>;

const VERSION_MIN = 7;
const SETTINGS = ["maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "no-appendfsync-on-rewrite"] as const;
/** Where INFO tells the same under another name. */
const OF_INFO: Readonly<Record<string, string>> = {
  maxmemory: "maxmemory",
  "maxmemory-policy": "maxmemory_policy",
  appendonly: "aof_enabled",
};

/** Asks a server for its version and its settings. What the account may not ask for, or the service does not tell, is left out. */
export async function askServer(node: Redis): Promise<ServerFacts> {
  const [info, config] = await Promise.all([
    optional(node.info()),
    optional(node.config("GET", ...SETTINGS) as Promise<unknown>),
  ]);
  const facts = new Map<string, string>();
  for (const line of typeof info === "string" ? info.split("\r\n") : []) {
    const [name = "", value = ""] = line.split(/:(.*)/s);
    if (name !== "" && !name.startsWith("#")) facts.set(`info ${name}`, value);
  }
  for (const [setting, name] of Object.entries(OF_INFO)) {
    const value = facts.get(`info ${name}`);
    if (value !== undefined) facts.set(setting, setting === "appendonly" ? (value === "1" ? "yes" : "no") : value);
  }
  for (const [name, value] of pairs(config)) facts.set(name, value);
  return facts;
}

/** Throws ENGINE_UNSUITABLE for a server that is too old or throws away what it has; says whether it keeps what it acknowledges. */
export function judgeServer(facts: ServerFacts, where: string, allowLoss: boolean): { readonly durable: boolean } {
  const version = facts.get("info redis_version");
  if (version !== undefined && Number.parseInt(version, 10) < VERSION_MIN)
    throw unsuitable(where, `it is Redis ${version}, and ${VERSION_MIN}.0 is the oldest one`, "Use a newer server.");
  const policy = facts.get("maxmemory-policy");
  if (policy !== undefined && policy !== "noeviction" && facts.get("maxmemory") !== "0") {
    const reason = `maxmemory-policy is ${policy}: with its memory full the server throws away what it holds`;
    throw unsuitable(where, reason, "Set maxmemory-policy to noeviction, or use a server of its own for the store.");
  }
  const weakness = findWeakness(facts);
  if (weakness !== null && !allowLoss) {
    throw unsuitable(
      where,
      `${weakness}: what it acknowledges may be lost`,
      "Set appendonly yes and appendfsync always; or accept the loss by ?durability=relaxed (option allowLoss: true).",
    );
  }
  return { durable: weakness === null };
}

function findWeakness(facts: ServerFacts): string | null {
  if (!facts.has("maxmemory-policy")) return "it does not tell its maxmemory-policy";
  const wanted = [
    ["appendonly", "yes"],
    ["appendfsync", "always"],
    ["no-appendfsync-on-rewrite", "no"],
  ] as const;
  for (const [name, value] of wanted) {
    const found = facts.get(name);
    if (found === undefined) return `it does not tell its setting ${name}`;
    if (found !== value) return `its setting ${name} is ${found}`;
  }
  return null;
}

async function optional(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    const refused =
      error instanceof Error &&
      /^NOPERM|unknown command|Unknown Redis|ERR unknown|not allowed|wrong number/i.test(error.message);
    if (!refused) throw error;
    return null;
  }
}

function pairs(reply: unknown): readonly (readonly [string, string])[] {
  if (!Array.isArray(reply))
    return typeof reply === "object" && reply !== null ? Object.entries(reply as Record<string, string>) : [];
  return Array.from(
    { length: reply.length / 2 },
    (_, at) => [String(reply[2 * at]), String(reply[2 * at + 1])] as const,
  );
}

function unsuitable(where: string, reason: string, hint: string): MementoError {
  return new MementoError("ENGINE_UNSUITABLE", `${where}: ${reason}`, { hint, details: { store: where } });
}
