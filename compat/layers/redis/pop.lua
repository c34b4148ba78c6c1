-- Takes one message out of a plain channel, which other processes read as well, and keeps it in flight until
-- it is acknowledged. Returns {member, score} or {}.
-- KEYS: queue, in flight
-- ARGV: members that are to be put back first, having been in flight for too long; or '*' for all
if ARGV[1] == '*' then
  local back = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
  redis.call('DEL', KEYS[2]) -- first, since a Redis that is out of memory lets a script add only after a removal
  for i = 1, #back, 2 do redis.call('ZADD', KEYS[1], back[i + 1], back[i]) end
else
  for _, member in ipairs(ARGV) do
    local score = redis.call('ZSCORE', KEYS[2], member)
    if score then
      redis.call('ZREM', KEYS[2], member)
      redis.call('ZADD', KEYS[1], score, member)
    end
  end
end
local taken = redis.call('ZPOPMIN', KEYS[1])
if #taken > 0 then redis.call('ZADD', KEYS[2], taken[2], taken[1]) end
return taken
