-- Reads a part of a history. Returns {epoch or '', the last offset, milliseconds until the position is forgotten, the
-- last offset that is gone, the offset up to which strangers have sent without a position, how often something was
-- forgotten, the epochs before if it went on, then offset, age in ms and message of each entry}, the oldest first.
-- KEYS: the stream, its position
-- ARGV: entries to return at most (0: only the position), seconds for which entries are kept, the offset of the first
--       one ('': the newest ones)
local known = redis.call('HMGET', KEYS[2], 'epoch', 'offset', 'tainted', 'forgets', 'before')
local epoch, last = known[1], known[2]
if not epoch then return {'', 0, 0, 0, 0, 0, ''} end
local now, most = milliseconds(), tonumber(ARGV[1])
trim(KEYS[1], now - ARGV[2] * 1000, 1000)
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local gone = first and tonumber(string.match(first[1], '^%d+')) - 1 or tonumber(last)
local found = {
  epoch, tonumber(last), redis.call('PTTL', KEYS[2]), gone, tonumber(known[3] or 0), tonumber(known[4] or 0),
  known[5] or ''}
if most > 0 then
  local newest, from, to, step = ARGV[3] == '', 1, 0, 1
  local entries
  if newest then
    entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', most)
    from, to, step = #entries, 1, -1
  else
    entries = redis.call('XRANGE', KEYS[1], ARGV[3] .. '-0', '+', 'COUNT', most)
    to = #entries
  end
  for i = from, to, step do
    local entry = entries[i]
    found[#found + 1] = tonumber(string.match(entry[1], '^%d+'))
    found[#found + 1] = now - tonumber(entry[2][2])
    found[#found + 1] = entry[2][4]
  end
end
return found
