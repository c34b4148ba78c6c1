-- Takes messages out of a plain channel, which other processes read as well, and keeps them in flight until they
-- are acknowledged. Returns {messages that had expired in flight, {member, score, ...}}, oldest first.
-- KEYS: queue, in flight, times at which those were taken, the plain channels that were used, what readers with
--       channels_redis have in flight, which keep no times
-- ARGV: '1' to put back first what was in flight for too long, and what readers with channels_redis have;
--       seconds that are too long; the channel; how many; expiry in s
local now, expired = tonumber(redis.call('TIME')[1]), 0
local function put_back(member, score)
  if tonumber(score) > now - tonumber(ARGV[5]) then
    redis.call('ZADD', KEYS[1], score, member)
  else
    expired = expired + 1
  end
end
if ARGV[1] == '1' then
  local back = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  for i = 1, #back, 2 do
    local taken = redis.call('ZSCORE', KEYS[3], back[i])
    if not taken or now - tonumber(taken) > tonumber(ARGV[2]) then
      redis.call('ZREM', KEYS[2], back[i]) -- first: a Redis without memory lets a script add only after a removal
      redis.call('ZREM', KEYS[3], back[i])
      put_back(back[i], back[i + 1])
    end
  end
  back = redis.call('ZRANGE', KEYS[5], 0, -1, 'WITHSCORES')
  redis.call('DEL', KEYS[5])
  for i = 1, #back, 2 do put_back(back[i], back[i + 1]) end
  if redis.call('TTL', KEYS[1]) == -1 then redis.call('EXPIRE', KEYS[1], ARGV[5]) end
end
local got = redis.call('ZPOPMIN', KEYS[1], ARGV[4])
if #got > 0 then
  for i = 1, #got, 2 do
    redis.call('ZADD', KEYS[3], now, got[i])
    redis.call('ZADD', KEYS[2], got[i + 1], got[i])
  end
  redis.call('EXPIRE', KEYS[2], ARGV[5])
  redis.call('EXPIRE', KEYS[3], 86400)
  redis.call('ZADD', KEYS[4], now, ARGV[3])
  redis.call('EXPIRE', KEYS[4], 86400)
end
return {expired, got}
