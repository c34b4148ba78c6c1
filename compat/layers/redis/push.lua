-- Puts one message into each of several queues. Returns 1, or 0 where the queue is full, for each queue, and then
-- how many messages had expired.
-- KEYS: queues
-- ARGV: score, expiry in s, then for each queue: its capacity, its member
local cutoff = now - tonumber(ARGV[2])
local score = score_of(ARGV[1], ARGV[2])
local stored, expired = {}, 0
for i, key in ipairs(KEYS) do
  if redis.call('ZCOUNT', key, '(' .. cutoff, '+inf') < tonumber(ARGV[1 + 2 * i]) then
    redis.call('ZADD', key, score, ARGV[2 + 2 * i]) -- the first to write: then a Redis without memory refuses
    expired = expired + redis.call('ZREMRANGEBYSCORE', key, 0, cutoff)
    redis.call('EXPIRE', key, ARGV[2])
    stored[i] = 1
  else
    stored[i] = 0
  end
end
stored[#stored + 1] = expired
return stored
