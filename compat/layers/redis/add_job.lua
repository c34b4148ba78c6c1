-- Appends a message to the stream of a plain channel, and deletes some that have waited for too long; not those that a
-- worker has. Returns {1 or, when it is full, 0; messages that had expired}.
-- KEYS: the stream.  ARGV: the message, capacity, expiry in s, life of the stream in s, the consumer group
local cutoff = string.format('%.0f', (tonumber(redis.call('TIME')[1]) - tonumber(ARGV[3])) * 1000 - 1)
local length, waiting = redis.call('XLEN', KEYS[1]), '-'
if length > 0 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do -- {'name', …, 'pending', …, 'last-delivered-id', …}
    if group[2] == ARGV[5] and group[6] > 0 then waiting = '(' .. group[8] end
  end
end
local function oldest() return redis.call('XRANGE', KEYS[1], waiting, cutoff, 'COUNT', 1)[1] end

local old = oldest()
local stored = length - (old and 1 or 0) < tonumber(ARGV[2])
if stored then
  redis.call('XADD', KEYS[1], '*', 'm', ARGV[1]) -- the first to write: then a Redis without memory refuses
  redis.call('EXPIRE', KEYS[1], ARGV[4])
end
local expired, size = 0, 0
while old and expired < 100 and size < 262144 do -- the next sends delete the rest
  redis.call('XDEL', KEYS[1], old[1])
  expired, size = expired + 1, size + #old[2][2]
  old = oldest()
end
return {stored and 1 or 0, expired}
