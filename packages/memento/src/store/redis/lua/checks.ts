import { PLACES_IN_BUCKET } from "../keys.ts";
import { storeScript } from "./script.ts";

/** What a timeline's mementos come to at one moment: fields, how many have places, the last one's place, and whose its address is. KEYS: store, timeline, addresses. ARGV: id, timeline, address. */
export const LINE = storeScript(
  "line",
  `
local fields = redis.call('HGETALL', KEYS[2])
local sequence = tonumber(redis.call('HGET', KEYS[2], 'sequence') or '0') or 0
local count = 0
-- One key more than there should be: places behind the head are not seen otherwise.
for bucket = 0, math.floor(sequence / ${PLACES_IN_BUCKET}) + 1 do
  count = count + redis.call('HLEN', tag .. 'm:' .. ARGV[2] .. ':' .. bucket)
end
local place = redis.call('HGET', placeKey(ARGV[2], sequence), sequence)
return {'ok', fields, count, place, redis.call('HGET', KEYS[3], ARGV[3])}
`,
);

/** How many addresses and timelines there are, and whether the log goes on behind its last commit. KEYS: store, addresses, order. ARGV: id. */
export const COUNTS = storeScript(
  "counts",
  `
local behind = redis.call('HEXISTS', logKey(last + 1), last + 1)
return {'ok', redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[3]), behind}
`,
);

/**
 * Who has names, where those lie who should have them, and whether a commit behind `seen` speaks of the name. KEYS: store,
 * names. ARGV: id, seen, then of each: the name's key, its JSON text, timeline and sequence of who should have it.
 */
export const HOLDERS = storeScript(
  "holders",
  `
local rows, answers = {}, {'ok'}
for n = tonumber(ARGV[2]) + 1, last do rows[#rows + 1] = commit(n) or '' end
for at = 3, #ARGV, 4 do
  local isBusy = 0
  for _, row in ipairs(rows) do
    if string.find(row, ARGV[at + 1], 1, true) then isBusy = 1 end
  end
  answers[#answers + 1] = redis.call('HGET', KEYS[2], ARGV[at])
  answers[#answers + 1] = ARGV[at + 2] ~= '' and redis.call('HGET', placeKey(ARGV[at + 2], tonumber(ARGV[at + 3])), ARGV[at + 3])
  answers[#answers + 1] = isBusy
end
return answers
`,
);
