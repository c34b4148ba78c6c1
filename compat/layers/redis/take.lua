-- Takes messages out of a queue and keeps them in flight until the next take, which acknowledges them.
-- Returns {member, score, ...}, oldest first.
-- KEYS: queue, in flight
-- ARGV: how many, expiry in s, '1' to put back first what is in flight (after a reconnect: it may not have
--       arrived; the reader knows which did)
local back = ARGV[3] == '1' and redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES') or {}
redis.call('DEL', KEYS[2]) -- first, since a Redis that is out of memory lets a script add only after a removal
for i = 1, #back, 2 do redis.call('ZADD', KEYS[1], back[i + 1], back[i]) end
if back[1] and redis.call('TTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
local taken = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
if #taken > 0 then
  local entries = {}
  for i = 1, #taken, 2 do
    entries[i] = taken[i + 1]
    entries[i + 1] = taken[i]
  end
  redis.call('ZADD', KEYS[2], unpack(entries))
  redis.call('EXPIRE', KEYS[2], ARGV[2])
end
return taken
