-- Appends a message to the stream of a plain channel. Returns {1 or, when it is full, 0; messages that had expired}.
-- KEYS: the stream.  ARGV: the message, capacity, expiry in s, life of the stream in s
local cutoff = string.format('%.0f', (tonumber(redis.call('TIME')[1]) - tonumber(ARGV[3])) * 1000)
local capacity = tonumber(ARGV[2])
if redis.call('XLEN', KEYS[1]) >= capacity then -- of which some may have expired
  if #redis.call('XRANGE', KEYS[1], cutoff, '+', 'COUNT', capacity) >= capacity then return {0, 0} end
end
redis.call('XADD', KEYS[1], '*', 'm', ARGV[1]) -- the first to write: then a Redis without memory refuses
local expired = redis.call('XTRIM', KEYS[1], 'MINID', cutoff)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {1, expired}
