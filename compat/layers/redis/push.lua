-- Puts one message into each of several queues. Returns a list of 1, or 0 where the queue is full.
-- KEYS: queues
-- ARGV: score, cutoff, expiry in s, then for each queue: its capacity, its member
local stored = {}
for i, key in ipairs(KEYS) do
  if redis.call('ZCOUNT', key, '(' .. ARGV[2], '+inf') < tonumber(ARGV[2 + 2 * i]) then
    redis.call('ZADD', key, ARGV[1], ARGV[3 + 2 * i]) -- the first to write: then a Redis without memory refuses
    redis.call('ZREMRANGEBYSCORE', key, 0, ARGV[2])
    redis.call('EXPIRE', key, ARGV[3])
    stored[i] = 1
  else
    stored[i] = 0
  end
end
return stored
