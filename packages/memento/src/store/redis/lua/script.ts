import { createHash } from "node:crypto";

import { COMMITS_IN_BUCKET, PLACES_IN_BUCKET } from "../keys.ts";

/** A script as the server knows it. */
export interface Script {
  readonly name: string;
  readonly text: string;
  /** By this the server finds it again. */
  readonly sha: string;
}

// Every script is for one store: KEYS[1] is its facts, and ARGV[1] the id that they must have. Where they do not, the
// place was emptied, or holds another store by now: `none`, and nothing else is done. Redis runs one script at a time, and
// appends what it wrote to its log in one piece. A script reads first and writes then; its first write is the one that
// a full or foreign server refuses, so that nothing is ever half done.
const FACTS = `
local facts = redis.call('HMGET', KEYS[1], 'id', 'last')
if facts[1] ~= ARGV[1] then return {'none'} end
local last = tonumber(facts[2]) or 0
local tag = string.sub(KEYS[1], 1, -6)
`;

/** What scripts share, each after what it uses itself. A script has those that it uses: making one costs a part of a microsecond each time. */
const HELPERS: Readonly<Record<string, string>> = {
  logKey: `
local function logKey(n) return tag .. 'log:' .. math.floor(n / ${COMMITS_IN_BUCKET}) end`,
  placeKey: `
local function placeKey(timeline, sequence)
  return tag .. 'm:' .. timeline .. ':' .. math.floor(sequence / ${PLACES_IN_BUCKET})
end`,
  commit: `
local function commit(n) return redis.call('HGET', logKey(n), n) end`,
  lineOf: `
local function lineOf(row) return string.match(row, '^[^\\n]*') end`,
  packOf: `
local function packOf(row) return string.match(row, '^p (%w+) (%S+) (%d+) (%S+) (%S+)\\n') end`,
  bodyKey: `
local function bodyKey(token, part) return tag .. 'b:' .. token .. (part and (':' .. part) or '') end`,
  bodyLength: `
local function bodyLength(token, parts)
  if parts == 0 then
    if redis.call('EXISTS', bodyKey(token)) == 0 then return -1 end
    return redis.call('STRLEN', bodyKey(token))
  end
  local length = 0
  for part = 0, parts - 1 do length = length + redis.call('STRLEN', bodyKey(token, part)) end
  return length
end`,
  // For what gives memory back, or is needed for that. A full server refuses a script's first write if it could take more
  // memory, and nothing behind a deletion, even of what is not there.
  evenWhenFull: `
local function evenWhenFull() redis.call('HDEL', KEYS[1], '') end`,
  // KEYS[2] must be the bucket of the next commit: a key that is written to is named before, or a cluster that is moving
  // the slot could not tell that it is not here. A number that is taken although it should be the next one: the counter
  // was changed, and nothing is written over.
  logRow: `
local function logRow(row)
  if logKey(last + 1) ~= KEYS[2] then return 'elsewhere' end
  if redis.call('HSETNX', KEYS[2], last + 1, row) == 0 then return 'taken' end
  redis.call('HSET', KEYS[1], 'last', last + 1)
end`,
};

/** The helpers that a script uses, and those that they use. */
function helpersOf(body: string): string {
  let text = "";
  for (const [name, helper] of Object.entries(HELPERS).toReversed()) {
    if (new RegExp(`\\b${name}\\(`, "u").test(body + text)) text = helper + text;
  }
  return text;
}

/** Makes a script for one store; what it returns begins with a word that says how it went. */
export function storeScript(name: string, body: string): Script {
  return bareScript(name, `${FACTS}${helpersOf(body)}\n${body}`);
}

/** Makes a script that looks at the place itself. */
export function bareScript(name: string, text: string): Script {
  return { name, text, sha: createHash("sha1").update(text).digest("hex") };
}
