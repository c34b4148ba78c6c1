-- Takes a channel of another process out of a group, with a note for that process, which would enter it again.
-- KEYS: group, census, the groups of that process
-- ARGV: the group, the channel, the note in the census, its value, group expiry in s
local removed = redis.call('ZREM', KEYS[1], ARGV[2])
if removed == 0 and redis.call('EXISTS', KEYS[1]) == 1 then return end
if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 1 then
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
  redis.call('EXPIRE', KEYS[2], ARGV[5])
end
