-- Reads a part of a history. Returns {epoch or '', the last offset, milliseconds until the position is forgotten,
-- offset and message of each entry...}.
-- KEYS: the stream, its position
-- ARGV: the offset of the first entry, entries to return at most (0: only the position)
local epoch, last = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'offset'))
local found = {epoch or '', tonumber(last or 0), redis.call('PTTL', KEYS[2])}
if epoch and tonumber(ARGV[2]) > 0 then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])) do
    found[#found + 1] = tonumber(string.match(entry[1], '^%d+'))
    found[#found + 1] = entry[2][2]
  end
end
return found
