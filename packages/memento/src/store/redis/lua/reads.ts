import { storeScript } from "./script.ts";

/** A memento's place, its commit and its body where that is one. KEYS: store, place, timeline. ARGV: id, sequence. */
export const READ = storeScript(
  "read",
  `
local place = redis.call('HGET', KEYS[2], ARGV[2])
if not place then return {'ok', redis.call('HGET', KEYS[3], 'sequence')} end
local n = string.match(place, '^%w+ (%d+)')
local row = n and commit(tonumber(n))
local body = false
if row then
  local token, bytes, parts = packOf(row)
  if token and bytes ~= '-' and parts == '0' then body = redis.call('GET', bodyKey(token)) end
end
return {'ok', redis.call('HGET', KEYS[3], 'sequence'), place, row, body}
`,
);

/**
 * Commits from a number on, one after the other, until there are enough or their bytes are; with bodies as far as they are
 * one. KEYS: store. ARGV: id, from, step, count, bytes, with bodies.
 */
export const PAGE = storeScript(
  "page",
  `
local n, step, count, left = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if n > last then n = step > 0 and last + 1 or last end
local page = {'ok', last}
while count > 0 and left > 0 and n >= 1 and n <= last do
  local row = commit(n)
  local body = false
  if row then
    left = left - #row
    if ARGV[6] == '1' then
      local token, bytes, parts = packOf(row)
      if token and bytes ~= '-' and parts == '0' then
        if #page > 2 and tonumber(bytes) > left then break end
        body = redis.call('GET', bodyKey(token))
        left = left - tonumber(bytes)
      end
    end
  end
  page[#page + 1] = n
  page[#page + 1] = row
  page[#page + 1] = body
  n = n + step
  count = count - 1
end
return page
`,
);

/** Commits by their numbers. KEYS: store. ARGV: id, numbers. */
export const COMMITS = storeScript(
  "commits",
  `
local rows = {}
for at = 2, #ARGV do rows[at - 1] = commit(tonumber(ARGV[at])) end
return {'ok', rows}
`,
);

/** A timeline's mementos from a sequence on, with their commits. KEYS: store, timeline. ARGV: id, timeline, from, step, count, bytes. */
export const LINE_PAGE = storeScript(
  "linePage",
  `
local sequence, step, count, left = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local top = tonumber(redis.call('HGET', KEYS[2], 'sequence') or '0')
if sequence > top then sequence = step > 0 and top + 1 or top end
local page, before = {'ok'}, nil
while count > 0 and left > 0 and sequence >= 1 and sequence <= top do
  local place = redis.call('HGET', placeKey(ARGV[2], sequence), sequence)
  local n = place and string.match(place, '^%w+ (%d+)')
  local row = n and commit(tonumber(n))
  page[#page + 1] = sequence
  page[#page + 1] = place
  -- The mementos of one pack follow one another: its header is given once.
  page[#page + 1] = n and n == before and 0 or row or false
  if row and n ~= before then left = left - #row end
  before = n
  sequence = sequence + step
  count = count - 1
end
return page
`,
);

/** Where mementos lie. KEYS: store. ARGV: id, timeline and sequence of each. */
export const PLACES = storeScript(
  "places",
  `
local places = {}
for at = 2, #ARGV, 2 do
  places[at / 2] = redis.call('HGET', placeKey(ARGV[at], tonumber(ARGV[at + 1])), ARGV[at + 1])
end
return {'ok', places}
`,
);

/** Where mementos lie, and the line and the length of the body of commits, all at one moment. KEYS: store. ARGV: id, count of commits, commits, timeline and sequence of each memento. */
export const INSPECT = storeScript(
  "inspect",
  `
local commits, places = {}, {}
local count = tonumber(ARGV[2])
for c = 1, count do
  local row = commit(tonumber(ARGV[2 + c]))
  local length = -1
  if row then
    local token, bytes, parts = packOf(row)
    if token then length = bodyLength(token, tonumber(parts)) end
  end
  commits[2 * c - 1] = row and lineOf(row)
  commits[2 * c] = length
end
for at = 3 + count, #ARGV, 2 do
  places[#places + 1] = redis.call('HGET', placeKey(ARGV[at], tonumber(ARGV[at + 1])), ARGV[at + 1])
end
return {'ok', commits, places}
`,
);

/** The commits of mementos, each once. KEYS: store, places. ARGV: id, sequence and nonce of each. */
export const LOCATE = storeScript(
  "locate",
  `
local found, seen = {'ok'}, {}
for key = 2, #KEYS do
  local at = 2 * key - 2
  local place = redis.call('HGET', KEYS[key], ARGV[at])
  local nonce, n
  if place then nonce, n = string.match(place, '^(%w+) (%d+)') end
  if nonce and nonce == ARGV[at + 1] and not seen[n] then
    seen[n] = true
    found[#found + 1] = tonumber(n)
    found[#found + 1] = commit(tonumber(n))
  end
end
return found
`,
);

/** A field of a hash. KEYS: store, hash. ARGV: id, field. */
export const FIELD = storeScript("field", `return {'ok', redis.call('HGET', KEYS[2], ARGV[2])}`);

/** All values of a small hash. KEYS: store, hash. ARGV: id. */
export const VALUES = storeScript("values", `return {'ok', redis.call('HVALS', KEYS[2])}`);

/** A page of a large hash. KEYS: store, hash. ARGV: id, cursor. */
export const HASH_PAGE = storeScript("hashPage", `return {'ok', redis.call('HSCAN', KEYS[2], ARGV[2], 'COUNT', 500)}`);

/** The number of the last commit. KEYS: store. ARGV: id. */
export const LAST = storeScript("last", `return {'ok', last}`);
