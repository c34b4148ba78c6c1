-- Makes the consumer group of a plain channel, unless it is there; looks first, because a Redis without memory refuses.
-- KEYS: the stream.  ARGV: the group, life of the stream in s
local found = false
for _, group in ipairs(redis.pcall('XINFO', 'GROUPS', KEYS[1])) do found = found or group[2] == ARGV[1] end
if not found then redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM') end
redis.call('EXPIRE', KEYS[1], ARGV[2])
