import { storeScript } from "./script.ts";

// What a pack brings with it, in the same order for `append` and `replace`: how many parts its body has, the member of
// `pending` that names them, the body where it is one, the data key that seals it, and a new key's fields.
const PACK = `
local function checkPack(at)
  local state = ARGV[at + 3] ~= '' and redis.call('HGET', KEYS[6], 'state')
  if state == 'retired' or state == 'dropped' then return 'retired' end
  if ARGV[at] ~= '0' and ARGV[at] ~= '-' and not redis.call('ZSCORE', KEYS[3], ARGV[at + 1]) then return 'lost' end
end
local function storePack(at)
  if ARGV[at] == '0' then redis.call('SET', KEYS[4], ARGV[at + 2])
  elseif ARGV[at] ~= '-' then redis.call('ZREM', KEYS[3], ARGV[at + 1]) end
  local fields = tonumber(ARGV[at + 4])
  if fields == 0 or redis.call('EXISTS', KEYS[7]) == 1 then return end
  local count = redis.call('ZCARD', KEYS[5])
  redis.call('ZADD', KEYS[5], count, ARGV[at + 5])
  for field = 1, fields, 2 do redis.call('HSET', KEYS[7], ARGV[at + 5 + field], ARGV[at + 6 + field]) end
end
`;

/**
 * Appends a pack where every timeline stands as it is expected to, and the names that must be free are. KEYS: store,
 * bucket of the next commit, pending, body, keys, sealing key, new key, names, timelines, places of the records. ARGV: id, the log's row, the counts
 * of timelines, records, checks of names and moves of names, then each of them, and the pack at last.
 */
export const APPEND = storeScript(
  "append",
  `${PACK}
local row, timelines, records, checks, moves = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local at = 7
local timelinesAt = at
for t = 1, timelines do
  local standing = redis.call('HMGET', KEYS[8 + t], 'epoch', 'sequence')
  if standing[1] ~= ARGV[at] or (standing[2] or '0') ~= ARGV[at + 1] then return {'stale'} end
  at = at + 5
end
local recordsAt = at
at = at + 4 * records
for c = 1, checks do
  if redis.call('HEXISTS', KEYS[8], ARGV[at]) == 1 then return {'stale'} end
  at = at + 1
end
local movesAt = at
at = at + 2 * moves
local refusal = checkPack(at) or logRow(row)
if refusal then return {refusal, last} end
storePack(at)
local placed = ' ' .. (last + 1) .. ' '
for r = 1, records do
  local place = ARGV[recordsAt + 1] .. placed .. ARGV[recordsAt + 2] .. ' 0'
  if ARGV[recordsAt + 3] ~= '' then place = place .. ' ' .. ARGV[recordsAt + 3] end
  redis.call('HSET', KEYS[8 + timelines + r], ARGV[recordsAt], place)
  recordsAt = recordsAt + 4
end
for t = 1, timelines do
  redis.call('HSET', KEYS[8 + t], 'sequence', ARGV[timelinesAt + 2], 'head', ARGV[timelinesAt + 3], 'headCheck', ARGV[timelinesAt + 4])
  timelinesAt = timelinesAt + 5
end
for m = 1, moves do
  redis.call('HSET', KEYS[8], ARGV[movesAt], ARGV[movesAt + 1])
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

/** Puts another pack in a commit's place while its line is the expected one. KEYS as for `append`, with the commit's own bucket, up to the new key, then those of the body that it has. ARGV: id, commit, line ('' for none), row, the pack. */
export const REPLACE = storeScript(
  "replace",
  `${PACK}
local n = tonumber(ARGV[2])
local row = commit(n)
if (row and lineOf(row) or '') ~= ARGV[3] then return {'moved'} end
local refusal = checkPack(5)
if refusal then return {refusal} end
redis.call('HSET', KEYS[2], n, ARGV[4])
storePack(5)
for key = 8, #KEYS do redis.call('UNLINK', KEYS[key]) end
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

/** Takes the parts of a large body back. KEYS: store, pending, parts. ARGV: id, member. */
export const DISCARD = storeScript(
  "discard",
  `
if redis.call('ZREM', KEYS[2], ARGV[2]) == 1 then
  for key = 3, #KEYS do redis.call('UNLINK', KEYS[key]) end
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
    for part = 0, parts - 1 do redis.call('UNLINK', bodyKey(token, part)) end
  end
end
return {'ok', #found, bytes}
`,
);

/** Logs a notice. KEYS: store, bucket of the next commit. ARGV: id, row. */
export const NOTE = storeScript(
  "note",
  `
return {logRow(ARGV[2]) or 'ok', last}
`,
);

/** Removes what lives of the mementos, with a notice. KEYS: store, bucket of the next commit, names, caretakers, places. ARGV: id, digest and header of the notice, name and version of the caretaker that was seen ('' for none), sequence and nonce of each. */
export const REMOVE = storeScript(
  "remove",
  `
local found, live, seen = {}, {}, {}
for k = 5, #KEYS do
  local at = 6 + 2 * (k - 5)
  local mark = KEYS[k] .. ' ' .. ARGV[at]
  local place = not seen[mark] and redis.call('HGET', KEYS[k], ARGV[at])
  local nonce, lies, name
  if place then nonce, lies, name = string.match(place, '^(%w+) (%d+ %d+) 0 ?(.*)$') end
  if nonce and nonce == ARGV[at + 1] then
    seen[mark] = true
    found[#found + 1] = {KEYS[k], ARGV[at], nonce, lies, name}
    live[#live + 1] = k - 5
  end
end
if #live == 0 then return {'ok', live} end
if ARGV[5] ~= '' then
  local caretaker = redis.call('HGET', KEYS[4], ARGV[4])
  if (caretaker and string.match(caretaker, '^%d+') or '0') ~= ARGV[5] then return {'unseen'} end
end
evenWhenFull()
local refusal = logRow('n ' .. #live .. ' ' .. ARGV[2] .. '\\n' .. ARGV[3])
if refusal then return {refusal, last} end
for i, it in ipairs(found) do
  local place = it[3] .. ' ' .. it[4] .. ' ' .. (last + 1)
  if it[5] ~= '' then
    place = place .. ' ' .. it[5]
    local holder = redis.call('HGET', KEYS[3], it[5])
    local ofTimeline = string.match(it[1], ':m:(%w+):%d+$')
    if holder == ofTimeline .. '-' .. it[2] .. '-' .. it[3] then redis.call('HDEL', KEYS[3], it[5]) end
  end
  redis.call('HSET', it[1], it[2], place)
end
return {'ok', live}
`,
);

/**
 * Drops the bodies of packs in which nothing lives. KEYS: store, then of each pack its bucket, a place of each slot, and its
 * body's. ARGV: id, of each pack: commit, line, the line that takes its place, count of its body's keys, count of slots,
 * their sequences.
 */
export const RECLAIM = storeScript(
  "reclaim",
  `
local freed, at, key, index = {}, 2, 2, 0
while at <= #ARGV do
  local n, bodies, slots = ARGV[at], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  local bucket = KEYS[key]
  local row = redis.call('HGET', bucket, n)
  local isFree = row and lineOf(row) == ARGV[at + 1]
  for slot = 1, slots do
    local place = redis.call('HGET', KEYS[key + slot], ARGV[at + 4 + slot])
    local removedBy = place and string.match(place, '^%w+ ' .. n .. ' %d+ (%d+)')
    if not removedBy or removedBy == '0' then isFree = false end
  end
  if isFree then
    evenWhenFull()
    redis.call('HSET', bucket, n, ARGV[at + 2] .. string.sub(row, #ARGV[at + 1] + 1))
    for body = 1, bodies do redis.call('UNLINK', KEYS[key + slots + body]) end
    freed[#freed + 1] = index
  end
  key = key + 1 + slots + bodies
  at = at + 5 + slots
  index = index + 1
end
return {'ok', freed}
`,
);
