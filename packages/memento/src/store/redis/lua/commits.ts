import { storeScript } from "./script.ts";

// What a pack brings with it, in the same order for `append` and `replace`: how many parts its body has, the member of
// `pending` that names them, the body where it is one, the data key that seals it, and a new key's fields.
const PACK = `
local function checkPack(at)
  local state = ARGV[at + 3] ~= '' and redis.call('HGET', KEYS[5], 'state')
  if state == 'retired' or state == 'dropped' then return 'retired' end
  if ARGV[at] ~= '0' and ARGV[at] ~= '-' and not redis.call('ZSCORE', KEYS[2], ARGV[at + 1]) then return 'lost' end
end
local function storePack(at)
  if ARGV[at] == '0' then redis.call('SET', KEYS[3], ARGV[at + 2])
  elseif ARGV[at] ~= '-' then redis.call('ZREM', KEYS[2], ARGV[at + 1]) end
  local fields = tonumber(ARGV[at + 4])
  if fields == 0 or redis.call('EXISTS', KEYS[6]) == 1 then return end
  local count = redis.call('ZCARD', KEYS[4])
  redis.call('ZADD', KEYS[4], count, ARGV[at + 5])
  for field = 1, fields, 2 do redis.call('HSET', KEYS[6], ARGV[at + 5 + field], ARGV[at + 6 + field]) end
end
`;

/**
 * Appends a pack where every timeline stands as it is expected to, and the names that must be free are. KEYS: store,
 * pending, body, keys, sealing key, new key, names, timelines, places of the records. ARGV: id, the log's row, the counts
 * of timelines, records, checks of names and moves of names, then each of them, and the pack at last.
 */
export const APPEND = storeScript(
  "append",
  `${PACK}
local row, timelines, records, checks, moves = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local at = 7
local timelinesAt = at
for t = 1, timelines do
  local standing = redis.call('HMGET', KEYS[7 + t], 'epoch', 'sequence')
  if standing[1] ~= ARGV[at] or (standing[2] or '0') ~= ARGV[at + 1] then return {'stale'} end
  at = at + 5
end
local recordsAt = at
at = at + 4 * records
for c = 1, checks do
  if redis.call('HEXISTS', KEYS[7], ARGV[at]) == 1 then return {'stale'} end
  at = at + 1
end
local movesAt = at
at = at + 2 * moves
local refusal = checkPack(at)
if refusal then return {refusal} end
if not logRow(row) then return {'taken', last + 1} end
storePack(at)
local placed = ' ' .. (last + 1) .. ' '
for r = 1, records do
  local place = ARGV[recordsAt + 1] .. placed .. ARGV[recordsAt + 2] .. ' 0'
  if ARGV[recordsAt + 3] ~= '' then place = place .. ' ' .. ARGV[recordsAt + 3] end
  redis.call('HSET', KEYS[7 + timelines + r], ARGV[recordsAt], place)
  recordsAt = recordsAt + 4
end
for t = 1, timelines do
  redis.call('HSET', KEYS[7 + t], 'sequence', ARGV[timelinesAt + 2], 'head', ARGV[timelinesAt + 3], 'headCheck', ARGV[timelinesAt + 4])
  timelinesAt = timelinesAt + 5
end
for m = 1, moves do
  redis.call('HSET', KEYS[7], ARGV[movesAt], ARGV[movesAt + 1])
  movesAt = movesAt + 2
end
return {'ok'}
`,
);

/** How timelines and names stand. KEYS: store, names, timelines. ARGV: id, names. */
export const STANDING = storeScript(
  "standing",
  `
local timelines, names = {}, {}
for t = 3, #KEYS do
  timelines[t - 2] = redis.call('HMGET', KEYS[t], 'epoch', 'sequence', 'head', 'headCheck')
end
for n = 2, #ARGV do names[n - 1] = redis.call('HGET', KEYS[2], ARGV[n]) end
return {'ok', timelines, names}
`,
);

/** Puts another pack in a commit's place while its line is the expected one. KEYS as for `append`, up to the new key. ARGV: id, commit, line ('' for none), row, the pack. */
export const REPLACE = storeScript(
  "replace",
  `${PACK}
local n = tonumber(ARGV[2])
local row = commit(n)
if (row and lineOf(row) or '') ~= ARGV[3] then return {'moved'} end
local refusal = checkPack(5)
if refusal then return {refusal} end
local token, bytes, parts
if row then token, bytes, parts = packOf(row) end
redis.call('HSET', logKey(n), n, ARGV[4])
storePack(5)
if token and bytes ~= '-' then dropBody(token, tonumber(parts)) end
return {'ok'}
`,
);

/** Takes one part of a large body in. The first one opens it. KEYS: store, pending, part. ARGV: id, member, part, bytes. */
export const PART = storeScript(
  "part",
  `
if ARGV[3] == '0' then
  local now = redis.call('TIME')
  redis.call('ZADD', KEYS[2], now[1] * 1000 + math.floor(now[2] / 1000), ARGV[2])
elseif not redis.call('ZSCORE', KEYS[2], ARGV[2]) then return {'lost'} end
redis.call('SET', KEYS[3], ARGV[4])
return {'ok'}
`,
);

/** Takes the parts of a large body back. KEYS: store, pending. ARGV: id, member. */
export const DISCARD = storeScript(
  "discard",
  `
if redis.call('ZREM', KEYS[2], ARGV[2]) == 1 then
  local token, parts = string.match(ARGV[2], '^(%w+) (%d+)$')
  dropBody(token, tonumber(parts))
end
return {'ok'}
`,
);

/** Finds bodies that were begun `age` ms ago or earlier and never finished, 20 at most; with `drop` they are taken away. KEYS: store, pending. ARGV: id, age, drop. */
export const LEFTOVERS = storeScript(
  "leftovers",
  `
local now = redis.call('TIME')
local before = now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(ARGV[2])
local found = redis.call('ZRANGE', KEYS[2], '-inf', before, 'BYSCORE', 'LIMIT', 0, 20)
local bytes = 0
for _, member in ipairs(found) do
  local token, parts = string.match(member, '^(%w+) (%d+)$')
  bytes = bytes + bodyLength(token, tonumber(parts))
  if ARGV[3] == '1' then
    redis.call('ZREM', KEYS[2], member)
    dropBody(token, tonumber(parts))
  end
end
return {'ok', #found, bytes}
`,
);

/** Logs a notice. KEYS: store. ARGV: id, row. */
export const NOTE = storeScript(
  "note",
  `
if not logRow(ARGV[2]) then return {'taken', last + 1} end
return {'ok'}
`,
);

/** Removes what lives of the mementos, with a notice. KEYS: store, names, places. ARGV: id, digest and header of the notice, sequence and nonce of each. */
export const REMOVE = storeScript(
  "remove",
  `
local found, live, seen = {}, {}, {}
for k = 3, #KEYS do
  local at = 4 + 2 * (k - 3)
  local mark = KEYS[k] .. ' ' .. ARGV[at]
  local place = not seen[mark] and redis.call('HGET', KEYS[k], ARGV[at])
  local nonce, lies, name
  if place then nonce, lies, name = string.match(place, '^(%w+) (%d+ %d+) 0 ?(.*)$') end
  if nonce and nonce == ARGV[at + 1] then
    seen[mark] = true
    found[#found + 1] = {KEYS[k], ARGV[at], nonce, lies, name}
    live[#live + 1] = k - 3
  end
end
if #live == 0 then return {'ok', live} end
if not logRow('n ' .. #live .. ' ' .. ARGV[2] .. '\\n' .. ARGV[3]) then return {'taken', last + 1} end
for i, it in ipairs(found) do
  local place = it[3] .. ' ' .. it[4] .. ' ' .. (last + 1)
  if it[5] ~= '' then
    place = place .. ' ' .. it[5]
    local holder = redis.call('HGET', KEYS[2], it[5])
    local ofTimeline = string.match(it[1], ':m:(%w+):%d+$')
    if holder == ofTimeline .. '-' .. it[2] .. '-' .. it[3] then redis.call('HDEL', KEYS[2], it[5]) end
  end
  redis.call('HSET', it[1], it[2], place)
end
return {'ok', live}
`,
);

/** Drops the bodies of packs in which nothing lives. KEYS: store, then a place of each slot of each. ARGV: id, for each pack: commit, line, the line that takes its place, count of slots, their sequences. */
export const RECLAIM = storeScript(
  "reclaim",
  `
local freed, at, key, index = {}, 2, 2, 0
while at <= #ARGV do
  local n, slots = tonumber(ARGV[at]), tonumber(ARGV[at + 3])
  local row = commit(n)
  local isFree = row and lineOf(row) == ARGV[at + 1]
  for slot = 1, slots do
    local place = redis.call('HGET', KEYS[key], ARGV[at + 3 + slot])
    local removedBy = place and string.match(place, '^%w+ ' .. ARGV[at] .. ' %d+ (%d+)')
    if not removedBy or removedBy == '0' then isFree = false end
    key = key + 1
  end
  if isFree then
    local token, bytes, parts = packOf(row)
    redis.call('HSET', logKey(n), n, ARGV[at + 2] .. string.sub(row, #ARGV[at + 1] + 1))
    dropBody(token, tonumber(parts))
    freed[#freed + 1] = index
  end
  at = at + 4 + slots
  index = index + 1
end
return {'ok', freed}
`,
);
