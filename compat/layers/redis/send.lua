-- Puts one message into a queue. Returns 1, or 0 when the channel is at capacity.
-- KEYS: queue, the plain channels that were used
-- ARGV: score, cutoff (older messages have expired), expiry in s, capacity of the channel,
--       capacity of the whole queue, channel ('' when the queue is one channel's own), member,
--       the plain channel ('' when the queue is shared)
local capacity = tonumber(ARGV[4])
local waiting = redis.call('ZCOUNT', KEYS[1], '(' .. ARGV[2], '+inf')
if waiting >= capacity then
  if ARGV[6] == '' or waiting >= tonumber(ARGV[5]) then return 0 end
  -- A queue that many channels share: count this one's among the newest. Bounded, so that a reader that
  -- hangs does not make every send to it dear.
  local mine = 0
  for _, member in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, 4 * capacity - 1)) do
    if string.find(member, ARGV[6], 1, true) then mine = mine + 1 end
  end
  if mine >= capacity then return 0 end
end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[7]) -- the first to write: then a Redis without memory refuses
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
if ARGV[8] ~= '' then -- so that a flush knows whose the queue is
  redis.call('ZADD', KEYS[2], ARGV[1], ARGV[8])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], 0, ARGV[1] - 86400)
  redis.call('EXPIRE', KEYS[2], 86400)
end
return 1
