-- Puts one message into a queue. Returns {1 or, when the channel is at capacity, 0; messages that had expired}.
-- KEYS: queue, the plain channels that were used
-- ARGV: score, expiry in s, capacity of the channel, capacity of the whole queue,
--       what each member for the channel contains ('' to count all members of the queue), member,
--       the plain channel ('' when the queue is shared)
local cutoff = now - tonumber(ARGV[2])
local capacity = tonumber(ARGV[3])
local waiting = redis.call('ZCOUNT', KEYS[1], '(' .. cutoff, '+inf')
if waiting >= capacity then
  if ARGV[5] == '' or waiting >= tonumber(ARGV[4]) then return {0, 0} end
  -- A queue that many channels share: count this one's among the newest. Bounded, so that a reader that
  -- hangs does not make every send to it dear.
  local mine = 0
  for _, member in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, 4 * capacity - 1)) do
    if string.find(member, ARGV[5], 1, true) then mine = mine + 1 end
  end
  if mine >= capacity then return {0, 0} end
end
-- the first to write: then a Redis without memory refuses
redis.call('ZADD', KEYS[1], score_of(ARGV[1], ARGV[2]), ARGV[6])
local expired = redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, cutoff)
redis.call('EXPIRE', KEYS[1], ARGV[2])
if ARGV[7] ~= '' then -- so that a flush knows whose the queue is
  redis.call('ZADD', KEYS[2], now, ARGV[7])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], 0, now - 86400)
  redis.call('EXPIRE', KEYS[2], 86400)
end
return {1, expired}
