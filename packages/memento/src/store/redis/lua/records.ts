import { bareScript, storeScript } from "./script.ts";

/** The store's facts. KEYS: store. */
export const FACTS = bareScript("facts", `return redis.call('HGETALL', KEYS[1])`);

/** Makes the store where there is none. KEYS: store, keys, key. ARGV: key's id, count of facts, facts, the key's fields. */
export const CREATE = bareScript(
  "create",
  `
if redis.call('HEXISTS', KEYS[1], 'id') == 0 then
  local facts = tonumber(ARGV[2])
  for at = 3, 2 + facts, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
  redis.call('ZADD', KEYS[2], 0, ARGV[1])
  for at = 3 + facts, #ARGV, 2 do redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1]) end
end
return redis.call('HGETALL', KEYS[1])
`,
);

/** Every key, in the order of their making: id and fields in turn. KEYS: store, keys. ARGV: id. */
export const KEYS_ALL = storeScript(
  "keys",
  `
local all = {'ok'}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  all[#all + 1] = id
  all[#all + 1] = redis.call('HGETALL', tag .. 'k:' .. id)
end
return all
`,
);

/** Replaces a wrapping by the expected ring key. KEYS: store, key. ARGV: id, expected ring, ring, wrapped. */
export const REWRAP = storeScript(
  "rewrap",
  `
local key = redis.call('HMGET', KEYS[2], 'state', 'ring')
if not key[1] or key[1] == 'dropped' or key[2] ~= ARGV[2] then return {'ok', 0} end
redis.call('HSET', KEYS[2], 'ring', ARGV[3], 'wrapped', ARGV[4])
return {'ok', 1}
`,
);

/** Retires a data key, or drops it: then only its id stays. KEYS: store, key. ARGV: id, `retired` or `dropped`. */
export const RETIRE = storeScript(
  "retire",
  `
local key = redis.call('HMGET', KEYS[2], 'state', 'purpose')
local open = redis.call('HEXISTS', KEYS[1], 'wipe')
if not key[1] or key[1] == 'dropped' then return {'ok', 0, open} end
if key[2] == 'integrity' then return {'integrity'} end
if ARGV[2] == 'dropped' then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'wipe', '1')
end
redis.call('HSET', KEYS[2], 'state', ARGV[2])
return {'ok', 1, 1}
`,
);

/** Notes that the engine's own log no longer has what was dropped. KEYS: store. ARGV: id. */
export const WIPED = storeScript("wiped", `redis.call('HDEL', KEYS[1], 'wipe') return {'ok'}`);

/** Makes a timeline, or gives the one of this address. KEYS: store, addresses, order, timeline. ARGV: id, address, key, fields. */
export const MAKE_TIMELINE = storeScript(
  "makeTimeline",
  `
local there = redis.call('HGET', KEYS[2], ARGV[2])
if there then return {'ok', redis.call('HGETALL', tag .. 't:' .. there)} end
if redis.call('EXISTS', KEYS[4]) == 1 then return {'key'} end
evenWhenFull()
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[3], redis.call('ZCARD', KEYS[3]), ARGV[3])
for at = 4, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[at], ARGV[at + 1]) end
return {'ok', redis.call('HGETALL', KEYS[4])}
`,
);

/** A timeline as it stands. KEYS: store, timeline. ARGV: id. */
export const TIMELINE = storeScript("timeline", `return {'ok', redis.call('HGETALL', KEYS[2])}`);

/** The timeline of an address. KEYS: store, addresses. ARGV: id, address. */
export const FIND_TIMELINE = storeScript(
  "findTimeline",
  `
local key = redis.call('HGET', KEYS[2], ARGV[2])
if not key then return {'ok', {}} end
local fields = redis.call('HGETALL', tag .. 't:' .. key)
if #fields == 0 then return {'gone', key} end
return {'ok', fields}
`,
);

/** Timelines in the order of their making. KEYS: store, order. ARGV: id, how many are behind, count. */
export const TIMELINE_PAGE = storeScript(
  "timelinePage",
  `
local page = {'ok'}
local from = tonumber(ARGV[2])
for _, key in ipairs(redis.call('ZRANGE', KEYS[2], from, from + tonumber(ARGV[3]) - 1)) do
  page[#page + 1] = key
  page[#page + 1] = redis.call('HGETALL', tag .. 't:' .. key)
end
return page
`,
);

/** Changes a lease of the expected epoch and owner ('' for any). KEYS: store, timeline. ARGV: id, epoch, owner, 1 to clear the request, fields. */
export const LEASE = storeScript(
  "lease",
  `
local lease = redis.call('HMGET', KEYS[2], 'epoch', 'owner')
if lease[1] ~= ARGV[2] or (ARGV[3] ~= '' and lease[2] ~= ARGV[3]) then return {'ok'} end
evenWhenFull()
for at = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1]) end
if ARGV[4] == '1' then redis.call('HDEL', KEYS[2], 'request') end
return {'ok', redis.call('HGETALL', KEYS[2])}
`,
);

/** Leaves a request, or takes it back. KEYS: store, timeline. ARGV: id, request. */
export const REQUEST = storeScript(
  "request",
  `
if redis.call('EXISTS', KEYS[2]) == 0 then return {'ok', 0} end
if ARGV[2] == '' then redis.call('HDEL', KEYS[2], 'request') else redis.call('HSET', KEYS[2], 'request', ARGV[2]) end
return {'ok', 1}
`,
);

/** Saves a caretaker's next version with a notice. KEYS: store, bucket of the next commit, caretakers. ARGV: id, name, version before, row, notice's row. */
export const SAVE_CARETAKER = storeScript(
  "saveCaretaker",
  `
local row = redis.call('HGET', KEYS[3], ARGV[2])
if (row and string.match(row, '^%d+') or '0') ~= ARGV[3] then return {'ok', 0} end
local refusal = logRow(ARGV[5])
if refusal then return {refusal, last} end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[4])
return {'ok', 1}
`,
);

/** Removes a caretaker with a notice, unless a commit behind the last one that was looked at speaks of it. KEYS: store, bucket of the next commit, caretakers. ARGV: id, name, its JSON text, last commit looked at, notice's row. */
export const REMOVE_CARETAKER = storeScript(
  "removeCaretaker",
  `
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 0 then return {'ok', 0} end
for n = tonumber(ARGV[4]) + 1, last do
  local row = commit(n)
  if not row or (string.sub(row, 1, 1) == 'p' and string.find(row, ARGV[3], 1, true)) then return {'moved'} end
end
local refusal = logRow(ARGV[5])
if refusal then return {refusal, last} end
redis.call('HDEL', KEYS[3], ARGV[2])
return {'ok', 1}
`,
);
